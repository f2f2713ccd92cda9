"""The parallel copy of one version of a document into blocks, and an early look at its structure meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from azure.core.exceptions import AzureError

from recording.acs.content import Content, Probe
from recording.errors import SourceChanged, SourceDamaged, SourceUnavailable, describe
from recording.formats import media
from recording.formats.media import Inspection, Kind, Verdict
from recording.ingest import blocks
from recording.ingest.blocks import Block
from recording.ingest.relay import Relay
from recording.model.job import ChunkJob
from recording.storage.blobs import Blobs
from recording.telemetry import log

# A body that breaks off is fetched again here and nowhere else; after that the queue tries again.
BLOCK_TRIES = 4


@dataclass
class Transferred:
    """The blocks of one version, all staged: their ids, and the SHA-256 of what was sent of each, by index.

    `kind` is what the file turned out to be, if that is known.
    """

    block_ids: list[str]
    digests: dict[int, str]
    kind: Kind | None = None


class BlockTransfer:
    """Copies documents from the source into uncommitted blocks.

    `parallelism` bounds the streams of one chunk, `streams` those of all chunks of the process together.
    """

    def __init__(
        self,
        blobs: Blobs,
        content: Content,
        *,
        streams: asyncio.Semaphore,
        parallelism: int,
        block_pause_seconds: float,
    ) -> None:
        self._blobs = blobs
        self._content = content
        self._streams = streams
        self._parallelism = parallelism
        self._block_pause_seconds = block_pause_seconds

    async def run(self, job: ChunkJob, probe: Probe, plan: tuple[Block, ...], staged: dict[str, int]) -> Transferred:
        """Stage the missing blocks and look at the structure meanwhile; both are done when this returns.

        Raises ChunkError, or azure-core's errors.
        """
        try:
            async with asyncio.TaskGroup() as group:
                # From a source without ranges each read would fetch the whole file: there it is judged in transit.
                looking = group.create_task(self._look_early(job, probe)) if probe.takes_ranges else None
                staging = group.create_task(self._stage(job, probe, plan, staged))
        except ExceptionGroup as several:
            raise _first(several) from None
        transferred = staging.result()
        if looking:
            transferred.kind = looking.result()
        return transferred

    async def _look_early(self, job: ChunkJob, probe: Probe) -> Kind | None:
        """Judge the file by a few reads from the source: return its kind, reject an error page.

        Nothing else is decided before the file is read back. Raises SourceDamaged.
        """
        look = media.early_look(probe.size, probe.head)
        try:
            span = next(look)
            while True:
                span = look.send(await self._content.read(job, probe, offset=span.offset, length=span.length))
        except StopIteration as done:
            return _kind(done.value, probe)

    async def _stage(self, job: ChunkJob, probe: Probe, plan: tuple[Block, ...], staged: dict[str, int]) -> Transferred:
        """Stage the missing blocks in parallel."""
        version = _version(probe, plan)
        # Without ranges the structure is seen only in transit, and the bytes staged before may have been rejected.
        reusable = staged if probe.takes_ranges else {}
        transferred = Transferred(
            block_ids=[blocks.block_id(version, block.index) for block in plan],
            digests=blocks.receipts(plan, version=version, staged=reusable),
        )
        missing = [block for block in plan if block.index not in transferred.digests]
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
                async with self._streams:
                    await self._stage_block(job, probe, block, version, transferred)
                    # To fetch a chunk of one block again takes no longer than to write a receipt.
                    if len(plan) > 1:
                        await self._stage_receipt(job, block, version, transferred.digests[block.index])

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._parallelism, len(missing))):
                group.create_task(stream())
        return transferred

    async def _stage_receipt(self, job: ChunkJob, block: Block, version: str, digest: str) -> None:
        async def body() -> AsyncIterator[bytes]:
            yield b"."

        receipt_id = blocks.receipt_id(version, block.index, digest)
        try:
            await self._blobs.stage_block(job.content_blob, receipt_id, body(), length=1)
        except AzureError as failed:
            # Without its receipt the block is fetched again, but only if this attempt is killed.
            log.warning("receipt.not_staged", documentId=job.document_id, block=block.index, reason=describe(failed))

    async def _stage_block(
        self, job: ChunkJob, probe: Probe, block: Block, version: str, transferred: Transferred
    ) -> None:
        """Stream one block from the source into Put Block; one that breaks off is fetched again from its start."""
        block_id = blocks.block_id(version, block.index)
        for number in range(1, BLOCK_TRIES + 1):
            inspection = None if probe.takes_ranges else Inspection(probe.size)
            source = self._content.stream(job, probe, offset=block.offset, length=block.length)
            relay = Relay(source, inspection)
            try:
                await self._blobs.stage_block(job.content_blob, block_id, relay.body(), length=block.length)
                if inspection:
                    transferred.kind = _kind(inspection.verdict(), probe)
                transferred.digests[block.index] = await relay.digest.finish()
                return
            except AzureError as failed:
                # aiohttp reports a failing body as a failed connection: the relay knows what really happened.
                cause = relay.failure or SourceUnavailable(f"storage did not accept a block ({describe(failed)})")
                if isinstance(cause, SourceChanged) or number == BLOCK_TRIES:
                    raise cause from failed
                log.warning(
                    "block.retried", documentId=job.document_id, block=block.index, attempt=number, reason=str(cause)
                )
                await asyncio.sleep(self._block_pause_seconds * 2**number)
        raise AssertionError("unreachable: the last try returns or raises")


def _kind(verdict: Verdict, probe: Probe) -> Kind | None:
    """Return the kind of a file that was judged; raises SourceDamaged for an error page, which isn't the document."""
    if verdict.outcome == "error page":
        raise SourceDamaged(f"the source sent an error page instead of media ({probe.described})")
    return verdict.kind


def _version(probe: Probe, plan: tuple[Block, ...]) -> str:
    """Return what identifies the bytes of a block together with its index: the document's version and the block length.

    Blocks staged by an older app or under other settings have other offsets: the last block of an old plan may be
    as long as a block of the new plan that lies elsewhere.
    """
    return f"{probe.version}|{plan[0].length}"


def _first(several: ExceptionGroup[Exception]) -> Exception:
    """Return one failure of a task group's: they have the same cause."""
    inner = several.exceptions[0]
    return _first(inner) if isinstance(inner, ExceptionGroup) else inner
