"""Deliver events to one Event Grid subscription: attempts, delays, dead letters.

Sources: docs/acs-contract.md#delivery-headers and #delivery-semantics (statuses, schedule, dead letters).
"""

import asyncio
import contextlib
import heapq
import json
import logging
import random
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from local.subscription import TIME_TO_LIVE_SECONDS, Subscription

logger = logging.getLogger(__name__)

ORIGIN = "eventgrid.azure.net"
CONCURRENCY = 8
# How long events are collected before they are sent in batches or in another order.
GATHER_SECONDS = 0.05
# Of a request, as it is published; a larger event goes alone (docs/acs-contract.md#delivery-semantics).
BATCH_BYTES = 1024 * 1024
SUCCESS = (200, 201, 202, 203, 204)
OUTCOMES = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    408: "TimedOut",
    413: "PayloadTooLarge",
    429: "Busy",
    503: "Busy",
}
# Answers after which an event is dead-lettered at once, and the reason given.
FINAL = {
    400: "UndeliverableDueToHttpBadRequest",
    401: "UndeliverableDueToHttpUnauthorized",
    403: "UndeliverableDueToHttpForbidden",
    413: "UndeliverableDueToHttpRequestEntityTooLarge",
}


@dataclass(frozen=True)
class Outcome:
    """How one attempt ended; `status` is None when there was no answer."""

    name: str
    status: int | None = None

    @property
    def delivered(self) -> bool:
        """Return whether the endpoint accepted the events."""
        return self.status in SUCCESS


@dataclass
class Pending:
    """An event that is still to be delivered."""

    event: dict[str, Any]
    published: datetime
    attempts: int = 0
    # Before scaling, so that a time-to-live of a day allows the same number of attempts at every scale.
    waited_seconds: float = 0.0


@dataclass
class Counts:
    """What has happened so far."""

    delivered: int = 0
    failed_attempts: int = 0
    dead_lettered: int = 0
    dropped: int = 0


