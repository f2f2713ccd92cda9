"""The copies of a recording's blobs, from staging into the archive."""

import asyncio
import time

from recording.model import layout
from recording.model.manifest import Manifest
from recording.model.proof import ChunkFacts
from recording.model.recording import InFlightRecording
from recording.model.stored import StoredBlob
from recording.storage.blobs import Blobs, is_copy
from recording.workers import run_each

# Of one recording; half of those of a run.
AT_ONCE = 8
# Blobs of a recording; up to here it costs less to begin each copy again than to list what is there.
_MANY = 64


async def copy_recording(
    recording: InFlightRecording,
    before: Manifest | None,
    blobs: Blobs,
    *,
    limit: asyncio.Semaphore,
    seconds: float,
) -> int:
    """Copy chunks, metadata files and events, and verify each copy; return how many are left after `seconds`.

    Of one recording only a part of what `limit` allows is copied at once: however many copies it needs, those of other
    recordings don't wait for all of them. Repeating it is harmless. What the manifest `before` lists with its SHA-256
    is never written again, whatever has arrived in staging since. Raises CopyFailed, or azure-core's errors; the other
    copies are then not waited for.
    """
    done = _already_archived(recording.key, before)
    kinds = {chunk.job.content_blob: chunk.kind for chunk in recording.chunks}
    named = {
        blob.name: layout.archived(blob.name, kinds.get(blob.name, ChunkFacts.from_metadata(blob.metadata).kind))
        for blob in recording.blobs
        if layout.staged_kind(blob.name) not in layout.TRANSIENT and blob.name not in done
    }
    # To look at each copy of thousands again would take all of the next run's time.
    copied = await _copied(recording.key, blobs) if len(named) > _MANY else {}
    missing = [
        blob
        for blob in recording.blobs
        if (name := named.get(blob.name)) and not (name in copied and is_copy(copied[name], blob))
    ]
    left = len(missing)
    end = time.monotonic() + seconds

    async def copy(blob: StoredBlob) -> None:
        nonlocal left
        if time.monotonic() >= end:
            return
        async with limit:
            name = named[blob.name]
            if before and layout.staged_kind(blob.name) == "event":
                name = await _event_name(blob, name, blobs)
            await blobs.copy_to_archive(blob, name)
        left -= 1

    await run_each(copy, missing, at_once=AT_ONCE)
    return left


async def _copied(key: str, blobs: Blobs) -> dict[str, StoredBlob]:
    """List what earlier runs have copied, whole or not."""
    return {blob.name: blob async for blob in blobs.list_blobs("archive", f"{layout.archive_folder(key)}/")}


def _already_archived(key: str, before: Manifest | None) -> set[str]:
    """List what is in the archive for good, by its name in staging."""
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
    """Name an event's copy; a different event of the same id in the archive is evidence, and stays."""
    there = await blobs.stat("archive", name)
    if there is None or there.sha256 == event.sha256:
        return name
    text = await blobs.read("staging", event.name) or b""
    return f"{name.rpartition('/')[0]}/{layout.event_id(None, text.decode(errors='replace'))}.json"
