"""Use case: the timer. Finish what is whole, rescue what is missing, report what is lost.

First every recording is looked at and rescued, which is cheap; then those that are due are
finished. The order of writes makes it safe to be killed anywhere: copies, each verified, the
manifest, the log and the notices that tell of it, and last staging is emptied; with DELETE_SOURCE
all but the events, until the sources are deleted. A rerun finds every step that is done and goes
on from there.
"""

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from recording.acs.content import Content
from recording.archive import sources, unannounced
from recording.archive.finish import finish_one
from recording.archive.review import review_one
from recording.archive.run import Run, TimerReport, each
from recording.config.settings import Settings
from recording.model.manifest import Manifest
from recording.model.recording import InFlightRecording
from recording.model.stored import StoredBlob
from recording.notices import RunNotices, Topic
from recording.storage.audit import AuditLog
from recording.storage.blobs import Blobs
from recording.storage.calls import CallIds
from recording.storage.endings import Endings
from recording.storage.recordings import RecordingStore
from recording.telemetry import log, traces

# Below `functionTimeout` (host.json) and the usual schedule: what isn't reached waits for the next run.
BUDGET_SECONDS = 4 * 60.0
COPIES = 16
# Of the budget, for one recording: a copy that takes longer goes on by itself, and the next run finds it.
LARGEST_SHARE = 0.25


@dataclass(frozen=True)
class TimerRun:
    """Works on every recording in staging."""

    blobs: Blobs
    recordings: RecordingStore
    endings: Endings
    audit: AuditLog
    calls: CallIds
    settings: Settings
    topic: Topic
    content: Content

    async def run(self, *, now: datetime, budget_seconds: float = BUDGET_SECONDS) -> TimerReport:
        """Work on each recording, the one with the oldest deadline first, several at a time."""
        this = Run(
            self.blobs,
            self.recordings,
            self.calls,
            self.settings,
            self.content,
            RunNotices(self.topic),
            now,
            TimerReport(),
            asyncio.Semaphore(COPIES),
        )
        report, until = this.report, time.monotonic() + budget_seconds
        in_flight = await self.recordings.in_flight()
        ordered = sorted(in_flight.items(), key=lambda item: _announced(item[1]))
        # First what is cheap and can't wait: a copy that hangs must not keep another recording from being rescued.
        settled: dict[str, tuple[InFlightRecording, Manifest | None]] = {}

        async def look(key: str) -> None:
            if found := await review_one(this, key, in_flight[key]):
                settled[key] = found

        async def finish(key: str) -> None:
            with traces.span("recording.archive", key):
                if not swept:
                    # Once staging is empty nothing tells that it was announced: its marker must be gone by then.
                    for event in settled[key][0].events:
                        await self.endings.note_announced(event)
                await finish_one(this, *settled[key])

        async def delete_sources(key: str) -> None:
            await sources.delete_sources(this, key)

        # Half of the time: however many are in flight, some are finished, and the next run has fewer to look at.
        await each(this, [key for key, _ in ordered], look, until=until - budget_seconds / 2)
        # Several are looked at at a time, and a quick one comes before a slow one: least time left goes first.
        report.jobs.sort(key=lambda job: job.announced_at)
        swept = await unannounced.sweep(
            self.recordings, self.endings, self.audit, self.settings, self.topic, this.seen, now=now
        )
        share = budget_seconds * LARGEST_SHARE
        await each(this, [key for key, _ in ordered if key in settled], finish, until=until, share=share)
        # Last: a source that can't be reached keeps no recording from the archive.
        await each(this, list(this.sources), delete_sources, until=until, share=share, failing="source.not_deleted")
        report.topic_failed = this.telling.failed
        left = [c.deadline - now for one in this.seen for c in one.chunks if not c.is_staged and c.deadline > now]
        log.info(
            "archive.ran",
            inFlight=len(in_flight),
            chunksInFlight=len(left),
            leastHoursLeft=round(min(left) / timedelta(hours=1), 2) if left else None,
            archived=len(report.archived),
            incomplete=len(report.incomplete),
            queuedAgain=len(report.jobs),
            failed=len(report.failed),
            notReached=report.not_reached,
        )
        return report


def _announced(blobs: list[StoredBlob]) -> str:
    """Say when the recording was first announced: the oldest deadline is worked on first."""
    return min((blob.metadata["announced"] for blob in blobs if "announced" in blob.metadata), default="")
