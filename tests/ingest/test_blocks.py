"""recording/ingest/blocks.py: a size becomes blocks; which of them are staged, and what was sent of them."""

import hashlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recording.ingest import blocks
from recording.ingest.blocks import LARGEST_BLOCK, MOST_BLOCKS, SMALLEST_BLOCK, Block
from tests.support.facts import MIB

# 4.75 TiB is the largest block blob; the plan for it has 50,000 blocks, so the sizes are kept to what is quick.
SIZES = st.integers(1, 40_000 * MIB)
LARGEST = st.integers(4, 4000).map(lambda mib: mib * MIB)
STREAMS = st.integers(1, 64)


@given(SIZES, LARGEST, STREAMS)
@example(1, 4 * MIB, 64)
@example(4 * MIB, 4 * MIB, 1)
@example(4 * MIB + 1, 4 * MIB, 1)
@example(1_500_000_000, 32 * MIB, 8)
def test_a_plan_covers_every_byte_once(size: int, largest: int, streams: int) -> None:
    """Blocks follow each other from the first byte to the last, without gap or overlap."""
    plan = blocks.plan_blocks(size, largest=largest, streams=streams)

    end = 0
    for index, block in enumerate(plan):
        assert (index, end) == (block.index, block.offset)
        assert block.length > 0
        end = block.offset + block.length
    assert size == end


@given(SIZES, LARGEST, STREAMS)
def test_blocks_are_as_large_as_they_may_be(size: int, largest: int, streams: int) -> None:
    """No block has more than the largest; none but the last has less than the smallest or differs."""
    *equal, last = blocks.plan_blocks(size, largest=largest, streams=streams)

    assert len({block.length for block in equal}) <= 1
    assert all(SMALLEST_BLOCK <= block.length <= largest for block in equal)
    assert all(last.length <= block.length for block in equal)
    assert last.length <= largest


@pytest.mark.parametrize(
    "size", [MOST_BLOCKS * 4 * MIB, MOST_BLOCKS * 4 * MIB + 1, MOST_BLOCKS * 5 * MIB, MOST_BLOCKS * LARGEST_BLOCK]
)
def test_only_the_limit_of_blocks_makes_them_larger(size: int) -> None:
    """Where the largest would need more than 50,000 blocks they grow, just enough."""
    plan = blocks.plan_blocks(size, largest=4 * MIB, streams=8)

    assert len(plan) <= MOST_BLOCKS
    assert (size, -(-size // MOST_BLOCKS)) == (plan[-1].offset + plan[-1].length, plan[0].length)
    assert plan[0].length <= LARGEST_BLOCK


@pytest.mark.parametrize(
    ("size", "lengths"),
    [
        (1, [1]),
        (4 * MIB, [4 * MIB]),
        (12 * MIB, [4 * MIB] * 3),
        (64 * MIB, [8 * MIB] * 8),
        (256 * MIB, [32 * MIB] * 8),
        (272 * MIB, [17 * MIB] * 16),
    ],
)
def test_a_chunk_is_cut_so_that_every_stream_has_work(size: int, lengths: list[int]) -> None:
    """The last round of blocks is as full as the others, but no request moves less than 4 MiB for it."""
    assert lengths == [block.length for block in blocks.plan_blocks(size, largest=32 * MIB, streams=8)]


@pytest.mark.parametrize("size", [0, -1])
def test_no_plan_for_nothing(size: int) -> None:
    """A size that no document has is a bug of the caller."""
    with pytest.raises(ValueError, match="size must be positive"):
        blocks.plan_blocks(size, largest=4 * MIB, streams=1)


def test_one_block_for_all() -> None:
    """A source that ignores ranges is copied in one block, up to the service's limit."""
    assert (Block(0, 0, LARGEST_BLOCK),) == blocks.single_block(LARGEST_BLOCK)
    with pytest.raises(ValueError, match="don't fit in one block"):
        blocks.single_block(LARGEST_BLOCK + 1)


@given(st.text(max_size=200), st.integers(0, MOST_BLOCKS - 1), st.integers(0, MOST_BLOCKS - 1))
def test_ids_are_of_one_length_and_in_order(version: str, one: int, other: int) -> None:
    """Ids of a document are equally long, short enough for the service, and sort as the blocks do."""
    first, second = blocks.block_id(version, one), blocks.block_id(version, other)

    assert len(first) == len(second) == 64
    assert (one < other) == (first < second)


def test_ids_of_two_versions_differ() -> None:
    """A block of another version of the document is never taken for one of this."""
    assert blocks.block_id('"0x1"|5', 0) != blocks.block_id('"0x2"|5', 0)


def test_a_version_may_be_any_bytes() -> None:
    """An ETag needn't be text (RFC 9110, 8.8.3): aiohttp gives such a byte as half of a surrogate pair."""
    assert blocks.block_id('"\udce9"|5', 0) != blocks.block_id('"\udce8"|5', 0)


@given(st.data(), st.integers(1, 200 * MIB))
def test_what_was_staged_and_what_was_sent(data: st.DataObject, size: int) -> None:
    """A block counts only with its whole length and one receipt; those of other versions count for nothing."""
    plan = blocks.plan_blocks(size, largest=4 * MIB, streams=1)
    staged, wrong, noted, twice = (data.draw(st.sets(st.sampled_from(plan))) for _ in range(4))
    digests = {b.index: hashlib.sha256(str(b.index).encode()).hexdigest() for b in plan}
    listed = {blocks.block_id("v", b.index): b.length - 1 if b in wrong else b.length for b in staged}
    listed |= {blocks.receipt_id("v", b.index, digests[b.index]): 1 for b in noted | twice}
    listed |= {blocks.receipt_id("v", b.index, "f" * 64): 1 for b in twice}
    for b in plan:
        listed |= {blocks.block_id("older", b.index): b.length, blocks.receipt_id("older", b.index, "a" * 64): 1}

    found = blocks.receipts(plan, version="v", staged=listed)

    assert {b.index: digests[b.index][: blocks.DIGEST] for b in (staged & noted) - wrong - twice} == found
    assert {64} == {len(name) for name in listed}
