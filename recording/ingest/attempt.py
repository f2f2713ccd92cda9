"""One attempt at a chunk: staging has a record that it began, and of why it failed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from secrets import token_hex

from azure.core.exceptions import AzureError

from recording.clock import Clock, utc_now
from recording.errors import RecordingError, describe
from recording.model import layout
from recording.model.attempts import Attempts, Failure
from recording.model.job import ChunkJob
from recording.storage.blobs import Blobs
from recording.storage.recordings import RecordingStore
from recording.telemetry import log

_BEGUN_SECONDS = 15.0
_FAILURE_SECONDS = 60.0


@dataclass(frozen=True)
class Attempt:
    """An attempt that is running; `begun` is the task that records its beginning while the first bytes are fetched."""

    id: str
    job: ChunkJob
    blobs: Blobs
    recordings: RecordingStore
    begun: asyncio.Task[None]

    async def wait_until_recorded(self) -> None:
        """Wait until the beginning is recorded, or can't be: before anything counts as done."""
        await asyncio.wait([self.begun])

    async def end(self) -> None:
        """Delete the record of the beginning; if that fails, the attempt counts as one that did not end."""
        try:
            async with asyncio.timeout(_BEGUN_SECONDS):
                await self.blobs.delete("staging", _begun_blob(self.job, self.id))
        except (AzureError, TimeoutError) as failed:
            log.warning("attempt.not_noted", documentId=self.job.document_id, reason=describe(failed))


@asynccontextmanager
async def begin_attempt(
    job: ChunkJob, blobs: Blobs, recordings: RecordingStore, *, first_requeue: timedelta, clock: Clock = utc_now
) -> AsyncIterator[Attempt]:
    """Begin an attempt, and record its failure, so that the timer knows when to try again.

    The caller calls `end` together with its last write.
    """
    name = layout.attempt_id(clock(), token_hex(4))
    attempt = Attempt(name, job, blobs, recordings, asyncio.create_task(_record_beginning(job, blobs, name)))
    try:
        yield attempt
    except Exception as failed:
        await attempt.wait_until_recorded()
        await _record_failure(attempt, failed, first_requeue=first_requeue, clock=clock)
        raise
    finally:
        attempt.begun.cancel()


async def _record_beginning(job: ChunkJob, blobs: Blobs, name: str) -> None:
    try:
        async with asyncio.timeout(_BEGUN_SECONDS):
            await blobs.create("staging", _begun_blob(job, name), b"{}")
    except (AzureError, TimeoutError) as unwritten:
        log.warning("attempt.not_noted", documentId=job.document_id, reason=describe(unwritten))


async def _record_failure(attempt: Attempt, failed: Exception, *, first_requeue: timedelta, clock: Clock) -> None:
    """Record why the attempt failed; raises nothing, which would hide `failed`."""
    code = failed.error_code if isinstance(failed, RecordingError) else type(failed).__name__
    message = failed.message if isinstance(failed, RecordingError) else describe(failed)
    failure = Failure(at=clock(), code=code, message=message, attempt=attempt.id)
    job, record = attempt.job, None

    def with_failure(before: Attempts | None) -> Attempts:
        return (before or Attempts(next_at=failure.at)).with_failure(failure, first=first_requeue)

    try:
        async with asyncio.timeout(_FAILURE_SECONDS):
            record = await attempt.recordings.update_attempts(job, with_failure)
    except (AzureError, TimeoutError) as unwritten:
        log.warning("attempt.not_noted", documentId=job.document_id, reason=describe(unwritten))
    else:
        await attempt.end()
    log.warning(
        "chunk.failed",
        recordingKey=job.recording_key,
        documentId=job.document_id,
        code=code,
        reason=message,
        attempts=record.count if record else None,
        next="the queue tries again, then the timer, until it is staged or lost",
    )


def _begun_blob(job: ChunkJob, name: str) -> str:
    return layout.began_blob(job.recording_key, job.document_id, name)
