"""recording/storage/queues.py: messages arrive letter by letter, and each is received by one consumer at a time."""

import base64
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio
from azure.core.exceptions import AzureError, ResourceNotFoundError

from recording.config.settings import Settings
from recording.storage.queues import Queue, QueueAccount, QueuedMessage
from tests.support.facts import raw_queue


@pytest_asyncio.fixture
async def account(settings: Settings) -> AsyncIterator[QueueAccount]:
    """The account of the queues."""
    opened = QueueAccount(settings)
    yield opened
    await opened.aclose()


@pytest_asyncio.fixture
async def queue(account: QueueAccount) -> AsyncIterator[Queue]:
    """A queue of the test's own."""
    made = Queue(account, f"test-{uuid4().hex}")
    await made.create()
    yield made
    await made.delete_queue()


async def received(queue: Queue, *, limit: int = 100, hidden_seconds: int = 30) -> list[QueuedMessage]:
    """Receive what there is."""
    return [message async for message in queue.receive(limit=limit, hidden_seconds=hidden_seconds)]


async def test_a_message_is_received_as_it_was_sent(settings: Settings, queue: Queue) -> None:
    """On the wire it is base64 without an expiry: the host reads it so, and a late timer still finds it."""
    await queue.send('{"chunk": "é"}')

    async with raw_queue(settings, queue.name) as raw:
        [peeked] = await raw.peek_messages(2)
    assert '{"chunk": "é"}' == base64.b64decode(str(peeked.content)).decode()
    assert peeked.expires_on is not None
    assert peeked.expires_on.year > 9000
    assert ['{"chunk": "é"}'] == [message.text for message in await received(queue)]


@pytest.mark.parametrize("text", ["not base64!", "/w==", "é"])
async def test_a_message_in_another_encoding_is_taken_as_it_is(settings: Settings, queue: Queue, text: str) -> None:
    """Somebody else sent it, or an operator by hand."""
    async with raw_queue(settings, queue.name) as raw:
        await raw.send_message(text)

    assert [text] == [message.text for message in await received(queue)]


async def test_what_is_received_is_invisible_and_still_counted(queue: Queue) -> None:
    """Nobody else receives it meanwhile; deleted it is gone."""
    await queue.send("a")

    [message] = await received(queue)
    assert ([], 1) == (await received(queue), await queue.depth())
    await queue.delete(message)

    assert 0 == await queue.depth()


async def test_a_message_can_be_shown_again(queue: Queue) -> None:
    """Hidden for no time at all it comes at once, with its text; the old receipt is worth nothing then."""
    await queue.send("a")
    [message] = await received(queue)

    await queue.hide(message, seconds=0)

    assert ["a"] == [again.text for again in await received(queue)]
    with pytest.raises(AzureError):
        await queue.delete(message)


@pytest.mark.parametrize("limit", [1, 32, 40])
async def test_no_more_is_received_than_was_asked_for(queue: Queue, limit: int) -> None:
    """A page of the service's holds 32."""
    for number in range(42):
        await queue.send(str(number))

    assert limit == len(await received(queue, limit=limit))


async def test_a_queue_that_is_missing(account: QueueAccount) -> None:
    """It is distinguished from an empty one; to create it twice is no error."""
    queue = Queue(account, f"test-{uuid4().hex}")
    with pytest.raises(ResourceNotFoundError):
        await queue.depth()

    await queue.create()
    await queue.create()

    assert 0 == await queue.depth()
    await queue.delete_queue()
