"""recording/ingest/blocks.py: a size becomes ranges, a range blocks; which of them are staged, and what they have."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recording.ingest import blocks
from recording.ingest.blocks import MOST_BLOCKS, MOST_RANGES, SMALLEST_BLOCK, Block
from tests.support.facts import MIB

# 4.75 TiB is the largest block blob; the plan for it has 50,000 blocks, so the sizes are kept to what is quick.
SIZES = st.integers(1, 40_000 * MIB)
LARGEST = st.integers(4, 4000).map(lambda mib: mib * MIB)
STREAMS = st.integers(1, 64)
FIRST = 8 * MIB


def covers(plan: list[Block] | tuple[Block, ...], size: int) -> bool:
    """Return whether blocks follow each other from the first byte to the last, without gap or overlap."""
    ends = [0, *(block.end for block in plan)]
    return [block.offset for block in plan] == ends[:-1] and ends[-1] == size and all(b.length > 0 for b in plan)


@given(SIZES, LARGEST, STREAMS)
@example(1, 4 * MIB, 64)
@example(8 * MIB, 8 * MIB, 1)
@example(8 * MIB + 1, 8 * MIB, 1)
@example(1_500_000_000, 32 * MIB, 8)
def test_a_plan_covers_every_byte_once(size: int, largest: int, streams: int) -> None:
    """And its groups, of which the commit has the CRC64s, cover it as well."""
    plan = blocks.plan_ranges(size, first=min(FIRST, largest), largest=largest, streams=streams)
    groups = blocks.proof_ranges(plan)

    assert covers(plan, size)
    assert plan == tuple(block for group in groups for block in group)
    assert len(groups) <= MOST_RANGES
    # As facts describe them: the first, then equal ones, then the rest.
    lengths = [sum(block.length for block in group) for group in groups]
    assert len(set(lengths[1:-1])) <= 1
    assert lengths[-1] <= max(lengths[1:], default=lengths[0])
    assert lengths[0] == plan[0].length


@given(SIZES, LARGEST, STREAMS)
def test_ranges_are_as_large_as_they_may_be(size: int, largest: int, streams: int) -> None:
    """None has more than the largest; none but the first and the last less than the smallest, or another length."""
    _, *others = blocks.plan_ranges(size, first=min(FIRST, largest), largest=largest, streams=streams)

    assert len({block.length for block in others[:-1]}) <= 1
    assert all(SMALLEST_BLOCK <= block.length <= largest for block in others[:-1])
    assert all(block.length <= largest for block in others)


@pytest.mark.parametrize("size", [MOST_BLOCKS * 4 * MIB, MOST_BLOCKS * 4 * MIB + 1, MOST_BLOCKS * 5 * MIB])
def test_only_the_limit_of_blocks_makes_them_larger(size: int) -> None:
    """Where the largest would need more than 50,000 blocks they grow, just enough."""
    plan = blocks.plan_ranges(size, first=4 * MIB, largest=4 * MIB, streams=8)

    assert len(plan) <= MOST_BLOCKS
    assert covers(plan, size)


@pytest.mark.parametrize(
    ("size", "lengths"),
    [
        (1, [1]),
        (8 * MIB, [8 * MIB]),
        (12 * MIB, [8 * MIB, 4 * MIB]),
        (64 * MIB, [8 * MIB] * 8),
        (78 * MIB, [8 * MIB] + [10 * MIB] * 7),
        (232 * MIB, [8 * MIB] + [32 * MIB] * 7),
    ],
)
def test_a_chunk_is_cut_so_that_every_stream_has_work(size: int, lengths: list[int]) -> None:
    """No request moves less than 4 MiB for it."""
    plan = blocks.plan_ranges(size, first=FIRST, largest=32 * MIB, streams=8)
    assert lengths == [block.length for block in plan]


@pytest.mark.parametrize("size", [0, -1])
def test_no_plan_for_nothing(size: int) -> None:
    """A size that no document has is a bug of the caller."""
    with pytest.raises(ValueError, match="size must be positive"):
        blocks.plan_ranges(size, first=FIRST, largest=FIRST, streams=1)


@given(st.integers(1, 500), st.data())
def test_a_range_is_halved_until_its_parts_are_staged_or_short(size: int, data: st.DataObject) -> None:
    """In whatever lengths it was staged, at one time or several: the parts make up the range."""
    whole, staged = Block(7, size), set[Block]()
    for longest in data.draw(st.lists(st.integers(1, 500), max_size=3)):
        parts = blocks.divide(whole, longest=longest, staged=dict.fromkeys(staged))
        staged |= data.draw(st.sets(st.sampled_from(parts)))

    longest = data.draw(st.integers(1, 500))
    parts = blocks.divide(whole, longest=longest, staged=dict.fromkeys(staged))

    assert covers([Block(part.offset - 7, part.length) for part in parts], size)
    assert all(part in staged or part.length <= longest for part in parts)


@given(st.lists(st.integers(2, 60), min_size=1, max_size=20), st.integers(2, 100))
def test_a_second_reading_overlaps_each_two_neighbours_of_the_first(lengths: list[int], longest: int) -> None:
    """Each end of the first lies within a block of the second, none of which is too long."""
    plan, offset = [], 0
    for length in lengths:
        plan.append(Block(offset, length))
        offset += length

    across = blocks.shifted(plan, longest=longest)

    assert covers(across, offset)
    assert all(block.length <= longest for block in across)
    assert not {before.end for before, _ in pairwise(plan)} & {block.end for block in across}


def test_a_last_byte_of_its_own_is_read_with_what_comes_before() -> None:
    """Where it is cut, too."""
    plan = [Block(0, 4096), Block(4096, 1)]
    assert (Block(0, 2048), Block(2048, 2049)) == blocks.shifted(plan, longest=4096)


@given(st.text(max_size=200), st.integers(0, 2**47), st.integers(1, 2**32 - 1))
def test_ids_are_of_one_length(version: str, offset: int, length: int) -> None:
    """Ids of a document are equally long, as those of the version before were, and short enough for the service."""
    name = blocks.block_id(version, Block(offset, length), "0a1b2c3d")

    assert {64} == {len(name), len(blocks.receipt_id(name, 2**64 - 1)), len(blocks.note_id(version, length))}
    assert (True, False, False) == tuple(
        map(blocks.is_block, (name, blocks.receipt_id(name, 0), blocks.note_id(version, length)))
    )


def test_a_version_may_be_any_bytes() -> None:
    """An ETag needn't be text (RFC 9110, 8.8.3): aiohttp gives such a byte as half of a surrogate pair."""
    one, other = (blocks.block_id(version, Block(0, 5), "0a1b2c3d") for version in ('"\udce9"|5', '"\udce8"|5'))
    assert one != other


