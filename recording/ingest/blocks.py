"""Pure arithmetic: a size becomes ranges, a range becomes blocks; which of them are staged, and what their CRC64 is.

The only record of progress is the service's own list of uncommitted blocks. A block's id names the version of the
source that its bytes are of and their place in it, so any later attempt can use it, however it divides the file. It
also names the request that staged it: no request ever replaces what another has staged and compared.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

# Below this a request costs more than the bytes it moves (docs/measurements.md#streaming).
SMALLEST_BLOCK = 4 * 1024 * 1024
# Limits of Blob Storage: https://learn.microsoft.com/azure/storage/blobs/scalability-targets
MOST_BLOCKS = 50_000
# CRC64s in the metadata of a blob, which has 8 KiB in all: 5.5 KiB in base64 (docs/azure-storage.md#uploads).
MOST_RANGES = 512
# Blocks of a slow source. A blob can have 100,000 uncommitted blocks: these, their receipts, and other readings.
_SMALLEST_CUT = 4 * 1024
_MOST_CUTS = 8_000
_NO_CRC = "-" * 16
_ID = re.compile(r"(?P<version>[0-9a-f]{16})-(?P<offset>[0-9a-f]{12})-(?P<length>[0-9a-f]{8})-.{8}-(?P<crc>.{16})")


class Block(NamedTuple):
    """A byte range of a chunk: bytes `offset` to `end - 1`."""

    offset: int
    length: int

    @property
    def end(self) -> int:
        """The offset after the last byte."""
        return self.offset + self.length


# Where no block is: the place of notes.
_NOTE = 0xFFFFFFFFFFFF


def plan_ranges(size: int, *, first: int, largest: int, streams: int) -> tuple[Block, ...]:
    """Split `size` bytes into ranges: the first of `first` bytes, the others equal, the last the rest.

    A range has at most `largest` bytes (INGEST_BLOCK_MIB), unless 50,000 such blocks are too few, and at least 4 MiB.
    In between the length is such that all `streams` are busy to the end: 1.5 GB in 45 blocks would leave three of eight
    streams idle in the sixth round (8 % of the time, measured).
    """
    if size <= 0:
        raise ValueError(f"size must be positive, not {size}")
    rest = size - first
    if rest <= 0:
        return (Block(0, size),)
    # One stream has the first range in the first round.
    rounds = -(-(-(-rest // largest) + 1) // streams)
    length = max(SMALLEST_BLOCK, -(-rest // max(1, streams * rounds - 1)), -(-rest // (MOST_BLOCKS - 1)))
    return Block(0, first), *_split(Block(first, rest), length)


def _split(block: Block, length: int) -> tuple[Block, ...]:
    return tuple(Block(offset, min(length, block.end - offset)) for offset in range(block.offset, block.end, length))


def shortest_cut(size: int) -> int:
    """Return the length below which a slow source's blocks are not cut: there may be 8,000, of at least 4 KiB."""
    return max(_SMALLEST_CUT, -(-size // _MOST_CUTS))


def divide(block: Block, *, longest: int, staged: Mapping[Block, object]) -> list[Block]:
    """Halve a range until each part is staged or has at most `longest` bytes.

    So what was staged in longer or shorter blocks before is used, and the parts always make up the range.
    """
    if block in staged or block.length <= max(longest, 1):
        return [block]
    half = block.length // 2
    parts = Block(block.offset, half), Block(block.offset + half, block.length - half)
    return [part for one in parts for part in divide(one, longest=longest, staged=staged)]


def shifted(plan: Sequence[Block], *, longest: int) -> tuple[Block, ...]:
    """Divide the bytes of a plan into blocks of at most `longest`, each end of the plan's in the middle of one.

    If the bytes of both are equal, neighbouring blocks of the plan are of one version.
    """
    ends = {0, plan[-1].end}
    for before, after in pairwise(plan):
        left, right = min(before.length, longest), min(after.length, longest)
        ends |= {before.end - (left - left // 2), after.offset + max(1, right // 2)}
    return tuple(part for first, end in pairwise(sorted(ends)) for part in _split(Block(first, end - first), longest))


def proof_ranges(plan: Sequence[Block]) -> tuple[tuple[Block, ...], ...]:
    """Group the ranges of a plan so that there are at most 512 groups, the first with the first range alone."""
    several = -(-(len(plan) - 1) // (MOST_RANGES - 1)) or 1
    return tuple(plan[:1]), *(tuple(plan[at : at + several]) for at in range(1, len(plan), several))


def block_id(version: str, block: Block, request: str) -> str:
    """Return a block's id; `request` has 8 characters, other ones for each request.

    All ids of one blob must have the same length, 64 bytes at most (docs/azure-storage.md#checksums-in-answers).
    """
    return _id(version, block, request, _NO_CRC)


def receipt_id(block_id: str, crc: int) -> str:
    """Return the id of a block's receipt: one byte, never committed; the answer to the block had this CRC64.

    The next attempt uses a block only with its receipt: the CRC64 is not kept by the service, and the attempt that
    would have noticed other bytes may have been killed.
    """
    return f"{block_id.removesuffix(_NO_CRC)}{crc:016x}"


def is_block(name: str) -> bool:
    """Return whether an id is a block's, not a receipt's or a note's."""
    return name.endswith(_NO_CRC)


def receipts(version: str, staged: Mapping[str, int], *, read_only: bool = False) -> dict[Block, tuple[str, int]]:
    """Return id and CRC64 of each block of a version that has a receipt, given the service's list {block id: bytes}.

    The block itself is staged, too, unless it was `read_only`.
    """
    found: dict[Block, tuple[str, int]] = {}
    for name, place in _of(version, staged):
        block, own = Block(int(place["offset"], 16), int(place["length"], 16)), name[:-16] + _NO_CRC
        if block.offset != _NOTE and not is_block(name) and (read_only or staged.get(own) == block.length):
            found[block] = own, int(place["crc"], 16)
    return found


def note_id(version: str, number: int) -> str:
    """Return the id of a note to the next attempt at a version: one byte, never committed.

    All ids of a blob are equally long: a number has 4 bytes, and no block more.
    """
    return _id(version, Block(_NOTE, min(number, 2**32 - 1)), "noted---", f"{0:016x}")


def notes(version: str, staged: Mapping[str, int]) -> list[int]:
    """Return the numbers that attempts at a version have noted."""
    return [int(place["length"], 16) for _, place in _of(version, staged) if int(place["offset"], 16) == _NOTE]


def _id(version: str, block: Block, request: str, crc: str) -> str:
    return f"{_digest(version)}-{block.offset:012x}-{block.length:08x}-{request}-{crc}"


def _of(version: str, staged: Mapping[str, int]) -> list[tuple[str, re.Match[str]]]:
    """Return the ids of a version with their parts; those of the app's older versions have another form."""
    digest = _digest(version)
    return [(name, place) for name in staged if name.startswith(digest) and (place := _ID.fullmatch(name))]


def _digest(version: str) -> str:
    # An ETag may have bytes that are not text (RFC 9110, 8.8.3), which aiohttp returns as halves of surrogate pairs.
    return hashlib.sha256(version.encode(errors="surrogateescape")).hexdigest()[:16]
