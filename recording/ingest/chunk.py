"""Use case: one chunk job becomes one committed, proved chunk in staging.

Progress is the service's own list of uncommitted blocks: whoever takes the job after a crash
asks for it and fetches the rest. Two workers on one chunk stage the same bytes under the same
ids; the commit decides, and a chunk counts only once it was read back and compared.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from azure.core.exceptions import AzureError

from recording.acs.content import Content, Probe
from recording.errors import SourceChanged, SourceDamaged, SourceUnavailable, describe
from recording.formats import media
from recording.formats.media import Inspection, Kind, Verdict
from recording.ingest import attempt, blocks, proof
from recording.ingest.attempt import Attempt
from recording.ingest.blocks import Block
from recording.ingest.relay import Relay
from recording.model import payload
from recording.model.job import ChunkJob
from recording.model.proof import ChunkFacts
from recording.model.stored import StoredBlob
from recording.storage.blobs import Blobs
from recording.storage.recordings import RecordingStore
from recording.telemetry import log, traces

# A body that breaks off is fetched again here and nowhere else; after that it's the queue's turn.
BLOCK_TRIES = 4
_BLOCK_PAUSE_SECONDS = 0.5
_VERSION_TRIES = 3
# Below `functionTimeout` (host.json), whose stroke would kill every other job of the process too.
BUDGET_SECONDS = 25 * 60.0
# Of the retention: a file that isn't whole by its own word until then is taken as it is, while ACS still has it.
LAST_RESORT = 0.95
_UNKNOWN_TYPE = "application/octet-stream"


@dataclass
class _Passed:
    """What passed by on its way into storage: the SHA-256 of each block, by index.

    `kind` is what the file is found to be, if it is. `problem` is why it is kept though it isn't whole by its own word,
    if so.
    """

    digests: dict[int, str]
    kind: Kind | None = None
    problem: str | None = None


@dataclass(frozen=True)
class ChunkIngest:
    """What ingest works with, once per process: `streams` bounds the transfers of all chunks together.

    `patience` is how long after its event a file that isn't whole by its own word is refused.
    """

    blobs: Blobs
    recordings: RecordingStore
    content: Content
    streams: asyncio.Semaphore
    parallelism: int
    largest_block: int
    first_rescue: timedelta
    patience: timedelta

    async def run(self, job: ChunkJob) -> None:
        """Ingest one chunk and its metadata file.

        Raises ChunkError, or what storage raises; the failure is on record by then, and the
        queue, then the timer, tries again.
        """
        with traces.span("chunk.ingest", job.recording_key, documentId=job.document_id, index=job.index):
            if await self.recordings.is_archived(job):
                log.info("chunk.already_archived", recordingKey=job.recording_key, documentId=job.document_id)
                return
            async with (
                attempt.begin(job, self.blobs, self.recordings, first_rescue=self.first_rescue) as this,
                asyncio.timeout(BUDGET_SECONDS),
            ):
                # A missing metadata file must not cost the content: it is fetched second and tried again.
                await self._content(job, this)
                await self._metadata(job, this)

    async def _metadata(self, job: ChunkJob, this: Attempt) -> None:
        """Bring the metadata file into staging, which ends the attempt."""
        await this.is_on_record()
        if await self.blobs.stat("staging", job.metadata_blob) is None:
            body = await self.content.metadata(job)
            # What it says stands on the blob as well: a listing tells it without reading the file. So does which
            # attempt succeeded, for its fact that it began may outlast this write by a moment, or by a kill.
            metadata = payload.read_metadata_file(body) | {"attempt": this.id}
            write = self.blobs.create("staging", job.metadata_blob, body, **metadata)
            await asyncio.gather(write, this.ended())
        else:
            await this.ended()

    async def _content(self, job: ChunkJob, this: Attempt) -> None:
        for _ in range(_VERSION_TRIES):
            try:
                if await self._one_version(job, this):
                    return
            except SourceChanged as changed:
                log.warning(
                    "chunk.source_changed", documentId=job.document_id, reason=changed.message, next="start over"
                )
        raise SourceChanged("the document kept changing while it was copied")

    async def _one_version(self, job: ChunkJob, this: Attempt) -> bool:
        """Bring one version of the document to a proved chunk; False if it is to be looked at anew."""
        found = await self.blobs.stat("staging", job.content_blob)
        if found is not None and found.sha256:
            return True
        if found is not None and ChunkFacts.from_metadata(found.metadata).is_written_by_ingest(found.size):
            # Committed whole by a worker that died before the proof: the source, which may have another version
            # or none by now, isn't asked.
            return await self._prove(job, found)
        if found is not None:
            log.warning(
                "chunk.unknown_blob", recordingKey=job.recording_key, documentId=job.document_id, next="replace it"
            )
            await self.blobs.delete("staging", found.name, etag=found.etag)
            return False
        probe, staged = await asyncio.gather(self.content.probe(job), self.blobs.staged_blocks(job.content_blob))
        plan = self._plan(probe)
        passed = await self._fetch(job, probe, plan, staged)
        kind = passed.kind or probe.kind
        facts = proof.facts(probe, kind, plan, passed.digests, passed.problem)
        ids = [blocks.block_id(_version(probe, plan), b.index) for b in plan]
        content_type = media.CONTENT_TYPES[kind] if kind else _UNKNOWN_TYPE
        await this.is_on_record()
        await self.blobs.commit_blocks(job.content_blob, ids, facts.to_metadata(), content_type=content_type)
        found = await self.blobs.stat("staging", job.content_blob)
        if found is None or not facts.is_same_version(ChunkFacts.from_metadata(found.metadata)):
            return False
        return await self._prove(job, found)

    async def _prove(self, job: ChunkJob, found: StoredBlob) -> bool:
        return await proof.prove(job, found, self.blobs, streams=self.streams, ahead=self.parallelism)

    def _plan(self, probe: Probe) -> tuple[Block, ...]:
        if not probe.takes_ranges:
            return blocks.single_block(probe.size)
        return blocks.plan_blocks(probe.size, largest=self.largest_block, streams=self.parallelism)

    async def _fetch(self, job: ChunkJob, probe: Probe, plan: tuple[Block, ...], staged: dict[str, int]) -> _Passed:
        """Stage what is missing and check the structure meanwhile; both are done when this returns."""
        try:
            async with asyncio.TaskGroup() as group:
                # Of a source without ranges each read would fetch the whole file: it is looked at as it passes by.
                looking = group.create_task(self._look_early(job, probe)) if probe.takes_ranges else None
                staging = group.create_task(self._stage(job, probe, plan, staged))
        except ExceptionGroup as several:
            raise _first(several) from None
        passed = staging.result()
        if looking:
            passed.kind, passed.problem = looking.result()
        return passed

    async def _look_early(self, job: ChunkJob, probe: Probe) -> tuple[Kind | None, str | None]:
        """Judge the file by a few reads from the source: what it is, and what is wrong if it is kept all the same.

        One that is undecided then is judged as it is read back.
        """
        look = media.early_look(probe.size, probe.head)
        try:
            span = next(look)
            while True:
                span = look.send(await self.content.read(job, probe, offset=span.offset, length=span.length))
        except StopIteration as done:
            verdict: Verdict = done.value
            return verdict.kind, self._odd(job, verdict)

    def _odd(self, job: ChunkJob, verdict: Verdict) -> str | None:
        """Refuse what may get better. At last the bytes are worth more than none: nobody has seen all that ACS writes.

        Raises SourceDamaged.
        """
        problem = verdict.problem
        if problem is None:
            return None
        if datetime.now(UTC) < job.announced_at + self.patience:
            raise SourceDamaged(problem)
        log.error("chunk.kept_as_it_is", recordingKey=job.recording_key, documentId=job.document_id, reason=problem)
        return problem

    async def _stage(self, job: ChunkJob, probe: Probe, plan: tuple[Block, ...], staged: dict[str, int]) -> _Passed:
        """Stage what is missing, in parallel."""
        # Without ranges a file's structure is seen only as it passes by: what was staged before was perhaps refused.
        before = staged if probe.takes_ranges else {}
        passed = _Passed(blocks.receipts(plan, version=_version(probe, plan), staged=before))
        missing = [block for block in plan if block.index not in passed.digests]
        log.info(
            "chunk.staging",
            recordingKey=job.recording_key,
            documentId=job.document_id,
            bytes=probe.size,
            blocks=len(plan),
            stagedBefore=len(plan) - len(missing),
        )
        waiting = iter(missing)

        async def stream() -> None:
            # One iterator feeds all streams: each takes the next block when it is free.
            for block in waiting:
                async with self.streams:
                    await self._stage_block(job, probe, block, _version(probe, plan), passed)
                    # A chunk of one block is as soon fetched again as a receipt is written.
                    if len(plan) > 1:
                        await self._stage_receipt(job, block, _version(probe, plan), passed.digests[block.index])

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self.parallelism, len(missing))):
                group.create_task(stream())
        return passed

    async def _stage_receipt(self, job: ChunkJob, block: Block, version: str, digest: str) -> None:
        async def body() -> AsyncIterator[bytes]:
            yield b"."

        receipt_id = blocks.receipt_id(version, block.index, digest)
        try:
            await self.blobs.stage_block(job.content_blob, receipt_id, body(), length=1)
        except AzureError as failed:
            # Without it the block is fetched again if this attempt is killed, and only then.
            log.warning("receipt.not_staged", documentId=job.document_id, block=block.index, reason=describe(failed))

    async def _stage_block(self, job: ChunkJob, probe: Probe, block: Block, version: str, passed: _Passed) -> None:
        """Stream one block from the source into Put Block; a broken one is repeated whole."""
        block_id = blocks.block_id(version, block.index)
        for number in range(1, BLOCK_TRIES + 1):
            inspection = None if probe.takes_ranges else Inspection(probe.size)
            source = self.content.stream(job, probe, offset=block.offset, length=block.length)
            relay = Relay(source, inspection)
            try:
                await self.blobs.stage_block(job.content_blob, block_id, relay.body(), length=block.length)
                if inspection:
                    verdict = inspection.verdict()
                    passed.kind, passed.problem = verdict.kind, self._odd(job, verdict)
                passed.digests[block.index] = await relay.digest.finish()
                return
            except AzureError as failed:
                # aiohttp reports a failing body as a failed connection: what really happened is in the relay.
                cause = relay.failure or SourceUnavailable(f"storage did not take a block ({describe(failed)})")
                if isinstance(cause, SourceChanged) or number == BLOCK_TRIES:
                    raise cause from failed
                log.warning(
                    "block.retried", documentId=job.document_id, block=block.index, attempt=number, reason=str(cause)
                )
                await asyncio.sleep(_BLOCK_PAUSE_SECONDS * 2**number)
        raise AssertionError("unreachable: the last try returns or raises")


def _version(probe: Probe, plan: tuple[Block, ...]) -> str:
    """Tell which bytes a block of an index has: those of one version of the document, cut at one length.

    Blocks staged by an older app or under other settings have other offsets: the last one of an old plan may be
    as long as one of the new plan that lies elsewhere.
    """
    return f"{probe.version}|{plan[0].length}"


def _first(several: ExceptionGroup[Exception]) -> Exception:
    """Take one failure out of a task group's: they stand for the same cause."""
    inner = several.exceptions[0]
    return _first(inner) if isinstance(inner, ExceptionGroup) else inner
