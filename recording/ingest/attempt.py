"""One attempt at a chunk: staging has a record that it began, and of why it failed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Literal

from azure.core.exceptions import AzureError

from recording.clock import Clock, utc_now
from recording.errors import RecordingError, describe
from recording.model import layout
from recording.model.attempts import Attempts, Failure
from recording.model.job import ChunkJob
from recording.storage.blobs import Blobs
from recording.storage.recordings import RecordingStore
from recording.storage.tombstones import Tombstones
from recording.telemetry import log
from recording.workers import begin

_BEGUN_SECONDS = 15.0
_FAILURE_SECONDS = 60.0
# Usually the answer is there before that of the source. Nothing is written without it.
ARCHIVED_SECONDS = 1.0


@dataclass(eq=False)
class Attempt:
    """An attempt that is running, and what is found out beside its first requests: neither takes time of its own.

    One that `looks_first` asks the source only for what it has not found. The task `begun` records its beginning,
    `archived` looks whether the archive has the chunk, `erased` whether it was erased; `begin` creates them. `done` has
    the parts of the chunk that are complete, but for a write that this attempt is making.
    """

    id: str
    job: ChunkJob
    blobs: Blobs
    recordings: RecordingStore
    tombstones: Tombstones
    looks_first: bool = False
    begun: asyncio.Task[None] = field(init=False)
    archived: asyncio.Task[bool] = field(init=False)
    erased: asyncio.Task[bool] = field(init=False)
    done: set[Literal["content", "metadata"]] = field(default_factory=set)
    is_ended: bool = False

    def begin(self) -> None:
        """Record the beginning, and look into the archive: once the first requests for the chunk are prepared."""
        self.begun = begin(_record_beginning(self.job, self.blobs, self.id))
        self.archived = begin(self.recordings.is_archived(self.job))
        self.erased = begin(self.tombstones.has_document(self.job.document_id, recording_key=self.job.recording_key))

    async def is_archived(self) -> bool:
        """Return whether the archive has the chunk; False, too, if it takes longer than a copy should wait."""
        done, _ = await asyncio.wait([self.archived], timeout=ARCHIVED_SECONDS)
        return bool(done) and self.archived.result()

    async def may_write(self) -> bool:
        """Return whether the chunk is neither archived nor erased; the beginning is recorded by then, or can't be."""
        await asyncio.wait([self.begun])
        return not await asyncio.shield(self.archived) and not await asyncio.shield(self.erased)

    async def finish[Result](self, part: Literal["content", "metadata"], write: Awaitable[Result]) -> Result:
        """Make the write that completes a part; the record of the beginning is deleted beside the second one.

        Both name the attempt: should the process be killed before the record is deleted, they show that it succeeded.
        """
        self.done.add(part)
        if len(self.done) == 1:
            return await write
        result, _ = await asyncio.gather(write, self.end())
        return result

    async def end(self) -> None:
        """Delete the record of the beginning; if that fails, the attempt counts as one that did not end."""
        self.is_ended = True
        try:
            async with asyncio.timeout(_BEGUN_SECONDS):
                await self.blobs.delete("staging", _begun_blob(self.job, self.id))
        except (AzureError, TimeoutError) as failed:
            log.warning("attempt.not_noted", documentId=self.job.document_id, reason=describe(failed))


@asynccontextmanager
async def begin_attempt(
    job: ChunkJob,
    blobs: Blobs,
    recordings: RecordingStore,
    tombstones: Tombstones,
    *,
    first_requeue: timedelta,
    looks_first: bool = False,
    clock: Clock = utc_now,
) -> AsyncIterator[Attempt]:
    """Record how an attempt ends, so that the timer knows when to try again; the caller calls `begin` at once."""
    attempt = Attempt(layout.attempt_id(clock(), token_hex(4)), job, blobs, recordings, tombstones, looks_first)
    try:
        yield attempt
        if not attempt.is_ended:
            await asyncio.wait([attempt.begun])
            await attempt.end()
    except Exception as failed:
        await asyncio.wait([attempt.begun])
        await _record_failure(attempt, failed, first_requeue=first_requeue, clock=clock)
        raise
    finally:
        attempt.begun.cancel()
        attempt.archived.cancel()
        attempt.erased.cancel()


async def is_at_work(job: ChunkJob, blobs: Blobs, *, since: datetime) -> bool:
    """Return whether an attempt at the chunk that began after `since` has not ended; it may have been killed."""
    prefix = _begun_blob(job, "").removesuffix(".json")
    begun = [layout.parse(blob.name) async for blob in blobs.list_blobs("staging", prefix)]
    return any(one and one.attempt and layout.recording_start(one.attempt) > since for one in begun)


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
