"""What keeps recordings: facts in the archive, and, where its container has version-level immutability, the platform.

    holds/{yyyy}/{MM}/{dd}/{key}/{sha256 of the case}/{number}-placed.json     and …-lifted.json
    retention/{yyyy}/{MM}/{dd}/{key}/{number}.json                             the last one counts
    pending-keeping/{key}/{random}.json     in staging: rows and platform are to follow

The facts are the truth. They lie beside the recordings, whose blobs may be protected, and a list of their names and
metadata says what is in force. A change is done when its marker in staging is gone: the timer does the rest of it.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from secrets import token_hex

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from pydantic import ValidationError

from recording.errors import describe
from recording.model import layout
from recording.model.keeping import Hold, HoldLifted, HoldPlaced, Kept, RetentionSet, shortens
from recording.model.stored import ProtectedBlob, StoredBlob
from recording.retention import FOREVER, RetentionClass, RetentionClasses
from recording.storage.blobs import Blobs
from recording.telemetry import log
from recording.workers import run_each

_REQUESTS = 16
_TRIES = 10
# What refuses a hold or a policy for good: the container has no such support, or the identity no role for it.
REFUSED = (400, 403, 409)


class NotProtected(Exception):
    """The platform has refused a hold or a policy; its facts count nevertheless."""


class KeepingStore:
    """The facts about holds and retention, and the platform's own; `is_immutable` says whether it has any."""

    def __init__(self, blobs: Blobs, classes: RetentionClasses, *, is_immutable: bool) -> None:
        self._blobs = blobs
        self.classes = classes
        self.is_immutable = is_immutable

    async def find(self, key: str) -> Kept:
        """Return what keeps a recording; raises azure-core's errors."""
        holds, retention = await asyncio.gather(
            self._listed(layout.holds_folder(key)), self._listed(layout.retention_folder(key))
        )
        in_force = layout.open_holds(blob.name for blob in holds).get(key, [])
        return _kept(retention[-1] if retention else None, in_force)

    async def of_days(self, keys: Iterable[str], *, with_retention: bool = True) -> dict[str, Kept]:
        """Return what keeps recordings, by key, without those that nothing keeps: two lists for each of their days.

        Raises azure-core's errors.
        """
        wanted = set(keys)
        days = {layout.holds_of_day(key): key for key in wanted}
        found: dict[str, Kept] = {}
        for folder, key in days.items():
            in_force = layout.open_holds(blob.name for blob in await self._listed(folder))
            last: dict[str, StoredBlob] = {}
            for blob in await self._listed(layout.retention_of_day(key)) if with_retention else ():
                last[blob.name.split("/")[4]] = blob
            for one in wanted & {*in_force, *last}:
                found[one] = _kept(last.get(one), in_force.get(one, []))
        return found

    async def holds(self, kept: Kept) -> list[Hold]:
        """Read the holds in force, the oldest first; raises azure-core's errors."""
        found: list[Hold] = []

        async def read(name: str) -> None:
            try:
                fact = HoldPlaced.model_validate_json(await self._blobs.read("archive", name) or b"")
            except ValidationError:
                # It holds the recording, whatever it says.
                log.error("hold.unreadable", fact=name, next="the recording stays on hold; inspect the blob")
                return
            found.append(Hold(case=fact.case, reason=fact.reason, since=fact.at, by=fact.by))

        await run_each(read, kept.holds, at_once=_REQUESTS)
        return sorted(found, key=lambda one: (one.since, one.case))

    async def cases(self, key: str) -> list[str]:
        """Name the cases that hold a recording, also one whose fact can't be read; raises azure-core's errors."""
        kept = await self.find(key)
        found = [hold.case for hold in await self.holds(kept)]
        return [*found, *["a case whose fact can't be read"] * (len(kept.holds) - len(found))]

    async def place(self, key: str, fact: HoldPlaced) -> bool:
        """Place a hold; False, and nothing is changed, if the case holds the recording already."""
        for _ in range(_TRIES):
            number, is_in_force = await self._last(key, fact.case)
            if is_in_force:
                return False
            name = layout.hold_blob(key, fact.case, number + 1)
            if await self._create(name, fact.model_dump_json(by_alias=True).encode()):
                return True
        return False

    async def held_by(self, key: str, case: str) -> HoldPlaced | None:
        """Return the hold of a case that is in force; None if there is none, or it can't be read."""
        number, is_in_force = await self._last(key, case)
        if not is_in_force:
            return None
        try:
            return HoldPlaced.model_validate_json(
                await self._blobs.read("archive", layout.hold_blob(key, case, number)) or b""
            )
        except ValidationError:
            return None

    async def lift(self, key: str, fact: HoldLifted) -> bool:
        """Lift the hold of a case; False if it holds nothing."""
        number, is_in_force = await self._last(key, fact.case)
        if is_in_force:
            name = layout.lift_blob(key, fact.case, number)
            await self._blobs.create("archive", name, fact.model_dump_json(by_alias=True).encode())
        return is_in_force

    async def has_had(self, key: str, case: str) -> bool:
        """Return whether a case has ever held a recording."""
        return (await self._last(key, case))[0] > 0

    async def set_retention(self, key: str, fact: RetentionSet, *, after: int | None = None) -> bool:
        """Record the class of a recording; the last fact counts.

        With `after` it is the next one behind the fact of that number; False if somebody else has written that.
        """
        if after is not None:
            return await self._write_retention(key, after + 1, fact)
        for _ in range(_TRIES):
            listed = await self._listed(layout.retention_folder(key))
            number = max((layout.retention_number(blob.name) for blob in listed), default=0) + 1
            if await self._write_retention(key, number, fact):
                return True
        raise TimeoutError("others set the class of this recording again and again")

    async def assign(self, key: str, chosen: str | None, *, now: datetime) -> Kept:
        """Return what keeps a recording that is archived now; it gets its class, unless it has one or there is none.

        `chosen` is the class that its start named. One that isn't in the settings any more is for ever. Raises
        azure-core's errors.
        """
        kept = await self.find(key)
        if kept.retention_class is not None:
            return kept
        found = self.classes.default if chosen is None else self.classes.find(chosen) or RetentionClass(chosen, None)
        if found is None:
            return kept
        if chosen is not None and self.classes.find(chosen) is None:
            log.error(
                "retention.unknown_class", recordingKey=key, reason=chosen, next="kept for ever until a class is set"
            )
        why = "the default" if chosen is None else "chosen at the start"
        await self._write_retention(
            key, 1, RetentionSet(retention_class=found.name, days=found.days, reason=why, at=now)
        )
        return await self.find(key)

    async def days(self, key: str) -> set[float]:
        """Return the days of each class that a recording has or had, if they end; raises azure-core's errors."""
        listed = await self._listed(layout.retention_folder(key))
        return {days for blob in listed if (days := _kept(blob, ()).days) is not None}

    async def mark(self, key: str) -> str:
        """Record that rows and platform are to follow a change; return the marker's name."""
        marker = layout.pending_keeping_blob(key, token_hex(8))
        await self._blobs.create("staging", marker, b"{}")
        return marker

    async def unmark(self, *markers: str) -> None:
        """Record that they have followed it."""
        for marker in markers:
            await self._blobs.delete("staging", marker)

    async def pending(self) -> dict[str, list[str]]:
        """List the markers by recording key; raises azure-core's errors."""
        return by_key([one async for one in self._blobs.list_blobs("staging", f"{layout.PENDING_KEEPING}/")])

    async def policies(self, key: str) -> list[datetime]:
        """Return until when the platform's policies keep the blobs of a recording; raises azure-core's errors."""
        if not self.is_immutable:
            return []
        listed = await self._blobs.protections(f"{layout.archive_folder(key)}/")
        return [blob.until for blob in listed if blob.until]

    async def protect(self, key: str, *, hold: bool, until: datetime | None) -> int:
        """Put each blob of a recording on hold, or lift that, and under a policy until a time; return how many changed.

        A policy is never shortened. Raises NotProtected if the platform refuses, after the other blobs, or azure-core's
        errors.
        """
        if not self.is_immutable:
            return 0
        refusals: list[str] = []
        changed = 0

        async def change(blob: ProtectedBlob) -> None:
            nonlocal changed
            try:
                if blob.hold != hold:
                    await self._blobs.set_hold(blob, hold)
                    changed += 1
                if until and blob.is_current and (blob.until is None or shortens(until, blob.until)):
                    await self._blobs.set_policy(blob, until)
                    changed += 1
            except ResourceNotFoundError:
                return
            except HttpResponseError as failed:
                if failed.status_code not in REFUSED:
                    raise
                refusals.append(describe(failed))

        listed = await self._blobs.protections(f"{layout.archive_folder(key)}/")
        await run_each(change, listed, at_once=_REQUESTS)
        if refusals:
            raise NotProtected(f"{len(refusals)} of {len(listed)} blobs: {refusals[0]}")
        return changed

    async def _write_retention(self, key: str, number: int, fact: RetentionSet) -> bool:
        days = FOREVER if fact.days is None else repr(fact.days)
        text = fact.model_dump_json(by_alias=True, exclude_none=True).encode()
        name = layout.retention_blob(key, number)
        return await self._create(name, text, retentionclass=fact.retention_class, days=days)

    async def _create(self, name: str, text: bytes, **metadata: str) -> bool:
        """Create a fact; False if somebody else has written one of this name."""
        # One that exists and says the same is this one: the answer to an earlier try was lost.
        return (
            await self._blobs.create("archive", name, text, **metadata)
            or await self._blobs.read("archive", name) == text
        )

    async def _last(self, key: str, case: str) -> tuple[int, bool]:
        return layout.last_number((blob.name for blob in await self._listed(layout.holds_folder(key))), case)

    async def _listed(self, folder: str) -> list[StoredBlob]:
        return [blob async for blob in self._blobs.list_blobs("archive", folder)]


def by_key(markers: Iterable[StoredBlob]) -> dict[str, list[str]]:
    """Return the names of markers by recording key."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for blob in markers:
        found[blob.name.split("/")[1]].append(blob.name)
    return found


def log_not_protected(key: str, failed: Exception) -> None:
    """Log that the platform doesn't keep a recording as its facts say: alerts read it."""
    reason = str(failed) if isinstance(failed, NotProtected) else describe(failed)
    log.error("recording.not_protected", recordingKey=key, reason=reason, next="the timer asks again; the facts count")


def _kept(retention: StoredBlob | None, in_force: Iterable[str]) -> Kept:
    if retention is None:
        return Kept(holds=tuple(in_force))
    days = retention.metadata.get("days", FOREVER)
    return Kept(
        retention.metadata.get("retentionclass", "unknown"),
        None if days == FOREVER else float(days),
        tuple(in_force),
        layout.retention_number(retention.name),
    )
