"""The copy at ACS, which DELETE_SOURCE deletes once the archive copy is proved and published."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

from recording.acs.content import Content
from recording.archive.run import Run
from recording.errors import ChunkError, SourceRefused
from recording.model.manifest import Manifest
from recording.model.recording import InFlightChunk, InFlightRecording
from recording.storage.blobs import Blobs
from recording.storage.recordings import RecordingStore
from recording.telemetry import log


def deletable(recording: InFlightRecording, written: Manifest, now: datetime) -> list[InFlightChunk]:
    """Decide which chunks to delete at ACS: those of which the archive has everything, and which are complete.

    ACS may still get a better version of the others. After its deadline a chunk is deleted by ACS itself.
    """
    safe = {entry.document_id for entry in written.chunks if entry.is_safe and entry.is_whole}
    return [c for c in recording.chunks if c.document_id in safe and c.announced.delete_location and now < c.deadline]


async def delete(chunks: list[InFlightChunk], content: Content) -> bool:
    """Delete chunks at ACS; False if one of them is still there. Deleting one again is harmless."""
    return all(await asyncio.gather(*(_delete(chunk, content) for chunk in chunks)))


async def _delete(chunk: InFlightChunk, content: Content) -> bool:
    location, document_id = chunk.announced.delete_location or "", chunk.document_id
    try:
        # Both known forms name the document (docs/acs-contract.md#file-event). An address that doesn't may be that of
        # another document.
        if not all(_names(one, document_id) for one in (location, chunk.announced.content_location) if one):
            raise SourceRefused("the address to delete it at, or that of its bytes, does not name the document")
        await content.delete(location)
    except ChunkError as failed:
        log.warning(
            "source.not_deleted",
            recordingKey=chunk.recording_key,
            documentId=document_id,
            reason=failed.message,
            next="each run of the timer tries again until ACS deletes it itself",
        )
        return False
    log.info("source.deleted", recordingKey=chunk.recording_key, documentId=document_id)
    return True


def _names(location: str, document_id: str) -> bool:
    return document_id in location.partition("?")[0].split("/")


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
