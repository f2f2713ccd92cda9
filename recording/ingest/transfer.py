"""The copy of one version of a document: a small one into memory, a larger one into blocks in parallel.

Each block is proved by the answer to its own request, which has the CRC64 of the bytes that the service received
(docs/azure-storage.md#checksums-in-answers); one that differs is staged again. Where the source has no validator, bytes
of several requests may be of different versions: then one request brings the whole file, or, if that takes too long,
all bytes are read twice and compared.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from secrets import token_hex

from azure.core.exceptions import AzureError

from recording import crc64
from recording.acs.content import HEAD_BYTES, Content, Probe
from recording.errors import (
    ChunkError,
    NotProved,
    SourceChanged,
    SourceDamaged,
    SourceSlow,
    SourceUnavailable,
    SourceUnmeasured,
    describe,
)
from recording.formats import media
from recording.formats.media import Inspection, Verdict
from recording.ingest import blocks
from recording.ingest.blocks import Block
from recording.ingest.streams import Line, Taken
from recording.model.job import ChunkJob
from recording.storage.blobs import Blobs
from recording.telemetry import log

# A body that breaks off is fetched again here and nowhere else; after that the queue tries again.
BLOCK_TRIES = 4
# Up to this size a chunk is held in memory and written by one request.
MOST_IN_MEMORY = 4 * 1024 * 1024
# What the first request asks for, when the size isn't known: an eighth of 64 MiB, as each of eight streams has of it.
FIRST_BYTES = 8 * 1024 * 1024


# Finds the blocks that are staged {id: bytes}; None if there is nothing to copy.
type Looking = asyncio.Future[Mapping[str, int] | None]


@dataclass(frozen=True)
class Staged:
    """A block that is staged: its id, the CRC64 of what was sent, and whether the answer had it, too."""

    id: str
    crc: int
    is_compared: bool = True


@dataclass(eq=False)
class Transfer:
    """One copy. Once `run` has returned True, `probe` and `verdict` are known, and all bytes are there.

    Those of a small file are in `data`. Of a larger one `staged` has the blocks, which make up the ranges of `plan`.
    `parallelism` bounds its streams, `largest_block` the bytes of a block. A file without a validator, or with one that
    is not trusted, must come in one request within `one_request_seconds`, or is read twice.
    """

    blobs: Blobs
    content: Content
    job: ChunkJob
    line: Line
    parallelism: int
    largest_block: int
    one_request_seconds: float
    block_pause_seconds: float
    trusts_validator: bool = True
    probe: Probe = field(init=False)
    verdict: Verdict = field(init=False)
    data: bytes | None = None
    plan: tuple[Block, ...] = ()
    staged: dict[Block, Staged] = field(default_factory=dict)
    _listed: Mapping[str, int] = field(default_factory=dict)
    _version: str = ""
    _noted: int = 0
    _may_repeat: bool = False
    _measured: int | None = None

    @property
    def crc(self) -> int:
        """Return the CRC64 of the file."""
        return self.crc_of(*self.plan)

    @property
    def block_ids(self) -> list[str]:
        """Return the ids of the blocks in the order of their bytes."""
        return [self.staged[part].id for part in self.parts()]

    @property
    def blocks(self) -> int:
        """Return how many requests brought the bytes into storage."""
        return len(self.parts())

    @property
    def blocks_compared(self) -> int:
        """Return how many of these are proved: storage received what was sent."""
        return sum(self.staged[part].is_compared for part in self.parts())

    def parts(self, *ranges: Block) -> list[Block]:
        """Return the blocks that make up some ranges of the plan, or all of them."""
        longest = self.line.longest
        return [part for one in ranges or self.plan for part in blocks.divide(one, longest=longest, staged=self.staged)]

    def crc_of(self, *ranges: Block) -> int:
        """Return the CRC64 of some ranges of the plan."""
        return crc64.join((self.staged[part].crc, part.length) for part in self.parts(*ranges))

    async def run(self, looking: Looking, *, looks_first: bool = False) -> bool:
        """Copy the document; False if there is nothing to copy.

        `looking` is awaited beside the first request, unless it `looks_first`; the failure of that request means
        nothing if there is nothing to copy. Raises ChunkError, or azure-core's errors.
        """
        first = min(FIRST_BYTES, self.largest_block)
        # Who has to wait for a stream can look first whether it needs one.
        if looks_first or self.line.streams.are_busy:
            if (listed := await looking) is None:
                return False
            # With blocks that are staged the first one is probably there.
            first = HEAD_BYTES if listed else first
        try:
            while True:
                try:
                    if not await self._copy(looking, first):
                        await self._copy_unvalidated(looking)
                    return await looking is not None
                except Taken:
                    await self._note_cut()
                except SourceUnmeasured:
                    if await looking is None:
                        return False
                    self._measured = await self._measure()
        except ChunkError as failed:
            if await looking is None:
                return False
            if isinstance(failed, SourceSlow):
                await self._note_cut()
            raise

    async def _measure(self) -> int:
        """Count the bytes of a document whose length the source doesn't declare: it is read once for that."""
        log.info("chunk.measured", documentId=self.job.document_id, next="all of it is read to count its bytes")
        while True:
            try:
                async with self.line.hold():
                    return await self.repeat(Block(0, 0), lambda: self.content.measure(self.job, self.line.counted))
            except Taken:
                continue

    async def _copy(self, looking: Looking, first: int) -> bool:
        """Copy with a first request for so many bytes; False if the source has no validator for several.

        A request that brings the whole file is repeated if it fails.
        """
        for number in range(1, BLOCK_TRIES + 1):
            self._may_repeat = False
            try:
                async with asyncio.TaskGroup() as group:
                    return await self._copy_from_first(group, looking, first)
            except ExceptionGroup as several:
                failed = _first(several)
                is_final = isinstance(failed, SourceSlow | SourceChanged) or number == BLOCK_TRIES
                if not self._may_repeat or is_final or not isinstance(failed, ChunkError):
                    raise failed from None
                await self._pause(number, Block(0, self.probe.size), failed)
        raise AssertionError("unreachable: the last try returns or raises")

    async def _copy_from_first(self, group: asyncio.TaskGroup, looking: Looking, first: int) -> bool:
        waiting: deque[Block] | None = None
        try:
            asking = self.content.open(
                self.job, first=first, size=self._measured, trusts_validator=self.trusts_validator
            )
            async with self.line.hold(), asking as opened:
                with self.line.aside():
                    listed = await looking
                if listed is None:
                    return True
                self._accept(opened.probe, listed)
                if opened.length < min(first, opened.probe.size) and not opened.probe.has_validator:
                    # So long are the ranges that it sends, and no block is put together from several.
                    if opened.length < self.line.shortest:
                        size = opened.probe.size
                        raise SourceDamaged(f"the source sends ranges of {opened.length} bytes of {size}, and no ETag")
                    self.line.longest = min(self.line.longest, opened.length)
                body = _Body(opened.body)
                if opened.length == opened.probe.size and not self._is_cut:
                    self._may_repeat = True
                    await self._take_all(body)
                    return True
                if not opened.probe.has_validator:
                    return False
                waiting = self._begin(group, opened.probe.version)
                if waiting and not waiting[0].offset and waiting[0].length <= opened.length:
                    await self._stage(waiting, waiting.popleft(), group, body)
        except Taken:
            if waiting is None:
                raise
            await self._note_cut()
        await self._work(group, waiting)
        return True

    def _accept(self, probe: Probe, listed: Mapping[str, int]) -> None:
        """Take over what is to be copied; the blocks of a source that was slow before are short from the beginning."""
        if not self._noted:
            self.line.longest = self._noted = min([probe.size, *blocks.notes(probe.version, listed)])
            self.line.shortest = blocks.shortest_cut(probe.size)
        if not probe.takes_ranges:
            self.line.longest = self.line.shortest = self._noted = probe.size
        self.probe, self._listed = probe, listed

    @property
    def _is_cut(self) -> bool:
        return self.line.longest < self.probe.size

    async def _take_all(self, body: "_Body") -> None:
        """Take the whole file from one response, judging it in transit."""
        size, self._version, self.staged = self.probe.size, self.probe.version, {}
        inspection = Inspection(size)
        if size <= MOST_IN_MEMORY:
            pieces = []
            async for piece in self.line.counted(body.take(size)):
                for _ in inspection.feed_in_turns(piece):
                    await asyncio.sleep(0)
                pieces.append(piece)
            self.data = b"".join(pieces)
            # Storage compares the bytes of a single request itself.
            self.plan = (Block(0, size),)
            self.staged[self.plan[0]] = Staged("", crc64.crc64(self.data))
        else:
            self._plan()
            for block in self.plan:
                await self._put(block, body.take(block.length), inspection)
        self._may_repeat = False
        self.verdict = self._judge(inspection.verdict())

    def _plan(self) -> None:
        first = min(FIRST_BYTES, self.largest_block)
        self.plan = blocks.plan_ranges(
            self.probe.size, first=first, largest=self.largest_block, streams=self.parallelism
        )

    def _begin(self, group: asyncio.TaskGroup, version: str) -> deque[Block]:
        """Begin to stage what is missing, and to look at the structure; return the blocks that are waiting.

        The caller works on these, too: it is one of the streams.
        """
        self._version = version
        self._plan()
        known = blocks.receipts(version, self._listed)
        self.staged = {block: Staged(*found) for block, found in known.items()}
        parts = self.parts()
        waiting = deque(part for part in parts if part not in self.staged)
        log.info(
            "chunk.staging",
            recordingKey=self.job.recording_key,
            documentId=self.job.document_id,
            bytes=self.probe.size,
            blocks=len(parts),
            stagedBefore=len(parts) - len(waiting),
        )
        group.create_task(self._look_early())
        for _ in range(min(self.parallelism, len(waiting)) - 1):
            group.create_task(self._work(group, waiting))
        return waiting

    async def _work(self, group: asyncio.TaskGroup, waiting: deque[Block]) -> None:
        """Stage the blocks that are waiting, one after the other; several streams do so."""
        while waiting:
            block = waiting.popleft()
            if len(parts := self.parts(block)) > 1:
                waiting.extendleft(part for part in reversed(parts) if part not in self.staged)
                continue
            try:
                async with self.line.hold():
                    await self._stage(waiting, block, group)
            except Taken:
                await self._note_cut()

    async def _stage(
        self, waiting: deque[Block], block: Block, group: asyncio.TaskGroup, body: "_Body | None" = None
    ) -> None:
        """Stage one block, at first from `body`; one that breaks off is fetched again from its start."""
        begun = [body.take(block.length)] if body else []
        try:
            await self.repeat(block, lambda: self._put(block, begun.pop() if begun else self._stream(block)))
        finally:
            if block not in self.staged:
                waiting.appendleft(block)
        # A receipt saves a block if this process is killed. Of the last ones, and of a chunk whose blocks have a stream
        # each, it would come when nothing more is to be done; of a slow source each block counts.
        done = self.staged[block]
        if done.is_compared and (waiting or self._is_cut or not self.probe.has_validator):
            group.create_task(self._note(blocks.receipt_id(done.id, done.crc)))

    async def repeat[Result](self, block: Block, step: Callable[[], Awaitable[Result]]) -> Result:
        """Do a step for a block, four times at most with pauses between them; raises what the last one raises.

        Only a ChunkError has a further try, and not SourceChanged.
        """
        for number in range(1, BLOCK_TRIES):
            try:
                return await step()
            except SourceChanged:
                raise
            except ChunkError as failed:
                await self._pause(number, block, failed)
        return await step()

    async def _pause(self, number: int, block: Block, failed: ChunkError) -> None:
        log.warning(
            "block.retried",
            documentId=self.job.document_id,
            offset=block.offset,
            bytes=block.length,
            attempt=number,
            reason=failed.message,
        )
        with self.line.aside():
            await asyncio.sleep(self.block_pause_seconds * 2**number)

    def _stream(self, block: Block) -> AsyncIterator[bytes]:
        return self.content.stream(self.job, self.probe, offset=block.offset, length=block.length)

    async def _put(self, block: Block, source: AsyncIterator[bytes], inspection: Inspection | None = None) -> None:
        """Stream one block into storage and compare what it received; raises ChunkError."""
        crc, failure = 0, None

        async def body() -> AsyncIterator[bytes]:
            nonlocal crc, failure
            try:
                async for piece in self.line.counted(source):
                    crc = crc64.crc64(piece, crc)
                    if inspection:
                        for _ in inspection.feed_in_turns(piece):
                            await asyncio.sleep(0)
                    yield piece
            except ChunkError as failed:
                failure = failed
                raise

        name = blocks.block_id(self._version, block, token_hex(4))
        try:
            with self.line.aside():
                received = await self.blobs.stage_block(self.job.content_blob, name, body(), length=block.length)
        except AzureError as failed:
            # aiohttp reports a failing body as a failed connection: what really happened is known here.
            raise failure or SourceUnavailable(f"storage did not accept a block ({describe(failed)})") from failed
        if received not in (None, crc):
            raise NotProved("storage received other bytes of a block than were sent")
        self.staged[block] = Staged(name, crc, is_compared=received is not None)

    async def _copy_unvalidated(self, looking: Looking) -> None:
        """Copy with one request, whose bytes are of one version, or read all twice if that takes too long."""
        compared = f"{self.probe.version}|compared"
        number = max(blocks.notes(compared, self._listed), default=0)
        reading = f"{self.probe.version}|reading {number}"
        if not self._is_cut and not blocks.receipts(reading, self._listed):
            try:
                size = self.probe.size
                async with asyncio.timeout(self.one_request_seconds):
                    if await self._copy(looking, size):
                        return
                if self.probe.size != size:
                    raise SourceChanged("the document has become longer")
                raise SourceUnavailable("the source sends a part of the file when asked for all of it")
            except (TimeoutError, SourceUnavailable, Taken) as failed:
                log.warning("chunk.read_twice", documentId=self.job.document_id, reason=describe(failed))
                await self._note_cut()
        try:
            async with asyncio.TaskGroup() as group:
                await self._work(group, self._begin(group, reading))
        except ExceptionGroup as several:
            raise _first(several) from None
        if await self._read_again(f"{reading} again") != self.crc_of():
            # What is staged, and noted of it, may be of several versions: the next two readings have another name.
            await self._note(blocks.note_id(compared, number + 1))
            raise SourceChanged("the document has no ETag, and two readings of it differ")

    async def _read_again(self, version: str) -> int:
        """Read all bytes a second time, store nothing, and return their CRC64; receipts tell what was read.

        Each block overlaps two of the first reading, and comes from one response: it differs wherever neighbours are of
        different versions. A slow source is read in shorter blocks, which are other ones.
        """
        read = {block: crc for block, (_, crc) in blocks.receipts(version, self._listed, read_only=True).items()}
        while True:
            across = blocks.shifted(self.parts(), longest=self.line.longest)
            waiting = deque(block for block in across if block not in read)
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(self.parallelism, len(waiting))):
                        group.create_task(self._count(group, waiting, version, read))
                return crc64.join((read[block], block.length) for block in across)
            except ExceptionGroup as several:
                if not isinstance(failed := _first(several), Taken):
                    raise failed from None
                await self._note_cut()

    async def _count(
        self, group: asyncio.TaskGroup, waiting: deque[Block], version: str, read: dict[Block, int]
    ) -> None:
        """Count the CRC64 of the blocks that are waiting; several streams do so."""
        longest = self.line.longest
        while waiting:
            block = waiting.popleft()
            try:
                async with self.line.hold():
                    crc = await self.repeat(block, lambda block=block: self._crc_of_source(block))  # type: ignore[misc]
            except Taken:
                if self.line.longest < longest:
                    raise
                waiting.appendleft(block)
                continue
            read[block] = crc
            group.create_task(self._note(blocks.receipt_id(blocks.block_id(version, block, "again---"), crc)))

    async def _crc_of_source(self, block: Block) -> int:
        crc = 0
        async for piece in self.line.counted(self._stream(block)):
            crc = crc64.crc64(piece, crc)
        return crc

    async def _note(self, name: str) -> None:
        """Stage one byte as a note to the next attempt, which reads its id."""

        async def body() -> AsyncIterator[bytes]:
            yield b"."

        try:
            await self.blobs.stage_block(self.job.content_blob, name, body(), length=1)
        except AzureError as failed:
            # Without its receipt a block is fetched again, but only if this attempt is killed.
            log.warning("receipt.not_staged", documentId=self.job.document_id, id=name, reason=describe(failed))

    async def _note_cut(self) -> None:
        """Write a note for the next attempt that the blocks of this version have become shorter."""
        if self.line.longest < self._noted:
            self._noted = self.line.longest
            if self.line.slow_rate is not None:
                log.warning(
                    "chunk.source_slow",
                    documentId=self.job.document_id,
                    bytesPerSecond=self.line.slow_rate,
                    blockBytes=self._noted,
                )
            await self._note(blocks.note_id(self.probe.version, self._noted))

    async def _look_early(self) -> None:
        """Judge the file by a few reads from the source, beside the copy."""
        look = media.early_look(self.probe.size, self.probe.head)
        try:
            span = next(look)
            while True:
                async with self.line.reading():
                    found = await self.content.read(self.job, self.probe, offset=span.offset, length=span.length)
                span = look.send(found)
        except StopIteration as done:
            self.verdict = self._judge(done.value)

    def _judge(self, verdict: Verdict) -> Verdict:
        """Return the verdict; raises SourceDamaged for an error page, which isn't the document."""
        if verdict.outcome == "error page":
            raise SourceDamaged(f"the source sent an error page instead of media ({self.probe.described})")
        return verdict


class _Body:
    """The body of a response, taken range by range."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    async def take(self, length: int) -> AsyncIterator[bytes]:
        """Yield the next `length` bytes; the source raises what it raises, if there are fewer."""
        while length:
            piece = self._rest or await anext(self._pieces)
            mine, self._rest = (piece, b"") if len(piece) <= length else (piece[:length], piece[length:])
            length -= len(mine)
            yield mine


def _first(several: ExceptionGroup[Exception]) -> Exception:
    """Return one failure of a task group: all have the same cause, which a source that is given up describes best."""
    flat = [_first(one) if isinstance(one, ExceptionGroup) else one for one in several.exceptions]
    return next((one for one in flat if isinstance(one, SourceSlow)), flat[0])
