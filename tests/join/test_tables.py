"""recording/join/tables.py: sample tables, beside what plain lists of samples say."""

from itertools import accumulate
from struct import pack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recording.join import tables
from recording.join.mp4 import Edit
from recording.join.mp4_join import JoinedTrack, _rescaled
from recording.join.refusals import Unjoinable
from recording.join.tables import Tables
from tests.support.vectors import box

# The samples of each media chunk, each with its size; durations and shifts of all samples are drawn beside them.
CHUNKS = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=5), min_size=1, max_size=12)


def runs(values: list[int]) -> bytes:
    """Return a table of runs, one entry for each sample."""
    return b"".join(pack(">II", 1, value & 0xFFFF_FFFF) for value in values)


def made(chunks: list[list[int]], durations: list[int] | None = None, shifts: list[int] | None = None) -> Tables:
    """Return the tables of media chunks that lie 100 bytes apart."""
    sizes = [size for chunk in chunks for size in chunk]
    starts = b"".join(
        pack(">III", number, len(chunk), 1)
        for number, chunk in enumerate(chunks, 1)
        if number == 1 or len(chunk) != len(chunks[number - 2])
    )
    return Tables(
        count=len(sizes),
        sizes=pack(f">{len(sizes)}I", *sizes),
        durations=runs(durations or [1] * len(sizes)),
        shifts=runs(shifts) if shifts else b"",
        keys=None,
        runs=starts,
        offsets=b"".join(pack(">I", 1000 + 100 * number) for number in range(len(chunks))),
        width=4,
    )


def listed(found: Tables) -> list[tuple[int, int]]:
    """Return place and size of each sample."""
    sizes = tables.numbers(found.sizes, 4)
    places = []
    for place, sample, samples in found.media_chunks():
        for number in range(sample, sample + samples):
            places.append((place, sizes[number]))
            place += sizes[number]
    return places


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(CHUNKS)
def test_media_chunks_and_extent_are_those_of_the_samples(chunks: list[list[int]]) -> None:
    """Each sample lies behind the one before it in its media chunk."""
    expected = []
    for number, chunk in enumerate(chunks):
        begins = [1000 + 100 * number + before for before in accumulate(chunk[:-1], initial=0)]
        expected += list(zip(begins, chunk, strict=True))

    found = made(chunks)

    assert expected == listed(found)
    assert (1000, max(place + size for place, size in expected)) == found.extent()


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(CHUNKS, st.integers(1, 60))
def test_the_first_samples_are_those_of_all(chunks: list[list[int]], count: int) -> None:
    """Wherever it is cut, in a media chunk or between two."""
    whole = made(chunks)
    cut = whole.first(count)

    assert listed(whole)[:count] == listed(cut)
    assert min(count, whole.count) == cut.count == len(cut.sizes) // 4


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(CHUNKS, CHUNKS, CHUNKS)
def test_joined_tables_are_those_of_one_after_the_other(
    first: list[list[int]], second: list[list[int]], third: list[list[int]]
) -> None:
    """Runs that go on are one run; media chunks are where they were moved to."""
    parts = (first, second, third)
    joined = JoinedTrack(8, Edit())
    expected = []
    for number, chunks in enumerate(parts):
        one = made(chunks)
        joined.add(one, 10_000 * number, one.durations)
        expected += [(place + 10_000 * number, size) for place, size in listed(one)]
    moved = [place + one.shift for one in joined.offsets for place in tables.numbers(one.table, one.width)]
    found = Tables(joined.count, b"".join(joined.sizes), bytes(joined.durations), b"", None, bytes(joined.runs), b"", 4)
    table = Tables(found.count, found.sizes, found.durations, b"", None, found.runs, pack(f">{len(moved)}I", *moved), 4)

    assert expected == listed(table)
    assert joined.count == joined.time
    assert pack(">II", joined.count, 1) == bytes(joined.durations)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(1, 50), st.integers(-30, 90)), min_size=1, max_size=200))
