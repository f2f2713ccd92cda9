"""What forbids an erasure: holds of cases, holds and locked policies of the platform."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from recording.model import layout
from recording.model.erasure import ReasonCode
from recording.storage.blobs import Blobs

# Returns the names of the cases that hold a recording.
type Cases = Callable[[str], Awaitable[list[str]]]
# Returns whether the time of a recording is over at a time.
type HasEnded = Callable[[str, datetime], Awaitable[bool]]


@dataclass(frozen=True)
class Reason:
    """Why a recording may not be erased; `case` is for people to read, `until` None for something without an end."""

    kind: Literal["hold", "platform hold", "locked policy", "policy of the container", "retention class"]
    case: str | None = None
    until: datetime | None = None

    @property
    def code(self) -> str:
        """Return it without the name of the case, which may name somebody."""
        end = f" until {self.until.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if self.until else ""
        return f"{self.kind}{end}"

    def __str__(self) -> str:
        return f"{self.code} ({self.case})" if self.case else self.code


async def _nobody(_key: str) -> list[str]:
    return []


async def _always(_key: str, _now: datetime) -> bool:
    return True


@dataclass(frozen=True)
class Blocked:
    """Looks for what forbids the erasure of a recording; `elsewhere` are cases that hold it under another key."""

    blobs: Blobs
    cases: Cases
    has_ended: HasEnded = _always
    elsewhere: Cases = _nobody

    async def by(self, key: str, now: datetime, asked: ReasonCode | None = None) -> list[Reason]:
        """Return the reasons; none if it may be erased. Raises azure-core's errors.

        What is erased because its class has ended may have another class since.
        """
        found = [Reason("hold", case) for case in [*await self.cases(key), *await self.elsewhere(key)]]
        if asked == "retention-ended" and not await self.has_ended(key, now):
            found.append(Reason("retention class"))
        listed = await self.blobs.everything("archive", f"{layout.archive_folder(key)}/")
        if any(one.has_hold for one in listed):
            found.append(Reason("platform hold"))
        locked = [one.kept_until for one in listed if one.is_locked and one.kept_until and one.kept_until > now]
        if locked:
            found.append(Reason("locked policy", until=max(locked)))
        if listed and await self.blobs.has_policy("archive"):
            # It has no end that a client can read, and refuses every deletion.
            found.append(Reason("policy of the container"))
        return found
