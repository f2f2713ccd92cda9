"""The only module with a client of Queue Storage; the queues are in the host's account."""

import base64
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import ResourceExistsError
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from recording import urls
from recording.config.settings import Settings
from recording.storage.blobs import RETRIES

# The most messages that the service returns in one answer.
_PAGE = 32


@dataclass(frozen=True)
class QueuedMessage:
    """A message that was received; `receipt` hides or deletes it, until someone else receives the message."""

    text: str
    id: str
    receipt: str


class QueueAccount:
    """The account of the queues, which share its connections; close it with `aclose`."""

    def __init__(
        self,
        settings: Settings,
        credential: AsyncTokenCredential | None = None,
        *,
        retries: Mapping[str, Any] = RETRIES,
    ) -> None:
        account = settings.host_storage
        options = {**retries, "use_env_settings": urls.names_proxy()}
        self._service = (
            QueueServiceClient(str(account.queue_uri), credential=credential, **options)
            if account.connection_string is None
            else QueueServiceClient.from_connection_string(account.connection_string.get_secret_value(), **options)
        )

    def client(self, name: str) -> QueueClient:
        """Return the client of a queue; nothing is sent yet."""
        return self._service.get_queue_client(name)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._service.close()


class Queue:
    """A queue, which may not exist yet."""

    def __init__(self, account: QueueAccount, name: str) -> None:
        self.name = name
        self._client = account.client(name)

    async def create(self) -> None:
        """Create the queue if it is missing."""
        with contextlib.suppress(ResourceExistsError):
            await self._client.create_queue()

    async def delete_queue(self) -> None:
        """Delete the queue and all its messages."""
        await self._client.delete_queue()

    async def send(self, text: str) -> None:
        """Send a message in base64, as the host reads it (host.json); it stays until it is deleted."""
        # By default a message is deleted after seven days, processed or not.
        await self._client.send_message(base64.b64encode(text.encode()).decode(), time_to_live=-1)

    async def receive(self, *, limit: int, hidden_seconds: int) -> AsyncIterator[QueuedMessage]:
        """Receive up to `limit` messages, each invisible to other consumers for `hidden_seconds`."""
        async for message in self._client.receive_messages(
            messages_per_page=min(limit, _PAGE), visibility_timeout=hidden_seconds, max_messages=limit
        ):
            yield QueuedMessage(_decode(str(message.content)), str(message.id), str(message.pop_receipt))

    async def hide(self, message: QueuedMessage, *, seconds: int) -> None:
        """Keep a received message invisible for `seconds` from now; after that `message` can't be used."""
        await self._client.update_message(message.id, message.receipt, visibility_timeout=seconds)

    async def delete(self, message: QueuedMessage) -> None:
        """Delete a received message."""
        await self._client.delete_message(message.id, message.receipt)

    async def depth(self) -> int:
        """Return the approximate number of messages; raises ResourceNotFoundError if there is no such queue."""
        return (await self._client.get_queue_properties()).approximate_message_count or 0


def _decode(content: str) -> str:
    """Decode a message of the host, in base64 (host.json); return any other message unchanged."""
    try:
        return base64.b64decode(content, validate=True).decode()
    except ValueError:
        return content
