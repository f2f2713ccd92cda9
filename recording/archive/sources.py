"""The copy at ACS, which DELETE_SOURCE deletes when ours is safe: proved, archived and told of."""

import asyncio
from datetime import datetime

from recording.acs.content import Content
from recording.archive.run import Run
from recording.errors import ChunkError, SourceRefused
from recording.model.manifest import Manifest
from recording.model.recording import InFlightChunk, InFlightRecording
from recording.telemetry import log


def deletable(recording: InFlightRecording, written: Manifest, now: datetime) -> list[InFlightChunk]:
    """Decide which chunks are to be deleted at ACS: those that the archive has all of.

    Behind its deadline ACS has deleted a chunk itself.
    """
    safe = {entry.document_id for entry in written.chunks if entry.is_safe}
    return [c for c in recording.chunks if c.job.document_id in safe and c.delete_location and now < c.deadline]


async def delete(chunks: list[InFlightChunk], content: Content) -> bool:
    """Delete chunks at ACS; False if one of them is still there. What was deleted before may be deleted again."""
    return all(await asyncio.gather(*(_delete(chunk, content) for chunk in chunks)))


async def _delete(chunk: InFlightChunk, content: Content) -> bool:
    location, document_id = chunk.delete_location or "", chunk.job.document_id
    try:
        # Both known forms name the document (docs/acs-contract.md#file-event): what doesn't is perhaps another's, as
        # are bytes from an address that doesn't.
        if not all(_names(one, document_id) for one in (location, chunk.job.content_location) if one):
            raise SourceRefused("the address to delete it at, or that of its bytes, does not name the document")
        await content.delete(location)
    except ChunkError as failed:
        log.warning(
            "source.not_deleted",
            recordingKey=chunk.job.recording_key,
            documentId=document_id,
            reason=failed.message,
            next="each run of the timer tries again until ACS deletes it itself",
        )
        return False
    log.info("source.deleted", recordingKey=chunk.job.recording_key, documentId=document_id)
    return True


def _names(location: str, document_id: str) -> bool:
    return document_id in location.partition("?")[0].split("/")


async def delete_sources(this: Run, key: str) -> None:
    """Delete a recording's sources, and empty staging once all of them are gone."""
    sources, recording, told = this.sources[key]
    if await delete(sources, this.content):
        await this.blobs.delete("staging", told)
        await this.recordings.empty_staging(recording)
