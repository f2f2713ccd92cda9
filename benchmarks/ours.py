"""Our own way: `recording.ingest`, as the queue's function calls it."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from benchmarks.place import KEY, Place
from recording.acs.content import Content
from recording.config.settings import Settings, read_settings
from recording.ingest.chunk import ChunkIngest, IngestLimits
from recording.model.job import ChunkJob
from recording.storage.blobs import Blobs
from recording.storage.hashing import Sha256
from recording.storage.recordings import RecordingStore

Copy = Callable[[str], Awaitable[None]]


class _Committed(BaseException):
    """The chunk is committed, and what comes after it isn't wanted; no `except Exception` catches it."""


# Not FaultyBlobs: benchmarks import nothing of the tests, and a search for rules at each call would be measured, too.
class _Watched(Blobs):
    """A client of Blob Storage that calls `on_commit` when a chunk is committed."""

    def __init__(self, settings: Settings, on_commit: Callable[[], None]) -> None:
        super().__init__(settings)
        self._on_commit = on_commit

    async def commit_blocks(self, *arguments: Any, **options: Any) -> bool:
        """Commit, then call `on_commit`."""
        done = await super().commit_blocks(*arguments, **options)
        self._on_commit()
        return done


@asynccontextmanager
async def pump_and_proof(place: Place, on_commit: Callable[[], None]) -> AsyncIterator[Copy]:
    """Ingest with everything; `on_commit` is called between the pump and the proof."""
    settings = read_settings(
        {
            "AzureWebJobsStorage": place.storage_connection_string,
            "ACS_CONNECTION_STRING": place.acs_connection_string,
            "STAGING_CONTAINER": place.container,
            "ARCHIVE_CONTAINER": f"{place.container}-archive",
        }
    )
    blobs, content = _Watched(settings, on_commit), Content(settings.resource())
    ingest = ChunkIngest(
        blobs,
        RecordingStore(blobs, retention=settings.retention),
        content,
        limits=IngestLimits(
            parallelism=settings.ingest_parallelism,
            largest_block=settings.largest_block,
            first_requeue=settings.first_rescue,
        ),
    )

    async def copy(document: str) -> None:
        job = ChunkJob(recording_key=KEY, document_id=document, index=0, announced_at=datetime.now(UTC))
        await ingest.run(job)

    try:
        yield copy
    finally:
        await blobs.aclose()
        await content.aclose()


@asynccontextmanager
async def pump(place: Place) -> AsyncIterator[Copy]:
    """Ingest from source to committed, and no further."""

    def stop() -> None:
        raise _Committed

    async with pump_and_proof(place, stop) as whole:

        async def copy(document: str) -> None:
            with contextlib.suppress(_Committed):
                await whole(document)

        yield copy


@asynccontextmanager
async def pump_without_hash(place: Place) -> AsyncIterator[Copy]:
    """Do the same, with the hash in flight left out: what moving the bytes alone costs."""

    async def pass_by(_: Sha256, piece: bytes) -> None:
        pass

    async def finish(_: Sha256) -> str:
        return ""

    # In this process only, which ends with the measurement.
    for name, replacement in (("update", pass_by), ("finish", finish)):
        setattr(Sha256, name, replacement)
    async with pump(place) as copy:
        yield copy