class Delivery:
    """Deliver what is added to the endpoint of one subscription, until it is closed."""

    def __init__(self, subscription: Subscription, *, session: aiohttp.ClientSession) -> None:
        self.subscription = subscription
        self._session = session
        self._counts = Counts()
        self._queue: list[tuple[float, int, Pending]] = []
        self._sequence = 0
        self._in_flight = 0
        self._added = asyncio.Event()
        self._slots = asyncio.Semaphore(CONCURRENCY)
        # Seeded, so that a run with a shuffled order can be repeated; nothing secret depends on it.
        self._random = random.Random(0)  # noqa: S311
        self._attempts: set[asyncio.Task[None]] = set()
        self._loop = asyncio.create_task(self._run(), name=f"deliver {subscription.name}")

    async def close(self) -> None:
        """End all attempts, even if events are pending."""
        tasks = {self._loop, *self._attempts}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def add(self, event: dict[str, Any]) -> None:
        """Queue an event for delivery, with its duplicates."""
        for _ in range(1 + self.subscription.duplicates):
            self._enqueue(Pending(event, datetime.now(UTC)), 0)

    def report(self) -> dict[str, Any]:
        """Return the counts, named as on the emulator's control plane."""
        return {
            "name": self.subscription.name,
            "endpoint": self.subscription.endpoint,
            "delivered": self._counts.delivered,
            "failedAttempts": self._counts.failed_attempts,
            "deadLettered": self._counts.dead_lettered,
            "dropped": self._counts.dropped,
            "pending": len(self._queue) + self._in_flight,
        }

    def _enqueue(self, item: Pending, delay_seconds: float) -> None:
        self._sequence += 1
        heapq.heappush(self._queue, (asyncio.get_running_loop().time() + delay_seconds, self._sequence, item))
        self._added.set()

    async def _run(self) -> None:
        gathers = self.subscription.shuffle or self.subscription.max_events_per_batch > 1
        while True:
            await self._wait_until_due()
            if gathers:
                await asyncio.sleep(GATHER_SECONDS)
            for batch in self._due():
                await self._slots.acquire()
                task = asyncio.create_task(self._attempt(batch))
                self._attempts.add(task)
                task.add_done_callback(self._attempts.discard)

    async def _wait_until_due(self) -> None:
        now = asyncio.get_running_loop().time
        while not self._queue or self._queue[0][0] > now():
            self._added.clear()
            left = self._queue[0][0] - now() if self._queue else None
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._added.wait(), left)

    def _due(self) -> list[list[Pending]]:
        now = asyncio.get_running_loop().time()
        items: list[Pending] = []
        while self._queue and self._queue[0][0] <= now:
            items.append(heapq.heappop(self._queue)[2])
        if self.subscription.shuffle:
            self._random.shuffle(items)
        self._in_flight += len(items)
        return list(batches(items, events=self.subscription.max_events_per_batch))

    async def _attempt(self, batch: Sequence[Pending]) -> None:
        try:
            outcome = await self._post(batch)
            for item in batch:
                item.attempts += 1
                await self._settle(item, outcome)
        finally:
            self._in_flight -= len(batch)
            self._slots.release()

    async def _settle(self, item: Pending, outcome: Outcome) -> None:
        if outcome.delivered:
            self._counts.delivered += 1
            return
        self._counts.failed_attempts += 1
        fields = {"subscription": self.subscription.name, "event_id": item.event.get("id"), "attempt": item.attempts}
        delay = self.subscription.delay_after(item.attempts, outcome.status)
        if reason := self._final_reason(item, outcome, delay):
            logger.warning("event_undeliverable", extra={**fields, "reason": reason, "outcome": outcome.name})
            await self._give_up(item, outcome, reason)
            return
        logger.info("event_delivery_failed", extra={**fields, "outcome": outcome.name, "next_seconds": delay})
        item.waited_seconds += delay
        self._enqueue(item, delay * self.subscription.time_scale)

    def _final_reason(self, item: Pending, outcome: Outcome, delay: float) -> str | None:
        if outcome.status in FINAL:
            return FINAL[outcome.status]
        if item.attempts >= self.subscription.max_attempts:
            return "MaxDeliveryAttemptsExceeded"
        # The service checks the time-to-live when the next attempt is due; waiting for that would change nothing.
        return "TimeToLiveExceeded" if item.waited_seconds + delay > TIME_TO_LIVE_SECONDS else None

    async def _give_up(self, item: Pending, outcome: Outcome, reason: str) -> None:
        folder = self.subscription.dead_letter_folder
        if folder is None:
            self._counts.dropped += 1
            return
        letter = {
            **self._format(item.event),
            **self._dead_letter_members(item, outcome, reason),
        }
        await asyncio.to_thread(_write_dead_letter, folder, letter)
        self._counts.dead_lettered += 1

    def _dead_letter_members(self, item: Pending, outcome: Outcome, reason: str) -> dict[str, Any]:
        members = {
            "deadLetterReason": reason,
            "deliveryAttempts": item.attempts,
            "lastDeliveryOutcome": outcome.name,
            "lastHttpStatusCode": outcome.status,
            "publishTime": _timestamp(item.published),
            "lastDeliveryAttemptTime": _timestamp(datetime.now(UTC)),
        }
        if self.subscription.schema == "CloudEventSchemaV1_0":
            return {name.lower(): value for name, value in members.items()}
        return members

    async def _post(self, batch: Sequence[Pending]) -> Outcome:
        body, content_type = self._body(batch)
        first = batch[0].event
        headers = {
            "Content-Type": f"{content_type}; charset=utf-8",
            "aeg-event-type": "Notification",
            "aeg-subscription-name": self.subscription.name.upper(),
            "aeg-delivery-count": str(batch[0].attempts),
            "aeg-data-version": _header(first.get("dataVersion")),
            "aeg-metadata-version": _header(first.get("metadataVersion")),
            "aeg-output-event-id": str(uuid.uuid4()),
        }
        if self.subscription.schema == "CloudEventSchemaV1_0":
            headers["WebHook-Request-Origin"] = ORIGIN
        try:
            async with self._session.post(
                self.subscription.endpoint, data=body, headers=headers, allow_redirects=False
            ) as answer:
                await answer.read()
                return Outcome(OUTCOMES.get(answer.status, "GenericError"), answer.status)
        except TimeoutError:
            return Outcome("TimedOut")
        except (aiohttp.ClientError, OSError):
            return Outcome("SocketError")

    def _body(self, batch: Sequence[Pending]) -> tuple[bytes, str]:
        events = [self._format(item.event) for item in batch]
        if self.subscription.schema == "EventGridSchema" and not all(is_cloud_event(event) for event in events):
            return json.dumps(events).encode(), "application/json"
        if self.subscription.max_events_per_batch == 1:
            return json.dumps(events[0]).encode(), "application/cloudevents+json"
        return json.dumps(events).encode(), "application/cloudevents-batch+json"

    def _format(self, event: dict[str, Any]) -> dict[str, Any]:
        unchanged = self.subscription.schema == "EventGridSchema" or is_cloud_event(event)
        return event if unchanged else as_cloud_event(event)


def batches(items: Sequence[Pending], *, events: int) -> Iterator[list[Pending]]:
    """Yield the items in batches of at most so many events and `BATCH_BYTES`; a batch has at least one."""
    batch: list[Pending] = []
    filled = 0
    for item in items:
        size = len(json.dumps(item.event))
        if batch and (len(batch) == events or filled + size > BATCH_BYTES):
            yield batch
            batch, filled = [], 0
        batch.append(item)
        filled += size
    if batch:
        yield batch


def is_cloud_event(event: dict[str, Any]) -> bool:
    """Return whether an event was published as a CloudEvent."""
    return "specversion" in event


def as_cloud_event(event: dict[str, Any]) -> dict[str, Any]:
    """Convert an event from the Event Grid schema to CloudEvents 1.0; null attributes are omitted."""
    attributes = {
        "id": event.get("id"),
        "source": event.get("topic"),
        "specversion": "1.0",
        "type": event.get("eventType"),
        "subject": event.get("subject"),
        "time": event.get("eventTime"),
        "data": event.get("data"),
    }
    return {name: value for name, value in attributes.items() if value is not None}


def _header(value: Any) -> str:
    # A line break in the version of a published event must not break the request.
    return "".join(character for character in str(value or "") if " " <= character <= "~")


def _timestamp(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _write_dead_letter(folder: Path, letter: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # An array, as the service writes it. The file isn't named by the event's id, which may contain anything.
    (folder / f"{uuid.uuid4()}.json").write_text(json.dumps([letter], indent=2))
