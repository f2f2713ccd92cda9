"""The parallel copy of one version of a document into blocks, and an early look at its structure meanwhile.

Where the source has no validator, blocks of several requests may be of different bytes. Then one request brings the
whole file; if that takes too long, all bytes are read twice and compared.
"""

import asyncio
from collections import deque
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
from recording.ingest.streams import Line, Taken
from recording.model.job import ChunkJob
from recording.storage.blobs import Blobs
from recording.telemetry import log

# A body that breaks off is fetched again here and nowhere else; after that the queue tries again.
BLOCK_TRIES = 4


@dataclass
class Transferred:
    """The blocks of one version, all staged: their plan and ids, and the SHA-256 of what was sent of each, by index.

    `kind` is what the file turned out to be, if that is known. `again` has the digests of a second reading
    (`blocks.shifted`), if there was one.
    """

    plan: tuple[Block, ...]
    block_ids: list[str]
    digests: dict[int, str]
    kind: Kind | None = None
    again: dict[int, str] | None = None


class BlockTransfer:
    """Copies documents from the source into uncommitted blocks.

    `parallelism` bounds the streams of one chunk. A file without a validator must come in one request within
    `one_request_seconds`, or is read twice.
    """

    def __init__(
        self,
        blobs: Blobs,
        content: Content,
        *,
        parallelism: int,
        one_request_seconds: float,
        block_pause_seconds: float,
    ) -> None:
        self._blobs = blobs
        self._content = content
        self._parallelism = parallelism
        self._one_request_seconds = one_request_seconds
        self._block_pause_seconds = block_pause_seconds

    async def run(
        self, job: ChunkJob, probe: Probe, plan: tuple[Block, ...], staged: dict[str, int], line: Line
    ) -> Transferred:
        """Stage the missing blocks and look at the structure meanwhile; both are done when this returns.

        The blocks are those of `plan`, or shorter ones if the source is slow. Raises ChunkError, or azure-core's
        errors.
        """
        try:
            if not probe.takes_ranges:
                return await self._copy(job, probe, plan, staged, line, in_parts=False)
            if not probe.has_validator and not _was_read_before(probe, plan, staged):
                found = await self._copy_in_one(job, probe, line)
                if found is not None:
                    return found
            return await self._copy_in_parts(job, probe, plan, staged, line)
        except Taken as taken:
            raise taken.error() from None

    async def _copy_in_one(self, job: ChunkJob, probe: Probe, line: Line) -> Transferred | None:
        """Copy with one request, whose bytes are of one version; None if it takes too long or breaks off."""
        if probe.size > blocks.LARGEST_BLOCK:
            return None
        line.block_bytes = probe.size
        try:
            async with asyncio.timeout(self._one_request_seconds):
                return await self._copy(job, probe, blocks.single_block(probe.size), {}, line, in_parts=False)
        except (TimeoutError, SourceUnavailable, Taken) as failed:
            if isinstance(failed, Taken) and failed.ends:
                raise
            log.warning("chunk.read_twice", documentId=job.document_id, reason=describe(failed))
            return None
        finally:
            line.block_bytes = 0

    async def _copy_in_parts(
        self, job: ChunkJob, probe: Probe, plan: tuple[Block, ...], staged: dict[str, int], line: Line
    ) -> Transferred:
        """Copy with blocks that are cut smaller as long as the source is too slow for them."""
        length = min(plan[0].length, blocks.shortest_cut(probe.version, staged) or plan[0].length)
        while True:
            cut = plan if length == plan[0].length else blocks.split(probe.size, length)
            line.block_bytes = length if 2 * blocks.cut_length(probe.size, 0) <= length else 0
            copy = self._copy if probe.has_validator else self._read_twice
            try:
                return await copy(job, probe, cut, staged, line)
            except Taken as taken:
                wanted = blocks.cut_length(probe.size, line.streams.block_bytes(taken.rate or 0))
                if 2 * wanted <= length:
                    length = wanted
                    await self._note(job, blocks.cut_id(probe.version, length))
                if taken.ends:
                    raise
                log.warning(
                    "chunk.source_slow", documentId=job.document_id, bytesPerSecond=taken.rate, blockBytes=length
                )
            finally:
                line.block_bytes = 0

    async def _read_twice(
        self, job: ChunkJob, probe: Probe, plan: tuple[Block, ...], staged: dict[str, int], line: Line
    ) -> Transferred:
        """Read all bytes a second time, in blocks that overlap those of the first: the proof compares both.

        The second reading begins when the first is complete, though that may have taken several attempts. Each of its
        blocks comes from one response, so it differs wherever two neighbours of the first are of different versions.
        """
        first = await self._copy(job, probe, plan, staged, line, reading=1)
        across = blocks.shifted(probe.size, plan[0].length)
        try:
            second = await self._stage(job, probe, across, staged, line, in_parts=True, reading=2)
        except ExceptionGroup as several:
            raise _first(several) from None
        first.again = second.digests
        return first

    async def _copy(
        self,
        job: ChunkJob,
        probe: Probe,
        plan: tuple[Block, ...],
        staged: dict[str, int],
        line: Line,
        *,
        in_parts: bool = True,
        reading: int = 0,
    ) -> Transferred:
        """Copy by this plan; raises Taken if the source is too slow for it."""
        try:
            async with asyncio.TaskGroup() as group:
                # From a source without ranges each read would fetch the whole file: there it is judged in transit.
                looking = group.create_task(self._look_early(job, probe, line)) if in_parts else None
                staging = group.create_task(
                    self._stage(job, probe, plan, staged, line, in_parts=in_parts, reading=reading)
                )
        except ExceptionGroup as several:
            raise _first(several) from None
        transferred = staging.result()
        if looking:
            transferred.kind = looking.result()
        return transferred

    async def _look_early(self, job: ChunkJob, probe: Probe, line: Line) -> Kind | None:
        """Judge the file by a few reads from the source: return its kind, reject an error page.

        Nothing else is decided before the file is read back. Raises SourceDamaged.
        """
        look = media.early_look(probe.size, probe.head)
        try:
            span = next(look)
            while True:
                async with line.reading():
                    found = await self._content.read(job, probe, offset=span.offset, length=span.length)
                span = look.send(found)
        except StopIteration as done:
            return _kind(done.value, probe)

    async def _stage(
        self,
        job: ChunkJob,
        probe: Probe,
        plan: tuple[Block, ...],
        staged: dict[str, int],
        line: Line,
        *,
        in_parts: bool,
        reading: int,
    ) -> Transferred:
        """Stage the missing blocks in parallel."""
        version = _version(probe, plan, reading)
        # Without ranges the structure is seen only in transit, and the bytes staged before may have been rejected.
        reusable = staged if in_parts else {}
        transferred = Transferred(
            plan=plan,
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
        waiting = deque(missing)
        done = 0

        async def stream() -> None:
            # One queue feeds all streams: each takes the next block when it is free.
            nonlocal done
            while waiting:
                block, done_before = waiting.popleft(), done
                try:
                    async with line.hold():
                        await self._stage_block(job, probe, block, version, transferred, line, in_parts=in_parts)
                        # To fetch a chunk of one block again takes no longer than to write a receipt.
                        if len(plan) > 1 or reading:
                            receipt = blocks.receipt_id(version, block.index, transferred.digests[block.index])
                            await self._note(job, receipt)
                        done += 1
                except Taken as taken:
                    # One connection may be slow where the source isn't: then another fetches the block.
                    if taken.ends or (taken.rate is not None and done == done_before):
                        raise
                    waiting.append(block)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._parallelism, len(missing))):
                group.create_task(stream())
        return transferred

    async def _note(self, job: ChunkJob, name: str) -> None:
        """Stage one byte as a note to the next attempt, which reads its id."""

        async def body() -> AsyncIterator[bytes]:
            yield b"."

        try:
            await self._blobs.stage_block(job.content_blob, name, body(), length=1)
        except AzureError as failed:
            # Without its receipt a block is fetched again, but only if this attempt is killed.
            log.warning("receipt.not_staged", documentId=job.document_id, id=name, reason=describe(failed))

    async def _stage_block(
        self,
        job: ChunkJob,
        probe: Probe,
        block: Block,
        version: str,
        transferred: Transferred,
        line: Line,
        *,
        in_parts: bool,
    ) -> None:
        """Stream one block from the source into Put Block; one that breaks off is fetched again from its start."""
        block_id = blocks.block_id(version, block.index)
        for number in range(1, BLOCK_TRIES + 1):
            inspection = None if in_parts else Inspection(probe.size)
            source = self._content.stream(job, probe, offset=block.offset, length=block.length)
            relay = Relay(source, inspection, count=line.count)
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


def _version(probe: Probe, plan: tuple[Block, ...], reading: int = 0) -> str:
    """Return what identifies the bytes of a block together with its index: the document's version and the block length.

    Blocks staged by an older app or under other settings have other offsets: the last block of an old plan may be
    as long as a block of the new plan at another offset. Without a validator, the reading is part of it, too.
    """
    return f"{probe.version}|{plan[0].length}" + (f"|reading {reading} of {len(plan)}" if reading else "")


def _was_read_before(probe: Probe, plan: tuple[Block, ...], staged: dict[str, int]) -> bool:
    """Return whether an earlier attempt has read blocks, since one request took too long."""
    is_begun = bool(blocks.receipts(plan, version=_version(probe, plan, 1), staged=staged))
    return is_begun or blocks.shortest_cut(probe.version, staged) is not None


def _first(several: ExceptionGroup[Exception]) -> Exception:
    """Return one failure of a task group: all have the same cause, and Taken describes it best."""
    flat = [_first(one) if isinstance(one, ExceptionGroup) else one for one in several.exceptions]
    return next((one for one in flat if isinstance(one, Taken)), flat[0])
