"""The re-check of a chunk that is safe and isn't complete: its source may have a better version by now.

It adds a version beside those that are kept, and never takes one away. Which of them counts follows from the facts
(`model/recording.py`). If it fails, the chunk stays as it is: the timer queues the next step, and archives the chunk
when the time for it is over.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC

from recording import crc64
from recording.acs.content import Content, Probe
from recording.clock import Clock, utc_now
from recording.errors import ChunkError, SourceSlow
from recording.ingest.facts import etag_of
from recording.ingest.streams import Line, Taken
from recording.model import layout
from recording.model.job import ChunkJob
from recording.model.proof import ChunkFacts
from recording.model.stored import StoredBlob
from recording.storage.blobs import Blobs
from recording.storage.hashing import Sha256
from recording.storage.recordings import RecordingStore
from recording.telemetry import log

_ANOTHER, _OTHER_BYTES = "another version", "other bytes of the same version"


class Recheck:
    """Re-checks chunks; `bring` fetches the version that a job names, and proves it."""

    def __init__(
        self,
        blobs: Blobs,
        recordings: RecordingStore,
        content: Content,
        *,
        bring: Callable[[ChunkJob, None, Line], Awaitable[None]],
        clock: Clock = utc_now,
    ) -> None:
        self._blobs = blobs
        self._recordings = recordings
        self._content = content
        self._bring = bring
        self._clock = clock

    async def run(self, job: ChunkJob, line: Line, *, seconds: float) -> None:
        """Look for another version at the source, or also read all bytes again, as the job says, for `seconds` at most.

        Raises azure-core's errors. A source that fails is only logged.
        """
        try:
            async with asyncio.timeout(seconds):
                result = await self._compare(job, line)
        except ChunkError as failed:
            result = failed.message
        except (Taken, TimeoutError):
            result = "it took too long"
        log.info(
            "chunk.rechecked",
            recordingKey=job.recording_key,
            documentId=job.document_id,
            step=job.recheck,
            result=result,
        )

    async def _compare(self, job: ChunkJob, line: Line) -> str:
        kept = await self._kept(job)
        if not kept:
            return "nothing is kept"
        failed: ChunkError | None = None
        result = ""
        for address in await self._addresses(job):
            try:
                result = await self._compare_with(address, kept, line)
            except SourceSlow:
                raise
            except ChunkError as error:
                failed = error
                continue
            if result in (_ANOTHER, _OTHER_BYTES):
                return result
        if failed and not result:
            raise failed
        return result

    async def _kept(self, job: ChunkJob) -> list[StoredBlob]:
        """List the proved versions of a chunk's content, which an event may have announced at another index."""
        for prefix in (job.content_blob.rpartition(".")[0], f"{job.recording_key}/chunks/"):
            blobs = [blob async for blob in self._blobs.list_blobs("staging", prefix)]
            if kept := [blob for blob in blobs if _is_kept(blob, job)]:
                return kept
        return []

    async def _addresses(self, job: ChunkJob) -> tuple[ChunkJob, ...]:
        """Return the job with each address that an event has of the chunk; most recordings have one event."""
        prefix = layout.event_blob(job.recording_key, "").removesuffix(".json")
        events = [blob async for blob in self._blobs.list_blobs("staging", prefix)]
        if len(events) == 1:
            return (job,)
        chunks = (await self._recordings.load(job.recording_key, events)).chunks
        claimed = [one for chunk in chunks if chunk.document_id == job.document_id for one in chunk.jobs]
        places = {one.content_location for one in claimed} - {job.content_location}
        return job, *(job.model_copy(update={"content_location": place}) for place in places)

    async def _compare_with(self, job: ChunkJob, kept: list[StoredBlob], line: Line) -> str:
        async with line.reading():
            probe = await self._content.probe(job)
        same = [blob for blob in kept if _is_of(blob, probe)]
        if not same:
            await self._bring(job.model_copy(update={"version": layout.version_tag(probe.version)}), None, line)
            return _ANOTHER
        # Other bytes of one version were found before.
        if job.recheck == "probe" or len(same) > 1:
            return "the same version"
        digests = await self._read_again(job, probe, line)
        if digests & {blob.digest for blob in kept}:
            settled = layout.recheck_blob(job.recording_key, job.document_id, "settled")
            await self._blobs.create("staging", settled, b"{}", at=self._clock().astimezone(UTC).isoformat())
            return "the same bytes"
        await self._bring(job.model_copy(update={"version": min(digests, key=len)}), None, line)
        return _OTHER_BYTES

    async def _read_again(self, job: ChunkJob, probe: Probe, line: Line) -> set[str]:
        """Return the digests of all bytes that the source has now: their CRC64, and as an older version has them."""
        crc, sha256 = 0, Sha256()
        async with line.hold():
            async for piece in line.counted(self._content.stream(job, probe, offset=0, length=probe.size)):
                crc = crc64.crc64(piece, crc)
                await sha256.update(piece)
        return {crc64.to_hex(crc), await sha256.finish()}


def _is_kept(blob: StoredBlob, job: ChunkJob) -> bool:
    """Return whether a blob is a proved version of a chunk's content."""
    name = layout.parse(blob.name)
    return name is not None and (name.kind, name.id) == ("content", job.document_id) and blob.digest is not None


def _is_of(blob: StoredBlob, probe: Probe) -> bool:
    """Return whether a chunk's content is of the version that was probed."""
    facts = ChunkFacts.from_metadata(blob.metadata)
    if facts.version:
        return facts.version == layout.version_tag(probe.version)
    return (facts.source_etag or "", facts.source_bytes) == (etag_of(probe), probe.size)
