"""The queues in the host's account."""

import base64

from azure.core.credentials_async import AsyncTokenCredential
from azure.storage.queue.aio import QueueClient

from recording.config.settings import Settings
from recording.storage.blobs import RETRIES


def open_queue(settings: Settings, name: str, credential: AsyncTokenCredential | None) -> QueueClient:
    """Build the client of a queue in the host's account, which need not be there yet."""
    account = settings.host_storage
    if account.connection_string is not None:
        return QueueClient.from_connection_string(account.connection_string.get_secret_value(), name, **RETRIES)
    return QueueClient(str(account.queue_uri), name, credential=credential, **RETRIES)


async def send(queue: QueueClient, message: str) -> None:
    """Put a message on a queue as the host writes and reads them (host.json)."""
    await queue.send_message(base64.b64encode(message.encode()).decode())
