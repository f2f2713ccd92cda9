"""The queue listener takes, retries, poisons and deletes messages as the Storage extension does."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue.aio import QueueServiceClient

from local.functions.host import Host
from local.functions.queue_trigger import poison_name

from .messages import count, receive, send, send_raw

pytestmark = pytest.mark.asyncio(loop_scope="module")
QUEUE = "work-jobs"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def connection(apps: Path, storage: str) -> AsyncIterator[str]:
    """Return storage on which a host runs the app `queue`, with messages hidden for 2 seconds at a time."""
    environ = {"AzureWebJobsStorage": storage, "JOBS": QUEUE}
    async with Host(app_dir=apps / "queue", environ=environ, invisible_seconds=2):
        yield storage


async def reports(connection: str, number: int) -> list[dict[str, Any]]:
    return [json.loads(body) for body in await receive(connection, "seen", count=number)]


async def until_empty(connection: str, queue: str) -> int:
    for _ in range(100):
        if not (left := await count(connection, queue)):
            break
        await asyncio.sleep(0.05)
    return left


async def test_message(connection: str) -> None:
    """A message reaches the function with its metadata and is deleted after its output was written."""
    await send(connection, QUEUE, "päyload".encode())
    [report] = await reports(connection, 1)

    assert (report["body"], report["dequeue_count"], report["inserted"]) == ("päyload", 1, True)
    assert await until_empty(connection, QUEUE) == 0


async def test_members_over_metadata(connection: str) -> None:
    """Members of a JSON message take the place of metadata with the same name."""
    await send(connection, QUEUE, b'{"id": "mine", "dequeueCount": 42}')
    [report] = await reports(connection, 1)

    assert (report["id"], report["dequeue_count"]) == ("mine", 42)


async def test_poison(connection: str) -> None:
    """After maxDequeueCount failures a message is moved to the poison queue, which is made on demand."""
    await send(connection, QUEUE, b"fail")

    assert await receive(connection, f"{QUEUE}-poison", count=1) == [b"fail"]
    assert await until_empty(connection, QUEUE) == 0


async def test_undecodable(connection: str) -> None:
    """A message that isn't Base64 is moved to the poison queue as it is."""
    await send_raw(connection, QUEUE, "***")
    async with QueueServiceClient.from_connection_string(connection) as service:
        client = service.get_queue_client(f"{QUEUE}-poison")
        texts: list[str] = []
        for _ in range(100):
            # The queue is made with its first message.
            with contextlib.suppress(ResourceNotFoundError):
                texts = [message.content async for message in client.receive_messages()]
            if texts:
                break
            await asyncio.sleep(0.05)

    assert texts == ["***"]


async def test_slow_is_renewed(connection: str) -> None:
    """A message whose function runs longer than its invisibility is not handed out twice, and others run meanwhile."""
    await send(connection, QUEUE, b"slow", b"quick", b"quick")
    seen = await reports(connection, 3)

    assert [report["body"] for report in seen] == ["quick", "quick", "slow"]
    assert seen[2]["dequeue_count"] == 1
    assert await until_empty(connection, QUEUE) == 0
    assert await receive(connection, "seen", count=1, seconds=0.3) == []


async def test_many(connection: str) -> None:
    """More messages than a batch are all worked on."""
    await send(connection, QUEUE, *(f"n{n}".encode() for n in range(30)))

    assert {f"n{n}" for n in range(30)} == {report["body"] for report in await reports(connection, 30)}


async def test_released_at_stop(apps: Path, storage: str) -> None:
    """A host that stops gives running functions their time, then releases the message of one that it cuts off."""
    environ = {"AzureWebJobsStorage": storage, "JOBS": "cut-jobs"}
    async with Host(app_dir=apps / "queue", environ=environ, grace_seconds=0.2):
        await send(storage, "cut-jobs", b"slow")
        async with QueueServiceClient.from_connection_string(storage) as service:
            for _ in range(100):
                if not await service.get_queue_client("cut-jobs").peek_messages():
                    break
                await asyncio.sleep(0.05)

    assert await receive(storage, "cut-jobs", count=1, seconds=1) == [b"slow"]


async def test_poison_name() -> None:
    """A poison queue has none of its own, nor has a queue whose name would grow too long."""

    assert (poison_name("a"), poison_name("a-poison"), poison_name("a" * 57)) == ("a-poison", None, None)
