"""Messages through the proxy come again, stay visible or are poisoned, where a rule says so."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from local.azurite import Azurite
from tests.support.facts import until

from .storage_rig import Rig, new_name, open_rig

TEXT = '{"key": "a & <b>"}'


@pytest.fixture
async def rig(azurite: Azurite) -> AsyncIterator[Rig]:
    """Run a proxy, with a container of the test's own and clients that don't retry."""
    async with open_rig(azurite) as opened:
        yield opened


@pytest.fixture
async def service(rig: Rig) -> AsyncIterator[QueueServiceClient]:
    """Queues through the proxy."""
    async with QueueServiceClient.from_connection_string(rig.proxy.connection_string, retry_total=0) as opened:
        yield opened


async def _received(queue: QueueClient) -> list[QueueMessage]:
    """Receive and delete what is there."""
    found = [message async for message in queue.receive_messages()]
    for message in found:
        await queue.delete_message(message)
    return found


async def test_a_message_is_delivered_twice(rig: Rig, service: QueueServiceClient) -> None:
    """Both have the same text."""
    queue = await service.create_queue(new_name())
    await rig.fault("repeat")
    await queue.send_message(TEXT)
    await until(lambda: _is_over(rig))

    assert [message.content for message in await _received(queue)] == [TEXT, TEXT]


async def test_a_message_is_delivered_again_for_a_while_though_it_was_deleted(
    rig: Rig, service: QueueServiceClient
) -> None:
    """The proxy says how many are still to come, so that a run can wait for its end."""
    queue = await service.create_queue(new_name())
    await rig.fault("repeat", copies=3, seconds=0.6)
    await queue.send_message(TEXT)
    received = len(await _received(queue))

    assert (received, await rig.control("GET", "messages")) == (1, {"toCome": 1})
    while await rig.control("GET", "messages") != {"toCome": 0}:
        received += len(await _received(queue))
        await asyncio.sleep(0.05)
    assert received + len(await _received(queue)) == 4


async def test_a_received_message_stays_visible_and_its_receipt_is_worth_nothing(
    rig: Rig, service: QueueServiceClient
) -> None:
    """Two receivers work on it at once, and the first can't delete it."""
    queue = await service.create_queue(new_name())
    await queue.send_message(TEXT)
    await rig.fault("visible")
    first = await queue.receive_message(visibility_timeout=60)
    assert first is not None
    second = await queue.receive_message(visibility_timeout=60)

    with pytest.raises(HttpResponseError):
        await queue.delete_message(first)
    assert (second and second.id, second and second.dequeue_count) == (first.id, 2)
    assert await queue.receive_message() is None


async def test_a_message_lands_on_the_poison_queue_instead(rig: Rig, service: QueueServiceClient) -> None:
    """Its sender gets the usual answer; the poison queue is made if there is none."""
    queue = await service.create_queue(new_name())
    poison = service.get_queue_client(f"{queue.queue_name}-poison")
    await rig.fault("poison")
    sent = await queue.send_message(TEXT)

    assert await _received(queue) == []
    assert [(message.id, message.content) for message in await _received(poison)] == [(sent.id, TEXT)]


async def _is_over(rig: Rig) -> bool:
    return bool(await rig.control("GET", "messages") == {"toCome": 0})
