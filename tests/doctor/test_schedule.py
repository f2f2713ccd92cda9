"""recording/doctor/schedule.py: how long the archive timer may pause."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from croniter import croniter

from recording.doctor.schedule import longest_pause


@pytest.mark.parametrize(
    ("text", "pause"),
    [
        ("0 */5 * * * *", timedelta(minutes=5)),
        ("*/5 * * * *", timedelta(minutes=5)),
        ("*/10 * * * * *", timedelta(seconds=10)),
        ("0 0 3 * * *", timedelta(days=1)),
        ("0 0 9-17 * * MON-FRI", timedelta(days=2, hours=16)),
        ("0 30 9 1 january *", timedelta(days=366)),
        ("0 0 0 29 2 *", timedelta(days=4 * 365 + 1)),
        ("30,45 0/20 * * * *", timedelta(minutes=19, seconds=45)),
    ],
)
def test_the_longest_pause_of_a_schedule(text: str, pause: timedelta) -> None:
    """Over a night, a weekend, to the next leap year."""
    assert pause == longest_pause(text)


@pytest.mark.parametrize("text", ["0 7 */3 * * *", "0 */25 * * * *", "5 10-50/7 1,13 * * *", "0 0 0 */9 * *"])
def test_the_pause_is_what_another_reader_finds(text: str) -> None:
    """Two months of it, run by run."""
    start = datetime(2027, 1, 1, tzinfo=UTC)
    times = croniter(text, start, second_at_beginning=True, day_or=False)
    runs: list[datetime] = []
    while not runs or runs[-1] < start + timedelta(days=60):
        runs.append(times.get_next(datetime))

    assert longest_pause(text) == max(later - earlier for earlier, later in pairwise(runs))


@pytest.mark.parametrize(
    "text", ["", "daily", "00:05:00", "0 60 * * * *", "0 */0 * * * *", "0 5-3 * * * *", "0 0 0 31 2 *", "* * * * * * *"]
)
def test_what_is_no_schedule_is_refused(text: str) -> None:
    """So is one that never fires."""
    with pytest.raises(ValueError, match=r"schedule|invalid literal"):
        longest_pause(text)
