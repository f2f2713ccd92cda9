"""recording/model/recheck.py: how long a chunk that isn't complete is re-checked."""

from datetime import UTC, datetime, timedelta

import pytest

from recording.model.recheck import RECHECKS

FOUND = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("minutes_left", "minutes"),
    [(24 * 60, 60), (240, 60), (239, 59.75), (21, 5.25), (20, 5), (0, 5), (-5, 5), (10**8, 60)],
)
def test_a_recheck_lasts_an_hour_or_a_quarter_of_the_time_left(minutes_left: int, minutes: float) -> None:
    """However far away or long ago the deadline is claimed to be."""
    deadline = FOUND + timedelta(minutes=minutes_left)

    assert FOUND + timedelta(minutes=minutes) == RECHECKS.end(FOUND, deadline)
