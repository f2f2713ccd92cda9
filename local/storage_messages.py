"""Messages that are delivered more than once or given up: what a queue may do, and Azurite's doesn't."""

import asyncio
import contextlib
from email.utils import format_datetime
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from aiohttp import web
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from local.storage_faults import VERSION, StorageCall, StorageRule

_END = b"</QueueMessagesList>"


class Messages:
    """Put messages again, make received ones visible, and poison others."""

    def __init__(self, connection_string: str) -> None:
        self._service = QueueServiceClient.from_connection_string(connection_string, use_env_settings=False)
        self._repeats: set[asyncio.Task[None]] = set()

    async def aclose(self) -> None:
        """Close the connections; messages that were to come again don't."""
        for task in self._repeats:
            task.cancel()
        await asyncio.gather(*self._repeats, return_exceptions=True)
        await self._service.close()

    @property
    def to_come(self) -> int:
        """Return how many messages are still delivered again."""
        return len(self._repeats)

    def repeat(self, call: StorageCall, asked: bytes, rule: StorageRule) -> None:
        """Put a message again, `copies` times over `seconds`, whoever has received and deleted it meanwhile."""
        task = asyncio.create_task(self._repeat(self._queue(call), _text(asked), rule.copies, rule.seconds or 0.0))
        self._repeats.add(task)
        task.add_done_callback(self._repeats.discard)

    async def make_visible(self, call: StorageCall, answer: bytes) -> None:
        """Make the messages in an answer visible to others: a receiver's receipt isn't valid any more."""
        queue = self._queue(call)
        if not answer.endswith(_END):
            return  # the receiver has gone away, and has no messages
        for message in ElementTree.fromstring(answer).iter("QueueMessage"):  # noqa: S314 - Azurite's own answer
            identifier, receipt = message.findtext("MessageId", ""), message.findtext("PopReceipt", "")
            # Whoever received it may have deleted it already.
            with contextlib.suppress(HttpResponseError):
                await queue.update_message(identifier, receipt, visibility_timeout=0)

    async def poison(self, call: StorageCall, asked: bytes) -> web.Response:
        """Put a message on the poison queue, as if it had failed five times, and answer as for its own queue."""
        queue = self._service.get_queue_client(f"{self._queue(call).queue_name}-poison")
        message = await _put(queue, _text(asked))
        return web.Response(
            status=201, text=_answer(message), content_type="application/xml", headers={"x-ms-version": VERSION}
        )

    async def _repeat(self, queue: QueueClient, text: str, copies: int, seconds: float) -> None:
        for _ in range(copies):
            await asyncio.sleep(seconds / copies)
            await queue.send_message(text)

    def _queue(self, call: StorageCall) -> QueueClient:
        return self._service.get_queue_client(call.path.strip("/").split("/")[1])


async def _put(queue: QueueClient, text: str) -> QueueMessage:
    """Put a message, and create the queue first if there is none."""
    try:
        return await queue.send_message(text)
    except ResourceNotFoundError:
        with contextlib.suppress(ResourceExistsError):
            await queue.create_queue()
        return await queue.send_message(text)


def _text(asked: bytes) -> str:
    return ElementTree.fromstring(asked).findtext("MessageText", "")  # noqa: S314 - the app's own request


def _answer(message: QueueMessage) -> str:
    times = (message.inserted_on, message.expires_on, message.next_visible_on)
    inserted, expires, visible = ("" if one is None else format_datetime(one, usegmt=True) for one in times)
    return (
        '<?xml version="1.0" encoding="utf-8"?><QueueMessagesList><QueueMessage>'
        f"<MessageId>{escape(message.id)}</MessageId><InsertionTime>{inserted}</InsertionTime>"
        f"<ExpirationTime>{expires}</ExpirationTime><PopReceipt>{escape(message.pop_receipt or '')}</PopReceipt>"
        f"<TimeNextVisible>{visible}</TimeNextVisible></QueueMessage></QueueMessagesList>"
    )
