"""Use case: an event becomes facts, and one chunk job for each chunk.

It is answered in well under a second, however large the recording is: the bytes are copied by
`ingest`, which gets its work from a queue. The fact is written before the jobs are queued, and
both are repeated when the event comes again, so that a crash in between loses nothing.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from datetime import datetime
from typing import assert_never, cast, get_args

from azure.core.exceptions import AzureError

from recording import urls
from recording.clock import Clock, utc_now
from recording.errors import BadEvent, Misconfigured, describe
from recording.intake.auto_record import AutoRecord
from recording.intake.backlog import Backlog
from recording.intake.quarantine import Quarantine
from recording.model import event_parser
from recording.model.events import (
    AnnouncedChunk,
    CallEnded,
    CallLegStateChanged,
    CallStarted,
    Event,
    FileStatusUpdated,
    OtherEvent,
    RecordingStateChanged,
    StartRecordingFailed,
)
from recording.model.job import MOST_DIRECT, ChunkJob, FanOut
from recording.model.live import Known, Said
from recording.model.tombstone import Named
from recording.storage.calls import CallIds
from recording.storage.endings import Endings
from recording.storage.index import Index
from recording.storage.queues import Queue
from recording.storage.recordings import LARGE_TEXT, RecordingStore
from recording.storage.tombstones import Tombstones
from recording.telemetry import log, traces
from recording.workers import compute, run_each

# Events of one request at once: the backlog puts as many into one message.
_AT_ONCE = 64


class Intake:
    """Accepts events from every source: Event Grid, callbacks, the queues, a replay."""

    def __init__(
        self,
        *,
        recordings: RecordingStore,
        endings: Endings,
        calls: CallIds,
        index: Index,
        quarantine: Quarantine,
        backlog: Backlog,
        bulk: Queue,
        tombstones: Tombstones,
        auto_record: AutoRecord | None,
        clock: Clock = utc_now,
        ending_timeout: float = 10.0,
    ) -> None:
        self._recordings = recordings
        self._endings = endings
        self._calls = calls
        self._index = index
        self._quarantine = quarantine
        self._backlog = backlog
        self._bulk = bulk
        self._tombstones = tombstones
        self._auto_record = auto_record
        self._clock = clock
        # Event Grid waits 30 s (docs/functions-host.md#event-grid), and the event can be accepted without the ending.
        self._ending_timeout = ending_timeout

    async def receive(self, text: str, *, may_defer: bool = False) -> list[ChunkJob]:
        """Accept one event and return its chunk jobs, which are to be queued; those of many are queued by a fan-out.

        With `may_defer` a file event goes to the backlog while several others are being accepted. The event of a call
        is never deferred: it may start a recording, which must not wait.

        An event that can't be parsed goes to quarantine and counts as accepted, because Event Grid never delivers
        again what was answered with 400 (docs/acs-contract.md#delivery-semantics). Whatever is raised here must be
        answered with 500, so that the event comes again.
        """
        received_at = self._clock()
        try:
            event = await compute(lambda: event_parser.parse_event(text), is_long=len(text) > LARGE_TEXT)
            if may_defer and isinstance(event, FileStatusUpdated) and not self._backlog.has_room(text):
                await self._backlog.defer(text)
                log.info("event.deferred", eventId=event.id, recordingKey=event.recording_key)
                return []
            with self._backlog.accepting() if may_defer else contextlib.nullcontext():
                return await self.accept(event, text, received_at=received_at)
        except BadEvent as bad:
            await self._quarantine.keep(text, [bad.message], received_at=received_at)
            return []

    async def receive_all(self, texts: Iterable[str]) -> list[ChunkJob]:
        """Accept the events of one request, which waits for all of them: file events go to the backlog, as of a burst.

        If one fails, `receive` raises, and the request comes again.
        """
        found: dict[int, list[ChunkJob]] = {}

        async def one(numbered: tuple[int, str]) -> None:
            number, text = numbered
            found[number] = await self.receive(text, may_defer=True)

        await run_each(one, enumerate(texts), at_once=_AT_ONCE)
        return [job for number in sorted(found) for job in found[number]]

    async def accept(
        self, event: Event, text: str, *, received_at: datetime, quarantined_at: datetime | None = None
    ) -> list[ChunkJob]:
        """Accept a parsed event, as `receive` does; `quarantined_at` names what has to be quarantined of it.

        Raises BadEvent for a call that is to be recorded and has no valid conversation id.
        """
        match event:
            case FileStatusUpdated():
                ids = {"recording_id": event.recording_id, "eventId": event.id}
                with traces.span("recording.event", event.recording_key, **ids):
                    return await self._file_status(
                        event, text, received_at=received_at, quarantined_at=quarantined_at or received_at
                    )
            case CallLegStateChanged():
                log.info("call_leg.changed", eventId=event.id, callLegId=event.call_leg_id, state=event.state)
                if self._auto_record:
                    await self._auto_record.start(event)
            case CallStarted():
                log.info("call.started", **_ids_of(event))
                if self._auto_record:
                    await self._auto_record.start(event)
                await self._calls.remember(event.server_call_id, event.correlation_id)
            case CallEnded():
                log.info("call.ended", **_ids_of(event), seconds=event.seconds)
                await self._calls.remember(event.server_call_id, event.correlation_id)
            case RecordingStateChanged():
                log.info("recording.changed", eventId=event.id, recordingId=event.recording_id, state=event.state)
                # For the list of what is live, within two seconds.
                if event.state in get_args(Said):
                    known = Known(said=cast(Said, event.state), said_at=event.time or received_at)
                    await self._index.note_live_state(event.recording_id, known)
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
                    next="it is not started again automatically",
                )
            case OtherEvent():
                log.info("event.ignored", eventId=event.id, type=event.type)
            case _:
                assert_never(event)
        return []

    async def _file_status(
        self, event: FileStatusUpdated, text: str, *, received_at: datetime, quarantined_at: datetime
    ) -> list[ChunkJob]:
        key = event.recording_key
        if await self.is_erased(event):
            await self._drop(event)
            return []
        jobs: list[ChunkJob] = []
        once: dict[str, AnnouncedChunk] = {}
        if event.chunks:
            kept = await self._recordings.keep_event(event, text, received_at=received_at)
            # A document at two indices is fetched once, at the smaller one.
            for chunk in event.chunks:
                once.setdefault(chunk.document_id, chunk)
            if len(once) <= MOST_DIRECT:
                jobs = [ChunkJob.of(key, chunk, kept.announced_at) for chunk in once.values()]
                jobs = jobs if kept.is_first else [job.again() for job in jobs]
            log.info(
                "recording.announced",
                recordingKey=key,
                eventId=event.id,
                chunks=len(once),
                duplicate=not kept.is_new,
            )
        if event.problems:
            # After the fact is written: if this fails, the event comes again, and the timer has the good chunks.
            await self._quarantine.keep(text, list(event.problems), received_at=quarantined_at)
        if event.derived:
            log.warning("event.derived", eventId=event.id, recordingKey=key, notes=event.derived)
        # The row beside the fact: it is for finding, and costs the answer two seconds at most.
        await asyncio.gather(self._note_ending(event), self._index.announce(event))
        if len(once) > MOST_DIRECT:
            fan_out = FanOut(recording_key=key, event=kept.blob, is_again=None if kept.is_first else True)
            await self._bulk.send(fan_out.to_message())
        if event.exported:
            # Last: what has a deadline comes first, and the archive may be silent.
            await self._keep_export(event, text, received_at=received_at)
        return jobs

    async def is_erased(self, event: FileStatusUpdated) -> bool:
        """Return whether an event is about an erased recording, as far as the archive answers.

        One of exported files only leaves facts in the archive, where nothing looks again, and its files have no
        deadline: if that can't be read, it must come again. Raises azure-core's errors and TimeoutError for it.
        """
        if not event.chunks:
            return await self._is_surely_erased(event)
        found = await self._tombstones.find_if_possible(Named.by_event(event), recording_key=event.recording_key)
        return found.whole is not None

    async def _is_surely_erased(self, event: FileStatusUpdated) -> bool:
        async with asyncio.timeout(self._ending_timeout):
            return (await self._tombstones.find(Named.by_event(event))).whole is not None

    async def _keep_export(self, event: FileStatusUpdated, text: str, *, received_at: datetime) -> None:
        """Record the files that are in the team's own storage: they have no deadline, and nothing is copied."""
        if event.chunks and await self._is_surely_erased(event):
            return
        kept = await self._recordings.keep_export(event, text, received_at=received_at)
        log.info(
            "recording.exported",
            eventId=event.id,
            recordingKey=event.recording_key,
            recordingId=event.recording_id,
            documentIds=[chunk.document_id for chunk in event.exported],
            blob=kept.blob,
            duplicate=not kept.is_new,
        )

    async def _drop(self, event: FileStatusUpdated) -> None:
        """Keep nothing of an event of an erased recording, and no longer wait for it."""
        log.warning("event.erased", eventId=event.id, recordingKey=event.recording_key, next="nothing of it is kept")
        if event.recording_id:
            try:
                async with asyncio.timeout(self._ending_timeout):
                    await self._endings.clear_announced(event.recording_id)
                    await self._index.forget_live(event.recording_id)
            except (AzureError, Misconfigured, TimeoutError) as failed:
                reason = describe(failed)
                log.warning("ending.not_cleared", recordingKey=event.recording_key, reason=reason)

    async def _note_ending(self, event: FileStatusUpdated) -> None:
        """Record that the recording ended, if the event has the recording's id."""
        try:
            async with asyncio.timeout(self._ending_timeout):
                await self._endings.note_announced(event)
                if event.recording_id and not event.chunks:
                    # Its files are in the team's own storage: staging has no fact from which the timer would know.
                    await self._endings.clear_announced(event.recording_id)
        except (AzureError, TimeoutError) as failed:
            if not event.chunks:
                raise  # nothing of this event is in staging, where the timer would find it: it must come again
            # An archive that is down must not keep chunks from staging; the timer records the ending from these.
            log.warning("ending.not_noted", recordingKey=event.recording_key, reason=describe(failed))


def _ids_of(event: CallStarted | CallEnded) -> dict[str, str | None]:
    """Return all ids of a call, for the log."""
    return {
        "eventId": event.id,
        "serverCallId": event.server_call_id,
        "correlationId": event.correlation_id,
        "groupId": event.group_id,
        "roomId": event.room_id,
    }


def to_messages(jobs: Iterable[ChunkJob]) -> list[str]:
    """Return the jobs as queue messages."""
    return [job.to_message() for job in jobs]
