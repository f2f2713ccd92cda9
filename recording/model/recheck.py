"""When a chunk that isn't complete is re-checked: its source may still get a better version."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class RecheckTimes:
    """The times of a re-check: `steps` after the first verdict, of which those from `read_after` on read all bytes.

    It ends `longest` after the first verdict, and earlier if the deadline is near: after a `share` of the time that was
    left, but not before `shortest`, for the time that an event claims may be wrong. One step more comes right before
    the recording is archived, which waits for it for `last_wait`: less than the interval of the timer, so that the next
    run archives it.
    """

    steps: tuple[timedelta, ...] = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 30, 60))
    read_after: timedelta = timedelta(minutes=15)
    shortest: timedelta = timedelta(minutes=5)
    longest: timedelta = timedelta(minutes=60)
    share: float = 0.25
    last_wait: timedelta = timedelta(minutes=4)

    def end(self, found_at: datetime, deadline: datetime) -> datetime:
        """Return when the re-check ends."""
        return found_at + min(self.longest, max(self.shortest, (deadline - found_at) * self.share))


RECHECKS = RecheckTimes()
