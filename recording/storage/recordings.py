"""Read the state of recordings from their facts: what staging lists, what the archive's manifest says."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from itertools import groupby

from azure.core.exceptions import AzureError
from pydantic import ValidationError

from recording.errors import BadEvent
from recording.model import attempts, event_parser, layout
from recording.model.attempts import Attempts
from recording.model.events import FileStatusUpdated
from recording.model.job import ChunkJob
from recording.model.manifest import Manifest
from recording.model.recording import InFlightRecording, assemble
from recording.model.stored import StoredBlob
from recording.storage.blobs import Blobs
from recording.telemetry import log

# For the archive, where staging suffices: one that is down must not cost a chunk its try.
PATIENCE_SECONDS = 10.0
_NOTE_TRIES = 10


async def load(
    key: str, storage: Blobs, *, retention: timedelta, blobs: list[StoredBlob] | None = None
) -> InFlightRecording:
    """Derive a recording in flight from its facts in staging."""
    if blobs is None:
        blobs = [blob async for blob in storage.list_blobs("staging", f"{key}/")]
    received: list[FileStatusUpdated] = []
    tried: dict[str, Attempts] = {}
    for blob in blobs:
        kind, _, name = blob.name.removeprefix(f"{key}/").partition("/")
        if kind == "events":
            received += _event(await storage.read("staging", blob.name), blob.name)
        elif kind == "attempts":
            note = attempts.read(await storage.read("staging", blob.name))
            if note:
                tried[name.removesuffix(".json")] = note
    return assemble(key, events=received, blobs=blobs, attempts=tried, retention=retention)


async def newest_manifest(key: str, storage: Blobs) -> Manifest | None:
    """Read the manifest of an archived recording; the highest revision tells the whole story."""
    newest: Manifest | None = None
    revision = 1
    while text := await storage.read("archive", layout.manifest_blob(key, revision)):
        newest = Manifest.model_validate_json(text)
        revision += 1
    return newest


async def is_archived(job: ChunkJob, storage: Blobs) -> bool:
    """Tell whether a chunk's content is in the archive: a duplicate of its event may come after that.

    The manifest says so, and no blob's name: content has one by what its bytes are found to be.
    """
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            written = await newest_manifest(job.recording_key, storage)
    except (AzureError, TimeoutError, ValidationError) as failed:
        # At worst it is fetched once more, and the timer, which tells of it, throws that away.
        log.warning("archive.not_read", recordingKey=job.recording_key, reason=type(failed).__name__)
        return False
    entries = written.chunks if written else []
    return any(e.document_id == job.document_id and e.content is not None for e in entries)


async def note(job: ChunkJob, storage: Blobs, change: Callable[[Attempts | None], Attempts]) -> Attempts:
    """Change the note of how a chunk has fared; what another attempt notes at the same moment isn't lost.

    Raises what storage says.
    """
    for _ in range(_NOTE_TRIES):
        found = await storage.stat("staging", job.attempts_blob)
        changed = change(attempts.read(await storage.read("staging", job.attempts_blob)) if found else None)
        text = changed.model_dump_json(by_alias=True).encode()
        if await storage.replace("staging", job.attempts_blob, text, over=found):
            return changed
    raise AzureError("the note was changed by others each time")


async def in_flight(storage: Blobs) -> dict[str, list[StoredBlob]]:
    """List staging once, by recording; memory grows with what is in flight, not with the archive."""
    found: dict[str, list[StoredBlob]] = defaultdict(list)
    async for blob in storage.list_blobs("staging"):
        found[blob.name.partition("/")[0]].append(blob)
    found.pop(layout.PENDING, None)  # `archive.unannounced` watches over these
    found.pop(layout.DOCTOR, None)
    for key in [key for key in found if not layout.is_recording_key(key)]:
        log.warning("staging.unknown", folder=key, blobs=len(found.pop(key)))
    return found


async def load_with_archived_events(
    key: str, blobs: list[StoredBlob], before: Manifest | None, *, storage: Blobs, retention: timedelta
) -> InFlightRecording:
    """Derive a recording; chunks that no event in staging tells of may have one in the archive.

    So it is when an ingest ends after the recording was archived without its chunk.
    """
    recording = await load(key, storage, retention=retention, blobs=blobs)
    announced = {name for c in recording.chunks for name in (c.job.content_blob, c.job.metadata_blob)}
    if before is None or (
        recording.events and all(b.name in announced for b in blobs if b.name.startswith(f"{key}/chunks/"))
    ):
        return recording
    received = list(recording.events)
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for blob in storage.list_blobs("archive", f"{layout.archive_folder(key)}/events/"):
            received += _event(await storage.read("archive", blob.name), blob.name)
    tried = {c.job.document_id: c.attempts for c in recording.chunks if c.attempts}
    return assemble(key, events=received, blobs=blobs, attempts=tried, retention=retention)


def _event(text: bytes | None, name: str) -> list[FileStatusUpdated]:
    try:
        event = event_parser.parse_event(text.decode()) if text else None
    except (BadEvent, UnicodeDecodeError) as bad:
        log.error("staging.bad_event", blob=name, reason=str(bad))
        return []
    return [event] if isinstance(event, FileStatusUpdated) else []


async def empty_staging(recording: InFlightRecording, storage: Blobs) -> None:
    """Empty the staging prefix, events last: while one blob is left, its event tells what it is."""
    order = {"attempts": 0, "notices": 0, "chunks": 1, "events": 2}
    blobs = sorted(recording.blobs, key=lambda blob: order.get(blob.name.split("/")[1], 0))
    for _, group in groupby(blobs, key=lambda blob: blob.name.split("/")[1]):
        await asyncio.gather(*(storage.delete("staging", blob.name, etag=blob.etag) for blob in group))
