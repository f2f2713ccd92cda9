"""Our own way: the app's use cases, as the functions of its queues call them."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from benchmarks import burst
from benchmarks.place import START, Place
from recording.app import App, assemble, connect
from recording.config.settings import read_settings
from recording.model.job import ChunkJob

Step = Callable[[str], Awaitable[None]]


@asynccontextmanager
async def opened(place: Place) -> AsyncIterator[App]:
    """Build the app for a place, whose containers exist."""
    settings = read_settings(
        {
            "AzureWebJobsStorage": place.storage_connection_string,
            "ACS_CONNECTION_STRING": place.acs_connection_string,
            "STAGING_CONTAINER": place.container,
            "ARCHIVE_CONTAINER": place.archive,
        }
    )
    app = assemble(settings, connect(settings))
    try:
        yield app
    finally:
        await app.aclose()


@asynccontextmanager
async def ingest(place: Place) -> AsyncIterator[Sequence[Step]]:
    """Bring a chunk and its metadata file into staging, where they are safe."""
    async with opened(place) as app:
        yield [_ingest(app, place)]


@asynccontextmanager
async def ingest_and_archive(place: Place) -> AsyncIterator[Sequence[Step]]:
    """Do the same; then accept the event, and archive the recording with all that proves it, up to an empty staging."""
    async with opened(place) as app:

        async def archive(document: str) -> None:
            recording = {"callId": document, "startTime": START.isoformat()}
            chunk = {"documentId": document, "index": 0, "endReason": "CallEnded", "durationMs": 1000}
            await app.intake.receive(json.dumps(burst.event({**recording, "chunks": [chunk]})))
            await app.archive.run(place.key(document))

        yield [_ingest(app, place), archive]


def _ingest(app: App, place: Place) -> Step:
    async def step(document: str) -> None:
        job = ChunkJob(recording_key=place.key(document), document_id=document, index=0, announced_at=datetime.now(UTC))
        await app.ingest.run(job)

    return step
