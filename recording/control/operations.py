"""Use case: start, state, stop, pause, resume.

Ids are checked before anything is called or written; what ACS says about the rest is passed on.
Each operation that changes something is on record before it is answered: who asked for it, when, and
what came of it.
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from uuid import uuid4

from azure.core.exceptions import AzureError

from recording.acs.service import RecordingService
from recording.control.bodies import (
    Caller,
    Operation,
    RecordingStarted,
    RecordingStateAnswer,
    RepeatKey,
    StartRecording,
    StartRecordingByUrl,
    require_recording_id,
)
from recording.errors import BadRequest, NotFound
from recording.model import conversation
from recording.storage.audit import AuditLog, AuditRecord
from recording.storage.endings import Ending, Endings
from recording.storage.starts import ClaimedByAnotherRequest, HeldClaim, StartClaim, StartClaims, StartOutcome
from recording.telemetry import log


@dataclass(frozen=True)
class RecordingControl:
    """The recording operations for one caller; `callback_uri` is for starts that name none."""

    service: RecordingService
    audit: AuditLog
    claims: StartClaims
    endings: Endings
    caller: Caller
    callback_uri: str | None = None
    ending_timeout: float = 10.0

    async def start(self, conversation_id: str, body: StartRecording) -> RecordingStarted:
        """Start recording a conversation; with a repeat key, once however often it is asked for."""
        self.service.check(conversation_id, options=body)
        key = self.caller.repeat_key
        async with self.audit.record(self._entry("start", conversation_id, None, body)) as entry:
            entry.recording_id = await (
                self._start_once(key, conversation_id, body) if key else self._start(conversation_id, body)
            )
            return RecordingStarted(recording_id=entry.recording_id)

    async def start_by_url(self, body: StartRecordingByUrl) -> RecordingStarted:
        """Start recording the conversation of a URL or of a server call id, which is encoded here."""
        conversation_id = (
            conversation.from_server_call_id(body.server_call_id)
            if body.server_call_id is not None
            else conversation.encode_url(body.conversation_url or "")
        )
        started = await self.start(conversation_id, body)
        return started.model_copy(update={"conversation_id": conversation_id})

    async def state(self, conversation_id: str, recording_id: str) -> RecordingStateAnswer:
        """Tell whether a recording is active; paused reads as inactive, and so does one that is known to have ended."""
        self._check(conversation_id, recording_id)
        try:
            found = await self.service.state(conversation_id, recording_id)
        except NotFound:
            # Today's API says so of an ended recording, too (docs/acs-contract.md#states).
            ending = await self._ending(recording_id)
            if ending is None:
                raise
            return RecordingStateAnswer(recording_state="inactive", ended_at=ending.at)
        return RecordingStateAnswer(recording_state=found.state, recording_kind=found.kind)

    async def stop(self, conversation_id: str, recording_id: str, body: Operation) -> None:
        """End a recording; its files are announced some minutes later."""
        self._check(conversation_id, recording_id)
        async with self.audit.record(self._entry("stop", conversation_id, recording_id, body)):
            await self.service.stop(conversation_id, recording_id, operation_context=body.operation_context)
            await self._note_ending(conversation_id, recording_id)

    async def pause(self, conversation_id: str, recording_id: str, body: Operation) -> None:
        """Pause a recording."""
        self._check(conversation_id, recording_id)
        async with self.audit.record(self._entry("pause", conversation_id, recording_id, body)):
            await self.service.pause(conversation_id, recording_id, operation_context=body.operation_context)

    async def resume(self, conversation_id: str, recording_id: str, body: Operation) -> None:
        """Resume a paused recording."""
        self._check(conversation_id, recording_id)
        async with self.audit.record(self._entry("resume", conversation_id, recording_id, body)):
            await self.service.resume(conversation_id, recording_id, operation_context=body.operation_context)

    async def _start(self, conversation_id: str, body: StartRecording) -> str:
        return await self.service.start(
            conversation_id,
            callback_uri=body.recording_state_callback_uri or self.callback_uri,
            operation_context=body.operation_context,
            options=body,
        )

    async def _start_once(self, key: RepeatKey, conversation_id: str, body: StartRecording) -> str:
        """Start once per key, across processes; the same key with another request is refused."""
        asked = body.model_dump_json(by_alias=True, exclude_none=True)
        request = sha256(f"{conversation_id} {asked}".encode()).hexdigest()
        mine = StartClaim(owner=uuid4().hex, conversation_id=conversation_id, request=request, at=datetime.now(UTC))
        try:
            held = await self.claims.claim(f"repeatable {key.value}", mine)
        except ClaimedByAnotherRequest:
            raise BadRequest("this key was used for another start; take a new one", target=key.header) from None
        if not isinstance(held, HeldClaim):
            return str(held.outcome.recording_id)
        try:
            recording_id = await self._start(conversation_id, body)
        except BaseException as failed:
            reason, at = type(failed).__name__, datetime.now(UTC)
            await self.claims.record_outcome(held, StartOutcome(result="given_back", reason=reason, at=at))
            raise
        await self.claims.record_outcome(
            held, StartOutcome(result="started", recording_id=recording_id, at=datetime.now(UTC))
        )
        return recording_id

    def _entry(self, operation: str, conversation_id: str, recording_id: str | None, body: Operation) -> AuditRecord:
        return AuditRecord(
            at=datetime.now(UTC),
            operation=operation,
            who=self.caller.who,
            conversation_id=conversation_id,
            recording_id=recording_id,
            operation_context=body.operation_context,
        )

    def _check(self, conversation_id: str, recording_id: str) -> None:
        self.service.check(conversation_id)
        require_recording_id(recording_id)

    async def _ending(self, recording_id: str) -> Ending | None:
        """Look up how a recording ended; while storage is out of reach, nothing is known of it."""
        try:
            async with asyncio.timeout(self.ending_timeout):
                return await self.endings.find(recording_id)
        except (AzureError, TimeoutError) as failed:
            log.warning("ending.not_read", recordingId=recording_id, reason=type(failed).__name__)
            return None

    async def _note_ending(self, conversation_id: str, recording_id: str) -> None:
        """Note that a recording was stopped; it has happened by then, and the answer stays true."""
        ending = Ending(
            recording_id=recording_id,
            conversation_id=conversation_id,
            at=datetime.now(UTC),
            evidence="stopped through us",
            who=self.caller.who,
        )
        try:
            async with asyncio.timeout(self.ending_timeout):
                await self.endings.note(ending)
        except (AzureError, TimeoutError) as failed:
            written = ending.model_dump(mode="json", by_alias=True)
            log.error("ending.not_written", reason=type(failed).__name__, ending=written)
