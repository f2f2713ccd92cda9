"""Schedules are NCRONTAB expressions of six fields."""

from datetime import UTC, datetime

import pytest

from local.functions import schedule
from local.functions.errors import StartError

NOW = datetime(2026, 11, 23, 10, 0, 0, 500_000, tzinfo=UTC)  # a Monday


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("*/5 * * * * *", datetime(2026, 11, 23, 10, 0, 5, tzinfo=UTC)),
        ("0 */5 * * * *", datetime(2026, 11, 23, 10, 5, tzinfo=UTC)),
        ("*/5 * * * *", datetime(2026, 11, 23, 10, 5, tzinfo=UTC)),
        ("0 30 9-17 * * MON-FRI", datetime(2026, 11, 23, 10, 30, tzinfo=UTC)),
        ("0 0 0 * * Tuesday", datetime(2026, 11, 24, tzinfo=UTC)),
        ("0 0 0 13 * 5", datetime(2027, 8, 13, tzinfo=UTC)),
        ("0 0 0 1 Jan *", datetime(2027, 1, 1, tzinfo=UTC)),
    ],
)
def test_after(expression: str, expected: datetime) -> None:
    """The next occurrence is computed with seconds first, and day and day-of-week must both hold."""

    assert expected == schedule.parse(expression).after(NOW)


@pytest.mark.parametrize(
    "expression", ["", "* * * *", "0 0 0 L * *", "61 * * * * *", "00:05:00", "@daily", "x * * * * *"]
)
def test_bad_schedule(expression: str) -> None:
    """What isn't NCRONTAB keeps the host from starting."""

    with pytest.raises(StartError, match="schedule of six fields"):
        schedule.parse(expression)


@pytest.mark.parametrize(
    ("expression", "expected"), [("*/5 * * * * *", True), ("0 * * * * *", False), ("0,10 0 0 * * *", True)]
)
def test_frequent(expression: str, *, expected: bool) -> None:
    """A schedule that can fire more than once a minute is distinguished from one that can't."""

    assert expected == schedule.parse(expression).is_frequent(NOW)
