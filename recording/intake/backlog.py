"""File events beyond those that are accepted at once: they wait on the queue `recording-events`, many to a message.

Event Grid sends each event as soon as it has one, in a request of its own
(docs/functions-host.md#event-grid), and to accept one takes at least two writes to storage. When a
thousand recordings end together, the last answer would wait for all these writes. So only a few
events are accepted at once. The others are deferred: one write to the queue holds dozens of them,
and they are accepted from there. Either way an event is in storage before it is answered.

A message that the queue gives up is accepted by the timer (`poison.py`): there are no facts of
these recordings yet, so nothing else would bring them back.
"""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager

from recording.model.job import ChunkJob
from recording.model.record import Record
from recording.storage.queues import Queue
from recording.telemetry import log
from recording.workers import Precedence

QUEUE = "recording-events"
# Of a thousand events at once the answers' p99 is least with 4: 1.2 times that with 8, 1.4 with 16, and 7 times that if
# all are accepted at once (`python -m benchmarks --only burst`, with this number changed).
AT_ONCE = 4
# A queue message holds 64 KiB, which are 48 KiB before base64 (docs/functions-host.md#queue).
LARGEST_MESSAGE = 48 * 1024
_SEPARATOR = ","


class _Message(Record):
    # An array: the host lays other members of a JSON message over the message's own metadata
    # (docs/functions-host.md#queue).
    events: list[str]


class Backlog:
    """Counts the events that this process is accepting, and defers others to the queue."""

    def __init__(
        self, queue: Queue, precedence: Precedence | None = None, *, at_once: int = AT_ONCE, timeout: float = 10.0
    ) -> None:
        self._queue = queue
        self._precedence = precedence or Precedence()
        self._at_once = at_once
        # Event Grid waits 30 s for an answer; a connection that hangs holds up every event behind it.
        self._timeout = timeout
        self._accepting = 0
        self._waiting: deque[tuple[str, asyncio.Future[None]]] = deque()
        self._sending: asyncio.Task[None] | None = None

    def has_room(self, text: str) -> bool:
        """Return whether to accept an event now: few others are being accepted, or it is too large for a message."""
        return self._accepting < self._at_once or len(format_message([text])) > LARGEST_MESSAGE

    @contextmanager
    def accepting(self) -> Generator[None]:
        """Count an event as being accepted."""
        self._accepting += 1
        try:
            with self._precedence.first():
                yield
        finally:
            self._accepting -= 1

    async def defer(self, text: str) -> None:
        """Put an event on the queue, in one message with others that come while the previous message is written.

        If the queue fails, the error is raised to the caller of each event of the message: none of them is in storage.
        """
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((text, written))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all())
        await written

    async def accept_message(self, message: str, receive: Callable[[str], Awaitable[list[ChunkJob]]]) -> list[ChunkJob]:
        """Accept each event of a message by `receive`, and return all their chunk jobs.

        Events that fail go back to the queue in a message of their own, so that they don't delay the others. If all
        of them fail, the last failure is raised: the queue then counts the tries and pauses between them. Raises the
        queue's errors, too, if an event can't be put back; to accept an event twice changes nothing.
        """
        events = parse_message(message)
        jobs: list[ChunkJob] = []
        failed: list[str] = []
        for event in events:
            try:
                with self._precedence.first():
                    jobs += await receive(event)
            except Exception as error:
                failed.append(event)
                if len(failed) == len(events):
                    raise
                log.warning("event.requeued", reason=type(error).__name__, next="it is queued again")
        await asyncio.gather(*(self.defer(event) for event in failed))
        return jobs

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                await self._send(self._next())
        finally:
            self._sending = None

    def _next(self) -> list[tuple[str, asyncio.Future[None]]]:
        """Remove as many waiting events as fit into one message, and return them."""
        some = [self._waiting.popleft()]
        size = len(format_message([some[0][0]]))
        while self._waiting and (size := size + len(_SEPARATOR + json.dumps(self._waiting[0][0]))) <= LARGEST_MESSAGE:
            some.append(self._waiting.popleft())
        return some

    async def _send(self, some: list[tuple[str, asyncio.Future[None]]]) -> None:
        failed: Exception | None = None
        try:
            async with asyncio.timeout(self._timeout):
                await self._queue.send(format_message([text for text, _ in some]))
        except Exception as error:
            failed = error
        for _, written in some:
            if written.done():
                continue  # its caller was cancelled
            if failed is None:
                written.set_result(None)
            else:
                written.set_exception(failed)


def format_message(events: list[str]) -> str:
    """Return events as a queue message: `{"events": ["…", …]}`, in ASCII."""
    return json.dumps({"events": events}, separators=(_SEPARATOR, ":"))


def parse_message(message: str) -> list[str]:
    """Return the events of a queue message; raises pydantic's ValidationError if it isn't a message of events."""
    return _Message.model_validate_json(message).events