@given(st.data(), st.integers(1, 200 * MIB))
def test_what_is_staged_and_proved(data: st.DataObject, size: int) -> None:
    """A block counts only with its whole length and its own receipt; other versions and other requests do no harm."""
    plan = blocks.plan_ranges(size, first=4 * MIB, largest=4 * MIB, streams=1)
    staged, wrong, noted = (data.draw(st.sets(st.sampled_from(plan))) for _ in range(3))
    ids = {block: blocks.block_id("v", block, "0a1b2c3d") for block in plan}
    listed = {ids[b]: b.length - 1 if b in wrong else b.length for b in staged}
    listed |= {blocks.receipt_id(ids[b], b.offset): 1 for b in noted}
    for b in plan:
        other = blocks.block_id("older", b, "0a1b2c3d")
        listed |= {other: b.length, blocks.receipt_id(other, 5): 1, blocks.block_id("v", b, "ffffffff"): b.length}
    listed |= {"0123456789abcdef-000000-" + "0" * 40: 5, "0123456789abcdef-000000-" + "a" * 40: 1}

    assert {b: (ids[b], b.offset) for b in (staged & noted) - wrong} == blocks.receipts("v", listed)
    assert {b: (ids[b], b.offset) for b in noted} == blocks.receipts("v", listed, read_only=True)


def test_notes_are_no_blocks() -> None:
    """They only say a number."""
    listed = {blocks.note_id("v", 4096): 1, blocks.note_id("v", 8192): 1, blocks.note_id("w", 1): 1}

    assert {len(blocks.note_id("v", 5 * 2**30))} == {len(name) for name in listed}
    assert [4096, 8192] == sorted(blocks.notes("v", listed))
    assert {} == blocks.receipts("v", listed, read_only=True)
