"""File events beyond what is taken at once: they wait on the queue `recording-events`, many to a message.

Event Grid sends an event as soon as it has one, each in a request of its own (docs/functions-host.md#event-grid),
and to take one costs two writes to storage at least. When a thousand recordings end together, the
last answer would wait for all of that. So only a few are taken at once; the others are handed over
to the queue, one write for dozens of them, and taken from there. Either way an event is in storage
before it is answered.

A message that the queue gives up is taken by the timer (`poison.py`): no fact tells of these
recordings yet, so nothing else would bring them back.
"""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager

from recording.model.record import Record
from recording.storage.queues import Queue
from recording.telemetry import log

QUEUE = "recording-events"
# Of a thousand events at once the answers' p99 is least with 4: 1.2 times that with 8, 1.4 with 16, and 7 times that if
# all are taken (`python -m benchmarks --only burst`, with this number changed).
AT_ONCE = 4
# A queue message holds 64 KiB, which are 48 KiB before base64 (docs/functions-host.md#queue).
LARGEST_MESSAGE = 48 * 1024
_SEPARATOR = ","
# Event Grid waits 30 s for an answer; a connection that hangs holds up everyone behind it.
_SECONDS = 10


class _Message(Record):
    # An array: the host lays other members of a JSON message over the message's own metadata
    # (docs/functions-host.md#queue).
    events: list[str]


class Backlog:
    """What one process is taking in, and what it hands over to the queue."""

    def __init__(self, queue: Queue, *, at_once: int = AT_ONCE) -> None:
        self._queue = queue
        self._at_once = at_once
        self._under_way = 0
        self._waiting: deque[tuple[str, asyncio.Future[None]]] = deque()
        self._sending: asyncio.Task[None] | None = None

    def has_room(self, text: str) -> bool:
        """Tell whether an event is to be taken now: few enough are under way, or it fits into no message."""
        return self._under_way < self._at_once or len(write([text])) > LARGEST_MESSAGE

    @contextmanager
    def under_way(self) -> Generator[None]:
        """Count an event as being taken."""
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    async def add(self, text: str) -> None:
        """Put an event on the queue, in a message with those that come while another message is being written.

        Raises what the queue says, to everyone whose event was in the message: none of these is in storage.
        """
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((text, written))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all())
        await written

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                await self._send(self._next())
        finally:
            self._sending = None

    def _next(self) -> list[tuple[str, asyncio.Future[None]]]:
        """Take as many of those that wait as fit into a message."""
        some = [self._waiting.popleft()]
        size = len(write([some[0][0]]))
        while self._waiting and (size := size + len(_SEPARATOR + json.dumps(self._waiting[0][0]))) <= LARGEST_MESSAGE:
            some.append(self._waiting.popleft())
        return some

    async def _send(self, some: list[tuple[str, asyncio.Future[None]]]) -> None:
        failed: Exception | None = None
        try:
            async with asyncio.timeout(_SECONDS):
                await self._queue.send(write([text for text, _ in some]).decode())
        except Exception as error:
            failed = error
        for _, written in some:
            if written.done():
                continue  # who waited for it is gone
            if failed is None:
                written.set_result(None)
            else:
                written.set_exception(failed)


async def take(events: list[str], receive: Callable[[str], Awaitable[list[str]]], held: Backlog) -> list[str]:
    """Take the events of a message, each by `receive`; the answer is what that answers, together.

    Those that fail go back to the queue in a message of their own, so that they keep nobody waiting. If all of them
    fail the last failure is raised: the queue then counts the tries, and pauses between them. Raises what the queue
    says, too, when it doesn't take them back; to take an event twice changes nothing.
    """
    found: list[str] = []
    failed: list[str] = []
    for event in events:
        try:
            found += await receive(event)
        except Exception as error:
            failed.append(event)
            if len(failed) == len(events):
                raise
            log.warning("event.not_taken_yet", reason=type(error).__name__, next="the queue tries it again")
    await asyncio.gather(*(held.add(event) for event in failed))
    return found


def write(events: list[str]) -> bytes:
    """Write events as a queue message: `{"events": ["…", …]}`, in ASCII."""
    return json.dumps({"events": events}, separators=(_SEPARATOR, ":")).encode()


def read(message: str) -> list[str]:
    """Read a queue message; raises pydantic's ValidationError for one that isn't ours."""
    return _Message.model_validate_json(message).events
