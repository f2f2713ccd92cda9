"""Use case: what operators look at: chunks that fail or are at risk, what was lost, what never came, what waits.

Each list is a page that costs what it shows, however many recordings there are: rows of the search index, and the small
prefixes of staging and of the quarantine. A part that can't be read is named, and the others are shown: they are needed
most when something is down.
"""

import asyncio
import json
from collections.abc import Awaitable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import batched
from typing import Any

from azure.core.exceptions import AzureError, ResourceNotFoundError
from pydantic import ValidationError

from recording.catalogue.browse import Catalogue, ListQuery, PageQuery, RecordingList, next_link, read_token
from recording.catalogue.operations_view import (
    DaysQuery,
    DeadLetter,
    DeadLetterList,
    OperationsQuery,
    OperationsView,
    Part,
    QuarantinedDetail,
    QuarantinedItem,
    QuarantinedList,
    QueueDepth,
    UnannouncedList,
    UnannouncedRecording,
    Unread,
    WaitingChunk,
    WaitingList,
)
from recording.clock import Clock, utc_now
from recording.errors import BadRequest, NotFound, RecordingError, StorageUnavailable, describe
from recording.model import index, layout, pending
from recording.model.attempts import FIRST_RESCUE
from recording.model.index import Listing
from recording.model.pending import PendingEnding
from recording.model.quarantined import QuarantinedEvent
from recording.model.recording import InFlightChunk, InFlightRecording, first_said
from recording.model.stored import Container, StoredBlob
from recording.storage.blobs import Blobs
from recording.storage.endings import Endings
from recording.storage.index import Index
from recording.storage.queues import Queue
from recording.storage.recordings import RecordingStore
from recording.storage.starts import StartClaims
from recording.telemetry import log
from recording.workers import run_each

_READS = 8
# Days of one list that are listed at once.
_DAYS = 8


