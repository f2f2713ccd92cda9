"""The copies of a recording's blobs, from staging into the archive."""

import asyncio

from recording.model import layout
from recording.model.manifest import Manifest
from recording.model.proof import ChunkFacts
from recording.model.recording import InFlightRecording
from recording.model.stored import StoredBlob
from recording.storage.blobs import Blobs


async def copy_recording(
    recording: InFlightRecording, before: Manifest | None, blobs: Blobs, *, gate: asyncio.Semaphore
) -> None:
    """Copy chunks, metadata files and events, each within `gate`, and verify each copy; can be repeated at will.

    What the manifest `before` tells of by its SHA-256 is never written again, whatever staging has got since. Raises
    CopyFailed, or what storage raises; no other copy is waited for then.
    """
    told = _told(recording.key, before)
    kinds = {chunk.job.content_blob: chunk.kind for chunk in recording.chunks}

    async def copy(blob: StoredBlob) -> None:
        async with gate:
            name = layout.archived(blob.name, kinds.get(blob.name, ChunkFacts.from_metadata(blob.metadata).kind))
            if before and layout.staged_kind(blob.name) == "event":
                name = await _event_name(blob, name, blobs)
            await blobs.copy_to_archive(blob, name)

    try:
        async with asyncio.TaskGroup() as group:
            for blob in recording.blobs:
                if layout.staged_kind(blob.name) not in layout.TRANSIENT and blob.name not in told:
                    group.create_task(copy(blob))
    except ExceptionGroup as several:
        raise several.exceptions[0] from None


def _told(key: str, before: Manifest | None) -> set[str]:
    """List what lies in the archive for good, by its name in staging."""
    return {
        name
        for entry in (before.chunks if before else ())
        for file, name in (
            (entry.content, layout.chunk_blob(key, entry.index, entry.document_id)),
            (entry.metadata, layout.metadata_blob(key, entry.index, entry.document_id)),
        )
        if file and file.sha256
    }


async def _event_name(event: StoredBlob, name: str, blobs: Blobs) -> str:
    """Name an event's copy: another of the same id that is in the archive is evidence, and stays."""
    there = await blobs.stat("archive", name)
    if there is None or there.sha256 == event.sha256:
        return name
    text = await blobs.read("staging", event.name) or b""
    return f"{name.rpartition('/')[0]}/{layout.event_id(None, text.decode(errors='replace'))}.json"
