"""Use case: who consented to being recorded, starts that need it, and what happens when consent is withdrawn.

A withdrawal pauses the recordings of its conversation at once. One that can't be paused is marked in staging, and the
timer tries it again: this is the only place that does. Where consent is required, it is looked at before a start, and
again when the start is on record: a withdrawal that came between the two has not seen the recording.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from azure.core.exceptions import AzureError
from pydantic import Field

from recording.acs.service import RecordingService
from recording.clock import Clock, utc_now
from recording.errors import (
    Conflict,
    ConsentMissing,
    Misconfigured,
    NotFound,
    RecordingError,
    StorageUnavailable,
    describe,
)
from recording.model import conversation
from recording.model.caller import Caller
from recording.model.consent import Consent, ConsentBody, ConsentFacts, Standing, counting, standing
from recording.model.live import Known
from recording.model.record import Body
from recording.model.started import Started
from recording.model.stored import StoredBlob
from recording.model.trail import TrailEntry
from recording.storage.consents import Consents, PendingPause
from recording.storage.endings import Endings
from recording.storage.index import Index
from recording.storage.trail import Trail
from recording.telemetry import log

_DAY = timedelta(days=1)
# A caller waits; two days may have thousands of starts.
_INDEX_SECONDS, _FACTS_SECONDS = 10.0, 60.0
_WHY = "consent was withdrawn"

# notRecording: it was paused already, or is over; notPaused: it goes on, and the timer tries again.
PauseOutcome = Literal["paused", "notRecording", "notPaused"]


class PausedRecording(Body):
    """A recording of the conversation, and its outcome when consent was withdrawn."""

    recording_id: str
    outcome: PauseOutcome


class ConsentNoted(Body):
    """Answer of `POST /v1/conversations/{conversationId}/consents`.

    `recordings` are those of the conversation that were started through this app and went on: a withdrawal pauses them.
    `mayStart` says whether a start would be allowed now, were consent required.
    """

    consent: Consent
    may_start: bool
    recordings: list[PausedRecording] = Field(default_factory=list)


class ConsentList(Body):
    """Answer of `GET /v1/conversations/{conversationId}/consents`: every fact, and what they say together now."""

    conversation_id: str
    consents: list[Consent]
    granted: list[str]
    withdrawn: list[str]
    may_start: bool


@dataclass(frozen=True)
class ConsentControl:
    """Notes and lists consents, and pauses what may not go on; `required` is CONSENT=required."""

    service: RecordingService
    consents: Consents
    trail: Trail
    endings: Endings
    index: Index
    required: bool
    clock: Clock = utc_now

    async def note(self, caller: Caller, conversation_id: str, body: ConsentBody) -> ConsentNoted:
        """Write the fact that a participant granted or withdrew consent; a withdrawal pauses.

        Raises BadRequest for an id that the recording API doesn't take or a time to come, and StorageUnavailable for a
        fact that can't be written: a withdrawal has paused the recordings nevertheless.
        """
        self.service.check(conversation_id)
        fact = Consent.of(body, conversation_id, caller, self.clock())
        entry = TrailEntry.of(caller, "consent", self.clock())
        entry.conversation_id = conversation_id
        entry.details = {"decision": fact.decision, "how": fact.how, "fact": fact.digest()}
        async with self.trail.record(entry):
            failed = await self._write(fact)
            known = None if failed else await self._standing(conversation_id)
            recordings: list[PausedRecording] = []
            are_all_found = True
            if fact.decision == "withdrawn" and (known is None or known.is_withdrawn):
                are_all_found = await self._pause_all(caller, conversation_id, recordings)
                entry.details |= {
                    outcome: [one.recording_id for one in recordings if one.outcome == outcome]
                    for outcome in ("paused", "notPaused")
                }
            if known is None or not are_all_found:
                done = ", ".join(f"{one.recording_id[:32]} {one.outcome}" for one in recordings) or "nothing changed"
                failed_at = "the consent can't be kept" if known is None else "not all recordings can be looked for"
                raise StorageUnavailable(f"{failed_at} now; send it again, or pause them by their ids ({done})")
            return ConsentNoted(consent=fact, may_start=known.missing is None, recordings=recordings)

    async def view(self, caller: Caller, conversation_id: str) -> ConsentList:
        """List the consents of a conversation, the oldest first; one look in a quarter of an hour is on record.

        Raises BadRequest for an id that the recording API doesn't take, StorageUnavailable, TrailUnavailable.
        """
        self.service.check(conversation_id)
        found = await self._read(conversation_id)
        await self.trail.write_once(caller, action="view", conversation_id=conversation_id, details={"of": "consents"})
        now = standing(found)
        return ConsentList(
            conversation_id=conversation_id,
            consents=list(found.consents),
            granted=now.named("granted"),
            withdrawn=now.named("withdrawn"),
            may_start=now.missing is None,
        )

    async def require(self, conversation_id: str) -> None:
        """Raise ConsentMissing unless a recording may start or go on, or StorageUnavailable if that isn't known."""
        if self.required and (missing := standing(await self._read(conversation_id)).missing):
            raise ConsentMissing(f"{missing}; POST /v1/conversations/{{conversationId}}/consents", target="consent")

    async def look_again(self, caller: Caller, started: Started) -> None:
        """Pause what has just started, or goes on again, if consent was withdrawn meanwhile.

        To be called once it is on record; raises nothing.
        """
        if not self.required:
            return
        try:
            is_withdrawn = standing(await self._read(started.conversation_id)).is_withdrawn
        except StorageUnavailable:
            # The timer looks.
            await self.consents.mark(_pending(started, self.clock))
            return
        if is_withdrawn:
            await self._pause(caller, started)

    async def pause_pending(self, markers: Iterable[StoredBlob]) -> None:
        """Pause what a withdrawal could not pause, as far as consent is still withdrawn; raises nothing.

        A step of the timer, which has listed the markers.
        """
        try:
            async for one in self.consents.pending(markers):
                if standing(await self._read(one.conversation_id)).is_withdrawn:
                    started = Started(recording_id=one.recording_id, conversation_id=one.conversation_id)
                    await self._pause(Caller(_WHY, origin="timer"), started)
                else:
                    await self.consents.unmark(one.recording_id)
        except (AzureError, TimeoutError, RecordingError) as failed:
            log.warning("consent.not_swept", reason=describe(failed), next="the next run tries again")
        except Exception:
            log.exception("consent.not_swept", next="the next run tries again")

    async def _write(self, fact: Consent) -> bool:
        """Write a fact; return whether that failed."""
        try:
            await self.consents.write(fact)
        except (AzureError, TimeoutError) as failed:
            log.error("consent.not_written", reason=describe(failed), next="the caller gets a 503, and sends it again")
            return True
        return False

    async def _standing(self, conversation_id: str) -> Standing | None:
        """Return what the facts say together; None if they can't be read."""
        try:
            return standing(await self._read(conversation_id))
        except StorageUnavailable:
            return None

    async def _read(self, conversation_id: str) -> ConsentFacts:
        """Read the facts that count now, the oldest first; raises StorageUnavailable."""
        try:
            now = self.clock()
            return counting(await self.consents.of(conversation_id, since=now), since=now)
        except (AzureError, TimeoutError) as failed:
            log.error("consent.not_read", reason=describe(failed), next="refused with 503")
            raise StorageUnavailable("the consents of this conversation can't be read now; try again") from None

    async def _pause_all(self, caller: Caller, conversation_id: str, paused: list[PausedRecording]) -> bool:
        """Pause each recording of a conversation that goes on, as far as this app has started it; add it to `paused`.

        Those of the index at once; then those of the facts of two days, since the index may lack rows or be out of
        reach. Return False if the facts can't be read: there may be others.
        """

        async def pause(found: Iterable[Started]) -> None:
            seen = {one.recording_id for one in paused}
            once = {one.recording_id: one for one in found if one.recording_id not in seen}
            paused.extend([await self._pause(caller, one) for one in once.values()])

        try:
            async with asyncio.timeout(_INDEX_SECONDS):
                live = await self.index.live()
            await pause(_of(conversation_id, live))
        except (AzureError, Misconfigured, TimeoutError) as failed:
            log.warning("index.not_read", reason=describe(failed), next="the facts of starts are read")
        try:
            async with asyncio.timeout(_FACTS_SECONDS):
                found = await self._begun(conversation_id)
        except (AzureError, TimeoutError) as failed:
            log.error(
                "consent.not_paused",
                reason=describe(failed),
                next="others may go on; the caller gets a 503 that says so",
            )
            return False
        await pause(found)
        return True

    async def _begun(self, conversation_id: str) -> list[Started]:
        """Find the recordings of a conversation that began in the last two days and have not ended, in the facts."""
        now = self.clock()
        mine = _of(conversation_id, await self.trail.started_on([now - _DAY, now]))
        return [one for one in mine if await self.endings.find(one.recording_id) is None]

    async def _pause(self, caller: Caller, started: Started) -> PausedRecording:
        """Pause a recording; on record under its id. What fails is marked, and tried again by the timer."""
        now = self.clock()
        await self.consents.mark(_pending(started, self.clock))
        entry = TrailEntry.of(caller, "pause", now)
        entry.conversation_id, entry.recording_id = started.conversation_id, started.recording_id
        entry.reason = _WHY
        outcome: PauseOutcome = "paused"
        try:
            async with self.trail.record(entry):
                await self.service.pause(started.conversation_id, started.recording_id)
                await self.index.note_live_state(started.recording_id, Known(asked="pause", asked_at=now))
        except NotFound:
            outcome = "notRecording"
        except Conflict:
            outcome = await self._after_conflict(started)
        except RecordingError:
            outcome = "notPaused"
        if outcome == "notPaused":
            log.error(
                "consent.not_paused",
                recordingId=started.recording_id,
                conversationId=started.conversation_id,
                next="the timer tries again",
            )
        else:
            await self.consents.unmark(started.recording_id)
        return PausedRecording(recording_id=started.recording_id, outcome=outcome)

    async def _after_conflict(self, started: Started) -> PauseOutcome:
        """Return what a refused pause means: a recording that was paused before is inactive, as one that is over."""
        try:
            found = await self.service.state(started.conversation_id, started.recording_id)
        except NotFound:
            return "notRecording"
        except RecordingError:
            return "notPaused"
        return "notRecording" if found.state == "inactive" else "notPaused"


def _of(conversation_id: str, started: Iterable[Started]) -> list[Started]:
    """Return what was started in a conversation, as far as the ids show it."""
    wanted = conversation.identity(conversation_id)
    return [one for one in started if conversation.identity(one.conversation_id) == wanted]


def _pending(started: Started, clock: Clock) -> PendingPause:
    return PendingPause(recording_id=started.recording_id, conversation_id=started.conversation_id, at=clock())
