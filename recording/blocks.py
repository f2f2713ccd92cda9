"""Pure arithmetic: a size becomes blocks; which of them are still missing.

The one record of progress is the service's own uncommitted block list, so a block's id says
which version of the source it came from: blocks of two versions can never be committed together.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

MIB = 1024 * 1024
# Below this a request costs more than the bytes it moves (design.md section 8, measured).
SMALLEST_BLOCK = 4 * MIB
# Limits of Blob Storage: https://learn.microsoft.com/azure/storage/blobs/scalability-targets
MOST_BLOCKS = 50_000
LARGEST_BLOCK = 4000 * MIB


@dataclass(frozen=True)
class Block:
    """A byte range of a chunk: bytes `offset` to `offset + length - 1`."""

    index: int
    offset: int
    length: int


def plan(size: int, *, largest: int, streams: int) -> tuple[Block, ...]:
    """Cut `size` bytes into equal blocks, the last one shorter.

    A block has at most `largest` bytes (INGEST_BLOCK_MIB), unless 50,000 blocks don't suffice, and
    not below 4 MiB. In between the length is such that `streams` are all busy to the end: 1.5 GB in
    45 blocks would leave three of eight streams idle in the sixth round (8 % of the time, measured).
    """
    if size <= 0:
        raise ValueError(f"size must be positive, not {size}")
    rounds = -(-size // (streams * largest))
    return cut(size, max(SMALLEST_BLOCK, -(-size // (streams * rounds)), -(-size // MOST_BLOCKS)))


def cut(size: int, length: int) -> tuple[Block, ...]:
    """Cut `size` bytes into blocks of `length`, the last one shorter."""
    return tuple(
        Block(index, offset, min(length, size - offset)) for index, offset in enumerate(range(0, size, length))
    )


def whole(size: int) -> tuple[Block, ...]:
    """Plan one block for all bytes: for a source that ignores `Range`."""
    if size > LARGEST_BLOCK:
        raise ValueError(f"{size} bytes don't fit in one block of {LARGEST_BLOCK}")
    return (Block(0, 0, size),)


def block_id(version: str, index: int) -> str:
    """Name a block: 16 hex digits of the source's version, then the index in fixed width.

    All ids of one blob must be of one length, and the service lists them in alphabetical order.
    """
    # An ETag may hold bytes that are no text (RFC 9110, 8.8.3), which aiohttp gives as halves of surrogate pairs.
    return f"{hashlib.sha256(version.encode(errors='surrogateescape')).hexdigest()[:16]}-{index:06}"


def missing(blocks: tuple[Block, ...], *, version: str, staged: Mapping[str, int]) -> tuple[Block, ...]:
    """Tell which blocks are yet to be staged, given the service's list {block id: bytes}."""
    return tuple(b for b in blocks if staged.get(block_id(version, b.index)) != b.length)
