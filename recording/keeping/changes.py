"""Use case: somebody sets how long a recording is kept, places a hold on it, or lifts one.

The fact comes first, under a marker in staging; then rows and platform follow. So a process that is killed leaves
either nothing, or a fact that counts and that the timer finds.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from azure.core.exceptions import AzureError
from pydantic import Field

from recording.clock import Clock, utc_now
from recording.errors import BadRequest, Conflict, NotFound, PreconditionFailed, StorageUnavailable, describe
from recording.keeping.follow import Follow
from recording.model import layout
from recording.model.caller import Caller
from recording.model.keeping import (
    Hold,
    HoldLifted,
    HoldPlaced,
    Kept,
    LiftHold,
    PlaceHold,
    RetentionSet,
    SetRetention,
    below,
    shortens,
)
from recording.model.manifest import Manifest
from recording.model.record import Body
from recording.model.trail import Action, TrailEntry
from recording.storage.keeping import KeepingStore
from recording.storage.trail import Trail
from recording.telemetry import log

_ERASED = "Erased"

# Returns whether a recording is erased, or is being erased.
type IsErased = Callable[[str], Awaitable[bool]]


class Keeping(Body):
    """What keeps a recording; `keptUntil` is absent while it is in flight, and where it is kept for ever.

    `etag` is for the header of that name.
    """

    recording_key: str
    retention_class: str | None = None
    kept_until: datetime | None = None
    holds: list[Hold] = Field(default_factory=list)
    etag: str = Field(exclude=True)


@dataclass(frozen=True)
class KeepingChanges:
    """Changes what keeps a recording; each change is on the trail.

    `match` are the ETags of one of which the recording must still be (PreconditionFailed): None and "*" are any.
    """

    keeping: KeepingStore
    follow: Follow
    trail: Trail
    is_erased: IsErased
    clock: Clock = utc_now

    async def set_retention(
        self, caller: Caller, key: str, body: SetRetention, *, match: Collection[str] | None = None
    ) -> Keeping:
        """Set the retention class of a recording.

        Raises BadRequest for a malformed key or an unknown class, NotFound, PreconditionFailed, Conflict if that would
        end its time earlier than a hold or a policy of the platform allows, StorageUnavailable.
        """
        wanted = self.keeping.classes.find(body.retention_class)
        if wanted is None:
            known = self.keeping.classes.describe()
            raise BadRequest(f"there is no retention class of this name; there are: {known}", target="retentionClass")
        async with self._recorded(caller, "retain", key, body.reason) as entry:
            found, kept = await self._require(entry, key, match)
            entry.recording_id = found.recording_id
            entry.details = {"retentionClass": wanted.name}
            after = Kept(wanted.name, wanted.days, kept.holds)
            if (kept.retention_class, kept.days) != (after.retention_class, after.days):
                await self._check_not_shortened(found, kept, after)
                fact = RetentionSet(
                    retention_class=wanted.name,
                    days=wanted.days,
                    reason=body.reason,
                    at=entry.at.astimezone(UTC),
                    by=entry.object_id,
                )
                marker = await self.keeping.mark(key)
                if not await self.keeping.set_retention(key, fact, after=kept.number if match else None):
                    await self.keeping.unmark(marker)
                    raise _changed()
                # As with holds: the erasure at the end of a class looks at the class after it has said that it begins.
                if await self.is_erased(key):
                    if kept.retention_class is not None:
                        # Otherwise a class that was refused would keep what its own class has ended.
                        why = "the recording is being erased"
                        again = {"retention_class": kept.retention_class, "days": kept.days, "reason": why}
                        await self.keeping.set_retention(key, fact.model_copy(update=again))
                    await self.keeping.unmark(marker)
                    raise _erased()
                await self.follow.now(key, [marker])
            return await self._answer(found)

    async def place(
        self, caller: Caller, key: str, body: PlaceHold, *, match: Collection[str] | None = None
    ) -> Keeping:
        """Place the hold of a case on a recording; a repetition changes nothing.

        Raises BadRequest for a malformed key, NotFound, PreconditionFailed, Conflict while it is being erased,
        StorageUnavailable.
        """
        async with self._recorded(caller, "hold", key, body.reason) as entry:
            entry.details = {"case": body.case}
            found, _ = await self._require(entry, key, match)
            entry.recording_id = found.recording_id
            fact = HoldPlaced(case=body.case, reason=body.reason, at=entry.at.astimezone(UTC), by=entry.object_id)
            await self.place_fact(key, fact)
            return await self._answer(found)

    async def place_fact(self, key: str, fact: HoldPlaced) -> bool:
        """Place a hold, and have the rest follow; False if the case holds the recording already.

        Raises Conflict while it is being erased: an erasure looks for holds after it has said that it begins, and this
        looks for an erasure after the hold is there. So one of them sees the other. Raises azure-core's errors.
        """
        marker = await self.keeping.mark(key)
        is_new = await self.keeping.place(key, fact)
        # By its own erasure, or by that of another key for the same recording.
        if await self.is_erased(key) or await self.follow.is_buried(key):
            if is_new:
                lifted = HoldLifted(case=fact.case, reason="the recording is being erased", at=fact.at, by=fact.by)
                await self.keeping.lift(key, lifted)
            await self.keeping.unmark(marker)
            raise _erased()
        await self.follow.now(key, [marker])
        return is_new

    async def lift(self, caller: Caller, key: str, query: LiftHold, *, match: Collection[str] | None = None) -> Keeping:
        """Lift the hold of a case; those of others stay, and a repetition changes nothing.

        Raises BadRequest for a malformed key, NotFound for an unknown recording or a case that never held it,
        PreconditionFailed, StorageUnavailable.
        """
        async with self._recorded(caller, "lift", key, query.reason) as entry:
            entry.details = {"case": query.case}
            found, _ = await self._require(entry, key, match)
            entry.recording_id = found.recording_id
            fact = HoldLifted(case=query.case, reason=query.reason, at=entry.at.astimezone(UTC), by=entry.object_id)
            marker = await self.keeping.mark(key)
            if not await self.keeping.lift(key, fact) and not await self.keeping.has_had(key, query.case):
                await self.keeping.unmark(marker)
                raise NotFound("no hold of this case was ever placed on this recording", target="case")
            await self.follow.now(key, [marker])
            return await self._answer(found)

    async def _check_not_shortened(self, found: Manifest, kept: Kept, after: Kept) -> None:
        before, until = kept.until(found.archived_at), after.until(found.archived_at)
        if kept.holds and (shortens(before, until) or (found.archived_at is None and shortens(kept.days, after.days))):
            cases = ", ".join(await self.keeping.cases(found.recording_key))
            raise Conflict(
                f"this recording is on hold ({cases}): until that is lifted, it can't be kept for a shorter time",
                target="retentionClass",
                code="OnHold",
            )
        policies = await self.keeping.policies(found.recording_key) if until else []
        if latest := below(policies, until, self.clock()):
            raise Conflict(
                f"a policy of the archive keeps this recording until {latest.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}, and "
                "this class would end earlier",
                target="retentionClass",
                code="KeptLonger",
            )

    async def _require(self, entry: TrailEntry, key: str, match: Collection[str] | None) -> tuple[Manifest, Kept]:
        found = await self.follow.find(key)
        if await self.is_erased(key):
            _forget_name(entry, key)
            found = None
        if found is None:
            raise NotFound("there is no recording of this key, neither in flight nor archived", target="recordingKey")
        kept = await self.keeping.find(key)
        if match is not None and "*" not in match and kept.etag not in match:
            raise _changed()
        return found, kept

    async def _answer(self, found: Manifest) -> Keeping:
        kept = await self.keeping.find(found.recording_key)
        return Keeping(
            recording_key=found.recording_key,
            retention_class=kept.retention_class,
            kept_until=kept.until(found.archived_at),
            holds=await self.keeping.holds(kept),
            etag=kept.etag,
        )

    @asynccontextmanager
    async def _recorded(self, caller: Caller, action: Action, key: str, reason: str) -> AsyncIterator[TrailEntry]:
        layout.check_key(key)
        entry = TrailEntry.of(caller, action, self.clock())
        entry.recording_key, entry.reason = key, reason
        async with self.trail.record(entry):
            try:
                yield entry
            except Conflict as failed:
                if failed.error_code == _ERASED:
                    _forget_name(entry, key)
                raise
            except (AzureError, TimeoutError) as failed:
                log.error("keeping.not_changed", recordingKey=key, operation=action, reason=describe(failed))
                raise StorageUnavailable("storage can't be reached; try again") from None


def _erased() -> Conflict:
    return Conflict("this recording is being erased, or was erased meanwhile", code=_ERASED)


def _forget_name(entry: TrailEntry, key: str) -> None:
    """Have an entry name the erasure in place of the recording, as all that the trail has of an erased one."""
    entry.recording_key = entry.recording_id = None
    entry.erasure = layout.key_digest(key)


def _changed() -> PreconditionFailed:
    return PreconditionFailed(
        "the class or the holds of this recording have changed since: look at it again", target="If-Match"
    )
