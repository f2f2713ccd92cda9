"""Make the joined file of a recording: storage copies the ranges of its chunks, only new bytes are sent.

In this order: the heads of the chunks are read, the plan is made of them, `making-….json` says what is to be made, the
blocks are staged, each file is committed, and `file.json` is written last. The ids of blocks follow from the plan, and
storage refuses a block that hasn't the expected CRC64: so what is staged is right, whoever has staged it. A worker that
was killed is continued from the list of blocks, and two at once write the same.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from secrets import token_hex

from azure.core.exceptions import HttpResponseError

from recording import crc64
from recording.clock import Clock, utc_now
from recording.join.parts import Joined, Part, Piece, Range
from recording.join.plan import plan
from recording.join.refusals import Refused
from recording.join.sources import Recording
from recording.joining import blocks, fact
from recording.joining.blocks import Block, CopyBlock, SentBlock
from recording.joining.fact import (
    BeingMade,
    JoinedChunk,
    JoinedFile,
    JoinedPart,
    JoinedPiece,
    Making,
    NotJoined,
)
from recording.joining.heads import Heads
from recording.model import layout
from recording.model.job import JoinJob
from recording.model.manifest import Manifest
from recording.model.proof import ByteRange
from recording.model.record import Record
from recording.storage.blobs import Blobs, CopyDiffers, CopyFailed
from recording.storage.queues import Queue
from recording.storage.recordings import RecordingStore
from recording.storage.tombstones import Tombstones
from recording.telemetry import log, traces
from recording.workers import Turns, run_each

# Below `functionTimeout` (host.json), and below the hour for which the links to the chunks are valid.
BUDGET_SECONDS = 20 * 60.0
# Recordings at once in a process, each with the new bytes of its file in memory; and blocks of each.
AT_ONCE, BLOCKS_AT_ONCE = 2, 8
_TURN_SECONDS = 15.0
# In the id of a block whose CRC64 storage has compared, in place of the worker's own mark.
_COMPARED = "0" * 8


@dataclass(frozen=True)
class _Staged:
    """A block of a file: its id, and the CRC64 of its bytes; storage has `compared` it with the expected one."""

    id: str
    block: Block
    crc64: int
    compared: bool


class Maker:
    """Makes joined files; the limits are those of a process."""

    def __init__(
        self,
        blobs: Blobs,
        recordings: RecordingStore,
        tombstones: Tombstones,
        queue: Queue,
        *,
        clock: Clock = utc_now,
        budget_seconds: float = BUDGET_SECONDS,
        largest_block: int = blocks.LARGEST,
    ) -> None:
        self._blobs = blobs
        self._recordings = recordings
        self._tombstones = tombstones
        self._queue = queue
        self._clock = clock
        self._budget_seconds = budget_seconds
        self._largest_block = largest_block
        self._turns = Turns()
        self._making = asyncio.Semaphore(AT_ONCE)

    async def run(self, job: JoinJob) -> None:
        """Make the file that a message asks for, unless it is there; what this raises makes the queue try again.

        What isn't done within its time is queued again, and continued.
        """
        key = job.recording_key
        self._blobs.require_derived()
        try:
            async with (
                asyncio.timeout(self._budget_seconds),
                self._turns.take(key, seconds=_TURN_SECONDS) as is_mine,
                self._making,
            ):
                # The one that is at work in this process makes the same file; its message comes back if it fails.
                if is_mine:
                    with traces.span("recording.join", key):
                        await self._run(key)
        except TimeoutError:
            log.info("join.continues", recordingKey=key)
            await self._queue.send(job.to_message())

    async def _run(self, key: str) -> None:
        manifest = await self._recordings.newest_manifest(key)
        if manifest is None or await self._is_erased(key):
            log.info("join.not_archived", recordingKey=key)
            await erase(self._blobs, key)
            return
        manifest = await self._recordings.described(manifest)
        folder = fact.folder(manifest)
        for done in ("file.json", "refused.json"):
            if await self._blobs.stat("derived", f"{folder}/{done}"):
                return
        heads = Heads(self._blobs, manifest.chunks)
        recording = Recording.of(manifest)
        made = await read_plan(recording, heads)
        match made:
            case Refused():
                refusals = NotJoined.of(made)
                await self._blobs.create("derived", f"{folder}/refused.json", _json(refusals))
                log.info("join.refused", recordingKey=key, reasons=[one.reason for one in refusals.refusals])
            case Joined(parts):
                await self._make(manifest, folder, recording, parts, heads)
        # Whoever erases a recording writes its tombstone first, and at last removes what was joined meanwhile.
        if await self._is_erased(key) or await self._recordings.first_manifest(key) is None:
            await erase(self._blobs, key)

    async def _is_erased(self, key: str) -> bool:
        """Return whether a recording has a tombstone: its manifest may be protected, or restored by somebody."""
        return await self._tombstones.read(layout.key_digest(key)) is not None

    async def _make(
        self, manifest: Manifest, folder: str, recording: Recording, parts: Sequence[Part], heads: Heads
    ) -> None:
        plan_id = fact.plan_digest(recording, parts)
        named = {part.part: f"{folder}/{plan_id}-{part.part}.{part.extension}" for part in parts}
        making = Making(
            parts=tuple(BeingMade(blob=named[one.part], bytes=one.size) for one in parts if not one.is_chunk_itself)
        )
        await self._blobs.create("derived", f"{folder}/making-{plan_id}.json", _json(making))
        made = []
        for part in parts:
            if part.is_chunk_itself:
                made.append(await self._chunk_itself(part, heads))
            else:
                made.append(await self._make_part(part, named[part.part], plan_id, heads))
        written = JoinedFile(
            recording_key=manifest.recording_key,
            revision=manifest.revision,
            plan=plan_id,
            made_at=self._clock(),
            parts=tuple(made),
        )
        await self._blobs.create("derived", f"{folder}/file.json", _json(written))
        log.info(
            "recording.joined",
            recordingKey=manifest.recording_key,
            revision=manifest.revision,
            chunks=sum(len(part.chunks) for part in parts),
            parts=len(parts),
            bytes=sum(part.size for part in parts),
            sent=sum(piece.size for part in parts for piece in part.pieces if not isinstance(piece, Range)),
        )

    async def _chunk_itself(self, part: Part, heads: Heads) -> JoinedPart:
        source = await heads.source(part.chunks[0].chunk)
        return JoinedPart.planned(
            part,
            await _chunks(part, heads),
            where="archive",
            blob=source.blob.name,
            etag=source.blob.etag,
            crc64=source.content.crc64,
        )

    async def _make_part(self, part: Part, name: str, plan_id: str, heads: Heads) -> JoinedPart:
        """Stage and commit one file, and return what it consists of; continue what another worker has begun."""
        planned = [await self._blocks(piece, heads) for piece in part.pieces]
        staged = await self._stage(name, plan_id, [block for some in planned for block in some], heads)
        pieces = []
        following = iter(staged)
        for piece, some in zip(part.pieces, planned, strict=True):
            mine = [next(following) for _ in some]
            pieces.append(
                JoinedPiece(
                    bytes=piece.size,
                    crc64=crc64.to_hex(crc64.join((one.crc64, one.block.size) for one in mine)),
                    compared=all(one.compared for one in mine),
                    place=piece.chunk if isinstance(piece, Range) else None,
                    begin=piece.begin if isinstance(piece, Range) else None,
                )
            )
        crc = crc64.to_hex(crc64.join((one.crc64, one.block.size) for one in staged))
        etag = await self._commit(part, name, staged, crc)
        chunks = await _chunks(part, heads)
        return JoinedPart.planned(part, chunks, where="derived", blob=name, etag=etag, crc64=crc, pieces=pieces)

    async def _blocks(self, piece: Piece, heads: Heads) -> list[Block]:
        if not isinstance(piece, Range):
            return [SentBlock(piece)]
        source = await heads.source(piece.chunk)
        beside = blocks.edges(piece, source.ranges)
        return [
            *blocks.cut_range(
                piece,
                source.ranges,
                front=await heads.crc64(beside.front),
                end=await heads.crc64(beside.end),
                largest=self._largest_block,
            )
        ]

    async def _stage(self, name: str, plan_id: str, wanted: Sequence[Block], heads: Heads) -> list[_Staged]:
        """Stage the blocks of a file that aren't there yet; raises CopyDiffers if the bytes of one differ."""
        if len(wanted) > blocks.MOST_BLOCKS:
            raise CopyFailed(f"{name} would need {len(wanted)} blocks; a blob has at most {blocks.MOST_BLOCKS:,}")
        found = await self._blobs.stat("derived", name)
        there = await self._blobs.staged_blocks(name, where="derived") if found is None else None
        places = {block.place for block in wanted if isinstance(block, CopyBlock)}
        sources = {place: (await heads.source(place)).blob for place in places}
        links = {place: await self._blobs.copy_link("archive", blob.name) for place, blob in sources.items()}
        worker = token_hex(4)
        staged: dict[int, _Staged] = {}

        async def stage(numbered: tuple[int, Block]) -> None:
            number, block = numbered
            is_known = isinstance(block, SentBlock) or block.part.crc64 is not None
            block_id = f"{number:06}-{plan_id}-{_COMPARED if is_known else worker}"
            is_there = is_known and (there is None or there.get(block_id) == block.size)
            match block:
                case SentBlock(piece):
                    data = piece.content
                    crc = crc64.crc64(data)
                    if not is_there:
                        await self._blobs.stage_bytes(name, block_id, data)
                    staged[number] = _Staged(block_id, block, crc, compared=True)
                case CopyBlock(place, part, _):
                    answered = part.crc64
                    if not is_there:
                        answered = await self._blobs.stage_range(name, block_id, links[place], sources[place], part)
                    if part.crc64 is not None and answered not in (None, part.crc64):
                        # So that nobody takes it for one that was compared.
                        await self._blobs.stage_bytes(name, block_id, bytes(2 if block.size == 1 else 1))
                        what = f"bytes {part.offset} to {part.offset + part.length} of {sources[place].name}"
                        raise CopyDiffers(f"{what}: storage reports that it copied other bytes")
                    known = part.crc64 if part.crc64 is not None else answered
                    if known is None:
                        raise CopyFailed(f"storage doesn't say what it has copied of {sources[place].name}")
                    staged[number] = _Staged(block_id, block, known, compared=part.crc64 is not None)

        await run_each(stage, enumerate(wanted), at_once=BLOCKS_AT_ONCE)
        return _with_compared_wholes([staged[number] for number in range(len(wanted))])

    async def _commit(self, part: Part, name: str, staged: Sequence[_Staged], crc: str) -> str:
        """Make a file visible, and return its ETag; another worker may have done so with the same bytes."""
        ids = [one.id for one in staged]
        try:
            await self._blobs.commit_blocks(name, ids, {"crc64": crc}, content_type=part.content_type, where="derived")
        except HttpResponseError as failed:
            # The commit of another worker has removed the blocks.
            if getattr(failed, "error_code", None) != "InvalidBlockList":
                raise
        found = await self._blobs.stat("derived", name)
        if found is None or (found.size, found.crc64) != (part.size, crc):
            if found:
                # It would stand in the way of the right one.
                await self._blobs.delete("derived", name, etag=found.etag)
            raise CopyFailed(f"{name} isn't what was joined; it will be retried")
        return found.etag


