"""Use case: a call is recorded without anybody asking, where AUTO_RECORD says so.

What tells of a call that can be recorded is CallLegStateChanged in 2021 and CallStarted today.
Each starts a recording with its own API only: a call that has both is started once.
"""

import contextlib
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from recording.acs.service import RecordingService
from recording.config.settings import Settings
from recording.errors import BadEvent, BadRequest, Conflict, NotFound
from recording.model import conversation
from recording.model.events import CallLegStateChanged, CallStarted
from recording.storage.audit import AuditLog, AuditRecord
from recording.storage.starts import HeldClaim, StartClaim, StartClaims, StartOutcome
from recording.telemetry import log


@dataclass(frozen=True)
class CallToRecord:
    """A call that is to be recorded; `call` tells it from a later one of the same conversation."""

    event_id: str
    conversation_id: str
    call: str


def of_leg(event: CallLegStateChanged) -> CallToRecord:
    """A group id may be met again by a later call, whose leg is another; a conversation URL is one call."""
    assert event.conversation_id is not None  # noqa: S101 - events.parse holds it for every state but Establishing
    known, leg = event.conversation_id, event.call_leg_id
    return CallToRecord(event.id, known, f"{known}/{leg}" if conversation.is_group_id(known) else known)


def of_call(event: CallStarted) -> CallToRecord:
    """A server call id is one call, though a group or a room may meet again."""
    try:
        known = conversation.from_server_call_id(event.server_call_id)
    except BadRequest as bad:
        raise BadEvent(bad.message) from None
    return CallToRecord(event.id, known, known)


async def start(
    wanted: CallToRecord,
    *,
    claims: StartClaims,
    audit: AuditLog,
    service: RecordingService,
    settings: Settings,
    now: datetime,
) -> None:
    """Start a recording once per call, however often the event comes.

    Raises StartInProgress while another worker is at it, and what ACS or storage says if that may pass: the event is
    to come again then.
    """
    mine = StartClaim(owner=uuid4().hex, conversation_id=wanted.conversation_id, at=now)
    held = await claims.claim(f"auto-record {wanted.call}", mine)
    if not isinstance(held, HeldClaim):
        log.info("auto_record.done_before", eventId=wanted.event_id, outcome=held.outcome.result)
        return
    entry = AuditRecord(at=now, operation="start", who="AUTO_RECORD", conversation_id=wanted.conversation_id)
    # These are settled: the service won't change its mind.
    with contextlib.suppress(Conflict, BadRequest, NotFound):
        async with audit.record(entry):
            entry.recording_id = await _start(wanted, held, claims=claims, service=service, settings=settings, now=now)


async def _start(
    wanted: CallToRecord,
    held: HeldClaim,
    *,
    claims: StartClaims,
    service: RecordingService,
    settings: Settings,
    now: datetime,
) -> str:
    """Start a recording that is claimed, and settle the claim before anything else can fail."""
    try:
        service.check(wanted.conversation_id)
        recording_id = await service.start(wanted.conversation_id, callback_uri=settings.callback_uri())
    except BaseException as failed:
        await _settle(wanted, held, _unsuccessful(failed, now), claims)
        raise
    await _settle(wanted, held, StartOutcome(result="started", recording_id=recording_id, at=now), claims)
    return recording_id


async def _settle(wanted: CallToRecord, held: HeldClaim, outcome: StartOutcome, claims: StartClaims) -> None:
    await claims.record_outcome(held, outcome)
    write = log.error if outcome.result == "refused" else log.info
    write(
        "auto_record." + outcome.result,
        eventId=wanted.event_id,
        conversationId=wanted.conversation_id,
        recordingId=outcome.recording_id,
        reason=outcome.reason,
    )


def _unsuccessful(failed: BaseException, now: datetime) -> StartOutcome:
    match failed:
        case Conflict():
            return StartOutcome(result="already_recording", reason=failed.message, at=now)
        case BadRequest() | NotFound():
            # The call is over, or was never one that can be recorded.
            return StartOutcome(result="refused", reason=failed.message, at=now)
        case _:
            # Not started for a reason that may pass: the claim is given back, and the event delivered again.
            return StartOutcome(result="given_back", reason=type(failed).__name__, at=now)
