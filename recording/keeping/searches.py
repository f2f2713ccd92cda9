"""Use case: a case holds all recordings that a search finds now.

What was asked for is kept in staging until it is done, since it may name a person; how many recordings are held is a
fact of the archive. A job that was killed begins again: what it has held by then counts as its own.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from azure.core.exceptions import AzureError
from pydantic import ValidationError

from recording.clock import Clock, utc_now
from recording.errors import (
    BadRequest,
    Conflict,
    IndexUnavailable,
    Misconfigured,
    NotFound,
    StorageUnavailable,
    describe,
)
from recording.keeping.changes import KeepingChanges
from recording.model import index, layout
from recording.model.caller import Caller
from recording.model.holds import HoldsAsked, HoldsState, PlaceHolds
from recording.model.index import Search
from recording.model.job import HoldsJob
from recording.model.keeping import HoldPlaced
from recording.model.stored import StoredBlob
from recording.model.trail import TrailEntry
from recording.storage.blobs import Blobs
from recording.storage.index import Index
from recording.storage.queues import Queue
from recording.storage.trail import Trail
from recording.telemetry import log
from recording.workers import run_each

_PAGE, _AT_ONCE = 200, 8
# Recordings after which the progress is written.
_EACH = 50
# Below `functionTimeout` (host.json); what is left is done by the next job.
_BUDGET_SECONDS = 20 * 60.0
# A job that got lost, or that was killed, is queued again after this time.
_AGAIN = timedelta(minutes=30)


@dataclass(frozen=True)
class HoldSearches:
    """Places holds on what a search finds."""

    blobs: Blobs
    index: Index
    queue: Queue
    changes: KeepingChanges
    trail: Trail
    clock: Clock = utc_now
    budget_seconds: float = _BUDGET_SECONDS

    async def ask(self, caller: Caller, body: PlaceHolds) -> HoldsState:
        """Queue a hold on what a search finds.

        Raises BadRequest for a conversation that is none, IndexUnavailable, StorageUnavailable.
        """
        await self._search(body.filters())
        entry = TrailEntry.of(caller, "hold", self.clock())
        entry.reason = body.reason
        search = uuid4().hex
        async with self.trail.record(entry):
            asked = HoldsAsked(
                **body.filters(),
                case=body.case,
                reason=body.reason,
                at=entry.at.astimezone(UTC),
                who=entry.who,
                by=entry.object_id,
            )
            # Not what was searched for, which may be a person.
            entry.details = {"case": body.case, "holdId": search, "filters": sorted(body.filters())}
            try:
                text = asked.model_dump_json(by_alias=True, exclude_none=True).encode()
                await self.blobs.create("staging", layout.asked_hold_blob(search), text)
                await self.queue.send(HoldsJob(hold_id=search).to_message())
            except (AzureError, TimeoutError) as failed:
                log.error("holds.not_queued", holdId=search, reason=describe(failed), next="ask again")
                raise StorageUnavailable("storage can't be reached; try again") from None
            return HoldsState(hold_id=search, state="working", case=body.case, at=asked.at)

    async def state(self, search: str) -> HoldsState:
        """Return how far it has come; raises NotFound for an unknown id, StorageUnavailable."""
        try:
            found = await self._state(search) if layout.is_hold_search(search) else None
        except (AzureError, ValidationError) as failed:
            log.error("holds.not_read", holdId=search, reason=describe(failed))
            raise StorageUnavailable("storage can't be reached; try again") from None
        if found is None:
            raise NotFound("there is no hold on a search of this id", target="holdId")
        return found

    async def run(self, search: str) -> HoldsState | None:
        """Place the holds; None if there is nothing to do. What it raises makes the queue try again."""
        text = await self.blobs.read("staging", layout.asked_hold_blob(search))
        if text is None or await self.blobs.stat("archive", layout.hold_search_blob(search)):
            await self._forget(search)
            return None
        asked = HoldsAsked.model_validate_json(text)
        async with asyncio.timeout(self.budget_seconds):
            counts = await self._hold(search, asked)
        now = self.clock().astimezone(UTC)
        done = HoldsState(hold_id=search, state="done", case=asked.case, at=asked.at, ended_at=now, **counts)
        body = done.model_dump_json(by_alias=True, exclude_none=True).encode()
        await self.blobs.create("archive", layout.hold_search_blob(search), body)
        await self._forget(search)
        log.info("holds.placed", holdId=search, found=counts.get("found", 0), held=counts.get("held", 0))
        return done

    async def requeue(self, listed: Iterable[StoredBlob], now: datetime) -> None:
        """Queue again what has not been done in half an hour, of what staging has; raises nothing."""
        try:
            for blob in listed:
                search = blob.name.split("/")[1]
                if blob.name == layout.asked_hold_blob(search) and blob.written_at and blob.written_at + _AGAIN < now:
                    await self.queue.send(HoldsJob(hold_id=search).to_message())
        except AzureError as failed:
            log.warning("holds.not_requeued", reason=describe(failed), next="the next run tries again")

    async def _search(self, filters: dict[str, Any]) -> Search:
        try:
            digests = await self.index.digests()
            named = {"conversation": "conversation_id", "call": "call_id"}
            return index.search(digests, **{named.get(name, name): value for name, value in filters.items()})
        except ValueError as bad:
            raise BadRequest(f"conversation: {bad}", target="conversation") from None
        except (AzureError, Misconfigured) as failed:
            log.error("index.not_read", reason=describe(failed), next="nothing is held; ask again")
            raise IndexUnavailable("the search index can't be reached; nothing is held yet") from None

    async def _hold(self, search: str, asked: HoldsAsked) -> dict[str, int]:
        wanted, keys, token = await self._search(asked.filters()), [], None
        while True:
            page = await self.index.page(wanted, limit=_PAGE, token=token)
            keys += [one.recording_key for one in page.summaries]
            token = page.token
            if token is None:
                break
        keys = [*dict.fromkeys(keys)]
        counts = Counter(found=len(keys))

        async def hold(key: str) -> None:
            counts[await self._hold_one(search, asked, key)] += 1
            if (sum(counts.values()) - len(keys)) % _EACH == 0:
                known = {"hold_id": search, "case": asked.case, "at": asked.at, **counts}
                now = HoldsState.model_validate({"state": "working", **known})
                seen = await self.blobs.stat("staging", layout.hold_progress_blob(search))
                body = now.model_dump_json(by_alias=True, exclude_none=True).encode()
                await self.blobs.replace("staging", layout.hold_progress_blob(search), body, over=seen)

        await run_each(hold, keys, at_once=_AT_ONCE)
        return dict(counts)

    async def _hold_one(self, search: str, asked: HoldsAsked, key: str) -> str:
        fact = HoldPlaced(case=asked.case, reason=asked.reason, at=asked.at, by=asked.by, search=search)
        try:
            is_new = await self.changes.place_fact(key, fact)
        except Conflict:
            return "erased"
        if not is_new:
            there = await self.changes.keeping.held_by(key, asked.case)
            return "held" if there and there.search == search else "held_before"
        entry = TrailEntry(at=self.clock(), action="hold", who=asked.who, object_id=asked.by, reason=asked.reason)
        entry.recording_key, entry.details = key, {"case": asked.case, "holdId": search}
        async with self.trail.record(entry):
            return "held"

    async def _state(self, search: str) -> HoldsState | None:
        for where, name in (
            ("archive", layout.hold_search_blob(search)),
            ("staging", layout.hold_progress_blob(search)),
        ):
            if text := await self.blobs.read(where, name):  # type: ignore[arg-type]
                return HoldsState.model_validate_json(text)
        text = await self.blobs.read("staging", layout.asked_hold_blob(search))
        if text is None:
            return None
        asked = HoldsAsked.model_validate_json(text)
        return HoldsState(hold_id=search, state="working", case=asked.case, at=asked.at)

    async def _forget(self, search: str) -> None:
        for name in (layout.asked_hold_blob(search), layout.hold_progress_blob(search)):
            await self.blobs.delete("staging", name)
