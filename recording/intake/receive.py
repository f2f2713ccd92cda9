"""Use case: an event becomes facts and one chunk job per chunk.

It answers in well under a second whatever the size of the recording: the bytes' work goes
through the queue. The fact is written before the jobs are handed over, and both are repeated
when the event comes again, so that a crash in between loses nothing.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from azure.core.exceptions import AzureError

from recording import urls
from recording.acs.service import RecordingService
from recording.config.settings import Settings
from recording.errors import BadEvent
from recording.intake import auto_record
from recording.intake.auto_record import CallToRecord
from recording.intake.backlog import Backlog
from recording.intake.quarantine import Quarantine
from recording.model import event_parser, job
from recording.model.events import (
    CallEnded,
    CallLegStateChanged,
    CallStarted,
    Event,
    FileStatusUpdated,
    OtherEvent,
    RecordingStateChanged,
    StartRecordingFailed,
)
from recording.model.job import ChunkJob
from recording.storage.audit import AuditLog
from recording.storage.calls import CallIds
from recording.storage.endings import Endings
from recording.storage.recordings import RecordingStore
from recording.storage.starts import StartClaims
from recording.telemetry import log, traces

# Of Event Grid's 30 s (docs/functions-host.md#event-grid), for what can be done without.
_PATIENCE_SECONDS = 10.0


@dataclass(frozen=True)
class Intake:
    """Takes events in, whichever way they come."""

    recordings: RecordingStore
    endings: Endings
    calls: CallIds
    quarantine: Quarantine
    claims: StartClaims
    audit: AuditLog
    service: RecordingService
    settings: Settings

    async def receive(self, text: str, *, now: datetime, backlog: Backlog | None = None) -> list[ChunkJob]:
        """Take one event; the answer is the chunk jobs to put on the queue.

        With a `backlog` a file event that comes while others are being taken is handed over to it; an
        event of a call never is, for what it may start must not wait.

        An event that can't be understood goes to quarantine and counts as taken: Event Grid never delivers again
        what was refused with 400 (docs/acs-contract.md#delivery-semantics). Whatever is raised here is to be answered
        with 500, so that the event comes again.
        """
        try:
            event = event_parser.parse_event(text)
            if backlog and isinstance(event, FileStatusUpdated) and not backlog.has_room(text):
                await backlog.add(text)
                log.info("event.handed_over", eventId=event.id, recordingKey=event.recording_key)
                return []
            with backlog.under_way() if backlog else contextlib.nullcontext():
                return await self.accept(event, text, received_at=now)
        except BadEvent as bad:
            await self.quarantine.keep(text, [bad.message], received_at=now)
            return []

    async def accept(self, event: Event, text: str, *, received_at: datetime) -> list[ChunkJob]:
        """Take an event that was understood, as `receive` does.

        Raises BadEvent for a call that is to be recorded and can't be named.
        """
        match event:
            case FileStatusUpdated():
                ids = {"recording_id": event.recording_id, "eventId": event.id}
                with traces.span("recording.event", event.recording_key, **ids):
                    return await self._file_status(event, text, received_at=received_at)
            case CallLegStateChanged():
                log.info("call_leg.changed", eventId=event.id, callLegId=event.call_leg_id, state=event.state)
                if event.state == "Established" and self.settings.auto_record == "all" and self.settings.speaks_2021:
                    await self._auto_record(auto_record.of_leg(event), now=received_at)
            case CallStarted():
                log.info("call.started", **_known(event))
                if self.settings.auto_record == "all" and not self.settings.speaks_2021:
                    await self._auto_record(auto_record.of_call(event), now=received_at)
                await self.calls.remember(event.server_call_id, event.correlation_id)
            case CallEnded():
                log.info("call.ended", **_known(event), seconds=event.seconds)
                await self.calls.remember(event.server_call_id, event.correlation_id)
            case RecordingStateChanged():
                log.info("recording.changed", eventId=event.id, recordingId=event.recording_id, state=event.state)
            case StartRecordingFailed():
                log.error(
                    "recording.start_failed",
                    eventId=event.id,
                    recordingId=event.recording_id,
                    serverCallId=event.server_call_id,
                    correlationId=event.correlation_id,
                    code=event.code,
                    subCode=event.sub_code,
                    message=event.message and urls.strip_queries(event.message),
                    next="not started again by itself",
                )
            case OtherEvent():
                log.info("event.ignored", eventId=event.id, type=event.type)
            case _:
                assert_never(event)
        return []

    async def _auto_record(self, wanted: CallToRecord, *, now: datetime) -> None:
        await auto_record.start(
            wanted, claims=self.claims, audit=self.audit, service=self.service, settings=self.settings, now=now
        )

    async def _file_status(self, event: FileStatusUpdated, text: str, *, received_at: datetime) -> list[ChunkJob]:
        key = event.recording_key
        if event.exported:
            # They lie where the team wanted them: nothing has a deadline, and nothing is to be copied.
            kept = await self.recordings.keep_export(event, text)
            documents = [c.document_id for c in event.exported]
            where = {"recordingKey": key, "recordingId": event.recording_id, "documentIds": documents}
            log.info("recording.exported", eventId=event.id, **where, blob=kept.blob, duplicate=not kept.is_new)
        if event.chunks:
            kept = await self.recordings.keep_event(event, text)
            log.info(
                "recording.announced",
                recordingKey=key,
                eventId=event.id,
                chunks=len(event.chunks),
                duplicate=not kept.is_new,
            )
        if event.problems:
            # After the fact: what fails here brings the event again, and must not keep the good chunks from the timer.
            await self.quarantine.keep(text, list(event.problems), received_at=received_at)
        await self._note_ending(event)
        return [
            ChunkJob(
                recording_key=key,
                document_id=c.document_id,
                index=c.index,
                announced_at=event.time,
                content_location=c.content_location,
                metadata_location=c.metadata_location,
            )
            for c in event.chunks
        ]

    async def _note_ending(self, event: FileStatusUpdated) -> None:
        """Note that the recording ended, as far as the event tells."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self.endings.note_announced(event)
        except (AzureError, TimeoutError) as failed:
            if not event.chunks:
                raise  # nothing of it is in staging, where the timer would meet it: the event is to come again
            # An archive that is down must not keep the chunks from staging: the timer sees by them that it ended.
            log.warning("ending.not_noted", recordingKey=event.recording_key, reason=type(failed).__name__)


def _known(event: CallStarted | CallEnded) -> dict[str, str | None]:
    """Say what a call may be known by, for the log."""
    return {
        "eventId": event.id,
        "serverCallId": event.server_call_id,
        "correlationId": event.correlation_id,
        "groupId": event.group_id,
        "roomId": event.room_id,
    }


def messages(jobs: list[ChunkJob]) -> list[str]:
    """Write the jobs as queue messages."""
    return [job.write(one) for one in jobs]
