"""The queue listener: receive messages, run the function, then delete, retry or poison them.

See docs/functions-host.md#queue.
"""

import asyncio
import base64
import json
import random
from collections.abc import Sequence
from datetime import datetime

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient

from local.functions import bindings, log
from local.functions.invoker import Invoker
from local.functions.metadata import Function
from local.functions.settings import QueueSettings
from local.functions.values import TypedData

INVISIBLE_SECONDS = 600.0
SHORTEST_POLL_SECONDS = 0.1
LONGEST_QUEUE_NAME = 63


class QueueListener:
    """Listen on one queue for one function.

    `poison` is the queue for messages that failed too often, None if there can't be one. `invisible_seconds` is how
    long a received message stays hidden; while its function runs it is renewed after half of that time.
    """

    def __init__(
        self,
        function: Function,
        *,
        queue: QueueClient,
        poison: QueueClient | None,
        settings: QueueSettings,
        invoker: Invoker,
        invisible_seconds: float = INVISIBLE_SECONDS,
    ) -> None:
        self._function = function
        self._queue = queue
        self._poison = poison
        self._settings = settings
        self._invoker = invoker
        self._invisible_seconds = invisible_seconds
        self._stopping = asyncio.Event()
        self._woken = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._polling: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start polling."""
        self._polling = asyncio.create_task(self._poll())

    def wake(self) -> None:
        """Poll now, because this host has just sent a message to the queue."""
        self._woken.set()

    async def pause(self) -> None:
        """Receive no more messages; running invocations continue."""
        self._stopping.set()
        self._woken.set()
        if self._polling is not None:
            await self._polling

    async def stop(self) -> None:
        """Receive no more messages and wait for those that are being processed."""
        await self.pause()
        await asyncio.gather(*self._tasks)

    async def _poll(self) -> None:
        delay = SHORTEST_POLL_SECONDS
        while not self._stopping.is_set():
            if len(self._tasks) > self._settings.new_batch_threshold:
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED, timeout=1)
                continue
            self._woken.clear()
            messages = await self._receive()
            for message in messages:
                task = asyncio.create_task(self._process(message))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            if messages or await _wait(self._woken, seconds=delay):
                delay = SHORTEST_POLL_SECONDS
                continue
            # Randomised, so that several hosts on one queue don't poll at the same moments.
            delay = min(delay * random.uniform(1.6, 2.4), self._settings.maximum_polling_interval)  # noqa: S311

    async def _receive(self) -> Sequence[QueueMessage]:
        pages = self._queue.receive_messages(
            messages_per_page=self._settings.batch_size, visibility_timeout=round(self._invisible_seconds)
        ).by_page()
        try:
            page = await anext(pages, None)
            return [] if page is None else [message async for message in page]
        except ResourceNotFoundError:
            # The trigger doesn't create its queue; the sender of the first message does.
            return []
        except Exception as error:
            # Any error: if polling ended, the queue would stay unread as long as the host runs.
            log.logger.warning(log.line("queue_poll_failed", queue=self._queue.queue_name, error=error))
            return []

    async def _process(self, message: QueueMessage) -> None:
        try:
            await self._handle(message)
        except Exception as error:
            # Nothing is lost: the message becomes visible again.
            log.logger.error(
                log.line("queue_message_left", queue=self._queue.queue_name, message_id=message.id, error=error)
            )

    async def _handle(self, message: QueueMessage) -> None:
        receipt = [str(message.pop_receipt)]
        count = message.dequeue_count or 0
        body = self._decode(str(message.content or ""))
        if self._poison is not None and (body is None or count > self._settings.maximum_dequeue_count):
            await self._to_poison(message, receipt[0], poison=self._poison)
            return
        text = (body or b"").decode(errors="replace")
        ended = asyncio.Event()
        renewal = asyncio.create_task(self._renew(message.id, receipt, ended=ended))
        try:
            outcome = await self._invoker.run(
                self._function,
                TypedData("string", text),
                metadata=_metadata(message, text),
            )
        finally:
            # Awaited, not cancelled: a renewal in progress changes the receipt that the next request needs.
            ended.set()
            await renewal
        if outcome.ok:
            await self._queue.delete_message(message.id, receipt[0])
        elif count < self._settings.maximum_dequeue_count:
            seconds = round(self._settings.visibility_timeout)
            await self._queue.update_message(message.id, receipt[0], visibility_timeout=seconds)
        elif self._poison is not None:
            await self._to_poison(message, receipt[0], poison=self._poison)

    async def _renew(self, message_id: str, receipt: list[str], *, ended: asyncio.Event) -> None:
        while not await _wait(ended, seconds=self._invisible_seconds / 2):
            try:
                renewed = await self._queue.update_message(
                    message_id, receipt[0], visibility_timeout=round(self._invisible_seconds)
                )
                receipt[0] = str(renewed.pop_receipt)
            except AzureError as error:
                log.logger.warning(log.line("queue_renewal_failed", message_id=message_id, error=error))

    async def _to_poison(self, message: QueueMessage, receipt: str, *, poison: QueueClient) -> None:
        try:
            await poison.send_message(message.content)
        except ResourceNotFoundError:
            await _create(poison)
            await poison.send_message(message.content)
        await self._queue.delete_message(message.id, receipt)
        log.logger.error(
            log.line(
                "queue_message_poisoned",
                function=self._function.name,
                queue=poison.queue_name,
                message_id=message.id,
                dequeue_count=message.dequeue_count,
            )
        )

    def _decode(self, text: str) -> bytes | None:
        if not self._settings.base64:
            return text.encode()
        try:
            return base64.b64decode(text, validate=True)
        except ValueError:
            return None


def poison_name(queue: str) -> str | None:
    """Return the poison queue of a queue, None for a poison queue and for a name that would be too long."""
    name = f"{queue}-poison"
    return None if queue.endswith("-poison") or len(name) > LONGEST_QUEUE_NAME else name


def _metadata(message: QueueMessage, body: str) -> dict[str, TypedData]:
    def time(moment: datetime | None) -> TypedData:
        return TypedData("json", json.dumps(None if moment is None else moment.isoformat()))

    own = {
        "QueueTrigger": TypedData("string", body),
        "DequeueCount": TypedData("json", str(message.dequeue_count)),
        "ExpirationTime": time(message.expires_on),
        "Id": TypedData("string", message.id),
        "InsertionTime": time(message.inserted_on),
        "NextVisibleTime": time(message.next_visible_on),
        "PopReceipt": TypedData("string", str(message.pop_receipt)),
    }
    return bindings.overlay(own, body)


async def _create(queue: QueueClient) -> None:
    try:
        await queue.create_queue()
    except ResourceExistsError:
        return


async def _wait(event: asyncio.Event, *, seconds: float) -> bool:
    """Wait for an event, at most so long; return whether it was set."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
