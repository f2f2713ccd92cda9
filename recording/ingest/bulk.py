"""Use case: the chunks of a recording that has many, from a queue of their own.

An event may announce thousands of chunks, and its answer must not wait until each has its message. So one message, the
fan-out, stands for all of them. Its job queues a batch of chunk jobs and then a fan-out for the rest, behind the batch:
so a recording has one batch on the queue at a time, however often its event comes, and several recordings take turns.
The fan-out for the rest is the last write. A job that is killed before it queues its batch again, and a chunk that is
staged ends its job at once; what the queue gives up is found by the timer, which derives from the facts what is
missing.
"""

import asyncio
import time
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

from recording.clock import Clock, utc_now
from recording.ingest.chunk import ChunkIngest
from recording.model import job, layout
from recording.model.job import ChunkJob, FanOut
from recording.model.recording import InFlightChunk, InFlightRecording
from recording.storage.blobs import Blobs
from recording.storage.queues import Queue
from recording.storage.recordings import RecordingStore
from recording.telemetry import log
from recording.workers import run_each

# For each batch staging is listed once more; a batch of small chunks takes some seconds.
BATCH = 256
# More chunks at a time, where there would be more batches: each derives the whole recording again, which takes seconds.
_MOST_BATCHES = 32
_SENDS = 16
# Of the first pause before the timer queues a chunk again: in this time each batch is queued once.
_ONE_BATCH = 1 / 4
# Chunk jobs of this queue at once in a process. The host runs up to twelve messages of each queue (host.json): other
# recordings have three times as many, and are delayed by less than twice.
AT_ONCE = 4
# A chunk of this queue waits for what this process does for other recordings, so long at most. A hundred that come
# together with one of 5,000 chunks take 1.4 times as long as alone, without that 1.9 times (three and two runs of
# `python -m benchmarks --only big`, with this number changed).
YIELDS_SECONDS = 1.0
# Of the budget of an attempt; the rest is enough to add to what is staged.
_LONGEST_WAIT = 1 / 2


class BulkIngest:
    """Does the jobs of the queue `recording-bulk`: chunk jobs, and fan-outs, which queue `batch` of them at a time."""

    def __init__(
        self,
        ingest: ChunkIngest,
        blobs: Blobs,
        recordings: RecordingStore,
        queue: Queue,
        *,
        first_requeue: timedelta,
        batch: int = BATCH,
        clock: Clock = utc_now,
    ) -> None:
        self._ingest = ingest
        self._blobs = blobs
        self._recordings = recordings
        self._queue = queue
        self._first_requeue = first_requeue
        self._batch = batch
        self._clock = clock
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def run(self, message: str, *, is_redelivered: bool = False) -> None:
        """Do the job of a message; raises what `ChunkIngest.run` raises, and the errors of storage and queue.

        Also TimeoutError for a chunk that doesn't get its turn: the queue tries again.
        """
        match job.from_bulk_message(message):
            case ChunkJob() as chunk:
                await self._ingest_in_turn(chunk, is_redelivered=is_redelivered)
            case FanOut() as fan_out:
                await self._fan_out(fan_out, is_redelivered=is_redelivered)

    async def _ingest_in_turn(self, chunk: ChunkJob, *, is_redelivered: bool) -> None:
        """Ingest a chunk; what it waits is part of its budget, since `functionTimeout` counts from the message."""
        began = time.monotonic()
        with self._ingest.streams.waiting() if self._turn.locked() else nullcontext():
            async with asyncio.timeout(self._ingest.limits.budget_seconds * _LONGEST_WAIT):
                await self._turn.acquire()
        try:
            await self._ingest.precedence.wait(seconds=YIELDS_SECONDS)
            waited = time.monotonic() - began
            await self._ingest.run(chunk, waited=waited, is_redelivered=is_redelivered, has_turn=True)
        finally:
            self._turn.release()

    async def _fan_out(self, asked: FanOut, *, is_redelivered: bool) -> None:
        key = asked.recording_key
        # To derive thousands of chunks takes a second or two of CPU.
        await self._ingest.precedence.wait(seconds=YIELDS_SECONDS)
        blobs = await self._recordings.staged(key)
        if asked.event:
            blobs = [blob for blob in blobs if layout.staged_kind(blob.name) != "event" or blob.name == asked.event]
        recording = await self._recordings.load(key, blobs)
        archived = await self._recordings.archived_documents(key)
        missing = [
            chunk
            for chunk in to_queue(recording, asked, first=self._first_requeue)
            if chunk.document_id not in archived
        ]
        length = max(self._batch, len(recording.chunks) // _MOST_BATCHES)
        batch, rest = missing[:length], missing[length:]
        if not batch:
            return
        # While a batch is on the queue the timer doesn't queue it again, nor does the fan-out of a copy of its event:
        # ten copies at once had each of thousands of chunks queued ten times, and the queue was busy for half an hour.
        # A message that comes again goes on: its job was killed, or its answer got lost.
        slot = self._first_requeue.total_seconds() * _ONE_BATCH
        now = self._clock().timestamp()
        began = layout.attempt_id(datetime.fromtimestamp(now - now % slot, UTC), asked.digest)
        if not await self._blobs.create("staging", layout.fan_out_blob(key, began), b"{}") and not is_redelivered:
            log.info("recording.fanned_out", recordingKey=key, queued=0, left=len(missing))
            return
        jobs = (one for chunk in batch for one in chunk.jobs)
        if asked.due is None and not asked.is_again:
            jobs = (one.model_copy(update={"is_again": None}) for one in jobs)
        await run_each(self._queue.send, (one.to_message() for one in jobs), at_once=_SENDS)
        if rest:
            await self._queue.send(asked.model_copy(update={"after": _place(batch[-1])}).to_message())
        log.info("recording.fanned_out", recordingKey=key, queued=len(batch), left=len(rest))


def to_queue(recording: InFlightRecording, asked: FanOut, *, first: timedelta) -> list[InFlightChunk]:
    """Decide which chunks a fan-out queues, in the order of chunks."""
    return [
        chunk
        for chunk in recording.chunks
        if not chunk.is_staged
        and not chunk.is_lost
        and (asked.after is None or _place(chunk) > asked.after)
        and (asked.due is None or chunk.requeue_at(first) <= asked.due)
    ]


def _place(chunk: InFlightChunk) -> tuple[int, str]:
    return chunk.announced.index, chunk.document_id
