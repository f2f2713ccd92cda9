"""recording/join/chapters.py: where a joined file says what happened on the clock."""

from datetime import UTC, datetime, timedelta
from typing import Any

from recording.join.chapters import chapters
from recording.join.parts import Chapter, Missing, Place
from recording.model.metadata_file import Pause
from recording.model.timeline import Piece, draw

START = datetime(2026, 3, 1, 10, tzinfo=UTC)


def after(minutes: float) -> datetime:
    """Return the time so many minutes after the start."""
    return START + timedelta(minutes=minutes)


def piece(index: int, minutes: float | None, length: float = 10, **more: Any) -> Piece:
    """Return a chunk that begins so many minutes after the start."""
    start = None if minutes is None else after(minutes)
    given: dict[str, Any] = {"kind": "recorded", "start": start, "duration_ms": length * 60_000} | more
    return Piece(index, **given)


def drawn(
    pieces: list[Piece], missing: tuple[Missing, ...] = (), *, seconds: float = 600.096
) -> list[tuple[float, str]]:
    """Return the chapters of a file of all chunks that aren't missing, each of so many seconds."""
    timeline = draw(pieces, begin=START, end=after(60))
    gone = {one.index for one in missing if one.state != "notProved"}
    indexes = [one.index for one in pieces if one.index not in gone]
    places = [Place(number, index, number * seconds, seconds) for number, index in enumerate(indexes)]
    return [(one.at, one.title) for one in chapters(timeline, places, missing)]


def test_each_chunk_has_a_chapter() -> None:
    """With the time of day when it began."""
    assert [(0, "10:00:00Z · chunk 0"), (600.096, "10:10:00Z · chunk 1")] == drawn([piece(0, 0), piece(1, 10)])


def test_a_gap_is_told() -> None:
    """The file has none; the clock has."""
    assert [(0, "10:00:00Z · chunk 0"), (600.096, "10:10:30Z · chunk 1 (after 30 s without media)")] == drawn(
        [piece(0, 0), piece(1, 10.5)]
    )


def test_a_pause_between_two_chunks_is_told() -> None:
    """By itself, and beside a gap."""
    pause = Pause(start=after(10), ms=120_000)

    found = drawn([piece(0, 0), piece(1, 12.5, pauses=(pause,))])

    assert "10:12:30Z · chunk 1 (after a pause of 2 min; after 30 s without media)" == found[1][1]


def test_a_pause_in_a_chunk_has_a_chapter_where_it_ended() -> None:
    """At the place in the media."""
    pause = Pause(start=after(4), ms=90_000)

    assert [(0, "10:00:00Z · chunk 0"), (240, "10:05:30Z · chunk 0, continued (after a pause of 1 min 30 s)")] == drawn(
        [piece(0, 0, 11.5, media_ms=600_000.0, pauses=(pause,))]
    )


def test_lost_chunks_are_named_where_they_would_be() -> None:
    """With their length, as far as it is known."""
    lost = Missing(1, "lost", "chunk 1 is lost")

    assert [(0, "10:00:00Z · chunk 0"), (600.096, "10:20:00Z · chunk 2 (chunk 1 is lost: 10 min)")] == drawn(
        [piece(0, 0), piece(1, None, kind="lost", duration_ms=None), piece(2, 20)], (lost,)
    )


def test_what_is_lost_behind_the_last_chunk_is_named_with_it() -> None:
    """There is no later chapter."""
    lost = (Missing(1, "lost", "chunk 1 is lost"), Missing(2, "waiting", "chunk 2 is not in storage yet"))
    found = drawn(
        [
            piece(0, 0),
            piece(1, None, kind="lost", duration_ms=None),
            piece(2, None, kind="notProved", duration_ms=None),
        ],
        lost,
    )

    assert 1 == len(found)
    assert "chunk 1 is lost" in found[0][1]
    assert "chunk 2 is not in storage yet" in found[0][1]


def test_a_chunk_that_is_not_proved_says_so() -> None:
    """In the chapter of its own."""
    unproved = Missing(1, "notProved", "chunk 1 is not proved")

    assert "10:10:00Z · chunk 1 (not proved)" == drawn([piece(0, 0), piece(1, 10, kind="notProved")], (unproved,))[1][1]


def test_a_damaged_chunk_is_named_though_its_bytes_are_kept() -> None:
    """The timeline has it as recorded."""
    damaged = Missing(1, "damaged", "chunk 1 is damaged: it has no index of its media")

    found = drawn([piece(0, 0), piece(1, 10), piece(2, 20)], (damaged,))

    assert "10:20:00Z · chunk 2 (chunk 1 is damaged: it has no index of its media: 10 min)" == found[1][1]


def test_a_length_names_no_chunk() -> None:
    """A pause of ten minutes doesn't stand for chunk 10, of which the timeline knows nothing."""
    pause = Pause(start=after(10), ms=600_000)

    found = drawn([piece(0, 0), piece(1, 20, pauses=(pause,))], (Missing(10, "lost", "chunk 10 is lost"),))

    assert "10:20:00Z · chunk 1 (after a pause of 10 min) (then chunk 10 is lost)" == found[-1][1]


def test_without_a_timeline_chunks_and_losses_are_named_nevertheless() -> None:
    """By their index."""
    places = [Place(0, 0, 0.0, 5.0), Place(2, 2, 5.0, 5.0)]

    found = chapters((), places, [Missing(1, "lost", "chunk 1 is lost")])

    assert (Chapter(0.0, "chunk 0"), Chapter(5.0, "chunk 2 (then chunk 1 is lost)")) == found
