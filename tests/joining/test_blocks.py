"""recording/joining/blocks.py: ranges of chunks become blocks whose CRC64 is known before they are copied."""

from itertools import batched

from hypothesis import given
from hypothesis import strategies as st

from recording import crc64
from recording.join.parts import Range
from recording.joining.blocks import CopyBlock, cut_range, edges
from recording.model.proof import ByteRange


def ingested(body: bytes, block: int) -> list[ByteRange]:
    """Return the ranges of a chunk that was ingested in blocks of so many bytes."""
    some = [bytes(one) for one in batched(body, block, strict=False)]
    return [ByteRange(number * block, len(one), crc64.crc64(one)) for number, one in enumerate(some)]


def cut(body: bytes, begin: int, end: int, ranges: list[ByteRange], largest: int) -> list[CopyBlock]:
    """Divide a range of a chunk, with the edges read."""
    wanted = Range(0, begin, end)
    beside = edges(wanted, ranges)
    front, behind = (crc64.crc64(body[one.begin : one.end]) for one in (beside.front, beside.end))
    return cut_range(wanted, ranges, front=front, end=behind, largest=largest)


@given(
    st.binary(min_size=1, max_size=200),
    st.integers(1, 70),
    st.integers(1, 90),
    st.integers(0, 199),
    st.integers(0, 199),
)
def test_blocks_are_the_range_and_each_crc_is_that_of_its_bytes(
    body: bytes, block: int, largest: int, one: int, other: int
) -> None:
    """Whatever the sizes, and wherever the range begins and ends within the ingested blocks."""
    begin, end = sorted((min(one, len(body)), min(other, len(body))))
    found = cut(body, begin, end, ingested(body, block), largest)

    pieces = [body[b.part.offset : b.part.offset + b.part.length] for b in found]
    assert b"".join(pieces) == body[begin:end]
    assert all(0 < b.size <= largest for b in found)
    for b, piece in zip(found, pieces, strict=True):
        assert b.part.crc64 in (None, crc64.crc64(piece))
        assert (b.part.crc64 is None) == (b.whole is not None)
    for whole in {b.whole for b in found if b.whole}:
        assert whole.crc64 == crc64.crc64(body[whole.offset : whole.offset + whole.length])
        assert whole.length == sum(b.size for b in found if b.whole == whole)


def test_short_neighbours_are_one_block() -> None:
    """Fewer requests: the CRC64 of two follows from theirs."""
    body = bytes(range(100))
    assert [b.part.length for b in cut(body, 5, 95, ingested(body, 10), 40)] == [35, 40, 15]


def test_without_recorded_crcs_only_the_length_matters() -> None:
    """What an older version has ingested is still copied; nothing is read for it."""
    beside = edges(Range(0, 5, 95), [])
    assert (beside.front.size, beside.end.size) == (0, 0)
    assert cut_range(Range(0, 5, 95), [], front=0, end=0, largest=60) == [
        CopyBlock(0, ByteRange(5, 60)),
        CopyBlock(0, ByteRange(65, 30)),
    ]