def test_the_last_picture_shown_is_found_among_those_that_are_reordered(samples: list[tuple[int, int]]) -> None:
    """It needn't be the last one decoded."""
    durations, shifts = [one[0] for one in samples], [one[1] for one in samples]
    begins = [0, *accumulate(durations)]
    late = slice(-64, None)
    ends = [begin + shift + length for begin, (length, shift) in zip(begins, samples, strict=False)]

    assert max(0, *ends[late]) == made([[1]] * len(samples), durations, shifts).last_shown()


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(1, 50), min_size=1, max_size=50), st.integers(0, 2000))
def test_samples_before_a_time_are_counted(durations: list[int], time: int) -> None:
    """One that begins at it isn't."""
    begins = [0, *accumulate(durations)][:-1]

    assert sum(begin < time for begin in begins) == made([[1]] * len(durations), durations).first_after(time)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.integers(1, 20), st.integers(1, 5000)), min_size=1, max_size=20),
    st.fractions(min_value="1/100", max_value=100, max_denominator=90_000),
)
def test_in_other_units_each_sample_begins_where_it_did_to_half_a_unit(
    entries: list[tuple[int, int]], ratio: object
) -> None:
    """Errors don't add up."""
    found = _rescaled(b"".join(pack(">II", *entry) for entry in entries), ratio)  # type: ignore[arg-type]
    before = [0, *accumulate(duration for count, duration in entries for _ in range(count))]
    after = [0, *accumulate(duration for count, duration in tables_pairs(found) for _ in range(count))]

    assert len(before) == len(after)
    assert all(abs(one * ratio - two) <= 0.5 for one, two in zip(before, after, strict=True))  # type: ignore[operator]


def tables_pairs(found: bytes) -> list[tuple[int, int]]:
    """Return the entries of a table of runs."""
    numbers = tables.numbers(found, 4)
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def test_key_frames_are_listed_as_soon_as_one_chunk_has_others() -> None:
    """Without a list every picture is one, and a seek would show garbage."""
    joined = JoinedTrack(8, Edit())
    every = made([[1, 1, 1]])
    some = Tables(3, every.sizes, every.durations, b"", pack(">II", 1, 3), every.runs, every.offsets, 4)

    for one in (every, some, every):
        joined.add(one, 0, one.durations)

    assert [1, 2, 3, 4, 6, 7, 8, 9] == list(tables.numbers(bytes(joined.keys or b""), 4))


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(1 << 20, (1 << 32) - (1 << 20)), max_size=9), st.integers(-(1 << 20), (1 << 20) - 1))
def test_a_whole_table_is_moved_at_once(places: list[int], by: int) -> None:
    """As each of its numbers would be."""
    assert [place + by for place in places] == list(
        tables.numbers(tables.moved(pack(f">{len(places)}I", *places), 4, by), 4)
    )


def stbl(**changed: bytes) -> bytes:
    """Return the tables of three samples in two media chunks, some of them changed."""
    bodies = {
        "stts": bytes(4) + pack(">III", 1, 3, 1024),
        "stsc": bytes(4) + pack(">IIIIIII", 2, 1, 2, 1, 2, 1, 1),
        "stsz": bytes(4) + pack(">IIIII", 0, 3, 7, 8, 9),
        "stco": bytes(4) + pack(">III", 2, 100, 200),
    } | changed
    return b"".join(box(kind.encode(), body) for kind, body in bodies.items() if body)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"stsz": b""}, "its index has no tables"),
        ({"stz2": bytes(12)}, "its index has sizes of less than 32 bits"),
        ({"stsz": bytes(4) + pack(">III", 0, 3, 7)}, "a table is shorter than it says"),
        ({"stco": bytes(4) + pack(">II", 2, 100)}, "a table is shorter than it says"),
        ({"stco": bytes(4) + pack(">II", 1, 100)}, "the runs of its media are out of order"),
        ({"stsc": bytes(4) + pack(">IIIIIII", 2, 2, 2, 1, 1, 1, 1)}, "the runs of its media are out of order"),
        ({"stsc": bytes(4) + pack(">IIIIIII", 2, 1, 2, 1, 2, 1, 2)}, "its coding changes partway through"),
        ({"stsc": bytes(4) + pack(">IIII", 1, 1, 2, 1)}, "its tables contradict each other"),
        ({"stts": bytes(4) + pack(">III", 1, 2, 1024)}, "its tables contradict each other"),
        ({"ctts": bytes(4) + pack(">III", 1, 4, 0)}, "its tables contradict each other"),
        ({"stss": bytes(4) + pack(">II", 1, 4)}, "key frames are out of range"),
        ({"stsz": bytes(4) + pack(">II", 7, 1 << 31)}, "its index has 2147483648 entries"),
    ],
)
def test_damaged_tables_are_refused(changed: dict[str, bytes], message: str) -> None:
    """Before anything is derived from them."""
    found = stbl(**changed)

    with pytest.raises(Unjoinable, match=message):
        tables.read(memoryview(found), 0, len(found))


def test_tables_are_read() -> None:
    """With equal sizes as with different ones, and with 64-bit places."""
    plain = stbl()
    wide = stbl(stco=b"", co64=bytes(4) + pack(">IQQ", 2, 100, 200), stsz=bytes(4) + pack(">II", 7, 3))

    assert [(100, 7), (107, 8), (200, 9)] == listed(tables.read(memoryview(plain), 0, len(plain)))
    assert [(100, 7), (107, 7), (200, 7)] == listed(tables.read(memoryview(wide), 0, len(wide)))
