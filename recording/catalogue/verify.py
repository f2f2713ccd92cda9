"""Use case: read an archived recording again and compare it with its manifest."""

import asyncio
from collections.abc import AsyncIterator, Iterable

from pydantic import ValidationError

from recording.errors import BadRequest, NotFound
from recording.formats import media
from recording.formats.media import Inspection, Kind
from recording.model.layout import is_recording_key
from recording.model.manifest import ManifestChunk, ManifestFile
from recording.model.record import Record
from recording.storage.blobs import Blobs
from recording.storage.hashing import Sha256
from recording.storage.recordings import RecordingStore
from recording.telemetry import log


class ChunkVerification(Record):
    """What was found of one chunk; no problems = it is what the manifest says."""

    document_id: str
    index: int
    bytes: int
    problems: list[str]


class RecordingVerification(Record):
    """The verdict on one recording; `ok` = every chunk that the manifest lists as archived is intact.

    `problems` are those of the recording as a whole: its manifest is gone or can't be read.
    """

    recording_key: str
    ok: bool
    complete: bool
    problems: list[str]
    chunks: list[ChunkVerification]


async def verify(key: str, blobs: Blobs, recordings: RecordingStore) -> RecordingVerification:
    """Re-read every archived chunk: SHA-256 and length against the manifest, and the structure of its kind of file.

    Raises BadRequest for something that is no recording key, NotFound if it isn't archived.
    """
    if not is_recording_key(key):
        raise BadRequest("a recording key reads 20210727T152023608975Z-<call id>", target="recordingKey")
    try:
        manifest = await recordings.newest_manifest(key)
    except ValidationError:
        return _damaged(key, "its manifest cannot be read")
    if manifest is None:
        raise NotFound("there is no archived recording of this key", target="recordingKey")
    results = [await _chunk(entry, blobs) for entry in manifest.chunks]
    ok = not any(result.problems for result in results)
    (log.info if ok else log.error)(
        "recording.verified",
        recordingKey=key,
        ok=ok,
        problems={result.document_id: result.problems for result in results if result.problems},
    )
    return RecordingVerification(recording_key=key, ok=ok, complete=manifest.complete, problems=[], chunks=results)


def _damaged(key: str, problem: str) -> RecordingVerification:
    log.error("recording.verified", recordingKey=key, ok=False, problems={"manifest": [problem]})
    return RecordingVerification(recording_key=key, ok=False, complete=False, problems=[problem], chunks=[])


async def _chunk(entry: ManifestChunk, blobs: Blobs) -> ChunkVerification:
    files = [file for file in (entry.content, entry.metadata) if file is not None]
    # What was kept although it isn't whole by its own word is so still, and the manifest says it: no news.
    is_odd = entry.outcome == "unproved" and entry.content is not None and entry.content.sha256 is not None
    problems: list[str] = []
    for file in files:
        # A metadata file, and content of which nobody knows what it is, have no structure to look at.
        kind = None if is_odd else media.kind_of(file.blob)
        problems += [f"{file.blob}: {problem}" async for problem in _file(file, kind, blobs)]
    size = sum(file.bytes for file in files)
    return ChunkVerification(document_id=entry.document_id, index=entry.index, bytes=size, problems=problems)


async def _file(file: ManifestFile, kind: Kind | None, blobs: Blobs) -> AsyncIterator[str]:
    found = await blobs.stat("archive", file.blob)
    if found is None:
        yield "missing"
        return
    if found.size != file.bytes:
        yield f"has {found.size} bytes, the manifest says {file.bytes}"
    digest, inspection = Sha256(), Inspection(found.size)
    async for piece in blobs.read_ranges("archive", found, prefetch=4):
        await digest.update(piece)
        inspection.feed(piece)
    sha256 = await digest.finish()
    if file.sha256 is not None and sha256 != file.sha256:
        yield f"has SHA-256 {sha256}, the manifest says {file.sha256}"
    if kind and (problem := inspection.verdict().problem):
        yield problem


async def verify_all(
    keys: Iterable[str], blobs: Blobs, recordings: RecordingStore, *, at_once: int = 2
) -> AsyncIterator[RecordingVerification]:
    """Verify recordings, `at_once` at a time, as each is done; those that aren't archived yet are left out."""
    gate = asyncio.Semaphore(at_once)

    async def one(key: str) -> RecordingVerification | None:
        async with gate:
            return await _archived(key, blobs, recordings)

    for done in asyncio.as_completed([one(key) for key in keys]):
        if (result := await done) is not None:
            yield result


async def _archived(key: str, blobs: Blobs, recordings: RecordingStore) -> RecordingVerification | None:
    """Verify what has a folder in the archive; None if it is still on its way there."""
    try:
        return await verify(key, blobs, recordings)
    except NotFound:
        if [blob async for blob in blobs.list_blobs("staging", f"{key}/")]:
            return None
    try:
        return await verify(key, blobs, recordings)  # it may have arrived meanwhile
    except NotFound:
        return _damaged(key, "it has no manifest")
