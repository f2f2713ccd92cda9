"""Use case: start, state, stop, pause, resume.

Ids are checked before anything is called or written; what ACS says about the rest is passed on.
Each operation is on record before it is answered: who asked for it, when, and what came of it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from uuid import uuid4

from recording import audit, claim, conversation
from recording.acs.service import RecordingService
from recording.audit import Entry
from recording.claim import AnotherRequest, Claim, Held, Outcome
from recording.contract import (
    Operation,
    RecordingStarted,
    RecordingState,
    RepeatKey,
    StartRecording,
    StartRecordingByUrl,
    check_recording_id,
)
from recording.errors import BadRequest
from recording.storage import Storage


@dataclass(frozen=True)
class Caller:
    """Who asks, where that is known, and the key under which a start may be repeated."""

    who: str | None = None
    repeat_key: RepeatKey | None = None


@dataclass(frozen=True)
class Control:
    """The recording operations for one caller."""

    service: RecordingService
    storage: Storage
    caller: Caller

    async def start(self, conversation_id: str, body: StartRecording) -> RecordingStarted:
        """Start recording a conversation; with a repeat key, once however often it is asked for."""
        conversation.check(conversation_id)
        key = self.caller.repeat_key
        async with audit.audited(self.storage, self._entry("start", conversation_id, None, body)) as entry:
            entry.recording_id = await (
                self._start_once(key, conversation_id, body) if key else self._start(conversation_id, body)
            )
            return RecordingStarted(recording_id=entry.recording_id)

    async def start_by_url(self, body: StartRecordingByUrl) -> RecordingStarted:
        """Start recording the conversation of a URL, which is encoded here."""
        conversation_id = conversation.encode(body.conversation_url)
        started = await self.start(conversation_id, body)
        return started.model_copy(update={"conversation_id": conversation_id})

    async def state(self, conversation_id: str, recording_id: str, body: Operation) -> RecordingState:
        """Tell whether a recording is active; paused reads as inactive."""
        _check(conversation_id, recording_id)
        async with audit.audited(self.storage, self._entry("state", conversation_id, recording_id, body)):
            return RecordingState(recording_state=await self.service.state(conversation_id, recording_id))

    async def stop(self, conversation_id: str, recording_id: str, body: Operation) -> None:
        """End a recording; its files are announced some minutes later."""
        _check(conversation_id, recording_id)
        async with audit.audited(self.storage, self._entry("stop", conversation_id, recording_id, body)):
            await self.service.stop(conversation_id, recording_id, operation_context=body.operation_context)

    async def pause(self, conversation_id: str, recording_id: str, body: Operation) -> None:
        """Pause a recording."""
        _check(conversation_id, recording_id)
        async with audit.audited(self.storage, self._entry("pause", conversation_id, recording_id, body)):
            await self.service.pause(conversation_id, recording_id, operation_context=body.operation_context)

    async def resume(self, conversation_id: str, recording_id: str, body: Operation) -> None:
        """Resume a paused recording."""
        _check(conversation_id, recording_id)
        async with audit.audited(self.storage, self._entry("resume", conversation_id, recording_id, body)):
            await self.service.resume(conversation_id, recording_id, operation_context=body.operation_context)

    async def _start(self, conversation_id: str, body: StartRecording) -> str:
        return await self.service.start(
            conversation_id, callback_uri=body.recording_state_callback_uri, operation_context=body.operation_context
        )

    async def _start_once(self, key: RepeatKey, conversation_id: str, body: StartRecording) -> str:
        """Start once per key, across processes; the same key with another request is refused."""
        request = sha256(f"{conversation_id} {body.model_dump_json(by_alias=True)}".encode()).hexdigest()
        mine = Claim(owner=uuid4().hex, conversation_id=conversation_id, request=request, at=datetime.now(UTC))
        try:
            held = await claim.take(self.storage, f"repeatable {key.value}", mine)
        except AnotherRequest:
            raise BadRequest("this key was used for another start; take a new one", target=key.header) from None
        if not isinstance(held, Held):
            return str(held[1].recording_id)
        try:
            recording_id = await self._start(conversation_id, body)
        except BaseException as failed:
            reason, at = type(failed).__name__, datetime.now(UTC)
            await claim.settle(self.storage, held, Outcome(result="given_back", reason=reason, at=at))
            raise
        await claim.settle(
            self.storage, held, Outcome(result="started", recording_id=recording_id, at=datetime.now(UTC))
        )
        return recording_id

    def _entry(self, operation: str, conversation_id: str, recording_id: str | None, body: Operation) -> Entry:
        return Entry(
            at=datetime.now(UTC),
            operation=operation,
            who=self.caller.who,
            conversation_id=conversation_id,
            recording_id=recording_id,
            operation_context=body.operation_context,
        )


def _check(conversation_id: str, recording_id: str) -> None:
    conversation.check(conversation_id)
    check_recording_id(recording_id)
