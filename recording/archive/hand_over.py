"""Puts each recording that is due on the queue `recording-archive`, whose function archives it.

A note in staging says that it is queued. A message that got lost is queued again, and what the queue has not archived
in time the timer archives itself. The queue keeps such a recording as well, since a run of the timer has only minutes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Literal

from recording.archive.run import Run
from recording.model import layout
from recording.model.attempts import LAST_QUARTER
from recording.model.job import ArchiveJob
from recording.model.layout import StagedName
from recording.model.recording import InFlightRecording
from recording.model.stored import StoredBlob
from recording.storage.blobs import Blobs
from recording.storage.queues import Queue
from recording.telemetry import log

# More than the time of a job and the queue's further tries; it doubles, so that a queue that is behind doesn't grow, up
# to a share of the time for which the source keeps its files: several messages in a row may get lost. Where that is
# hours only, the first pause is a share of it, too.
AGAIN, AGAIN_SHARE, LONGEST_SHARE = timedelta(minutes=30), 16, 8
# How long the queue has for a recording even in the last quarter.
LAST_TURN, LAST_TURN_SHARE = timedelta(minutes=10), 48


def next_step(recording: InFlightRecording, now: datetime) -> Literal["queue", "wait", "archive"]:
    """Decide what the timer does with a recording that is due."""
    times = [(chunk.announced_at, chunk.deadline) for chunk in recording.chunks]
    announced_at, deadline = min(times, default=(now, now + AGAIN * AGAIN_SHARE))
    return _step(recording.handed_over, announced_at, deadline - announced_at, now)


def _step(
    handed_over: Sequence[datetime], announced_at: datetime, life: timedelta, now: datetime
) -> Literal["queue", "wait", "archive"]:
    if not handed_over:
        return "queue"
    last = max(handed_over)
    doubled = min(AGAIN, life / AGAIN_SHARE) * 2 ** min(len(handed_over) - 1, 10)
    # Before the timer's own turn: a job has many times the minutes of a run.
    if last + min(doubled, life / LONGEST_SHARE) <= now:
        return "queue"
    is_late = announced_at + LAST_QUARTER * life <= now
    return "archive" if is_late and last + min(LAST_TURN, life / LAST_TURN_SHARE) <= now else "wait"


@dataclass(frozen=True)
class HandOver:
    """Puts recordings on the queue; `retention` is how long ACS keeps a recording."""

    blobs: Blobs
    queue: Queue
    retention: timedelta

    def is_waiting(self, blobs: Iterable[StoredBlob], now: datetime) -> bool:
        """Decide from the list alone whether a recording waits for the queue: it was due, and nothing has come since.

        Most recordings in flight may be such, while the queue is behind: they cost the timer no request.
        """
        notes, others = [], []
        for blob in blobs:
            match layout.parse(blob.name):
                case StagedName(kind="hand_over", id=time):
                    notes.append((blob.written_at, layout.recording_start(time)))
                case StagedName(kind="proof" | "published"):
                    pass
                case _:
                    others.append(blob)
        announced = [blob.metadata["announced"] for blob in others if "announced" in blob.metadata]
        # By the clock of the service, in seconds.
        written = [time for time, _ in notes if time]
        if not announced or not written or any(b.written_at is None or b.written_at >= max(written) for b in others):
            return False
        try:
            announced_at = datetime.fromisoformat(min(announced))
        except ValueError:
            return False
        return _step([time for _, time in notes], announced_at, self.retention, now) == "wait"

    async def one(self, run: Run, key: str) -> None:
        """Write the note that a recording is queued, and queue it: if the message gets lost, it is queued again."""
        note = layout.hand_over_blob(key, layout.attempt_id(run.now, token_hex(4)))
        await self.blobs.create("staging", note, b"{}")
        await self.queue.send(ArchiveJob(recording_key=key).to_message())
        run.report.handed_over.append(key)
        log.info("recording.handed_over", recordingKey=key)