@dataclass(frozen=True)
class Operations:
    """Reads what needs an operator; each part has some `seconds`.

    `queues` are pairs of a queue and its poison queue. `first_requeue` is how long the queue has for a chunk,
    `risk_margin` how long before its deadline it is at risk, `overdue` how long after a stop its event is waited for.
    """

    catalogue: Catalogue
    blobs: Blobs
    recordings: RecordingStore
    starts: StartClaims
    endings: Endings
    index: Index
    queues: Sequence[tuple[Queue, Queue]]
    retention: timedelta
    risk_margin: timedelta
    overdue: timedelta
    first_requeue: timedelta = FIRST_RESCUE
    clock: Clock = utc_now
    seconds: float = 10.0

    async def view(self, query: OperationsQuery, *, url: str = "") -> OperationsView:
        """Return the first page of each list; `url` is the address that was asked."""
        page = DaysQuery(days=query.days, limit=query.limit)
        since = (self.clock() - timedelta(days=query.days)).astimezone(UTC)
        listed = _beside(url, "recordings")
        unread: list[Unread] = []

        async def part[Result](name: Part, read: Awaitable[Result]) -> Result | None:
            try:
                async with asyncio.timeout(self.seconds):
                    return await read
            except (AzureError, RecordingError, TimeoutError) as failed:
                reason = describe(failed)
                log.warning("operations.not_read", part=name, reason=reason, next="the other parts are shown")
                unread.append(Unread(part=name, reason=reason))
            except Exception as unexpected:
                log.exception("operations.not_read", part=name, next="the other parts are shown")
                unread.append(Unread(part=name, reason=describe(unexpected)))
            return None

        async def recordings(**filters: bool) -> RecordingList:
            asked = ListQuery.model_validate({"from": since.isoformat(), "limit": query.limit} | filters)
            return await self.catalogue.page(asked, url=listed)

        async with asyncio.TaskGroup() as group:
            timer = group.create_task(part("timer", self.index.last_run()))
            waiting = group.create_task(part("waiting", self.waiting(page, url=_below(url, "waiting"))))
            lost = group.create_task(part("lost", recordings(missing=True)))
            truncated = group.create_task(part("truncated", recordings(truncated=True)))
            late = group.create_task(part("notAnnounced", self.not_announced(page, url=_below(url, "not-announced"))))
            bad = group.create_task(part("quarantined", self.quarantined(page, url=_below(url, "quarantined"))))
            dead = group.create_task(part("deadLetters", self.dead_letters(page, url=_below(url, "dead-letters"))))
            queues = group.create_task(part("queues", self._depths()))
        return OperationsView(
            as_of=self.clock(),
            days=query.days,
            timer=timer.result(),
            waiting=waiting.result(),
            lost=lost.result(),
            truncated=truncated.result(),
            not_announced=late.result(),
            quarantined=bad.result(),
            dead_letters=dead.result(),
            queues=queues.result(),
            unread=sorted(unread, key=lambda one: one.part),
        )

    async def waiting(self, query: PageQuery, *, url: str = "") -> WaitingList:
        """List chunks that fail or are at risk, the least time left first, as staging has them now.

        Raises BadRequest for a cursor of another list, StorageUnavailable.
        """
        listing = Listing("waiting")
        with _reading():
            token = await self._token(listing, query.cursor)
            rows, following = await self.index.waiting(limit=query.limit, token=token)
            found: dict[str, InFlightRecording] = {}
            references: dict[str, str | None] = {}

            async def load(key: str) -> None:
                found[key] = one = await self.recordings.load(key)
                started = await self.starts.find_if_possible(one.recording_id)
                references[key] = started.reference if started else None

            await run_each(load, dict.fromkeys(key for key, _ in rows), at_once=_READS)
            now = self.clock()
            chunks = [
                self._waiting_chunk(found[key], chunk, references[key], now)
                for key, document_id in rows
                for chunk in found[key].chunks
                if chunk.document_id == document_id and chunk.needs_attention(now, self.risk_margin)
            ]
            cursor, link = await self._following(listing, query, following, url)
        return WaitingList(chunks=chunks, cursor=cursor, next_link=link)

    async def not_announced(self, query: PageQuery, *, url: str = "") -> UnannouncedList:
        """List recordings whose event is overdue, the oldest stop first: what is not overdue comes behind them.

        Raises BadRequest for a cursor of another list, StorageUnavailable.
        """
        listing = Listing("notAnnounced")
        with _reading():
            token = await self._token(listing, query.cursor)
            blobs, following = await self.blobs.page("staging", f"{layout.PENDING}/", limit=query.limit, token=token)
            stopped = pending.parse_markers(blob.name for blob in blobs)
            now = self.clock()
            late = [one for one in stopped if one.stopped + self.overdue <= now]
            found: dict[PendingEnding, UnannouncedRecording] = {}

            async def read(one: PendingEnding) -> None:
                if ending := await self.endings.find_pending(one):
                    started = await self.starts.find_if_possible(ending.recording_id)
                    deadline = one.stopped + self.retention
                    found[one] = UnannouncedRecording(
                        recording_id=ending.recording_id,
                        conversation_id=ending.conversation_id,
                        reference=started.reference if started else None,
                        stopped_at=ending.at,
                        stopped_by=ending.who,
                        deadline=deadline,
                        hours_left=_hours(deadline - now),
                    )

            await run_each(read, late, at_once=_READS)
            # Markers are in the order of the stops.
            is_end = following is None or len(late) < len(stopped)
            cursor, link = await self._following(listing, query, None if is_end else following, url)
        return UnannouncedList(recordings=[found[one] for one in late if one in found], cursor=cursor, next_link=link)

    async def quarantined(self, query: DaysQuery, *, url: str = "") -> QuarantinedList:
        """List events of the quarantine that were not accepted since, the newest day first.

        Raises BadRequest for a cursor of another list, StorageUnavailable.
        """
        listing = Listing("quarantined")
        with _reading():
            token = await self._token(listing, query.cursor)
            blobs, following = await self._walk("quarantine", self._days(query.days), query.limit, token)
            accepted: set[str] = set()
            for day in dict.fromkeys(blob.name.rpartition("/")[0] for blob in blobs):
                accepted |= {
                    one.name async for one in self.blobs.list_blobs("quarantine", layout.replayed_blob(f"{day}/"))
                }
            found: dict[str, QuarantinedItem] = {}

            async def read(blob: StoredBlob) -> None:
                key = layout.quarantine_key(blob.name)
                if key and layout.replayed_blob(blob.name) not in accepted:
                    kept = _parse(await self.blobs.read("quarantine", blob.name), blob)
                    found[blob.name] = QuarantinedItem(
                        event_key=key, received_at=kept.received_at, reasons=kept.reasons, bytes=blob.size
                    )

            await run_each(read, blobs, at_once=_READS)
            cursor, link = await self._following(listing, query, following, url)
        newest_first = sorted(found.values(), key=lambda one: one.received_at, reverse=True)
        return QuarantinedList(events=newest_first, cursor=cursor, next_link=link)

    async def quarantined_event(self, event_key: str, *, people: bool) -> QuarantinedDetail:
        """Return one event of the quarantine; its text only with `people`.

        Raises BadRequest for a malformed key, NotFound for an unknown one, StorageUnavailable.
        """
        name = layout.quarantined_blob(event_key)
        if name is None:
            raise BadRequest(
                "an event key must have the form 20260301-sha256-<32 hexadecimal digits>", target="eventKey"
            )
        with _reading():
            blob, text, replayed = await asyncio.gather(
                self.blobs.stat("quarantine", name),
                self.blobs.read("quarantine", name),
                self.blobs.stat("quarantine", layout.replayed_blob(name)),
            )
        if blob is None:
            raise NotFound("there is no event of this key in quarantine", target="eventKey")
        kept = _parse(text, blob)
        return QuarantinedDetail(
            event_key=event_key,
            received_at=kept.received_at,
            reasons=kept.reasons,
            bytes=blob.size,
            replayed_at=replayed.written_at if replayed else None,
            event=kept.event if people else None,
        )

    async def dead_letters(self, query: DaysQuery, *, url: str = "") -> DeadLetterList:
        """List what Event Grid gave up, the newest day first.

        Raises BadRequest for a cursor of another list, StorageUnavailable.
        """
        listing = Listing("deadLetters")
        with _reading():
            token = await self._token(listing, query.cursor)
            try:
                topics = await self.blobs.folders("dead_letter")
            except ResourceNotFoundError:
                topics = []
            # Without padding, behind the subscription's name (docs/acs-contract.md#delivery-semantics).
            days = [
                f"{'' if topic.isdecimal() else f'{topic}/'}{day.year}/{day.month}/{day.day}/"
                for day in self._dates(query.days)
                for topic in topics
            ]
            blobs, following = await self._walk("dead_letter", list(dict.fromkeys(days)), query.limit, token)
            found: dict[str, DeadLetter] = {}

            async def read(blob: StoredBlob) -> None:
                found[blob.name] = _dead_letter(await self.blobs.read("dead_letter", blob.name), blob)

            await run_each(read, blobs, at_once=_READS)
            cursor, link = await self._following(listing, query, following, url)
        return DeadLetterList(blobs=[found[blob.name] for blob in blobs], cursor=cursor, next_link=link)

    async def _depths(self) -> list[QueueDepth]:
        async def depth(queue: Queue) -> int:
            try:
                return await queue.depth()
            except ResourceNotFoundError:
                return 0  # the host creates a poison queue when it first needs it

        flat = [queue for pair in self.queues for queue in pair]
        depths = iter(await asyncio.gather(*map(depth, flat)))
        return [QueueDepth(name=queue.name, messages=next(depths), poison=next(depths)) for queue, _ in self.queues]

    def _waiting_chunk(
        self, recording: InFlightRecording, chunk: InFlightChunk, reference: str | None, now: datetime
    ) -> WaitingChunk:
        last = chunk.attempts.last if chunk.attempts else None
        return WaitingChunk(
            recording_key=recording.key,
            recording_id=recording.recording_id,
            server_call_id=first_said(event.server_call_id for event in recording.events),
            reference=reference,
            index=chunk.announced.index,
            document_id=chunk.document_id,
            deadline=chunk.deadline,
            hours_left=chunk.hours_left(now),
            at_risk=chunk.deadline <= now + self.risk_margin,
            attempts=chunk.tries,
            code=last.code if last else None,
            reason=chunk.reason,
            failed_at=last.at if last else None,
            queued_at=chunk.attempts.queued_at if chunk.attempts else None,
            next_try=max(chunk.requeue_at(self.first_requeue), now),
        )

    def _dates(self, days: int) -> list[datetime]:
        today = self.clock().astimezone(UTC)
        return [today - timedelta(days=back) for back in range(days)]

    def _days(self, days: int) -> list[str]:
        return [f"{day:%Y/%m/%d}/" for day in self._dates(days)]

    async def _walk(
        self, where: Container, prefixes: Sequence[str], limit: int, token: Any
    ) -> tuple[list[StoredBlob], Any]:
        """List up to `limit` blobs under one prefix after the other, from `token` on, and where it goes on.

        Most days have none, so some are listed at once.
        """
        begin, marker = (str(token[0]), token[1]) if token else (next(iter(prefixes), ""), None)
        if begin not in prefixes:
            return [], None  # its day is too long ago by now
        found: list[StoredBlob] = []
        for batch in batched(prefixes[prefixes.index(begin) :], _DAYS, strict=False):
            room = limit - len(found)
            if not room:
                return found, [batch[0], None]
            pages = await asyncio.gather(
                *(
                    self.blobs.page(where, prefix, limit=room, token=marker if prefix == begin else None)
                    for prefix in batch
                )
            )
            for prefix, (some, further) in zip(batch, pages, strict=True):
                if len(found) >= limit:
                    return found, [prefix, None]
                if len(found) + len(some) > limit:
                    some, further = await self.blobs.page(where, prefix, limit=limit - len(found), token=None)
                found += some
                if further:
                    return found, [prefix, further]
        return found, None

    async def _token(self, listing: Listing, cursor: str | None) -> Any:
        return read_token(await self.index.digests(), listing, cursor) if cursor is not None else None

    async def _following(
        self, listing: Listing, query: PageQuery, token: Any, url: str
    ) -> tuple[str | None, str | None]:
        """Return the cursor and the address of the next page; None of each on the last."""
        if token is None:
            return None, None
        cursor = index.write_cursor(await self.index.digests(), listing, token)
        return cursor, next_link(url, query, cursor)


