"""Use case: start, state, stop, pause, resume.

Ids are checked before anything is called or written; the answers of ACS are passed on. Each operation that changes
something is on record before it is answered: who asked for it, when, and with which outcome.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from uuid import uuid4

from azure.core.exceptions import AzureError

from recording.acs.service import RecordingService
from recording.clock import Clock, utc_now
from recording.control.bodies import (
    Operation,
    RecordingStarted,
    RecordingStateAnswer,
    StartRecording,
    StartRecordingByUrl,
    require_recording_id,
)
from recording.control.consents import ConsentControl
from recording.errors import BadRequest, NotFound, describe
from recording.model import conversation, layout
from recording.model.caller import Caller, RepeatKey
from recording.model.live import Asked, Known
from recording.model.started import Started
from recording.model.trail import Action, TrailEntry
from recording.retention import RetentionClasses
from recording.storage.endings import Ending, Endings
from recording.storage.index import Index
from recording.storage.starts import ClaimedByAnotherRequest, HeldClaim, StartClaim, StartClaims, StartOutcome
from recording.storage.tombstones import Tombstones
from recording.storage.trail import Trail
from recording.telemetry import log


class RecordingControl:
    """The recording operations; state callbacks go to `default_callback_uri` unless a start names another."""

    def __init__(
        self,
        service: RecordingService,
        *,
        trail: Trail,
        claims: StartClaims,
        endings: Endings,
        index: Index,
        consents: ConsentControl,
        tombstones: Tombstones,
        classes: RetentionClasses,
        default_callback_uri: str | None,
        clock: Clock = utc_now,
        ending_timeout: float = 10.0,
    ) -> None:
        self._service = service
        self._trail = trail
        self._claims = claims
        self._endings = endings
        self._index = index
        self._consents = consents
        self._tombstones = tombstones
        self._classes = classes
        self._default_callback_uri = default_callback_uri
        self._clock = clock
        self._ending_timeout = ending_timeout

    async def start(self, caller: Caller, conversation_id: str, body: StartRecording) -> RecordingStarted:
        """Start recording a conversation; requests with the same repeat key start it once.

        Raises ConsentMissing where consent is required and was not granted, or was withdrawn.
        """
        self._service.check(conversation_id, options=body)
        self._check_class(body.retention_class)
        key = caller.repeat_key
        async with self._trail.record(self._entry("start", caller, conversation_id, None, body)) as entry:
            await self._consents.require(conversation_id)
            is_new = True
            if key:
                entry.recording_id, is_new = await self._start_once(key, conversation_id, body)
            else:
                entry.recording_id = await self._start(conversation_id, body)
            started = Started(
                recording_id=entry.recording_id,
                conversation_id=conversation_id,
                reference=body.operation_context,
                retention_class=body.retention_class,
                at=entry.at,
            )
            if body.retention_class is not None:
                entry.details = {"retentionClass": body.retention_class}
            if is_new or await self._has_no_fact(entry, started.recording_id):
                await asyncio.gather(self._claims.note_started(started), self._index.note_live(started))
        if entry.erasure is None:
            # Whoever withdraws consent from now on finds the start in its fact, if the index has no row of it.
            await self._consents.look_again(caller, started)
        return RecordingStarted(recording_id=started.recording_id)

    async def start_by_url(self, caller: Caller, body: StartRecordingByUrl) -> RecordingStarted:
        """Start recording the conversation of a URL or of a server call id, which is encoded here."""
        conversation_id = (
            conversation.from_server_call_id(body.server_call_id)
            if body.server_call_id is not None
            else conversation.encode_url(body.conversation_url or "")
        )
        started = await self.start(caller, conversation_id, body)
        return started.model_copy(update={"conversation_id": conversation_id})

    async def get_state(self, conversation_id: str, recording_id: str) -> RecordingStateAnswer:
        """Return whether a recording is active; a paused one and one that is known to have ended are inactive."""
        self._check(conversation_id, recording_id)
        await self._require_own(conversation_id, recording_id)
        try:
            found = await self._service.state(conversation_id, recording_id)
        except NotFound:
            # The Call Automation API answers so for an ended recording, too (docs/acs-contract.md#states).
            ending = await self._find_ending(recording_id)
            if ending is None:
                raise
            return RecordingStateAnswer(recording_state="inactive", ended_at=ending.at)
        return RecordingStateAnswer(recording_state=found.state, recording_kind=found.kind)

    async def stop(self, caller: Caller, conversation_id: str, recording_id: str, body: Operation) -> None:
        """Stop a recording; its files are announced some minutes later."""
        self._check(conversation_id, recording_id)
        async with self._audited("stop", caller, conversation_id, recording_id, body):
            await self._service.stop(conversation_id, recording_id, operation_context=body.operation_context)
            await asyncio.gather(
                self._note_ending(caller, conversation_id, recording_id), self._note_state(recording_id, "stop")
            )

    async def pause(self, caller: Caller, conversation_id: str, recording_id: str, body: Operation) -> None:
        """Pause a recording."""
        self._check(conversation_id, recording_id)
        async with self._audited("pause", caller, conversation_id, recording_id, body):
            await self._service.pause(conversation_id, recording_id, operation_context=body.operation_context)
            await self._note_state(recording_id, "pause")

    async def resume(self, caller: Caller, conversation_id: str, recording_id: str, body: Operation) -> None:
        """Resume a paused recording; raises ConsentMissing as `start` does."""
        self._check(conversation_id, recording_id)
        async with self._audited("resume", caller, conversation_id, recording_id, body):
            await self._consents.require(conversation_id)
            await self._service.resume(conversation_id, recording_id, operation_context=body.operation_context)
            await self._note_state(recording_id, "resume")
            await self._consents.look_again(
                caller, Started(recording_id=recording_id, conversation_id=conversation_id, at=self._clock())
            )

    def _check_class(self, name: str | None) -> None:
        if name is not None and self._classes.find(name) is None:
            known = self._classes.describe()
            raise BadRequest(f"there is no retention class of this name; there are: {known}", target="retentionClass")

    async def _note_state(self, recording_id: str, asked: Asked) -> None:
        """Record what was asked, for the list of what is live."""
        await self._index.note_live_state(recording_id, Known(asked=asked, asked_at=self._clock()))

    async def _start(self, conversation_id: str, body: StartRecording) -> str:
        return await self._service.start(
            conversation_id,
            callback_uri=body.recording_state_callback_uri or self._default_callback_uri,
            operation_context=body.operation_context,
            options=body,
        )

    async def _has_no_fact(self, entry: TrailEntry, recording_id: str) -> bool:
        """Return whether a start that is repeated is not on record yet: the process that made it was killed.

        The fact of one that was erased meanwhile must not come back, nor may the trail name it again. Raises
        azure-core's errors or TimeoutError: then it must be repeated once more.
        """
        async with asyncio.timeout(self._ending_timeout):
            stone = await self._tombstones.read(layout.recording_digest(recording_id))
            if stone is None:
                return await self._claims.find(recording_id) is None
        entry.erasure = stone.erasure
        entry.recording_id = entry.conversation_id = entry.operation_context = None
        return False

    async def _start_once(self, key: RepeatKey, conversation_id: str, body: StartRecording) -> tuple[str, bool]:
        """Start once per key, across processes; also return whether this request did.

        The same key with a different request is refused.
        """
        asked = body.model_dump_json(by_alias=True, exclude_none=True)
        request = sha256(f"{conversation_id} {asked}".encode()).hexdigest()
        mine = StartClaim(owner=uuid4().hex, conversation_id=conversation_id, request=request, at=self._clock())
        try:
            held = await self._claims.claim(f"repeatable {key.value}", mine)
        except ClaimedByAnotherRequest:
            raise BadRequest(
                "this key was already used for a different request; use a new key", target=key.header
            ) from None
        if not isinstance(held, HeldClaim):
            return str(held.outcome.recording_id), False
        try:
            recording_id = await self._start(conversation_id, body)
        except BaseException as failed:
            reason, at = type(failed).__name__, self._clock()
            await self._claims.record_outcome(held, StartOutcome(result="given_back", reason=reason, at=at))
            raise
        await self._claims.record_outcome(
            held, StartOutcome(result="started", recording_id=recording_id, at=self._clock())
        )
        return recording_id, True

    @asynccontextmanager
    async def _audited(
        self, operation: Action, caller: Caller, conversation_id: str, recording_id: str, body: Operation
    ) -> AsyncIterator[None]:
        """Record an operation on a recording under the call that it belongs to.

        Raises NotFound, which is on record, if it belongs to another call than the request names.
        """
        known = await self._claims.conversation_of(recording_id)
        async with self._trail.record(self._entry(operation, caller, known or conversation_id, recording_id, body)):
            _refuse_another(conversation_id, known)
            yield

    async def _require_own(self, conversation_id: str, recording_id: str) -> None:
        _refuse_another(conversation_id, await self._claims.conversation_of(recording_id))

    def _entry(
        self,
        operation: Action,
        caller: Caller,
        conversation_id: str,
        recording_id: str | None,
        body: Operation,
    ) -> TrailEntry:
        entry = TrailEntry.of(caller, operation, self._clock())
        entry.conversation_id, entry.recording_id = conversation_id, recording_id
        entry.operation_context = body.operation_context
        return entry

    def _check(self, conversation_id: str, recording_id: str) -> None:
        self._service.check(conversation_id)
        require_recording_id(recording_id)

    async def _find_ending(self, recording_id: str) -> Ending | None:
        """Find how a recording ended; None as well while storage is out of reach."""
        try:
            async with asyncio.timeout(self._ending_timeout):
                return await self._endings.find(recording_id)
        except (AzureError, TimeoutError) as failed:
            log.warning("ending.not_read", recordingId=recording_id, reason=describe(failed))
            return None

    async def _note_ending(self, caller: Caller, conversation_id: str, recording_id: str) -> None:
        """Record that a recording was stopped.

        The operation can't be undone: an ending that can't be written is logged in full, and the answer stays the same.
        """
        ending = Ending(
            recording_id=recording_id,
            conversation_id=conversation_id,
            at=self._clock(),
            evidence="stopped through us",
            who=caller.who,
        )
        try:
            async with asyncio.timeout(self._ending_timeout):
                await self._endings.note(ending)
        except (AzureError, TimeoutError) as failed:
            written = ending.model_dump(mode="json", by_alias=True)
            log.error("ending.not_written", reason=describe(failed), ending=written)


def _refuse_another(conversation_id: str, known: str | None) -> None:
    """Raise NotFound if a recording is known to belong to another call than the one in the path.

    The Call Automation API takes the recording id alone, whatever the path says (docs/acs-contract.md#operations).
    """
    if known is not None and conversation.is_another(conversation_id, known):
        raise NotFound("this conversation has no recording of this id", target="recordingId")
