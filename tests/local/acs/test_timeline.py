"""Tests of the arithmetic of pauses and presence."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from local.acs.timeline import Participant, Pause, Timeline

START = datetime(2021, 4, 14, 16, 32, 40, tzinfo=UTC)


def _at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_pauses_are_cut_out() -> None:
    """The media's time runs over the recorded intervals only."""
    timeline = Timeline(START, _at(50), (Pause(_at(10), _at(30)), Pause(_at(40))))

    assert timeline.active() == [(START, _at(10)), (_at(30), _at(40))]
    assert timeline.active_seconds() == 20
    assert [timeline.wall_at(seconds) for seconds in (0, 9.5, 10, 15, 20, 99)] == [
        START,
        _at(9.5),
        _at(30),
        _at(35),
        _at(40),
        _at(40),
    ]


def test_paused_from_the_start() -> None:
    """A recording paused at once and never resumed has no active time."""
    timeline = Timeline(START, _at(5), (Pause(START),))

    assert (timeline.active(), timeline.active_seconds()) == ([], 0)
    assert timeline.wall_at(0) == START


def test_presence() -> None:
    """A participant is present from joining until leaving."""
    ada = Participant("a", "Ada", START)
    grace = Participant("g", "Grace", _at(5), _at(8))
    timeline = Timeline(START, _at(20), (), (ada, grace))

    assert timeline.present_at(_at(4)) == (ada,)
    assert timeline.present_at(_at(5)) == (ada, grace)
    assert timeline.present_at(_at(8)) == (ada,)
    assert timeline.present_within(_at(6), _at(20)) == (ada, grace)
    assert timeline.present_within(_at(9), _at(20)) == (ada,)


def test_pauses_within() -> None:
    """Each pause belongs to the one chunk in which it began; one at the very end to the last."""
    pauses = (Pause(_at(5), _at(6)), Pause(_at(10), _at(12)), Pause(_at(20)))
    timeline = Timeline(START, _at(20), pauses)

    assert timeline.pauses_within(START, _at(10)) == (Pause(_at(5), _at(6)),)
    assert timeline.pauses_within(_at(10), _at(20)) == (Pause(_at(10), _at(12)), Pause(_at(20), _at(20)))


@given(
    st.lists(st.integers(0, 1000), min_size=1, max_size=8, unique=True).map(sorted),
    st.floats(0, 1, exclude_max=True),
)
def test_never_inside_a_pause(edges: list[int], share: float) -> None:
    """No moment of the media is in a pause."""
    pairs = zip(edges[0::2], [*edges[1::2], 1000][: len(edges[0::2])], strict=True)
    pauses = tuple(Pause(_at(start), _at(end)) for start, end in pairs)
    timeline = Timeline(START, _at(1001), pauses)
    moment = timeline.wall_at(timeline.active_seconds() * share)

    assert not any(pause.end and pause.start < moment < pause.end for pause in pauses)
