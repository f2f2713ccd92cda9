"""NCRONTAB schedules: `{second} {minute} {hour} {day} {month} {day-of-week}` (docs/functions-host.md#timer)."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from croniter import croniter

from local.functions.errors import StartError

_FIELD = re.compile(r"[0-9A-Za-z*,/\-]+")
_NAME = re.compile(r"[A-Za-z]+")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


@dataclass(frozen=True)
class Schedule:
    """When a timer fires: six fields, seconds first."""

    expression: str

    def after(self, moment: datetime) -> datetime:
        """Return the first occurrence after a moment, in that moment's time zone."""
        # In NCRONTAB both day and day-of-week must match, in cron one of them is enough.
        times = croniter(self.expression, moment, second_at_beginning=True, day_or=False)
        following: datetime = times.get_next(datetime)
        return following

    def is_frequent(self, moment: datetime) -> bool:
        """Return whether it can fire more than once a minute; the host then keeps no status."""
        times = [self.after(moment)]
        for _ in range(10):
            times.append(self.after(times[-1]))
        return any(later - earlier < timedelta(minutes=1) for earlier, later in pairwise(times))


def parse(text: str) -> Schedule:
    """Parse a schedule of six fields, or of five (without seconds); raises StartError for anything else."""
    fields = text.split()
    expression = _NAME.sub(_short_name, " ".join(fields if len(fields) == 6 else ["0", *fields]))
    is_schedule = (
        len(fields) in (5, 6)
        and all(_FIELD.fullmatch(field) for field in fields)
        and croniter.is_valid(expression, second_at_beginning=True)
    )
    if not is_schedule:
        raise StartError(f"{text!r} isn't a schedule of six fields such as '0 */5 * * * *'")
    return Schedule(expression)


def _short_name(match: re.Match[str]) -> str:
    # "!" makes other letters invalid: croniter knows some, such as L, that NCRONTAB doesn't.
    short = match[0][:3].lower()
    return short if short in _MONTHS + _DAYS else "!"
