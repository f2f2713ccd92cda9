"""One attempt at a chunk: that it began, and that it failed, is on record in staging."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from secrets import token_hex

from azure.core.exceptions import AzureError

from recording.errors import RecordingError, describe
from recording.model import layout
from recording.model.attempts import Attempts, Failure
from recording.model.job import ChunkJob
from recording.storage.blobs import Blobs
from recording.storage.recordings import RecordingStore
from recording.telemetry import log

_BEGUN_SECONDS = 15.0
_NOTE_SECONDS = 60.0


@dataclass(frozen=True)
class Attempt:
    """An attempt that runs; `begun` puts on record that it began, while the first bytes are already fetched."""

    id: str
    job: ChunkJob
    blobs: Blobs
    recordings: RecordingStore
    begun: asyncio.Task[None]

    async def is_on_record(self) -> None:
        """Wait until it is, or can't be: before anything counts as done."""
        await asyncio.wait([self.begun])

    async def ended(self) -> None:
        """Take off the record that it began; where that fails, it counts as one that didn't end."""
        try:
            async with asyncio.timeout(_BEGUN_SECONDS):
                await self.blobs.delete("staging", _begun(self.job, self.id))
        except (AzureError, TimeoutError) as failed:
            log.warning("attempt.not_noted", documentId=self.job.document_id, reason=describe(failed))


@asynccontextmanager
async def begin(
    job: ChunkJob, blobs: Blobs, recordings: RecordingStore, *, first_rescue: timedelta
) -> AsyncIterator[Attempt]:
    """Begin an attempt, and put its failure on record, so that the timer knows when to try again.

    Whoever succeeds says so by `ended`, beside the last write.
    """
    name = layout.attempt_id(datetime.now(UTC), token_hex(4))
    attempt = Attempt(name, job, blobs, recordings, asyncio.create_task(_note_begun(job, blobs, name)))
    try:
        yield attempt
    except Exception as failed:
        await attempt.is_on_record()
        await _note_failure(attempt, failed, first_rescue=first_rescue)
        raise
    finally:
        attempt.begun.cancel()


async def _note_begun(job: ChunkJob, blobs: Blobs, name: str) -> None:
    try:
        async with asyncio.timeout(_BEGUN_SECONDS):
            await blobs.create("staging", _begun(job, name), b"{}")
    except (AzureError, TimeoutError) as unnoted:
        log.warning("attempt.not_noted", documentId=job.document_id, reason=describe(unnoted))


async def _note_failure(attempt: Attempt, failed: Exception, *, first_rescue: timedelta) -> None:
    """Note why it failed; never hides `failed`."""
    code = failed.error_code if isinstance(failed, RecordingError) else type(failed).__name__
    message = failed.message if isinstance(failed, RecordingError) else describe(failed)
    failure = Failure(at=datetime.now(UTC), code=code, message=message, attempt=attempt.id)
    job, note = attempt.job, None
    try:
        async with asyncio.timeout(_NOTE_SECONDS):

            def change(before: Attempts | None) -> Attempts:
                return (before or Attempts(next_at=failure.at)).with_failure(failure, first=first_rescue)

            note = await attempt.recordings.update_attempts(job, change)
    except (AzureError, TimeoutError) as unnoted:
        log.warning("attempt.not_noted", documentId=job.document_id, reason=describe(unnoted))
    else:
        await attempt.ended()
    log.warning(
        "chunk.failed",
        recordingKey=job.recording_key,
        documentId=job.document_id,
        code=code,
        reason=message,
        attempts=note.count if note else None,
        next="the queue tries again, then the timer, until the deadline",
    )


def _begun(job: ChunkJob, name: str) -> str:
    return layout.began_blob(job.recording_key, job.document_id, name)
