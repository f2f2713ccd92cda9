"""The records of erasures: what was asked and decided, in the archive, and in staging what is yet to be done.

    erasures/{id}/{number}-asked.json             it was asked for; `id` is the digest of the recording key
    erasures/{id}/{number}-decided.json           it has begun, was called off or refused, as who was first has it
    erasures/{id}/{number}-checked.json           it goes on, or stopped for a hold that was placed as it began
    erasures/{id}/{number}-stopped.json           that it stopped, as an earlier version wrote it
    erasures/{id}/{number}-certificate-{n}.json   what was removed, and what is left
    pending-erasures/{id}/{number}-asked.json     in staging: the same with the recording key, until it is done
    pending-erasures/{id}/{number}-scope.json     what was found before anything was removed
    pending-erasures/{id}/{number}-settling.json  it is done, and its places are listed once more
    pending-erasures/{id}/{time}-queued.json      that it was put on the queue

Only what lies in staging names the recording. It is removed as the last step.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from pydantic import ValidationError

from recording.model import layout
from recording.model.erasure import (
    Certificate,
    ErasureAsked,
    ErasureChecked,
    ErasureDecided,
    ErasureScope,
    PendingErasure,
)
from recording.model.record import Record
from recording.model.stored import StoredBlob
from recording.storage.blobs import Blobs
from recording.telemetry import log


@dataclass(frozen=True)
class Steps:
    """The facts of one asking for an erasure, as far as there are any."""

    asked: ErasureAsked | None = None
    decided: ErasureDecided | None = None
    checked: ErasureChecked | None = None
    certificate: Certificate | None = None

    @property
    def has_begun(self) -> bool:
        """Return whether it has begun, and did not stop before anything was removed."""
        return self.decided is not None and self.decided.decision == "begun" and not self.has_stopped

    @property
    def has_stopped(self) -> bool:
        """Return whether it stopped when it had begun: nothing was removed."""
        return self.checked is not None and self.checked.decision == "stop"

    @property
    def is_open(self) -> bool:
        """Return whether it is asked for and may still be called off."""
        return self.asked is not None and self.decided is None


@dataclass(frozen=True)
class PendingList:
    """What staging lists of one erasure: the number of its newest asking, when it is due, and when it was queued."""

    erasure: str
    number: int
    due_at: datetime
    asked_for: datetime
    queued: tuple[datetime, ...] = ()
    is_settling: bool = False

    @classmethod
    def read(cls, blobs: Iterable[StoredBlob]) -> list[Self]:
        """Read them from a list of staging."""
        parts: dict[str, list[tuple[layout.PendingErasureName, StoredBlob]]] = {}
        for blob in blobs:
            if name := layout.parse_pending_erasure(blob.name):
                parts.setdefault(name.erasure, []).append((name, blob))
        found = []
        for erasure, listed in parts.items():
            if one := cls._of(erasure, listed):
                found.append(one)
        return sorted(found, key=lambda one: one.due_at)

    @classmethod
    def _of(cls, erasure: str, listed: list[tuple[layout.PendingErasureName, StoredBlob]]) -> Self | None:
        numbers = [name.number for name, _ in listed if name.part == "asked" and name.number]
        if not numbers:
            return None
        number = max(numbers)
        times = {name.part: due for name, blob in listed if name.number == number and (due := _due(blob))}
        if "asked" not in times:
            return None
        return cls(
            erasure,
            number,
            due_at=times.get("settling", times["asked"]),
            asked_for=times["asked"],
            queued=tuple(name.queued for name, _ in listed if name.queued),
            is_settling="settling" in times,
        )


class ErasureStore:
    """Keeps the records of erasures."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    async def last_number(self, erasure: str) -> int:
        """Return how often it was asked for; raises azure-core's errors."""
        pending = await self.pending(erasure)
        numbers = [number for number, _ in await self._names(erasure)]
        return max([*numbers, pending.asked.number if pending else 0])

    async def steps(self, erasure: str, number: int | None = None) -> Steps:
        """Return the facts of its `number`-th asking, by default of the last one; raises azure-core's errors.

        One that was asked for by a process that was killed in between is known from staging.
        """
        number = number or await self.last_number(erasure)
        steps = {step for one, step in await self._names(erasure) if one == number}
        revisions = [int(step.rpartition("-")[2]) for step in steps if step.startswith("certificate-")]
        checked = next((step for step in ("checked", "stopped") if step in steps), None)
        asked = await self._read(ErasureAsked, erasure, number, "asked") if "asked" in steps else None
        if asked is None and number and (pending := await self.pending(erasure, number)):
            asked = pending.asked
        return Steps(
            asked,
            await self._read(ErasureDecided, erasure, number, "decided") if "decided" in steps else None,
            await self._read(ErasureChecked, erasure, number, checked) if checked else None,
            await self._read(Certificate, erasure, number, f"certificate-{max(revisions)}") if revisions else None,
        )

    async def has_begun(self, key: str) -> bool:
        """Return whether an erasure of a recording has begun or is done, whichever asking it is of.

        Who places a hold asks after its fact is written: an erasure looks for holds after it has said that it begins.
        Raises azure-core's errors.
        """
        erasure = layout.key_digest(key)
        begun = sorted({number for number, step in await self._names(erasure) if step == "decided"})
        for number in begun:
            if (await self.steps(erasure, number)).has_begun:
                return True
        return False

    async def ask(self, pending: PendingErasure) -> ErasureAsked:
        """Record that an erasure was asked for, first where the timer looks; raises azure-core's errors.

        Of one number it is asked once: return what stands, which may be somebody else's.
        """
        asked = pending.asked
        name = layout.pending_erasure_blob(asked.erasure, asked.number, "asked")
        if not await self._blobs.create("staging", name, _text(pending), due=asked.happens_at.isoformat()):
            known = await self.pending(asked.erasure, asked.number)
            asked = known.asked if known else asked
        if await self._create(asked.erasure, asked.number, "asked", asked):
            return asked
        return await self._read(ErasureAsked, asked.erasure, asked.number, "asked") or asked

    async def decide(self, erasure: str, number: int, decided: ErasureDecided) -> ErasureDecided:
        """Decide whether it begins, and return what was decided: that of whoever was faster."""
        if await self._create(erasure, number, "decided", decided):
            return decided
        return await self._read(ErasureDecided, erasure, number, "decided") or decided

    async def check(self, erasure: str, number: int, checked: ErasureChecked) -> ErasureChecked | None:
        """Record whether it goes on, and return what stands: that of whoever was faster, None if it can't be read."""
        if await self._create(erasure, number, "checked", checked):
            return checked
        return await self._read(ErasureChecked, erasure, number, "checked")

    async def certify(self, number: int, certificate: Certificate) -> bool:
        """Write a certificate; False if there is one of its revision."""
        step = f"certificate-{certificate.revision}"
        return await self._create(certificate.erasure, number, step, certificate)

    async def pending(self, erasure: str, number: int | None = None) -> PendingErasure | None:
        """Return what is to be done; None if it was done, called off or refused. Raises azure-core's errors."""
        if number is None:
            prefix = f"{layout.ERASURES}/{erasure}/"
            listed = PendingList.read([blob async for blob in self._blobs.list_blobs("staging", prefix)])
            if not listed:
                return None
            number = listed[0].number
        text = await self._blobs.read("staging", layout.pending_erasure_blob(erasure, number, "asked"))
        return PendingErasure.model_validate_json(text) if text else None

    async def scope(self, erasure: str, number: int) -> ErasureScope | None:
        """Return what was found before anything was removed; None before that."""
        text = await self._blobs.read("staging", layout.pending_erasure_blob(erasure, number, "scope"))
        return ErasureScope.model_validate_json(text) if text else None

    async def keep_scope(self, erasure: str, number: int, scope: ErasureScope) -> ErasureScope:
        """Keep what was found, and return what stands: one that is there was found when there was more."""
        name = layout.pending_erasure_blob(erasure, number, "scope")
        if await self._blobs.create("staging", name, _text(scope)):
            return scope
        return await self.scope(erasure, number) or scope

    async def settle(self, erasure: str, number: int, due: datetime) -> None:
        """Record that its places are to be listed once more."""
        name = layout.pending_erasure_blob(erasure, number, "settling")
        await self._blobs.create("staging", name, b"{}", due=due.isoformat())

    async def settling_at(self, erasure: str, number: int) -> datetime | None:
        """Return when its places are to be listed once more; None before that is on record."""
        found = await self._blobs.stat("staging", layout.pending_erasure_blob(erasure, number, "settling"))
        return _due(found) if found else None

    async def queued(self, erasure: str, name: str) -> None:
        """Record that it was put on the queue."""
        await self._blobs.create("staging", layout.queued_erasure_blob(erasure, name), b"{}")

    async def forget_queued(self, erasure: str) -> None:
        """Remove the notes that it was put on the queue: when it is due again, it is queued again."""
        async for blob in self._blobs.list_blobs("staging", f"{layout.ERASURES}/{erasure}/"):
            name = layout.parse_pending_erasure(blob.name)
            if name and name.part == "queued":
                await self._blobs.delete("staging", blob.name)

    async def ids(self, *, limit: int, token: str | None = None) -> tuple[list[str], str | None]:
        """List ids of erasures in the order of digests, a page of facts at a time; raises azure-core's errors."""
        blobs, following = await self._blobs.page("archive", f"{layout.ERASED}/", limit=limit, token=token)
        names = (layout.parse_erasure(blob.name) for blob in blobs)
        return list(dict.fromkeys(name[0] for name in names if name and name[2] == "asked")), following

    async def _names(self, erasure: str) -> list[tuple[int, str]]:
        listed = self._blobs.list_blobs("archive", f"{layout.ERASED}/{erasure}/")
        return [(name[1], name[2]) async for blob in listed if (name := layout.parse_erasure(blob.name))]

    async def _create(self, erasure: str, number: int, step: str, fact: Record) -> bool:
        name, text = layout.erasure_blob(erasure, number, step), _text(fact)
        # One that exists and says the same is this one: the answer to an earlier try was lost.
        return await self._blobs.create("archive", name, text) or await self._blobs.read("archive", name) == text

    async def _read[Fact: Record](self, kind: type[Fact], erasure: str, number: int, step: str) -> Fact | None:
        name = layout.erasure_blob(erasure, number, step)
        text = await self._blobs.read("archive", name)
        try:
            return kind.model_validate_json(text) if text else None
        except ValidationError:
            log.error("erasure.unreadable", fact=name, next="inspect the blob")
            return None


def _due(blob: StoredBlob) -> datetime | None:
    try:
        return datetime.fromisoformat(blob.metadata["due"])
    except (KeyError, ValueError):
        return None


def _text(record: Record) -> bytes:
    return record.model_dump_json(by_alias=True, exclude_none=True).encode()
