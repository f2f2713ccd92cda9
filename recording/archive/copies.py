"""The copies of a recording's blobs, from staging into the archive."""

import asyncio
import time
from collections import defaultdict

from azure.core.exceptions import AzureError

from recording.model import layout
from recording.model.manifest import Manifest, ManifestFile
from recording.model.proof import ChunkFacts
from recording.model.recording import InFlightRecording
from recording.model.stored import StoredBlob
from recording.storage.blobs import Blobs, CopyFailed, is_copy
from recording.workers import run_each

# Of one recording; half of those of a run.
AT_ONCE = 8
# Blobs of a recording; up to here it costs less to begin each copy again than to list what is there.
_MANY = 64
# Of thousands of copies some fail in each run, and the rest is made nevertheless; if more fail, storage is not well.
_MOST_FAILURES = 32


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
    is never written again, whatever has arrived in staging since. Raises CopyFailed, or azure-core's errors, the first
    one, after the other copies were made, or many have failed.
    """
    surplus = _surplus(recording, before)
    kinds = {chunk.content.name: chunk.kind for chunk in recording.chunks if chunk.content}
    named = {
        blob.name: layout.archived(blob.name, kinds.get(blob.name, ChunkFacts.from_metadata(blob.metadata).kind))
        for blob in recording.blobs
        if layout.staged_kind(blob.name) not in layout.TRANSIENT and blob.name not in surplus
    }
    # To check each of thousands of copies again would take all of the next run's time.
    copied = await _copied(recording.key, blobs) if len(named) > _MANY else {}
    missing = [
        blob
        for blob in recording.blobs
        if (name := named.get(blob.name)) and not (name in copied and is_copy(copied[name], blob))
    ]
    left = len(missing)
    failures: list[Exception] = []
    end = time.monotonic() + seconds

    async def copy(blob: StoredBlob) -> None:
        nonlocal left
        if time.monotonic() >= end or len(failures) >= _MOST_FAILURES:
            return
        async with limit:
            name = named[blob.name]
            try:
                if before and layout.staged_kind(blob.name) == "event":
                    name = await _event_name(blob, name, blobs)
                await blobs.copy_to_archive(blob, name)
            except (CopyFailed, AzureError) as failed:
                failures.append(failed)
                return
        left -= 1

    await run_each(copy, missing, at_once=AT_ONCE)
    if failures:
        raise failures[0]
    return left


async def _copied(key: str, blobs: Blobs) -> dict[str, StoredBlob]:
    """List what earlier runs have copied, completely or not."""
    return {blob.name: blob async for blob in blobs.list_blobs("archive", f"{layout.archive_folder(key)}/")}


def _surplus(recording: InFlightRecording, before: Manifest | None) -> set[str]:
    """List what is not copied: what the archive has for good, and the same bytes under another index."""
    archived: dict[tuple[str, str], list[ManifestFile]] = defaultdict(list)
    for entry in before.chunks if before else ():
        archived[entry.document_id, "content"] += [file for file in entry.files if file.sha256]
        archived[entry.document_id, "metadata"] += [file for file in (entry.metadata,) if file and file.sha256]
    chosen = {blob.name for c in recording.chunks for blob in (c.content, c.metadata) if blob and blob.sha256}
    staged = [(blob, parsed) for blob in recording.blobs if (parsed := layout.parse(blob.name))]
    in_staging = {(parsed.id, parsed.kind): blob for blob, parsed in staged if blob.name in chosen}
    found = set()
    for blob, parsed in staged:
        document = (parsed.id, parsed.kind)
        if there := archived.get(document):
            is_surplus = any(_stem(f.blob) == _stem(blob.name) or blob.sha256 in (None, f.sha256) for f in there)
        else:
            here = in_staging.get(document, blob)
            is_surplus = here.name != blob.name and blob.sha256 in (None, here.sha256)
        if is_surplus:
            found.add(blob.name)
    return found


def _stem(blob: str) -> str:
    return blob.rpartition("/")[2].rpartition(".")[0]


async def _event_name(event: StoredBlob, name: str, blobs: Blobs) -> str:
    """Name an event's copy; a different event of the same id in the archive is evidence, and stays."""
    there = await blobs.stat("archive", name)
    if there is None or there.sha256 == event.sha256:
        return name
    text = await blobs.read("staging", event.name) or b""
    return f"{name.rpartition('/')[0]}/{layout.event_id(None, text.decode(errors='replace'))}.json"
