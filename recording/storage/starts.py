"""Starts: each happens once, claimed by a fact before ACS is asked, and its recording belongs to a conversation.

    starts/{sha256}/00001-claim.json      a process is making this start
    starts/{sha256}/00001-outcome.json    its outcome
    starts/{sha256}/00002-claim.json      the previous claim was given back, or its owner died
    started/{sha256(recording id)}.json   in which conversation a recording was started through this app

With the 2021 preview API a start can't be repeated safely (docs/acs-contract.md#2021-base). The
process that creates the claim may ask ACS; any other finds the claim, and knows that the start was
made or is in progress.

A start whose outcome could not be written looks like one whose owner died. The process that takes
it over asks ACS again, which answers 409 while the recording is active: no second recording is
started unnoticed.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from azure.core.exceptions import AzureError
from pydantic import ValidationError

from recording.errors import StartInProgress, describe
from recording.model import layout
from recording.model.record import Record
from recording.model.started import Started
from recording.storage.blobs import Blobs
from recording.telemetry import log

_REMEMBERED = 10_000


class ClaimedByAnotherRequest(Exception):
    """The subject is claimed by a different request."""


class StartClaim(Record):
    """A process is making a start; `owner` is random, one for each try, and `request` is a digest of the request."""

    owner: str
    conversation_id: str
    request: str | None = None
    at: datetime


class StartOutcome(Record):
    """The outcome of a start."""

    result: Literal["started", "already_recording", "refused", "given_back"]
    recording_id: str | None = None
    reason: str | None = None
    at: datetime


@dataclass(frozen=True)
class HeldClaim:
    """A claim that the caller holds; `number` counts the claims of its subject."""

    subject: str
    number: int


@dataclass(frozen=True)
class PriorStart:
    """The claim and the outcome of a start that was made before."""

    claim: StartClaim
    outcome: StartOutcome


class StartClaims:
    """Keeps the claims of starts; a claim without an outcome is taken over after `life`."""

    def __init__(
        self,
        blobs: Blobs,
        *,
        life: timedelta = timedelta(seconds=60),
        timeout: float = 30.0,
        look_timeout: float = 2.0,
    ) -> None:
        self._blobs = blobs
        self._life = life
        # Without it, storage that doesn't answer would block the caller for minutes (five tries of 60 s).
        self._timeout = timeout
        # A recording must be stopped soon, also while storage hangs.
        self._look_timeout = look_timeout
        # Known starts by the digest of the recording id: a fact never changes, and some clients poll the state. It is
        # written before anybody is told the id, so one that isn't there won't be.
        self._known: dict[str, Started | None] = {}

    async def note_started(self, fact: Started) -> None:
        """Record that a recording was started.

        The start can't be undone: if the fact can't be written, this is logged, and nothing is raised.
        """
        # Whoever looked before has found none.
        self._known.pop(layout.recording_digest(fact.recording_id), None)
        try:
            async with asyncio.timeout(self._look_timeout):
                name = layout.started_blob(fact.recording_id)
                await self._blobs.create("archive", name, fact.model_dump_json(by_alias=True).encode())
        except (AzureError, TimeoutError) as failed:
            log.warning("start.not_noted", recordingId=fact.recording_id, reason=describe(failed))
            if fact.retention_class is not None:
                log.error(
                    "retention.not_noted",
                    recordingId=fact.recording_id,
                    reason=fact.retention_class,
                    next="it gets the default class; set this one by PUT /v1/recordings/{key}/retention",
                )

    async def find(self, recording_id: str | None) -> Started | None:
        """Return how a recording was started through this app; None if it wasn't, or the fact can't be parsed.

        Raises azure-core's errors.
        """
        return None if recording_id is None else await self.find_by_digest(layout.recording_digest(recording_id))

    async def find_by_digest(self, digest: str) -> Started | None:
        """Return the same by the digest of the recording id, which is all that the name of a marker says."""
        if digest not in self._known:
            name = layout.started_blob_of(digest)
            text = await self._blobs.read("archive", name)
            try:
                self._known[digest] = Started.model_validate_json(text) if text else None
            except ValidationError as bad:
                log.warning("start.not_read", blob=name, reason=describe(bad))
                return None
            if len(self._known) > _REMEMBERED:
                del self._known[next(iter(self._known))]
        return self._known.get(digest)

    async def find_if_possible(self, recording_id: str | None) -> Started | None:
        """Return how a recording was started through this app.

        None as well if that can't be read now: what needs it least is done without.
        """
        try:
            async with asyncio.timeout(self._look_timeout):
                return await self.find(recording_id)
        except (AzureError, TimeoutError) as failed:
            log.warning("start.not_read", recordingId=recording_id, reason=describe(failed))
            return None

    async def conversation_of(self, recording_id: str) -> str | None:
        """Return the conversation in which a recording was started through this app.

        None if that isn't known, or can't be read now: a recording can be stopped while storage is down.
        """
        found = await self.find_if_possible(recording_id)
        return found.conversation_id if found else None

    async def claim(self, subject: str, mine: StartClaim) -> HeldClaim | PriorStart:
        """Claim a start, or return the one that was made before.

        Raises StartInProgress while another process makes this start, ClaimedByAnotherRequest if the subject was
        claimed for a different request, and azure-core's errors or TimeoutError if storage fails. ACS must not be
        asked after any of these.
        """
        async with asyncio.timeout(self._timeout):
            return await self._claim(subject, mine)

    async def record_outcome(self, held: HeldClaim, outcome: StartOutcome) -> None:
        """Record the outcome of a start that the caller claimed.

        The start can't be undone. So an outcome that can't be written is logged in full, as an error, and nothing is
        raised.
        """
        name = layout.outcome_blob(held.subject, held.number)
        try:
            async with asyncio.timeout(self._timeout):
                await self._blobs.create("archive", name, outcome.model_dump_json(by_alias=True).encode())
        except (AzureError, TimeoutError) as failed:
            written = outcome.model_dump(mode="json", by_alias=True)
            log.error("start.outcome_not_written", blob=name, reason=describe(failed), outcome=written)

    async def _claim(self, subject: str, mine: StartClaim) -> HeldClaim | PriorStart:
        number = 1
        while True:
            name = layout.claim_blob(subject, number)
            if await self._blobs.create("archive", name, mine.model_dump_json(by_alias=True).encode()):
                return HeldClaim(subject, number)
            known = StartClaim.model_validate_json(await self._blobs.read("archive", name) or b"")
            if known.owner == mine.owner:
                return HeldClaim(subject, number)  # it was written by an earlier try, whose answer was lost
            if known.request != mine.request:
                raise ClaimedByAnotherRequest
            outcome = await self._outcome(subject, number)
            if outcome is None and mine.at - known.at < self._life:
                raise StartInProgress("another request for this start is in progress; try again in a minute")
            if outcome is not None and outcome.result != "given_back":
                return PriorStart(known, outcome)
            if outcome is None:
                log.warning(
                    "start.taken_over", claim=name, since=known.at, note="the previous owner may have started it"
                )
            number += 1

    async def _outcome(self, subject: str, number: int) -> StartOutcome | None:
        text = await self._blobs.read("archive", layout.outcome_blob(subject, number))
        return StartOutcome.model_validate_json(text) if text else None
