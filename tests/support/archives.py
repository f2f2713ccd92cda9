"""What tests read from the archive and from quarantine, and how they lose or spoil a chunk."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from recording.app import App, assemble
from recording.errors import SourceGone
from recording.model import layout
from recording.model.attempts import Attempts, Failure
from recording.model.job import ChunkJob
from recording.model.manifest import Manifest
from tests.support.emulator import Control
from tests.support.facts import body_of, listing, put

HOUR = timedelta(hours=1)
LATE = timedelta(hours=49)


async def manifest_of(app: App, key: str, revision: int = 1) -> Manifest:
    """Read a recording's manifest."""
    return Manifest.model_validate(await body_of(app.settings, "archive", layout.manifest_blob(key, revision)))


def outcomes(manifest: Manifest) -> list[str]:
    """List the outcome of each chunk."""
    return [entry.outcome for entry in manifest.chunks]


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    """List what the app said as an error, by the name of each line."""
    return [r.message.split()[0] for r in caplog.records if r.levelname == "ERROR" and r.name == "recording"]


def at(app: App, now: datetime) -> App:
    """Wire the app with a clock that stands still."""
    return assemble(app.settings, app.clients, clock=lambda: now)


async def lose(app: App, control: Control, job: ChunkJob) -> None:
    """Remove the documents from the service, and let one attempt fail after they have expired."""
    await control.fault("expired", f"*{job.document_id}*", times=None)
    with pytest.raises(SourceGone):
        await at(app, datetime.now(UTC) + LATE).ingest.run(job)


async def give_up(app: App, *jobs: ChunkJob, now: datetime | None = None) -> datetime:
    """Put on record that an attempt at each failed after it had expired, and return that time."""
    now = now or datetime.now(UTC) + LATE
    failure = Failure(at=now, code="SourceGone", message="ACS has no such document")
    for job in jobs:
        await app.recordings.update_attempts(
            job, lambda before: (before or Attempts(next_at=now)).with_failure(failure)
        )
    return now


async def spoil(app: App, name: str, body: bytes | None = None) -> str:
    """Change a byte in the middle of an archived blob, or all of it, and return its name there."""
    blob = layout.archived(name, "mp4")
    old = bytearray(await app.clients.blobs.read("archive", blob) or b"")
    old[len(old) // 2] ^= 1
    await put(app.settings, "archive", blob, bytes(old) if body is None else body)
    return blob


async def quarantined(app: App) -> list[Any]:
    """Read every event in quarantine."""
    return [await body_of(app.settings, "quarantine", name) for name in await listing(app.settings, "quarantine")]


async def rows_of(app: App, key: str) -> list[str]:
    """List the partitions in which the search index has rows of a recording."""
    listed = app.clients.index._table().list_entities()
    return sorted([one["PartitionKey"] async for one in listed if key in one["RowKey"]])
