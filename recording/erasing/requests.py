"""Use case: people ask for erasures, call them off and look at them; a retention class that ends asks for one, too."""

import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from azure.core.exceptions import AzureError
from pydantic import Field

from recording.clock import Clock, utc_now
from recording.erasing.blocked import Blocked
from recording.errors import (
    BadRequest,
    Conflict,
    ManifestUnreadable,
    Misconfigured,
    NotFound,
    StorageUnavailable,
    describe,
)
from recording.model import layout
from recording.model.caller import Caller
from recording.model.erasure import (
    AskedReason,
    Certificate,
    ErasureAsked,
    ErasureDecided,
    ErasureState,
    ErasureSummary,
    PendingErasure,
    ReasonCode,
)
from recording.model.export import Progress
from recording.model.record import Body
from recording.model.trail import TrailEntry
from recording.storage.erasures import ErasureStore
from recording.storage.index import Index
from recording.storage.places import Places
from recording.storage.recordings import RecordingStore
from recording.storage.tombstones import Tombstones
from recording.storage.trail import Trail
from recording.telemetry import log
from recording.workers import run_each

# Of the recordings of one person: requests at once, and how long one request looks for them. A platform's front end
# waits for less than four minutes (docs/functions-host.md).
_AT_ONCE, _PERSON_SECONDS = 8, 60.0


class EraseRecording(Body):
    """Body: why a recording is to be erased, as a code and in words; the words are erased with it."""

    reason: AskedReason
    text: str = Field(min_length=1, max_length=1000)


class ErasureAccepted(Body):
    """Answer: the id of the erasure, which is the digest of the recording key, and when it happens."""

    erasure_id: str
    happens_at: datetime


class ErasePerson(EraseRecording):
    """Body: whose recordings are to be erased, by a raw id or a phone number, and why.

    `after` is the `next` of an earlier answer.
    """

    participant: str = Field(min_length=1, max_length=1024)
    after: str | None = None


class AcceptedErasure(ErasureAccepted):
    """One of the erasures that were asked for together."""

    recording_key: str


class RefusedErasure(Body):
    """A recording of a person that can't be erased now, and why."""

    recording_key: str
    code: str
    message: str


class PersonErasures(Body):
    """Answer: what is erased of a person, and what is not; `happensAt` is when the last of them happens.

    Of what is `unreadable` it is unknown whether it names the person. With `next` there is more: ask again with it.
    """

    erasures: list[AcceptedErasure]
    refused: list[RefusedErasure]
    happens_at: datetime | None = None
    unreadable: list[str] = Field(default_factory=list)
    next: str | None = None


class ErasureDetail(Body):
    """An erasure: what was asked, its outcome, and its newest certificate.

    `recordingKey` is there until it is done. `reasons` say what forbids it.
    """

    erasure_id: str
    state: ErasureState
    recording_key: str | None = None
    reason: ReasonCode
    asked_at: datetime
    asked_by: str | None = None
    happens_at: datetime
    called_off_by: str | None = None
    reasons: list[str] = Field(default_factory=list)
    certificate: Certificate | None = None


class People(Protocol):
    """Finds the recordings of a person."""

    async def indexed(self, participant: str) -> list[str]:
        """List those that the search index knows."""

    async def in_flight(self, participant: str) -> list[str]:
        """List those in flight."""

    def archived(self, participant: str, *, after: str | None = None) -> AsyncGenerator[Progress]:
        """Look through every manifest behind a recording key, in parts."""


