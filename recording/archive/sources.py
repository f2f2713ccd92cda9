"""The copy at ACS, which DELETE_SOURCE deletes once the archive copy is proved and published."""

from dataclasses import dataclass
from datetime import datetime

from recording.acs.content import Content
from recording.archive.run import Run
from recording.errors import ChunkError
from recording.model.manifest import Manifest
from recording.model.recording import InFlightChunk, InFlightRecording
from recording.storage.blobs import Blobs
from recording.storage.recordings import RecordingStore
from recording.telemetry import log
from recording.workers import run_each

_AT_ONCE = 8


def deletable(recording: InFlightRecording, written: Manifest, now: datetime) -> list[InFlightChunk]:
    """Decide which chunks to delete at ACS: those of which the archive has everything, and which are complete.

    ACS may still get a better version of the others. When a chunk has expired, ACS deletes it itself.
    """
    safe = {entry.document_id: entry for entry in written.chunks if entry.is_safe and entry.is_whole}
    return [
        c
        for c in recording.chunks
        if (entry := safe.get(c.document_id)) and (at := c.announced.delete_location) and entry.has_location(at)
        if now < c.expires_at
    ]


async def delete(chunks: list[InFlightChunk], content: Content) -> bool:
    """Delete chunks at ACS; False if one of them is still there. Deleting one again is harmless."""
    left: list[InFlightChunk] = []

    async def delete_one(chunk: InFlightChunk) -> None:
        if not await _delete(chunk, content):
            left.append(chunk)

    await run_each(delete_one, chunks, at_once=_AT_ONCE)
    return not left


async def _delete(chunk: InFlightChunk, content: Content) -> bool:
    location, document_id = chunk.announced.delete_location or "", chunk.announced.source_id or chunk.document_id
    try:
        # What is deleted must be what was fetched: an older version of the app may have fetched it from any address.
        if fetched_at := chunk.announced.content_location:
            content.require_address(fetched_at, document_id, "content")
        await content.delete(location, document_id)
    except ChunkError as failed:
        log.warning(
            "source.not_deleted",
            recordingKey=chunk.recording_key,
            documentId=chunk.document_id,
            reason=failed.message,
            next="each run of the timer tries again until ACS deletes it itself",
        )
        return False
    log.info("source.deleted", recordingKey=chunk.recording_key, documentId=chunk.document_id)
    return True


@dataclass(frozen=True)
class SourceCopies:
    """Deletes at ACS what the archive has."""

    blobs: Blobs
    recordings: RecordingStore
    content: Content

    async def one(self, run: Run, key: str) -> None:
        """Delete a recording's sources, and empty staging once all of them are gone."""
        found = run.deletable[key]
        if await delete(found.chunks, self.content):
            await self.blobs.delete("staging", found.published)
            await self.recordings.empty_staging(found.rest)
