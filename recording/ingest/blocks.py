"""Pure arithmetic: a size becomes blocks; which of them are staged, and what was sent of them.

The only record of progress is the service's own list of uncommitted blocks. So a block's id contains
the version of the source that it came from: blocks of two versions can never be committed together.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

# Below this a request costs more than the bytes it moves (docs/measurements.md#streaming).
SMALLEST_BLOCK = 4 * 1024 * 1024
# Limits of Blob Storage: https://learn.microsoft.com/azure/storage/blobs/scalability-targets
MOST_BLOCKS = 50_000
LARGEST_BLOCK = 4000 * 1024 * 1024
# Blocks of a slow source. A blob can have 100,000 uncommitted blocks: these, their receipts, and other readings.
_SMALLEST_CUT = 4 * 1024
_MOST_CUTS = 8_000
# Hex digits of a block's SHA-256: an id has at most 64 bytes, of which the version and the index take 24.
DIGEST = 40
_NO_DIGEST = "0" * DIGEST
_CUT = "c" * DIGEST


@dataclass(frozen=True)
class Block:
    """A byte range of a chunk: bytes `offset` to `offset + length - 1`."""

    index: int
    offset: int
    length: int


def plan_blocks(size: int, *, largest: int, streams: int) -> tuple[Block, ...]:
    """Split `size` bytes into equal blocks, the last one shorter.

    A block has at most `largest` bytes (INGEST_BLOCK_MIB), unless 50,000 such blocks are too few, and
    at least 4 MiB. In between the length is such that all `streams` are busy to the end: 1.5 GB in
    45 blocks would leave three of eight streams idle in the sixth round (8 % of the time, measured).
    """
    if size <= 0:
        raise ValueError(f"size must be positive, not {size}")
    rounds = -(-size // (streams * largest))
    return split(size, max(SMALLEST_BLOCK, -(-size // (streams * rounds)), -(-size // MOST_BLOCKS)))


def split(size: int, length: int) -> tuple[Block, ...]:
    """Split `size` bytes into blocks of `length`, the last one shorter."""
    return tuple(
        Block(index, offset, min(length, size - offset)) for index, offset in enumerate(range(0, size, length))
    )


def shifted(size: int, length: int) -> tuple[Block, ...]:
    """Split `size` bytes at the middles of the blocks of `length`: each block overlaps two of those.

    If the bytes of both plans are equal, neighbouring blocks are of one version.
    """
    ends = [*range(length // 2 or 1, size, length), size]
    return tuple(
        Block(index, offset, end - offset) for index, (offset, end) in enumerate(zip([0, *ends], ends, strict=False))
    )


def cut_length(size: int, wanted: int) -> int:
    """Return the length of a slow source's blocks: a power of two, so that few lengths are in use, `wanted` at most.

    It is longer where more than 8,000 blocks would be needed.
    """
    least = max(_SMALLEST_CUT, -(-size // _MOST_CUTS))
    return max(1 << (least - 1).bit_length(), 1 << max(wanted, 1).bit_length() - 1)


def cut_id(version: str, length: int) -> str:
    """Return the id of the note that a source's blocks were cut to `length`: one byte, never committed."""
    return f"{_place(f'{version}|cut', length.bit_length() - 1)}{_CUT}"


def shortest_cut(version: str, staged: Mapping[str, int]) -> int | None:
    """Return the shortest length that blocks of this version were cut to, in this attempt or an earlier one."""
    prefix = _place(f"{version}|cut", 0)[:17]
    cuts = [int(name[17:23]) for name in staged if name.startswith(prefix) and name.endswith(_CUT)]
    return 1 << min(cuts) if cuts else None


def single_block(size: int) -> tuple[Block, ...]:
    """Plan one block for all bytes: for a source that ignores `Range`."""
    if size > LARGEST_BLOCK:
        raise ValueError(f"{size} bytes don't fit in one block of {LARGEST_BLOCK}")
    return (Block(0, 0, size),)


def block_id(version: str, index: int) -> str:
    """Return a block's id: 16 hex digits of the source's version, the index in fixed width, and room for a digest.

    All ids of one blob must have the same length, 64 bytes at most; the service lists them in alphabetical order.
    """
    return f"{_place(version, index)}{_NO_DIGEST}"


def receipt_id(version: str, index: int, digest: str) -> str:
    """Return the id of a block's receipt: one byte, never committed, whose id has the digest of what was sent.

    The next attempt reuses a block only with its receipt: storage may have kept other bytes than were sent, and
    the attempt that would have noticed may have been killed.
    """
    return f"{_place(version, index)}{digest[:DIGEST]}"


def receipts(blocks: tuple[Block, ...], *, version: str, staged: Mapping[str, int]) -> dict[int, str]:
    """Return the digest of what was sent for each block that is staged, given the service's list {block id: bytes}.

    Two different receipts count as none: one of them is of a block that was replaced.
    """
    found: dict[str, list[str]] = {}
    for name in staged:
        if not is_block(name):
            found.setdefault(name[:-DIGEST], []).append(name[-DIGEST:])
    known: dict[int, str] = {}
    for block in blocks:
        digests = found.get(_place(version, block.index), [])
        if len(digests) == 1 and staged.get(block_id(version, block.index)) == block.length:
            known[block.index] = digests[0]
    return known


def is_block(name: str) -> bool:
    """Return whether an id is a block's, not a receipt's."""
    return name.endswith(_NO_DIGEST)


def _place(version: str, index: int) -> str:
    # An ETag may have bytes that are not text (RFC 9110, 8.8.3), which aiohttp returns as halves of surrogate pairs.
    return f"{hashlib.sha256(version.encode(errors='surrogateescape')).hexdigest()[:16]}-{index:06}-"