@dataclass(frozen=True)
class ErasureRequests:
    """Takes requests for erasures; they happen `delay` after they were asked for."""

    store: ErasureStore
    recordings: RecordingStore
    tombstones: Tombstones
    blocked: Blocked
    places: Places
    index: Index
    trail: Trail
    people: People
    delay: timedelta
    clock: Clock = utc_now
    person_seconds: float = _PERSON_SECONDS

    async def ask(self, caller: Caller, key: str, body: EraseRecording) -> ErasureAccepted:
        """Ask for the erasure of a recording; a repetition answers what was asked for first.

        That it was asked for is on the trail first. Raises BadRequest for a malformed key, NotFound for an unknown
        recording and one that was erased, Conflict while it is on hold or under a locked policy, TrailUnavailable,
        StorageUnavailable: after any of these nothing was changed.
        """
        layout.check_key(key)
        erasure = layout.key_digest(key)
        async with _storage(key):
            number = await self.store.last_number(erasure)
            steps = await self.store.steps(erasure, number)
            # One that has begun is not asked for again: what is being done is the answer.
            if steps.asked and (steps.is_open or (steps.has_begun and not steps.certificate)):
                return await self._again(steps.asked, key)
            await self._require(key, erasure)
            await self._check_allowed(key)
        details: dict[str, str] = {"code": body.reason, "erasure": erasure}
        await self.trail.write(caller, action="erase", recording=key, reason=body.text, details=details)
        by = caller.principal.object_id if caller.principal else None
        async with _storage(key):
            asked = await self._ask(key, number + 1, body.reason, by=by, text=body.text)
        return ErasureAccepted(erasure_id=erasure, happens_at=asked.happens_at)

    async def ask_for_person(self, caller: Caller, body: ErasePerson) -> PersonErasures:
        """Ask for the erasure of every recording whose metadata files name a person, archived or in flight.

        As an export, it reads every manifest; the index is asked as well, for one that can't be read. That he was
        searched for is on the trail first, by his digest. Each can be called off on its own; what is on hold is refused
        and named. After a minute it answers where it goes on (`next`): large archives take several requests.

        Raises BadRequest for a malformed `after`, TrailUnavailable, StorageUnavailable: a repetition asks for what is
        left.
        """
        if body.after is not None:
            layout.check_key(body.after)
        async with _storage("a person"):
            searched = {"participant": (await self.index.digests()).participant(body.participant)}
        await self.trail.write(caller, action="search", details=searched)
        found, unreadable, following = await self._of_person(body)
        accepted: list[AcceptedErasure] = []
        refused: list[RefusedErasure] = []

        async def ask(key: str) -> None:
            try:
                one = await self.ask(caller, key, EraseRecording(reason=body.reason, text=body.text))
            except (Conflict, NotFound) as no:
                refused.append(RefusedErasure(recording_key=key, code=no.error_code, message=no.message))
            else:
                accepted.append(
                    AcceptedErasure(recording_key=key, erasure_id=one.erasure_id, happens_at=one.happens_at)
                )

        await run_each(ask, sorted(found), at_once=_AT_ONCE)
        return PersonErasures(
            erasures=sorted(accepted, key=lambda one: one.recording_key),
            refused=sorted(refused, key=lambda one: one.recording_key),
            happens_at=max((one.happens_at for one in accepted), default=None),
            unreadable=sorted(unreadable - found),
            next=following,
        )

    async def _of_person(self, body: ErasePerson) -> tuple[set[str], set[str], str | None]:
        """Return the recordings of a person, those that can't be read, and where it goes on if time is over."""
        found: set[str] = set()
        unreadable: set[str] = set()
        async with _storage("a person"):
            if body.after is None:
                found |= set(await self.people.in_flight(body.participant))
                found |= await self._indexed(body.participant)
            ends = time.monotonic() + self.person_seconds
            async with aclosing(self.people.archived(body.participant, after=body.after)) as parts:
                async for part in parts:
                    found |= set(part.found)
                    unreadable |= set(part.unreadable)
                    if time.monotonic() > ends:
                        return found, unreadable, part.last_key
        return found, unreadable, None

    async def _indexed(self, participant: str) -> set[str]:
        try:
            return set(await self.people.indexed(participant))
        except (AzureError, Misconfigured, TimeoutError) as failed:
            log.warning("index.not_read", reason=describe(failed), next="every manifest is read")
            return set()

    async def end_of_retention(self, key: str) -> str | None:
        """Ask for the erasure of a recording whose retention class has ended; return the id.

        It happens after the same delay as every other: whoever sets classes could have chosen one whose time is over,
        and alone he must not erase. Until then it is seen, called off or held.

        None if it was erased, is being erased, or is on hold or under a locked policy; whoever asks, asks again later.
        Raises azure-core's errors.
        """
        erasure = layout.key_digest(key)
        number = await self.store.last_number(erasure)
        steps = await self.store.steps(erasure, number)
        if steps.is_open or steps.has_begun or await self.tombstones.read(erasure):
            return None
        if reasons := await self.blocked.by(key, self.clock(), "retention-ended"):
            codes = "; ".join(one.code for one in reasons)
            log.info("retention.waits", recordingKey=key, reason=codes, next="it is kept until nothing forbids it")
            return None
        entry_details = {"code": "retention-ended", "erasure": erasure}
        await self.trail.write(Caller(origin="timer"), action="erase", recording=key, details=entry_details)
        await self._ask(key, number + 1, "retention-ended", by=None, text=None)
        return erasure

    async def call_off(self, caller: Caller, key: str) -> None:
        """Call an erasure off, until it has begun.

        Raises BadRequest for a malformed key, NotFound if none was asked for, Conflict if it has begun, was refused or
        is done, StorageUnavailable. It is on the trail.
        """
        layout.check_key(key)
        erasure = layout.key_digest(key)
        async with _storage(key):
            number = await self.store.last_number(erasure)
            steps = await self.store.steps(erasure, number)
            if steps.asked is None or (steps.decided and steps.decided.decision == "called-off"):
                raise NotFound("no erasure of this recording was asked for", target="recordingKey")
        entry = TrailEntry.of(caller, "calloff", self.clock())
        entry.recording_key, entry.details = key, {"erasure": erasure}
        async with self.trail.record(entry), _storage(key):
            if steps.decided is None and (pending := await self.store.pending(erasure, number)):
                # Who asked may have been killed in between.
                await self.store.ask(pending)
            mine = ErasureDecided(decision="called-off", at=self.clock(), by=entry.object_id)
            decided = await self.store.decide(erasure, number, mine)
            if decided.decision != "called-off":
                if decided.decision == "begun":
                    # The trail doesn't name again what is erased.
                    entry.recording_key, entry.erasure = None, erasure
                what = "has begun" if decided.decision == "begun" else "was refused"
                raise Conflict(f"this erasure {what}: it can't be called off any more", code="TooLate")
            await self.index.note_erasure(ErasureSummary.of(steps.asked, None, decided))
            await self.places.empty("staging", [layout.pending_erasure_prefix(erasure, number)])
            await self.store.forget_queued(erasure)

    async def get(self, erasure: str) -> ErasureDetail:
        """Return an erasure by its id; raises BadRequest for a text that is none, NotFound, StorageUnavailable."""
        if len(erasure) != 64 or not set(erasure) <= set("0123456789abcdef"):
            raise BadRequest("the id of an erasure is the SHA-256 of a recording key, in hex", target="erasureId")
        async with _storage(erasure):
            steps = await self.store.steps(erasure)
            pending = await self.store.pending(erasure) if steps.asked and not steps.certificate else None
        if steps.asked is None:
            raise NotFound("no erasure of this id was asked for", target="erasureId")
        called_off = steps.decided if steps.decided and steps.decided.decision == "called-off" else None
        return ErasureDetail(
            erasure_id=erasure,
            state=ErasureSummary.of(steps.asked, steps.certificate, steps.decided, steps.checked).state,
            recording_key=pending.recording_key if pending else None,
            reason=steps.asked.reason,
            asked_at=steps.asked.at,
            asked_by=steps.asked.by,
            happens_at=steps.asked.happens_at,
            called_off_by=called_off.by if called_off else None,
            reasons=[
                *(steps.decided.reasons if steps.decided else ()),
                *(steps.checked.reasons if steps.checked else ()),
            ],
            certificate=steps.certificate,
        )

    async def _again(self, asked: ErasureAsked, key: str) -> ErasureAccepted:
        """Answer a repetition; what an earlier request could not write is written now."""
        await self.store.ask(PendingErasure(recording_key=key, asked=asked))
        return ErasureAccepted(erasure_id=asked.erasure, happens_at=asked.happens_at)

    async def _ask(
        self, key: str, number: int, reason: ReasonCode, *, by: str | None, text: str | None
    ) -> ErasureAsked:
        """Ask; `number` is that behind the last asking that was looked at: of two requests at once, one counts."""
        erasure = layout.key_digest(key)
        now = self.clock()
        asked = ErasureAsked(
            erasure=erasure,
            number=number,
            at=now,
            happens_at=now + self.delay,
            by=by,
            reason=reason,
        )
        asked = await self.store.ask(PendingErasure(recording_key=key, asked=asked, text=text))
        await self.index.note_erasure(ErasureSummary.of(asked, None))
        log.warning("erasure.asked", recordingKey=key, erasure=erasure, reason=asked.reason, happensAt=asked.happens_at)
        return asked

    async def _require(self, key: str, erasure: str) -> None:
        if await self.tombstones.read(erasure):
            raise NotFound(
                f"this recording was erased: GET /v1/erasures/{erasure}", target="recordingKey", code="Erased"
            )
        if not await self.recordings.staged(key) and not await self._is_archived(key):
            raise NotFound("there is no recording of this key, neither in flight nor archived", target="recordingKey")

    async def _is_archived(self, key: str) -> bool:
        try:
            return await self.recordings.newest_manifest(key) is not None
        except ManifestUnreadable:
            # It is there, and is erased by the names of its blobs.
            return True

    async def _check_allowed(self, key: str) -> None:
        if reasons := await self.blocked.by(key, self.clock()):
            why = "; ".join(str(one) for one in reasons)
            raise Conflict(f"this recording can't be erased: {why}", target="recordingKey", code="OnHold")


@asynccontextmanager
async def _storage(key: str) -> AsyncIterator[None]:
    try:
        yield
    except (AzureError, TimeoutError) as failed:
        log.error("erasure.not_changed", subject=key, reason=describe(failed), next="answered with 503")
        raise StorageUnavailable("storage can't be reached; try again") from None
