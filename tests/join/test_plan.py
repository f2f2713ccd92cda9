"""recording/join/plan.py: which chunks become which file, and why some don't."""

from datetime import UTC, datetime
from typing import Any

import pytest

from recording.join.parts import Joined, Part, Range
from recording.join.plan import plan
from recording.join.refusals import Refused
from recording.join.sources import Recording, Source
from recording.model.timeline import Span

START = datetime(2026, 3, 1, 10, tzinfo=UTC)
KEY = "20260301T100000000000Z-3f2b"


def source(index: int, **more: Any) -> Source:
    """Return a chunk as its manifest lists it."""
    given: dict[str, Any] = {"kind": "mp4", "size": 1000, "verdict": "complete", "media_ms": 2500.0}
    return Source(index, **(given | more))


def recording(*sources: Source, timeline: tuple[Span, ...] = ()) -> Recording:
    """Return a recording of these chunks."""
    return Recording(KEY, 1, START, sources, timeline)


def planned_unread(found: Recording) -> Joined | Refused:
    """Plan, where nothing has to be read for it."""
    try:
        wanted = next(plan(found))
    except StopIteration as done:
        result: Joined | Refused = done.value
        return result
    raise AssertionError(f"it asks for {wanted}")


def only_part(found: Joined | Refused) -> Part:
    """Return the only part."""
    assert isinstance(found, Joined)
    [part] = found.parts
    return part


def test_one_chunk_is_the_file_itself() -> None:
    """Nothing of it is read."""
    part = only_part(planned_unread(recording(source(0))))

    assert (Range(0, 0, 1000),) == part.pieces
    assert part.is_chunk_itself
    assert (1000, 2.5, "video/mp4", f"{KEY}.mp4") == (part.size, part.seconds, part.content_type, part.file_name)


def test_what_is_missing_is_named() -> None:
    """In the answer and in the name of the file."""
    lost, waiting = source(0, size=None, state="lost", kind=None), source(1, size=None, state="waiting", kind=None)
    page, here = source(2, verdict="not media", kind=None), source(3, state="notProved")

    part = only_part(planned_unread(recording(lost, waiting, page, here)))

    assert [(0, "lost"), (1, "waiting"), (2, "damaged"), (3, "notProved")] == [
        (one.index, one.state) for one in part.missing
    ]
    assert f"{KEY}_without-chunks-0-1-2_unproved-chunk-3.mp4" == part.file_name
    assert (Range(3, 0, 1000),) == part.pieces


def test_a_name_has_room_for_eight_indexes() -> None:
    """The answer has them all."""
    sources = [source(index, size=None, state="lost") for index in range(1, 13)]

    part = only_part(planned_unread(recording(source(0), *sources)))

    assert f"{KEY}_without-chunks-1-2-3-4-5-6-7-8-and-4-more.mp4" == part.file_name
    assert 12 == len(part.missing)


@pytest.mark.parametrize(
    ("sources", "refusals"),
    [
        pytest.param([], [("nothing", None, "no chunk of the recording can be played")], id="no-chunks"),
        pytest.param(
            [source(0, size=None, state="lost")],
            [("nothing", None, "no chunk of the recording can be played")],
            id="all-lost",
        ),
        pytest.param(
            [source(0), source(1, size=None, state="lost"), source(2, kind="wav"), source(3, kind="mp3")],
            [
                ("mixedFormats", 2, "chunk 2 is wav, chunk 0 is mp4"),
                ("mixedFormats", 3, "chunk 3 is mp3, chunk 0 is mp4"),
            ],
            id="mixed-formats",
        ),
        pytest.param(
            [source(0, kind=None)],
            [("mixedFormats", 0, "chunk 0 is of a format that can't be joined")],
            id="another-format",
        ),
    ],
)
def test_what_is_refused_without_a_look(sources: list[Source], refusals: list[tuple[str, int | None, str]]) -> None:
    """The manifest says enough; the message names the chunk."""
    refused = planned_unread(recording(*sources))

    assert isinstance(refused, Refused)
    assert refusals == [(one.reason, one.chunk, one.message) for one in refused.refusals]


def test_chunks_are_in_the_order_of_the_timeline() -> None:
    """Those that it doesn't have come last, by their index."""
    spans = tuple(Span(kind="recorded", begin=START, end=START, chunks=(index,), offset_ms=0) for index in (4, 2, 9, 2))
    found = recording(*(source(index) for index in (0, 2, 4, 7, 9)), timeline=spans)

    assert [4, 2, 9, 0, 7] == [found.sources[place].index for place in found.in_order()]
