"""Use case: with AUTO_RECORD every call is recorded, without anyone asking for it.

The event that begins a call is CallLegStateChanged with the 2021 preview API and CallStarted with
the Call Automation API. Only the event of the API in use starts a recording, so that a call that
has both events is started once.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import datetime
from typing import Self
from uuid import uuid4

from recording.acs.service import RecordingService
from recording.clock import Clock, utc_now
from recording.errors import BadEvent, BadRequest, Conflict, NotFound
from recording.model import conversation
from recording.model.caller import Caller
from recording.model.events import CallLegStateChanged, CallStarted
from recording.model.started import Started
from recording.model.trail import TrailEntry
from recording.storage.index import Index
from recording.storage.starts import HeldClaim, StartClaim, StartClaims, StartOutcome
from recording.storage.trail import Trail
from recording.telemetry import log


@dataclass(frozen=True)
class CallToRecord:
    """A call that is to be recorded; `call` differs for each call of one conversation."""

    event_id: str
    conversation_id: str
    call: str

    @classmethod
    def of_leg(cls, event: CallLegStateChanged) -> Self:
        """Return the call of a leg. A later call may have the same group id, but has another leg."""
        # The parser ensures this for every state but Establishing.
        assert event.conversation_id is not None  # noqa: S101
        known, leg = event.conversation_id, event.call_leg_id
        # A conversation URL stands for one call.
        return cls(event.id, known, f"{known}/{leg}" if conversation.is_group_id(known) else known)

    @classmethod
    def of_call(cls, event: CallStarted) -> Self:
        """Return the call of a server call id, which stands for one call, even in a group or a room.

        Raises BadEvent for an id that is not a server call id.
        """
        try:
            known = conversation.from_server_call_id(event.server_call_id)
        except BadRequest as bad:
            raise BadEvent(bad.message) from None
        return cls(event.id, known, known)


class AutoRecord:
    """Starts a recording when a call begins; `starts_on` is the type of event that says so."""

    def __init__(
        self,
        service: RecordingService,
        *,
        claims: StartClaims,
        trail: Trail,
        index: Index,
        callback_uri: str | None,
        starts_on: type[CallStarted] | type[CallLegStateChanged],
        clock: Clock = utc_now,
    ) -> None:
        self._service = service
        self._claims = claims
        self._trail = trail
        self._index = index
        self._callback_uri = callback_uri
        self._starts_on = starts_on
        self._clock = clock

    async def start(self, event: CallStarted | CallLegStateChanged) -> None:
        """Start a recording once per call, however often its event comes; do nothing for any other event.

        Raises StartInProgress while another worker starts it, BadEvent as `CallToRecord.of_call`, and temporary
        failures of ACS or storage. After any of these but BadEvent the event must come again.
        """
        if not isinstance(event, self._starts_on):
            return
        match event:
            case CallStarted():
                await self._start_once(CallToRecord.of_call(event))
            case CallLegStateChanged():
                if event.state == "Established":
                    await self._start_once(CallToRecord.of_leg(event))

    async def _start_once(self, wanted: CallToRecord) -> None:
        now = self._clock()
        mine = StartClaim(owner=uuid4().hex, conversation_id=wanted.conversation_id, at=now)
        held = await self._claims.claim(f"auto-record {wanted.call}", mine)
        if not isinstance(held, HeldClaim):
            # The process that started it may have died before it could note that.
            if held.outcome.recording_id is not None:
                await self._note(held.outcome.recording_id, wanted, held.outcome.at)
            log.info("auto_record.already_done", eventId=wanted.event_id, outcome=held.outcome.result)
            return
        entry = TrailEntry.of(Caller("AUTO_RECORD", origin="event"), "start", now)
        entry.conversation_id = wanted.conversation_id
        # These errors are final: the service would answer the same again.
        with contextlib.suppress(Conflict, BadRequest, NotFound):
            async with self._trail.record(entry):
                entry.recording_id = await self._start(wanted, held, now)

    async def _start(self, wanted: CallToRecord, held: HeldClaim, now: datetime) -> str:
        """Start a recording whose claim is held, and record the outcome before anything else can fail."""
        try:
            self._service.check(wanted.conversation_id)
            recording_id = await self._service.start(wanted.conversation_id, callback_uri=self._callback_uri)
        except BaseException as failed:
            await self._record_outcome(wanted, held, _unsuccessful(failed, now))
            raise
        await self._record_outcome(wanted, held, StartOutcome(result="started", recording_id=recording_id, at=now))
        await self._note(recording_id, wanted, now)
        return recording_id

    async def _note(self, recording_id: str, wanted: CallToRecord, at: datetime) -> None:
        started = Started(recording_id=recording_id, conversation_id=wanted.conversation_id, at=at)
        await asyncio.gather(self._claims.note_started(started), self._index.note_live(started))

    async def _record_outcome(self, wanted: CallToRecord, held: HeldClaim, outcome: StartOutcome) -> None:
        await self._claims.record_outcome(held, outcome)
        facts = {
            "eventId": wanted.event_id,
            "conversationId": wanted.conversation_id,
            "recordingId": outcome.recording_id,
            "reason": outcome.reason,
        }
        match outcome.result:
            case "started":
                log.info("auto_record.started", **facts)
            case "already_recording":
                log.info("auto_record.already_recording", **facts)
            case "given_back":
                log.info("auto_record.given_back", **facts)
            case "refused":
                log.error("auto_record.refused", **facts)


def _unsuccessful(failed: BaseException, now: datetime) -> StartOutcome:
    match failed:
        case Conflict():
            return StartOutcome(result="already_recording", reason=failed.message, at=now)
        case BadRequest() | NotFound():
            # The call is over, or can't be recorded at all.
            return StartOutcome(result="refused", reason=failed.message, at=now)
        case _:
            # The failure may be temporary: the claim is given back, and the event is delivered again.
            return StartOutcome(result="given_back", reason=type(failed).__name__, at=now)
