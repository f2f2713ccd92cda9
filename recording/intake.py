"""Use case: an event becomes facts and one chunk job per chunk.

It answers in well under a second whatever the size of the recording: the bytes' work goes
through the queue. The fact is written before the jobs are handed over, and both are repeated
when the event comes again, so that a crash in between loses nothing.
"""

from datetime import UTC, datetime
from uuid import uuid4

from pydantic import BaseModel

from recording import claim, conversation, events, job, layout, logs
from recording.acs.service import RecordingService
from recording.claim import Claim, Held, Outcome
from recording.errors import BadEvent, BadRequest, Conflict, NotFound
from recording.events import CallLegStateChanged, FileStatusUpdated, OtherEvent, RecordingStateChanged
from recording.job import ChunkJob
from recording.notices import Notice, Notices
from recording.settings import Settings
from recording.storage import Storage


class Quarantined(BaseModel):
    """An event that could not be understood, letter by letter, and why."""

    reasons: list[str]
    received_at: datetime
    event: str


async def receive(
    text: str,
    *,
    storage: Storage,
    service: RecordingService,
    notices: Notices,
    settings: Settings,
    now: datetime,
) -> list[ChunkJob]:
    """Take one event; the answer is the chunk jobs to put on the queue.

    An event that can't be understood goes to quarantine and counts as taken: Event Grid never
    delivers again what was refused with 400 (acs-contract 6.4). Whatever is raised here is to be
    answered with 500, so that the event comes again.
    """
    try:
        event = events.parse(text)
    except BadEvent as bad:
        await quarantine(text, [bad.message], storage=storage, notices=notices, now=now)
        return []
    match event:
        case FileStatusUpdated():
            return await _file_status(event, text, storage=storage, notices=notices, now=now)
        case CallLegStateChanged():
            logs.info("call_leg.changed", eventId=event.id, callLegId=event.call_leg_id, state=event.state)
            if event.state == "Established" and settings.auto_record == "all":
                await _auto_record(event, storage=storage, service=service, settings=settings, now=now)
        case RecordingStateChanged():
            logs.info("recording.changed", eventId=event.id, recordingId=event.recording_id, state=event.state)
        case OtherEvent():
            logs.info("event.ignored", eventId=event.id, type=event.type)
    return []


async def quarantine(text: str, reasons: list[str], *, storage: Storage, notices: Notices, now: datetime) -> None:
    """Keep an event that could not be understood, with the reasons."""
    # Named by the text: the id of such an event may be anything.
    name = layout.quarantine_blob(now, layout.event_id(None, text))
    body = Quarantined(reasons=reasons, received_at=now, event=text).model_dump_json(indent=2)
    await storage.write_fact("quarantine", name, body.encode())
    logs.error("event.quarantined", blob=name, reasons=reasons)
    digest = name.rpartition("/")[2].removesuffix(".json")
    await notices.publish(
        Notice("Recording.Quarantined", subject=digest, fact=digest, time=now, data={"blob": name, "reasons": reasons})
    )


async def _file_status(
    event: FileStatusUpdated, text: str, *, storage: Storage, notices: Notices, now: datetime
) -> list[ChunkJob]:
    key = event.recording_key
    # The time stands in the blob's metadata too, so that the timer can order recordings by listing alone.
    announced, body = event.time.astimezone(UTC).isoformat(), text.encode()
    name = layout.event_blob(key, event.id)
    fresh = await storage.write_fact("staging", name, body, announced=announced)
    if not fresh and await storage.read("staging", name) != body:
        # Another event under the same id: what it announces must be on record too.
        name = layout.event_blob(key, layout.event_id(None, text))
        fresh = await storage.write_fact("staging", name, body, announced=announced)
    if event.problems:
        # After the fact: what fails here brings the event again, and must not keep the good chunks from the timer.
        await quarantine(text, list(event.problems), storage=storage, notices=notices, now=now)
    logs.info("recording.announced", recordingKey=key, eventId=event.id, chunks=len(event.chunks), duplicate=not fresh)
    return [
        ChunkJob(recording_key=key, document_id=c.document_id, index=c.index, announced_at=event.time)
        for c in event.chunks
    ]


async def _auto_record(
    event: CallLegStateChanged, *, storage: Storage, service: RecordingService, settings: Settings, now: datetime
) -> None:
    """Start a recording once per established conversation, however often the event comes.

    A group id may be met again by a later call, whose leg is another; a conversation URL is one call.
    """
    assert event.conversation_id is not None  # noqa: S101 - events.parse holds it for every state but Establishing
    conversation_id = event.conversation_id
    subject = f"{conversation_id}/{event.call_leg_id}" if conversation.is_group_id(conversation_id) else conversation_id
    mine = Claim(owner=uuid4().hex, conversation_id=conversation_id, at=now)
    held = await claim.take(storage, f"auto-record {subject}", mine)
    if not isinstance(held, Held):
        logs.info("auto_record.done_before", eventId=event.id, outcome=held[1].result)
        return
    try:
        recording_id = await service.start(conversation.check(conversation_id), callback_uri=settings.callback_uri())
        outcome = Outcome(result="started", recording_id=recording_id, at=now)
    except Conflict as conflict:
        outcome = Outcome(result="already_recording", reason=conflict.message, at=now)
    except (BadRequest, NotFound) as refused:
        # The service won't change its mind: the call is over, or was never one that can be recorded.
        outcome = Outcome(result="refused", reason=refused.message, at=now)
    except BaseException as failed:
        # Not started for a reason that may pass: give the claim back, and have the event delivered again.
        await claim.settle(storage, held, Outcome(result="given_back", reason=type(failed).__name__, at=now))
        raise
    await claim.settle(storage, held, outcome)
    write = logs.error if outcome.result == "refused" else logs.info
    write("auto_record." + outcome.result, eventId=event.id, recordingId=outcome.recording_id, reason=outcome.reason)


def messages(jobs: list[ChunkJob]) -> list[str]:
    """Write the jobs as queue messages."""
    return [job.write(one) for one in jobs]