async def read_plan(recording: Recording, heads: Heads) -> Joined | Refused:
    """Plan a joined file, reading what the plan asks for; raises azure-core's errors and CopyFailed."""
    planning = plan(recording)
    try:
        wanted = next(planning)
        while True:
            wanted = planning.send(await heads.read(wanted))
    except StopIteration as done:
        made: Joined | Refused = done.value
        return made


async def erase(blobs: Blobs, key: str) -> None:
    """Delete every joined file of a recording, and what is being made; raises azure-core's errors."""
    async for blob in blobs.list_blobs("derived", layout.joined_prefix(key), uncommitted=True):
        await blobs.delete("derived", blob.name)
        # Staged blocks can't be deleted: an empty blob in their place discards them.
        await blobs.replace("derived", blob.name, b"", over=None)
        await blobs.delete("derived", blob.name)


def _with_compared_wholes(staged: list[_Staged]) -> list[_Staged]:
    """Compare the blocks that only together have a known CRC64; raises CopyDiffers."""
    groups: dict[tuple[int, ByteRange], list[_Staged]] = {}
    for one in staged:
        if isinstance(one.block, CopyBlock) and one.block.whole:
            groups.setdefault((one.block.place, one.block.whole), []).append(one)
    for (_, whole), members in groups.items():
        if crc64.join((one.crc64, one.block.size) for one in members) != whole.crc64:
            what = f"bytes {whole.offset} to {whole.offset + whole.length} of a chunk"
            raise CopyDiffers(f"{what} are not those that were recorded when it came")
    return [
        replace(one, compared=True) if isinstance(one.block, CopyBlock) and one.block.whole else one for one in staged
    ]


async def _chunks(part: Part, heads: Heads) -> list[JoinedChunk]:
    sources = [(one, await heads.source(one.chunk)) for one in part.chunks]
    return [JoinedChunk.of(one, source.content, source.blob.etag) for one, source in sources]


def _json(record: Record) -> bytes:
    return record.model_dump_json(by_alias=True).encode()
