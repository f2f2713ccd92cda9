"""Use case: one chunk job becomes one committed, proved chunk.

Progress is the service's own list of uncommitted blocks: the process that gets the job after a
crash asks for it and fetches the rest. Two workers on one chunk stage the same bytes under the same
ids; the commit decides, and a chunk counts only once it was read back and compared.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta

from recording.acs.content import Content, Probe
from recording.clock import Clock, utc_now
from recording.errors import SourceChanged, SourceUnavailable
from recording.formats import media
from recording.ingest import blocks
from recording.ingest.attempt import Attempt, begin_attempt
from recording.ingest.blocks import Block
from recording.ingest.proof import Proof, facts_to_commit
from recording.ingest.recheck import Recheck
from recording.ingest.streams import Line, Pace, Streams
from recording.ingest.transfer import BlockTransfer
from recording.model import payload
from recording.model.job import ChunkJob
from recording.model.proof import ChunkFacts
from recording.storage.blobs import Blobs
from recording.storage.recordings import RecordingStore
from recording.telemetry import log, traces

_VERSION_TRIES = 3
# Below `functionTimeout` (host.json), whose time-out kills every other job of the process too.
BUDGET_SECONDS = 25 * 60.0
# A share of the retention: after it a slow source keeps its streams, even while others wait.
LAST_QUARTER = 0.75
# A share of the budget of an attempt, for a file that must come in one request: the rest is for reading it twice.
_ONE_REQUEST = 1 / 4
_UNKNOWN_TYPE = "application/octet-stream"


@dataclass(frozen=True)
class IngestLimits:
    """The limits of ingest; `parallelism` bounds the streams of all chunks of the process together.

    `largest_block` is in bytes. The timer puts a chunk on the queue again `first_requeue` after its failure at the
    earliest. A slow source is given up for others until `keep_slow_after` its event.
    `block_pause_seconds` is the pause after the first failure of a block; it doubles.
    """

    parallelism: int
    largest_block: int
    first_requeue: timedelta
    keep_slow_after: timedelta = timedelta(hours=18)
    pace: Pace = field(default_factory=Pace)
    budget_seconds: float = BUDGET_SECONDS
    block_pause_seconds: float = 0.5


class ChunkIngest:
    """Brings chunks from ACS into staging."""

    def __init__(
        self,
        blobs: Blobs,
        recordings: RecordingStore,
        content: Content,
        *,
        limits: IngestLimits,
        clock: Clock = utc_now,
    ) -> None:
        self.limits = limits
        self._blobs = blobs
        self._recordings = recordings
        self._content = content
        self._clock = clock
        self._streams = Streams(limits.parallelism, limits.pace)
        self._transfer = BlockTransfer(
            blobs,
            content,
            parallelism=limits.parallelism,
            one_request_seconds=limits.budget_seconds * _ONE_REQUEST,
            block_pause_seconds=limits.block_pause_seconds,
        )
        # Reads of storage have a limit of their own: they don't wait for a source.
        reads = asyncio.Semaphore(limits.parallelism)
        self._proof = Proof(blobs, streams=reads, prefetch=limits.parallelism, clock=clock)
        self._recheck = Recheck(
            blobs,
            content,
            bring=self._bring_content,
            clock=clock,
        )

    async def run(self, job: ChunkJob, *, waited: float = 0.0) -> None:
        """Ingest one chunk and its metadata file, or re-check it if the job says so.

        `waited` is for how many seconds of its budget the job has waited for its turn.
        Raises ChunkError, or azure-core's errors; the failure is already recorded, and the
        queue, then the timer, tries again.
        """
        seconds = self.limits.budget_seconds - waited
        with traces.span("chunk.ingest", job.recording_key, documentId=job.document_id, index=job.index):
            if await self._recordings.is_archived(job):
                log.info("chunk.already_archived", recordingKey=job.recording_key, documentId=job.document_id)
                return
            with self._streams.line(job.recording_key, may_be_given_up=lambda: self._may_be_given_up(job)) as line:
                if job.recheck:
                    # The chunk is safe: this doesn't count as an attempt, nor its failure as a failed one.
                    await self._recheck.run(job, line, seconds=seconds)
                    return
                beginning = begin_attempt(
                    job, self._blobs, self._recordings, first_requeue=self.limits.first_requeue, clock=self._clock
                )
                async with beginning as attempt, asyncio.timeout(seconds):
                    # A missing metadata file must not cost the content: it is fetched second and tried again.
                    await self._bring_content(job, attempt, line)
                    await self._bring_metadata(job, attempt, line)

    def _may_be_given_up(self, job: ChunkJob) -> bool:
        return self._clock() < job.announced_at + self.limits.keep_slow_after

    async def _bring_metadata(self, job: ChunkJob, attempt: Attempt, line: Line) -> None:
        """Bring the metadata file into staging, which ends the attempt."""
        await attempt.wait_until_recorded()
        if await self._blobs.stat("staging", job.metadata_blob) is None:
            async with line.reading():
                body = await self._content.metadata(job)
            # Its contents are on the blob as metadata as well, so that a listing has them without reading the file. So
            # is the attempt that succeeded: the record of its beginning may outlast this write by a moment, or by a
            # kill.
            metadata = payload.read_metadata_file(body) | {"attempt": attempt.id}
            write = self._blobs.create("staging", job.metadata_blob, body, **metadata)
            await asyncio.gather(write, attempt.end())
        else:
            await attempt.end()

    async def _bring_content(self, job: ChunkJob, attempt: Attempt | None, line: Line) -> None:
        for _ in range(_VERSION_TRIES):
            try:
                if await self._bring_version(job, attempt, line):
                    return
            except SourceChanged as changed:
                log.warning(
                    "chunk.source_changed", documentId=job.document_id, reason=changed.message, next="start over"
                )
        raise SourceChanged("the document kept changing while it was copied")

    async def _bring_version(self, job: ChunkJob, attempt: Attempt | None, line: Line) -> bool:
        """Turn one version of the document into a proved chunk; False if the caller has to start over."""
        found = await self._blobs.stat("staging", job.content_blob)
        if found is not None and found.sha256:
            return True
        if found is not None and ChunkFacts.from_metadata(found.metadata).is_written_by_ingest(found.size):
            # Committed by a worker that died before the proof: the source, which may have another version
            # or none by now, is not asked.
            return await self._proof.run(job, found)
        if found is not None:
            log.warning(
                "chunk.unknown_blob", recordingKey=job.recording_key, documentId=job.document_id, next="replace it"
            )
            await self._blobs.delete("staging", found.name, etag=found.etag)
            return False
        async with line.reading():
            probe, staged = await asyncio.gather(self._content.probe(job), self._blobs.staged_blocks(job.content_blob))
        transferred = await self._transfer.run(job, probe, self._plan(probe), staged, line)
        facts = facts_to_commit(probe, transferred)
        content_type = media.CONTENT_TYPES[facts.kind] if facts.kind else _UNKNOWN_TYPE
        if attempt:
            await attempt.wait_until_recorded()
        await self._blobs.commit_blocks(
            job.content_blob, transferred.block_ids, facts.to_metadata(), content_type=content_type
        )
        found = await self._blobs.stat("staging", job.content_blob)
        if found is None or not facts.is_same_version(ChunkFacts.from_metadata(found.metadata)):
            return False
        return await self._proof.run(job, found)

    def _plan(self, probe: Probe) -> tuple[Block, ...]:
        if not probe.takes_ranges and probe.size > blocks.LARGEST_BLOCK:
            raise SourceUnavailable(f"the source sends no ranges, and {probe.size} bytes don't fit in one block")
        if not probe.takes_ranges:
            return blocks.single_block(probe.size)
        return blocks.plan_blocks(probe.size, largest=self.limits.largest_block, streams=self.limits.parallelism)
