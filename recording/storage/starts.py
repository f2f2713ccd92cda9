"""A start that happens once: claimed by a fact before ACS is asked.

    starts/{sha256}/00001-claim.json      somebody is making this start
    starts/{sha256}/00001-outcome.json    what came of it
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
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from recording.errors import StartInProgress
from recording.model import layout
from recording.storage.blobs import Blobs
from recording.telemetry import log

# A worker that died in the middle is taken over from after this long.
LIFE = timedelta(seconds=60)
# Storage that doesn't answer at all would hold the caller for minutes (60 s a try, five tries).
PATIENCE_SECONDS = 30.0


class ClaimedByAnotherRequest(Exception):
    """The claim that is there was made for another request."""


class _Fact(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class StartClaim(_Fact):
    """Somebody is making a start; `owner` is a random word of theirs, `request` tells requests apart."""

    owner: str
    conversation_id: str
    request: str | None = None
    at: datetime


class StartOutcome(_Fact):
    """What came of a start."""

    result: Literal["started", "already_recording", "refused", "given_back"]
    recording_id: str | None = None
    reason: str | None = None
    at: datetime


@dataclass(frozen=True)
class HeldClaim:
    """A claim that is ours; `number` is which try it is."""

    subject: str
    number: int


async def take(storage: Blobs, subject: str, mine: StartClaim) -> HeldClaim | tuple[StartClaim, StartOutcome]:
    """Claim a start: ours now, or the claim and the outcome of the one that was made before.

    Raises StartInProgress while another worker is at it, AnotherRequest if the claim is another
    request's, and azure-core's errors or TimeoutError if storage fails: ACS was not asked then.
    """
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await _take(storage, subject, mine)


async def _take(storage: Blobs, subject: str, mine: StartClaim) -> HeldClaim | tuple[StartClaim, StartOutcome]:
    number = 1
    while True:
        text = mine.model_dump_json(by_alias=True).encode()
        if await storage.create("archive", layout.claim_blob(subject, number), text):
            return HeldClaim(subject, number)
        known = StartClaim.model_validate_json(await storage.read("archive", layout.claim_blob(subject, number)) or b"")
        if known.owner == mine.owner:
            return HeldClaim(subject, number)  # the answer to writing it was lost
        if known.request != mine.request:
            raise ClaimedByAnotherRequest
        outcome = await _outcome(storage, subject, number)
        if outcome is None and mine.at - known.at < LIFE:
            raise StartInProgress("another worker is making this start; try again in a minute")
        if outcome is not None and outcome.result != "given_back":
            return known, outcome
        if outcome is None:
            claimed = layout.claim_blob(subject, number)
            log.warning("start.taken_over", claim=claimed, since=known.at, note="the one before may have started")
        number += 1


async def settle(storage: Blobs, held: HeldClaim, outcome: StartOutcome) -> None:
    """Say what came of a start that is ours.

    It has happened by then: an outcome that can't be written is logged whole, as an error, and what
    the caller is told stays true.
    """
    name = layout.outcome_blob(held.subject, held.number)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await storage.create("archive", name, outcome.model_dump_json(by_alias=True).encode())
    except (AzureError, TimeoutError) as failed:
        written = outcome.model_dump(mode="json", by_alias=True)
        log.error("start.outcome_not_written", blob=name, reason=type(failed).__name__, outcome=written)


async def _outcome(storage: Blobs, subject: str, number: int) -> StartOutcome | None:
    text = await storage.read("archive", layout.outcome_blob(subject, number))
    return StartOutcome.model_validate_json(text) if text else None
