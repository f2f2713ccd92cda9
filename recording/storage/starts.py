"""A start that happens once: claimed by a fact before ACS is asked.

    starts/{sha256}/00001-claim.json      somebody is making this start
    starts/{sha256}/00001-outcome.json    its outcome
    starts/{sha256}/00002-claim.json      the one before was given back, or its owner died

The 2021 API has no way to repeat a start safely (docs/acs-contract.md#2021-base). Whoever creates a claim may
ask ACS; whoever finds one knows that the start was made, or is being made.

A start whose outcome could not be written looks like one whose owner died. Whoever takes it over
asks ACS again, which answers 409 while the recording goes on: it is never silently made twice.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from azure.core.exceptions import AzureError

from recording.errors import StartInProgress
from recording.model import layout
from recording.model.record import Record
from recording.storage.blobs import Blobs
from recording.telemetry import log


class ClaimedByAnotherRequest(Exception):
    """The claim that is there was made for another request."""


class StartClaim(Record):
    """Somebody is making a start; `owner` is a random word of theirs, `request` tells requests apart."""

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
    """A claim that is ours; `number` is which try it is."""

    subject: str
    number: int


@dataclass(frozen=True)
class PriorStart:
    """A start that was made before, and its outcome."""

    claim: StartClaim
    outcome: StartOutcome


class StartClaims:
    """The claims of starts; one whose owner has been silent for `life` is taken over."""

    def __init__(self, blobs: Blobs, *, life: timedelta = timedelta(seconds=60), timeout: float = 30.0) -> None:
        self._blobs = blobs
        self._life = life
        # Storage that doesn't answer at all would hold the caller for minutes (60 s a try, five tries).
        self._timeout = timeout

    async def claim(self, subject: str, mine: StartClaim) -> HeldClaim | PriorStart:
        """Claim a start: it is ours now, or was made before.

        Raises StartInProgress while another request for it is in progress, ClaimedByAnotherRequest if the claim was
        made for another one, and azure-core's errors or TimeoutError if storage fails: ACS was not asked then.
        """
        async with asyncio.timeout(self._timeout):
            return await self._claim(subject, mine)

    async def record_outcome(self, held: HeldClaim, outcome: StartOutcome) -> None:
        """Record the outcome of a start that is ours.

        The operation can't be undone: an outcome that can't be written is logged in full, as an error, and what the
        caller is told stays true.
        """
        name = layout.outcome_blob(held.subject, held.number)
        try:
            async with asyncio.timeout(self._timeout):
                await self._blobs.create("archive", name, outcome.model_dump_json(by_alias=True).encode())
        except (AzureError, TimeoutError) as failed:
            written = outcome.model_dump(mode="json", by_alias=True)
            log.error("start.outcome_not_written", blob=name, reason=type(failed).__name__, outcome=written)

    async def _claim(self, subject: str, mine: StartClaim) -> HeldClaim | PriorStart:
        number = 1
        while True:
            name = layout.claim_blob(subject, number)
            if await self._blobs.create("archive", name, mine.model_dump_json(by_alias=True).encode()):
                return HeldClaim(subject, number)
            known = StartClaim.model_validate_json(await self._blobs.read("archive", name) or b"")
            if known.owner == mine.owner:
                return HeldClaim(subject, number)  # the answer to writing it was lost
            if known.request != mine.request:
                raise ClaimedByAnotherRequest
            outcome = await self._outcome(subject, number)
            if outcome is None and mine.at - known.at < self._life:
                raise StartInProgress("another worker is making this start; try again in a minute")
            if outcome is not None and outcome.result != "given_back":
                return PriorStart(known, outcome)
            if outcome is None:
                log.warning("start.taken_over", claim=name, since=known.at, note="the one before may have started")
            number += 1

    async def _outcome(self, subject: str, number: int) -> StartOutcome | None:
        text = await self._blobs.read("archive", layout.outcome_blob(subject, number))
        return StartOutcome.model_validate_json(text) if text else None
