"""Read and write the queues of a test, as another program would."""

import asyncio
import base64
import contextlib

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.queue.aio import QueueServiceClient


async def receive(connection: str, queue: str, *, count: int, seconds: float = 8.0) -> list[bytes]:
    """Take this many messages off a queue; fewer when they don't come in time."""
    bodies: list[bytes] = []
    async with QueueServiceClient.from_connection_string(connection) as service:
        client = service.get_queue_client(queue)
        deadline = asyncio.get_running_loop().time() + seconds
        while len(bodies) < count and asyncio.get_running_loop().time() < deadline:
            try:
                async for message in client.receive_messages(messages_per_page=32):
                    bodies.append(base64.b64decode(message.content))
                    await client.delete_message(message)
            except ResourceNotFoundError:
                pass
            if len(bodies) < count:
                await asyncio.sleep(0.05)
    return bodies


async def send(connection: str, queue: str, *bodies: bytes) -> None:
    """Put messages on a queue, encoded as the host expects."""
    await send_raw(connection, queue, *(base64.b64encode(body).decode() for body in bodies))


async def send_raw(connection: str, queue: str, *texts: str) -> None:
    """Put messages on a queue as they are."""
    async with QueueServiceClient.from_connection_string(connection) as service:
        client = service.get_queue_client(queue)
        with contextlib.suppress(ResourceExistsError):
            await client.create_queue()
        for text in texts:
            await client.send_message(text)


async def count(connection: str, queue: str) -> int:
    """Count a queue's messages, hidden ones too; 0 when there is no queue."""
    async with QueueServiceClient.from_connection_string(connection) as service:
        try:
            return int((await service.get_queue_client(queue).get_queue_properties()).approximate_message_count or 0)
        except ResourceNotFoundError:
            return 0
