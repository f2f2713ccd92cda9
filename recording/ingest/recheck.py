"""The re-check of a chunk that is safe and isn't complete: its source may have a better version by now.

It adds a version beside those that are kept, and never takes one away. Which of them counts follows from the facts
(`model/recording.py`). If it fails, the chunk stays as it is: the timer queues the next step, and archives the chunk
when the time for it is over.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC

from recording.acs.content import Content, Probe
from recording.clock import Clock, utc_now
from recording.errors import ChunkError
from recording.ingest.proof import etag_of
from recording.ingest.streams import Line, Taken
from recording.model import layout
from recording.model.job import ChunkJob
from recording.model.proof import ChunkFacts
from recording.model.stored import StoredBlob
from recording.storage.blobs import Blobs
from recording.storage.hashing import Sha256
from recording.telemetry import log


class Recheck:
    """Re-checks chunks; `bring` fetches the version that a job names, and proves it."""

    def __init__(
        self,
        blobs: Blobs,
        content: Content,
        *,
        bring: Callable[[ChunkJob, None, Line], Awaitable[None]],
        clock: Clock = utc_now,
    ) -> None:
        self._blobs = blobs
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
        except (ChunkError, Taken, TimeoutError) as failed:
            error = failed.error() if isinstance(failed, Taken) else failed
            result = error.message if isinstance(error, ChunkError) else "it took too long"
        log.info(
            "chunk.rechecked",
            recordingKey=job.recording_key,
            documentId=job.document_id,
            step=job.recheck,
            result=result,
        )

    async def _compare(self, job: ChunkJob, line: Line) -> str:
        kept = [
            blob
            async for blob in self._blobs.list_blobs("staging", job.content_blob.rpartition(".")[0])
            if _is_kept(blob, job)
        ]
        if not kept:
            return "nothing is kept"
        async with line.reading():
            probe = await self._content.probe(job)
        same = [blob for blob in kept if _is_of(blob, probe)]
        if not same:
            await self._bring(job.model_copy(update={"version": layout.version_tag(probe.version)}), None, line)
            return "another version"
        # Other bytes of one version were found before.
        if job.recheck == "probe" or len(same) > 1:
            return "the same version"
        sha256 = await self._read_again(job, probe, line)
        if sha256 in {blob.sha256 for blob in kept}:
            settled = layout.recheck_blob(job.recording_key, job.document_id, "settled")
            await self._blobs.create("staging", settled, b"{}", at=self._clock().astimezone(UTC).isoformat())
            return "the same bytes"
        await self._bring(job.model_copy(update={"version": sha256[:16]}), None, line)
        return "other bytes of the same version"

    async def _read_again(self, job: ChunkJob, probe: Probe, line: Line) -> str:
        """Return the SHA-256 of all bytes that the source has now."""
        digest = Sha256()
        async with line.hold():
            async for piece in self._content.stream(job, probe, offset=0, length=probe.size):
                line.count(len(piece))
                await digest.update(piece)
        return await digest.finish()


def _is_kept(blob: StoredBlob, job: ChunkJob) -> bool:
    """Return whether a blob is a proved version of a chunk's content."""
    name = layout.parse(blob.name)
    return name is not None and (name.kind, name.id) == ("content", job.document_id) and blob.sha256 is not None


def _is_of(blob: StoredBlob, probe: Probe) -> bool:
    """Return whether a chunk's content is of the version that was probed."""
    facts = ChunkFacts.from_metadata(blob.metadata)
    return (facts.source_etag or "", facts.source_bytes) == (etag_of(probe), probe.size)
