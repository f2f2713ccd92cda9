"""recording/archive/completeness.py: what ACS recorded, compared with what is archived."""

from datetime import timedelta

import pytest

from recording.archive.completeness import Archived, Recorded, compare
from tests.support.completeness import DAY, MARGIN, NOW, line, row


@pytest.mark.parametrize(
    ("recorded", "archived", "state"),
    [
        (row("a"), [], "missing"),
        (row("a", hours_ago=30), [], "missing"),
        (row("a", hours_ago=15.9), [], "not due"),
        (row("a", hours_ago=16), [], "missing"),
        (row("a", chunks=0), [], "no files"),
        (row("a", chunks=2), [line("a", chunks=1)], "incomplete"),
        (row("a", chunks=2), [line("a", chunks=1), line("a", chunks=2)], "archived"),
        (row("a", chunks=2), [line("a", chunks=1), line("a", chunks=1)], "incomplete"),
        (row("a="), [line("a", chunks=1)], "archived"),
        (row("a"), [line("a==", chunks=1)], "archived"),
        (row("a"), [line("b", chunks=1)], "missing"),
        (row("a", chunks=2), [line("a", exported=("x", "y")), line("a", exported=("x", "y"))], "archived"),
        (row("a", chunks=3), [line("a", exported=("x", "y")), line("a", chunks=1)], "archived"),
        (row("a", chunks=2), [line("a", exported=("x",)), line("a", exported=("x",))], "incomplete"),
        (row("a"), [line(None, exported=("x",), start=NOW - timedelta(hours=21))], "missing"),
        (row("a"), [line(None, chunks=1, start=NOW - timedelta(hours=21))], "archived"),
        (row("a"), [line(None, chunks=1, start=NOW - timedelta(hours=21, seconds=-1))], "archived"),
        (row("a"), [line(None, chunks=1, start=NOW - timedelta(hours=21, seconds=2))], "missing"),
    ],
)
def test_states(recorded: Recorded, archived: list[Archived], state: str) -> None:
    """What isn't safe in time is due eight hours before its deadline, as a chunk at risk is."""
    [found] = compare([recorded], archived, now=NOW, retention=DAY, margin=MARGIN)
    assert (state, recorded.ready_at + DAY) == (found.state, found.deadline)


def test_a_line_stands_for_one_recording_only() -> None:
    """Of two recordings that started at once, and one archived one without an id, one is missing."""
    start = NOW - timedelta(hours=21)
    found = compare([row("a"), row("b")], [line(None, chunks=1, start=start)], now=NOW, retention=DAY, margin=MARGIN)
    assert ["archived", "missing"] == sorted(one.state for one in found)
