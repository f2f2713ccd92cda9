"""Pure: how long the archive timer may pause, read from its NCRONTAB schedule (docs/functions-host.md#timer)."""

from datetime import date, timedelta
from itertools import pairwise

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
# Second, minute, hour, day, month, day of the week: the first and last value, and the names of the values.
_FIELDS: tuple[tuple[int, int, tuple[str, ...]], ...] = (
    (0, 59, ()),
    (0, 59, ()),
    (0, 23, ()),
    (1, 31, ()),
    (1, 12, _MONTHS),
    (0, 6, _DAYS),
)
# With a leap year in it: a schedule of 29 February has its longest pause then.
_FIRST_DAY = date(2023, 1, 1)
_SOME_DAYS = 8 * 366


def longest_pause(text: str) -> timedelta:
    """Return the longest time between two runs; with five fields the seconds are 0.

    Raises ValueError for an invalid schedule, and for one that never fires.

    >>> longest_pause("0 */5 * * * *")
    datetime.timedelta(seconds=300)
    """
    fields = text.split()
    if len(fields) not in (5, 6):
        raise ValueError("a schedule has six fields")
    read = [_values(field, *known) for field, known in zip(["0", *fields][-6:], _FIELDS, strict=True)]
    seconds, minutes, hours, days, months, weekdays = read
    times = sorted(h * 3600 + m * 60 + s for h in hours for m in minutes for s in seconds)
    # In NCRONTAB both the day and the day of the week must match.
    calendar = (_FIRST_DAY + timedelta(number) for number in range(_SOME_DAYS))
    fires = [d for d in calendar if d.day in days and d.month in months and d.isoweekday() % 7 in weekdays]
    if len(fires) < 2:
        raise ValueError("the schedule never fires")
    within = max((later - earlier for earlier, later in pairwise(times)), default=0)
    overnight = max((later - earlier).days for earlier, later in pairwise(fires)) * 86_400 + times[0] - times[-1]
    return timedelta(seconds=max(within, overnight))


def _values(field: str, first: int, last: int, names: tuple[str, ...]) -> set[int]:
    """Read one field: `*`, a number, a name or a range, each perhaps with a step; several are separated by commas."""
    found: set[int] = set()
    for entry in field.split(","):
        span, _, step = entry.partition("/")
        if span == "*":
            low, high = first, last
        else:
            start, _, end = span.partition("-")
            low = _number(start, names, first)
            high = _number(end, names, first) if end else (last if step else low)
        every = int(step) if step else 1
        if not (first <= low <= high <= last and every > 0):
            raise ValueError("a field of the schedule is out of range")
        found.update(range(low, high + 1, every))
    return found


def _number(text: str, names: tuple[str, ...], first: int) -> int:
    short = text[:3].lower()
    return names.index(short) + first if short in names else int(text)