@contextmanager
def _reading() -> Generator[None]:
    """Turn a failure of storage into one that the caller may try again."""
    try:
        yield
    except (AzureError, TimeoutError) as failed:
        log.error("operations.not_read", reason=describe(failed), next="a list fails; no recording is affected")
        raise StorageUnavailable("storage can't be reached; recordings are not affected") from None


def _below(url: str, name: str) -> str:
    """Return the address of a list of its own, by that of the view."""
    return f"{url.partition('?')[0]}/{name}" if url else ""


def _beside(url: str, name: str) -> str:
    return f"{url.partition('?')[0].rpartition('/')[0]}/{name}" if url else ""


def _hours(left: timedelta) -> float:
    return round(max(left, timedelta()) / timedelta(hours=1), 2)


def _parse(text: bytes | None, blob: StoredBlob) -> QuarantinedEvent:
    """Read a blob of the quarantine; one that can't be read says so."""
    try:
        return QuarantinedEvent.model_validate_json(text or b"")
    except ValidationError:
        received_at = blob.written_at or datetime.now(UTC)
        return QuarantinedEvent(reasons=["the blob can't be read"], received_at=received_at, event="")


def _dead_letter(text: bytes | None, blob: StoredBlob) -> DeadLetter:
    try:
        read = json.loads(text or b"")
    except ValueError:
        read = None
    events = [one for one in (read if isinstance(read, list) else [read]) if isinstance(one, dict)]
    reason = next((one["deadLetterReason"] for one in events if isinstance(one.get("deadLetterReason"), str)), None)
    return DeadLetter(blob=blob.name, written_at=blob.written_at, bytes=blob.size, events=len(events), reason=reason)
