"""Puts each recording that is due on the queue `recording-archive`, whose function archives it.

A note in staging says that it is queued. A message that got lost is queued again, and what the queue has not archived
in time is left to the timer itself.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Literal

from recording.archive.run import Run
from recording.model import layout
from recording.model.job import ArchiveJob
from recording.model.recording import InFlightRecording
from recording.storage.blobs import Blobs
from recording.storage.queues import Queue
from recording.telemetry import log

# More than the time of a job and the queue's further tries; it doubles, so that a queue that is behind doesn't grow.
# Where the source keeps its files for hours only, both pauses are a share of that.
AGAIN, AGAIN_SHARE = timedelta(minutes=30), 16
# The share of a chunk's time at ACS after which the timer archives the recording itself, and how long the queue has
# for it even then.
LAST_QUARTER = 0.75
LAST_TURN, LAST_TURN_SHARE = timedelta(minutes=10), 48


def next_step(recording: InFlightRecording, now: datetime) -> Literal["queue", "wait", "archive"]:
    """Decide what the timer does with a recording that is due."""
    if not recording.handed_over:
        return "queue"
    last = recording.handed_over[-1]
    life = min((chunk.deadline - chunk.announced_at for chunk in recording.chunks), default=timedelta.max)
    again, last_turn = min(AGAIN, life / AGAIN_SHARE), min(LAST_TURN, life / LAST_TURN_SHARE)
    is_late = any(c.announced_at + LAST_QUARTER * (c.deadline - c.announced_at) <= now for c in recording.chunks)
    if is_late and last + last_turn <= now:
        return "archive"
    return "queue" if last + again * 2 ** min(len(recording.handed_over) - 1, 10) <= now else "wait"


@dataclass(frozen=True)
class HandOver:
    """Puts recordings on the queue."""

    blobs: Blobs
    queue: Queue

    async def one(self, run: Run, key: str) -> None:
        """Write the note that a recording is queued, and queue it: if the message gets lost, it is queued again."""
        note = layout.hand_over_blob(key, layout.attempt_id(run.now, token_hex(4)))
        await self.blobs.create("staging", note, b"{}")
        await self.queue.send(ArchiveJob(recording_key=key).to_message())
        run.report.handed_over.append(key)
        log.info("recording.handed_over", recordingKey=key)
