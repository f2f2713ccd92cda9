"""recording/model/live.py: the state of a live recording, from what was asked and what its events say."""

from datetime import UTC, datetime, timedelta

import pytest

from recording.model.live import Asked, Known, LiveRecording, LiveState, Said
from recording.model.started import Started

START = datetime(2026, 3, 1, 10, tzinfo=UTC)


def at(minutes: int) -> datetime:
    """Return a time after the start."""
    return START + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("asked", "said", "state", "since"),
    [
        (None, None, "active", 0),
        (None, ("active", 1), "active", 1),
        (None, ("inactive", 1), "inactive", 1),
        (("pause", 2), None, "paused", 2),
        # The event that a pause causes.
        (("pause", 2), ("inactive", 3), "paused", 2),
        (("pause", 2), ("active", 1), "paused", 2),
        (("resume", 4), ("inactive", 3), "active", 4),
        # Resumed by somebody else.
        (("pause", 2), ("active", 3), "active", 3),
        (("stop", 5), ("active", 1), "ending", 5),
        (("stop", 5), ("inactive", 6), "ending", 5),
        # Resumed through this app, and then paused or ended by somebody else.
        (("resume", 4), ("inactive", 5), "inactive", 5),
    ],
)
def test_the_later_of_two_says_how_a_recording_is(
    asked: tuple[Asked, int] | None, said: tuple[Said, int] | None, state: LiveState, since: int
) -> None:
    """An event calls a paused recording inactive: what was asked before says which it is."""
    known = Known(
        asked=asked[0] if asked else None,
        asked_at=at(asked[1]) if asked else None,
        said=said[0] if said else None,
        said_at=at(said[1]) if said else None,
    )

    found = LiveRecording.of(Started(recording_id="r", conversation_id="c", at=START), known)

    assert (state, at(since)) == (found.state, found.since)
