"""Pure: how long a recording is kept, who holds it, and what keeps it from being deleted.

A retention class is a name and a number of days. A recording gets its class as a fact when it is archived, with the
days of that time, so that a setting that changes later shortens nothing. Its time begins with its newest manifest. A
hold has no end: each case places one of its own, and lifts it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import Field

from recording.model.record import Body, Record
from recording.retention import CLASS_NAME

CaseName = Annotated[str, Field(min_length=1, max_length=200)]
Reason = Annotated[str, Field(min_length=1, max_length=1000)]
ClassName = Annotated[str, Field(pattern=f"^(?:{CLASS_NAME.pattern})$")]


class RetentionSet(Record):
    """Fact: a recording has this class from now on. Without days it is kept for ever."""

    retention_class: str
    days: float | None = None
    reason: str
    at: datetime
    by: str | None = None


class HoldPlaced(Record):
    """Fact: a case has placed a hold; `search` is the id of the search by which it was found."""

    case: str
    reason: str
    at: datetime
    by: str | None = None
    search: str | None = None


class HoldLifted(Record):
    """Fact: a case has lifted its hold."""

    case: str
    reason: str | None = None
    at: datetime
    by: str | None = None


class Hold(Record):
    """A hold that is in force, as an answer shows it."""

    case: str
    reason: str
    since: datetime
    by: str | None = None


@dataclass(frozen=True)
class Kept:
    """What keeps a recording: its class and its days, if it has any, and the names of the facts of holds in force.

    `number` is that of the fact that says the class; 0: none does.
    """

    retention_class: str | None = None
    days: float | None = None
    holds: tuple[str, ...] = ()
    number: int = 0

    @property
    def etag(self) -> str:
        """Return what is another after each change of the class or the holds."""
        facts = "\n".join([str(self.number), *sorted(self.holds)])
        return f'"{hashlib.sha256(facts.encode()).hexdigest()[:32]}"'

    def until(self, archived_at: datetime | None) -> datetime | None:
        """Return until when it is kept, by its newest manifest; None for ever, or while it is in flight."""
        if self.days is None or archived_at is None:
            return None
        return kept_until(archived_at, self.days)


NOTHING = Kept()


@dataclass(frozen=True)
class Protection:
    """What the platform is asked for a blob: that it is on hold, or under a policy until a time."""

    until: datetime | None = None
    hold: bool = False


def kept_until(since: datetime, days: float) -> datetime:
    """Return when so many days are over, in whole seconds: rounded up, as no platform knows less."""
    until = since.astimezone(UTC) + timedelta(days=days)
    return until if until.microsecond == 0 else until.replace(microsecond=0) + timedelta(seconds=1)


def has_ended(kept: Kept, archived_at: datetime | None, now: datetime) -> bool:
    """Return whether a recording is to be deleted: its time is over, and no case holds it."""
    until = kept.until(archived_at)
    return until is not None and until <= now and not kept.holds


def shortens[End: (datetime, float)](before: End | None, after: End | None) -> bool:
    """Return whether a time ends earlier than another, or a class has fewer days; None is for ever."""
    return after is not None and (before is None or after < before)


def below(policies: Sequence[datetime], until: datetime | None, now: datetime) -> datetime | None:
    """Return the end of the last policy, if it is in force and ends after `until`; None if nothing is in the way."""
    latest = max((one for one in policies if one > now), default=None)
    return latest if latest is not None and until is not None and until < latest else None


class SetRetention(Body):
    """Body: the class, and why."""

    retention_class: ClassName
    reason: Reason


class PlaceHold(Body):
    """Body: the case that holds a recording, and why."""

    case: CaseName
    reason: Reason


class LiftHold(Record, populate_by_name=False):
    """Query: the case whose hold is lifted, and why."""

    case: CaseName
    reason: Reason
