"""What tests read from the archive and from quarantine, and how they lose or spoil a chunk."""

from datetime import timedelta
from typing import Any

import pytest

from recording.app import App
from recording.errors import SourceGone
from recording.model import layout
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


async def lose(app: App, control: Control, job: ChunkJob) -> None:
    """Let the service have no such document, and one attempt find that out."""
    await control.fault("expired", f"*{job.document_id}*", times=None)
    with pytest.raises(SourceGone):
        await app.ingest.run(job)


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
