"""The copies of a recording's blobs, from staging into the archive."""

import asyncio

from recording.model import layout
from recording.model.manifest import Manifest
from recording.model.proof import ChunkFacts
from recording.model.recording import InFlightRecording
from recording.model.stored import StoredBlob
from recording.storage.blobs import Blobs


async def copy_recording(
    recording: InFlightRecording, before: Manifest | None, blobs: Blobs, *, limit: asyncio.Semaphore
) -> None:
    """Copy chunks, metadata files and events, as many at once as `limit` allows, and verify each copy.

    Repeating it is harmless. What the manifest `before` lists with its SHA-256 is never written again, whatever has
    arrived in staging since. Raises CopyFailed, or azure-core's errors; the other copies are then not waited for.
    """
    done = _already_archived(recording.key, before)
    kinds = {chunk.content.name: chunk.kind for chunk in recording.chunks if chunk.content}

    async def copy(blob: StoredBlob) -> None:
        async with limit:
            name = layout.archived(blob.name, kinds.get(blob.name, ChunkFacts.from_metadata(blob.metadata).kind))
            if before and layout.staged_kind(blob.name) == "event":
                name = await _event_name(blob, name, blobs)
            await blobs.copy_to_archive(blob, name)

    try:
        async with asyncio.TaskGroup() as group:
            for blob in recording.blobs:
                if layout.staged_kind(blob.name) not in layout.TRANSIENT and blob.name not in done:
                    group.create_task(copy(blob))
    except ExceptionGroup as several:
        raise several.exceptions[0] from None


def _already_archived(key: str, before: Manifest | None) -> set[str]:
    """List what is in the archive for good, by its name in staging."""
    entries = before.chunks if before else ()
    contents = {layout.staged_content(file.blob) for entry in entries for file in entry.files if file.sha256}
    return contents | {
        layout.metadata_blob(key, entry.index, entry.document_id)
        for entry in entries
        if entry.metadata and entry.metadata.sha256
    }


async def _event_name(event: StoredBlob, name: str, blobs: Blobs) -> str:
    """Name an event's copy; a different event of the same id in the archive is evidence, and stays."""
    there = await blobs.stat("archive", name)
    if there is None or there.sha256 == event.sha256:
        return name
    text = await blobs.read("staging", event.name) or b""
    return f"{name.rpartition('/')[0]}/{layout.event_id(None, text.decode(errors='replace'))}.json"
