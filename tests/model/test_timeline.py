"""recording/model/timeline.py: where on the clock a recording has media, and where it has none."""

import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording.model.metadata_file import Pause
from recording.model.timeline import Piece, Span, draw

BEGIN = datetime(2026, 3, 1, 10, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """Return a time of the recording."""
    return BEGIN + timedelta(seconds=seconds)


def chunk(index: int, start: float | None, seconds: float | None, *pauses: tuple[float, float], **more: Any) -> Piece:
    """Make a chunk by seconds: its start, the duration of its metadata file, and pauses by start and length."""
    return Piece(
        index,
        more.pop("kind", "recorded"),
        start=None if start is None else at(start),
        duration_ms=None if seconds is None else seconds * 1000,
        pauses=tuple(Pause(start=at(since), ms=length * 1000) for since, length in pauses),
        **more,
    )


def drawn(*pieces: Piece, end: float | None = None) -> list[tuple[object, ...]]:
    """Draw a timeline, as kind, begin and end in seconds, chunks, and offset in seconds."""
    spans = draw(pieces, begin=BEGIN, end=None if end is None else at(end))
    return [_plain(span) for span in spans]


def _plain(span: Span) -> tuple[object, ...]:
    begin, end = ((time - BEGIN).total_seconds() for time in (span.begin, span.end))
    offset = () if span.offset_ms is None else (span.offset_ms / 1000,)
    return (span.kind, begin, end, *span.chunks, *offset)


def test_chunks_that_join_are_one_after_the_other() -> None:
    """Less than a second between two is no gap."""
    assert [("recorded", 0, 10, 0, 0), ("recorded", 10.5, 20.5, 1, 0)] == drawn(chunk(0, 0, 10), chunk(1, 10.5, 10))


def test_chunks_come_in_any_order() -> None:
    """Their starts decide, and not the order of the list."""
    pieces = [chunk(2, 20, 5), chunk(0, 0, 10), chunk(1, 10, 10)]

    assert [0, 1, 2] == [found[3] for found in drawn(*pieces)]


def test_a_pause_within_a_chunk_divides_it() -> None:
    """Behind it the media continues from there."""
    assert [("recorded", 0, 4, 0, 0), ("paused", 4, 7), ("recorded", 7, 13, 0, 4)] == drawn(
        chunk(0, 0, 10, (4, 3), media_ms=10_000)
    )


@pytest.mark.parametrize("said", [10.0, 13.0])
def test_the_media_tells_whether_the_duration_counts_pauses(said: float) -> None:
    """10 s of media and a pause of 3 s are 13 s on the clock, whichever of them the metadata file says."""
    assert 13 == drawn(chunk(0, 0, said, (4, 3), media_ms=10_000))[-1][2]


def test_the_next_chunk_tells_it_where_the_media_does_not() -> None:
    """13 s that end where the next chunk begins count their pause."""
    assert ("recorded", 7, 13, 0, 4) in drawn(chunk(0, 0, 13, (4, 3)), chunk(1, 13, 5))
    assert ("recorded", 7, 13, 0, 4) in drawn(chunk(0, 0, 10, (4, 3)), chunk(1, 13, 5))


def test_a_pause_that_begins_after_the_duration_is_not_counted_in_it() -> None:
    """A recording of 5 s, paused at 5.5, can't have had the pause in its 5 s."""
    assert ("recorded", 9, 9.5, 0, 5) not in drawn(chunk(0, 0, 5, (5.5, 3)))
    assert 8 == max(found[2] for found in drawn(chunk(0, 0, 5, (5.5, 3))))  # type: ignore[type-var]


def test_a_pause_at_the_beginning_of_a_chunk() -> None:
    """No empty span of media before it."""
    assert [("paused", 0, 3), ("recorded", 3, 13, 0, 0)] == drawn(chunk(0, 0, 10, (0, 3), media_ms=10_000))


def test_a_pause_at_the_end_of_a_chunk_reaches_to_the_next() -> None:
    """What it covers between them is no gap."""
    pieces = chunk(0, 0, 10, (10, 5), media_ms=10_000), chunk(1, 20, 5)

    assert [("recorded", 0, 10, 0, 0), ("paused", 10, 15), ("gap", 15, 20), ("recorded", 20, 25, 1, 0)] == drawn(
        *pieces
    )


def test_a_pause_before_the_chunk_that_names_it() -> None:
    """It lies between the chunks."""
    assert [("recorded", 0, 10, 0, 0), ("paused", 10, 20), ("recorded", 20, 25, 1, 0)] == drawn(
        chunk(0, 0, 10), chunk(1, 20, 5, (10, 10), media_ms=5_000)
    )


def test_pauses_that_overlap_are_one() -> None:
    """Two files may name the same pause."""
    assert [("recorded", 0, 4, 0, 0), ("paused", 4, 8), ("recorded", 8, 14, 0, 4)] == drawn(
        chunk(0, 0, 10, (4, 3), (5, 3), media_ms=10_000)
    )


def test_what_nobody_explains_is_a_gap() -> None:
    """More than a second between two chunks, and no pause."""
    assert ("gap", 10, 12) in drawn(chunk(0, 0, 10), chunk(1, 12, 5))


def test_a_lost_chunk_between_others_reaches_from_one_to_the_other() -> None:
    """It has no metadata file."""
    assert [("recorded", 0, 10, 0, 0), ("lost", 10, 30, 1), ("recorded", 30, 35, 2, 0)] == drawn(
        chunk(0, 0, 10), chunk(1, None, None, kind="lost"), chunk(2, 30, 5)
    )


def test_lost_chunks_in_a_row_are_one_span() -> None:
    """Nothing says where one of them ended."""
    assert [("recorded", 0, 10, 0, 0), ("lost", 10, 30, 1, 2), ("recorded", 30, 35, 3, 0)] == drawn(
        chunk(0, 0, 10), chunk(1, None, None, kind="lost"), chunk(2, None, None, kind="lost"), chunk(3, 30, 5)
    )


def test_lost_chunks_at_both_ends_are_bounded_by_the_recording() -> None:
    """Its event says when it began and how long it was."""
    pieces = chunk(0, None, None, kind="lost"), chunk(1, 10, 10), chunk(2, None, None, kind="lost")

    assert [("lost", 0, 10, 0), ("recorded", 10, 20, 1, 0), ("lost", 20, 40, 2)] == drawn(*pieces, end=40)
    assert ("lost", 20, 20, 2) == drawn(*pieces)[-1]


def test_a_lost_chunk_with_its_metadata_file_has_a_time_of_its_own() -> None:
    """Only its media is gone."""
    assert ("lost", 12, 20, 1) in drawn(chunk(0, 0, 10), chunk(1, 12, 8, kind="lost"), chunk(2, 30, 5))


def test_a_lost_chunk_takes_no_time_from_the_one_after_it() -> None:
    """Its length is a claim, the media of the other is there."""
    assert [("recorded", 0, 10, 0, 0), ("lost", 10, 12, 1), ("recorded", 12, 17, 2, 0)] == drawn(
        chunk(0, 0, 10), chunk(1, 10, 60, kind="lost"), chunk(2, 12, 5)
    )


def test_what_is_not_proved_says_so() -> None:
    """With its offset: it may be there nevertheless."""
    assert [("notProved", 0, 10, 0, 0)] == drawn(chunk(0, 0, 10, kind="notProved"))


def test_media_without_a_metadata_file_lies_between_its_neighbours() -> None:
    """As long as the media is, or else up to the next chunk."""
    assert ("recorded", 10, 16, 1, 0) in drawn(chunk(0, 0, 10), chunk(1, None, None, media_ms=6_000), chunk(2, 20, 5))
    assert ("recorded", 10, 20, 1, 0) in drawn(chunk(0, 0, 10), chunk(1, None, None), chunk(2, 20, 5))


def test_no_chunk_is_missing_even_if_nothing_is_known_of_it() -> None:
    """It has no length then."""
    assert [("recorded", 0, 0, 0, 0)] == drawn(chunk(0, None, None))
    assert [0, 1] == [found[3] for found in drawn(chunk(0, 0, 10), chunk(1, 2, 3))]


def test_media_that_overlaps_is_cut() -> None:
    """Clocks drift: of the later chunk the part behind the earlier one is drawn, with its offset."""
    assert [("recorded", 0, 10, 0, 0), ("recorded", 10, 19, 1, 1)] == drawn(chunk(0, 0, 10), chunk(1, 9, 10))


SECONDS = st.one_of(st.none(), st.integers(0, 100))
PIECES = st.builds(
    lambda index, start, seconds, pauses, kind, media: chunk(
        index, start, seconds, *pauses, kind=kind, media_ms=None if media is None else media * 1000
    ),
    st.integers(0, 9),
    SECONDS,
    SECONDS,
    st.lists(st.tuples(st.integers(0, 100), st.integers(0, 20)), max_size=3),
    st.sampled_from(["recorded", "lost", "notProved"]),
    SECONDS,
)


@given(st.lists(PIECES, max_size=6), SECONDS)
def test_spans_are_in_order_and_never_overlap(pieces: list[Piece], end: int | None) -> None:
    """Whatever metadata files say, and every chunk is on the timeline."""
    spans = draw(pieces, begin=BEGIN, end=None if end is None else at(end))

    assert all(span.begin <= span.end for span in spans)
    assert all(one.end <= other.begin for one, other in pairwise(spans))
    named = {index for span in spans for index in span.chunks}
    in_a_pause = {piece.index for piece in pieces} - named
    assert not in_a_pause or any(span.kind == "paused" for span in spans)


def test_times_at_the_end_of_the_calendar_do_no_harm() -> None:
    """Lengths come from outside."""
    late = datetime(9999, 12, 31, 23, tzinfo=UTC)
    piece = Piece(0, "recorded", start=late, duration_ms=1e10, pauses=(Pause(start=late, ms=1e10),))

    assert draw([piece], begin=late, end=None)[0].end.year == 9999


def test_a_recording_of_many_chunks_is_drawn_at_once() -> None:
    """Thousands of them, half without a time, every one with a pause: far below a second."""
    pieces = [chunk(number, number * 10 if number % 2 else None, 9, (number * 10 + 3, 1)) for number in range(10_000)]
    began = time.process_time()

    spans = draw(pieces, begin=BEGIN, end=None)

    assert 10_000 == len({index for span in spans for index in span.chunks})
    assert time.process_time() - began < 3
