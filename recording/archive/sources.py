"""The copy at ACS, which DELETE_SOURCE deletes once the archive copy is proved and published."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

from recording.acs.content import Content
from recording.errors import ChunkError
from recording.model.manifest import Manifest
from recording.model.recording import InFlightChunk, InFlightRecording
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


async def _delete(chunk: InFlightChunk, content: Content, seconds: float) -> bool:
    location, document_id = chunk.announced.delete_location or "", chunk.announced.source_id or chunk.document_id
    try:
        # What is deleted must be what was fetched: an older version of the app may have fetched it from any address,
        # and this one fetches by its id what has another's address.
        if fetched_at := chunk.announced.content_location:
            content.require_address(fetched_at, document_id, "content")
    except ChunkError as refused:
        log.warning(
            "source.kept",
            recordingKey=chunk.recording_key,
            documentId=chunk.document_id,
            reason=refused.message,
            next="ACS deletes it itself",
        )
        return True
    try:
        async with asyncio.timeout(seconds):
            await content.delete(location, document_id)
    except (ChunkError, TimeoutError) as failed:
        log.warning(
            "source.not_deleted",
            recordingKey=chunk.recording_key,
            documentId=chunk.document_id,
            reason=failed.message if isinstance(failed, ChunkError) else "ACS did not answer in time",
            next="each run of the timer tries again until ACS deletes it itself",
        )
        return False
    log.info("source.deleted", recordingKey=chunk.recording_key, documentId=chunk.document_id)
    return True


@dataclass(frozen=True)
class SourceCopies:
    """Deletes at ACS what the archive has; each deletion may take `seconds`."""

    content: Content
    seconds: float = 30.0

    async def delete(self, chunks: list[InFlightChunk]) -> bool:
        """Delete chunks at ACS; False if one of them is still there. Deleting one again is harmless."""
        left: list[InFlightChunk] = []

        async def delete_one(chunk: InFlightChunk) -> None:
            if not await _delete(chunk, self.content, self.seconds):
                left.append(chunk)

        await run_each(delete_one, chunks, at_once=_AT_ONCE)
        return not left
