"""Pure: divide the pieces of a joined file into the blocks of its blob.

Ranges of chunks are cut where ingest has cut its blocks, whose CRC64 is recorded. Of a block that lies in the range
only in part, the rest was read with the head of its chunk, so the CRC64 of the part follows by arithmetic. So the
expected CRC64 of each block is known before storage copies it; of chunks that an older version ingested it isn't.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from recording import crc64
from recording.join.parts import Bytes, Range, Silence
from recording.model.proof import ByteRange

# Neighbouring ranges are copied as one block up to this length, and longer ones are divided: an answer comes within
# seconds, and a block that failed is cheap to repeat.
LARGEST = 100 * 1024 * 1024
# Of a blob (docs/azure-storage.md#uploads).
MOST_BLOCKS = 50_000


@dataclass(frozen=True)
class Edges:
    """The bytes of a chunk beside a range of it that share an ingested block with it: before and behind it."""

    front: Range
    end: Range


@dataclass(frozen=True)
class CopyBlock:
    """A block that storage copies from the chunk at `place`.

    Blocks with the same `whole` belong together: the CRC64 of these bytes of the chunk is known, theirs aren't.
    """

    place: int
    part: ByteRange
    whole: ByteRange | None = None

    @property
    def size(self) -> int:
        """Return the number of bytes."""
        return self.part.length


@dataclass(frozen=True)
class SentBlock:
    """A block that is sent: its bytes are made when they are needed."""

    piece: Bytes | Silence

    @property
    def size(self) -> int:
        """Return the number of bytes."""
        return self.piece.size


type Block = CopyBlock | SentBlock


def edges(wanted: Range, ranges: Sequence[ByteRange]) -> Edges:
    """Return what has to be read beside a range of a chunk, whose ingested `ranges` are known or none."""
    nothing = Edges(Range(wanted.chunk, wanted.begin, wanted.begin), Range(wanted.chunk, wanted.end, wanted.end))
    cut = [one for one in ranges if one.offset < wanted.end and one.offset + one.length > wanted.begin]
    if not cut:
        return nothing
    begin, end = cut[0].offset, cut[-1].offset + cut[-1].length
    return Edges(Range(wanted.chunk, begin, wanted.begin), Range(wanted.chunk, wanted.end, end))


def cut_range(
    wanted: Range, ranges: Sequence[ByteRange], *, front: int, end: int, largest: int = LARGEST
) -> list[CopyBlock]:
    """Divide a range of a chunk into blocks; `front` and `end` are the CRC64s of its edges."""
    joined = _joined(_portions(wanted, ranges, front, end), largest)
    return [block for portion in joined for block in _split(wanted.chunk, portion, largest)]


def _portions(wanted: Range, ranges: Sequence[ByteRange], front: int, end: int) -> Iterable[ByteRange]:
    """Return a range by ingested blocks, each with its CRC64."""
    if wanted.size and not ranges:
        yield ByteRange(wanted.begin, wanted.size)
    for one in ranges:
        begin, stop = max(one.offset, wanted.begin), min(one.offset + one.length, wanted.end)
        if begin >= stop:
            continue
        crc = one.crc64
        if crc is not None and begin > one.offset:
            crc = crc64.of_end(crc, front, one.offset + one.length - begin)
        if crc is not None and stop < one.offset + one.length:
            crc = crc64.of_front(crc, end, one.offset + one.length - stop)
        yield ByteRange(begin, stop - begin, crc)


def _joined(portions: Iterable[ByteRange], largest: int) -> list[ByteRange]:
    """Join neighbours whose CRC64s are known, as long as they fit into a block."""
    found: list[ByteRange] = []
    for one in portions:
        last = found[-1] if found else None
        if last and last.crc64 is not None and one.crc64 is not None and last.length + one.length <= largest:
            crc = crc64.join([(last.crc64, last.length), (one.crc64, one.length)])
            found[-1] = ByteRange(last.offset, last.length + one.length, crc)
        else:
            found.append(one)
    return found


def _split(place: int, portion: ByteRange, largest: int) -> list[CopyBlock]:
    if portion.length <= largest:
        return [CopyBlock(place, portion)]
    end = portion.offset + portion.length
    starts = range(portion.offset, end, largest)
    whole = portion if portion.crc64 is not None else None
    return [CopyBlock(place, ByteRange(start, min(largest, end - start)), whole) for start in starts]
