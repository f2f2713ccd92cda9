"""recording/intake/poison.py: what a queue gave up is taken over by the timer, and nothing stays there."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import pytest_asyncio
from azure.core.exceptions import AzureError
from azure.storage.queue import TextBase64EncodePolicy
from azure.storage.queue.aio import QueueClient

from recording.app import App
from recording.intake import backlog, poison
from recording.intake.quarantine import Quarantine
from recording.model import job
from recording.notices import Topic
from tests.conftest import Control, file_event
from tests.support.facts import TOPIC_KEY, announce, body_of, listing, raw_queue, receive, sweep, told, topic

QUARTER = timedelta(minutes=16)


@pytest_asyncio.fixture
async def queue(app: App) -> AsyncIterator[QueueClient]:
    """The poison queue as the host makes it."""
    async with raw_queue(
        app.settings, app.clients.chunk_poison.name, message_encode_policy=TextBase64EncodePolicy()
    ) as client:
        await client.create_queue()
        yield client
        await client.delete_queue()


async def drain(app: App) -> int:
    """Drain it once."""
    return await poison.drain(app.clients.chunk_poison, app.quarantine, now=datetime.now(UTC))


async def left(app: App) -> int:
    """Count the messages, those that are being worked on too."""
    return await app.clients.chunk_poison.depth()


async def test_a_chunk_job_is_drained_and_queued_again_from_the_facts(
    app: App, control: Control, queue: QueueClient, caplog: pytest.LogCaptureFixture
) -> None:
    """The message is deleted and logged; the chunk goes back on the queue when its time has come, and once."""
    [one] = await announce(app, await control.recording(1000))
    for _ in range(3):
        await queue.send_message(job.write(one))

    assert (3, 0, {}) == (await drain(app), await left(app), await listing(app.settings, "quarantine"))

    assert 3 == caplog.text.count("chunk.poisoned")
    assert one.document_id in caplog.text
    assert [one] == (await sweep(app, now=datetime.now(UTC) + QUARTER)).jobs


async def test_a_job_whose_chunk_is_done_is_just_deleted(app: App, control: Control, queue: QueueClient) -> None:
    """The facts say that nothing is to be done, so nothing is."""
    [one] = await announce(app, await control.recording(1000))
    await app.ingest.run(one)
    await sweep(app)
    await queue.send_message(job.write(one))

    assert (1, [], {}) == (
        await drain(app),
        (await sweep(app, now=datetime.now(UTC) + QUARTER)).jobs,
        await listing(app.settings, "staging"),
    )


@pytest.mark.parametrize("text", ["whose?", "{}", '{"chunk": {"recordingKey": "../x"}}', "ü", ""])
async def test_a_message_that_is_not_ours_goes_to_quarantine(
    app: App, control: Control, queue: QueueClient, text: str
) -> None:
    """It is kept with the reason, told to others, and in nobody's way."""
    [one] = await announce(app, await control.recording(1000))
    await queue.send_message(text)
    await queue.send_message(job.write(one))

    async with topic(app, control) as there:
        assert (2, 0) == (await drain(there), await left(app))

    [name] = await listing(app.settings, "quarantine")
    kept = await body_of(app.settings, "quarantine", name)
    assert (text, ["not a chunk job, on the poison queue"]) == (kept["event"], kept["reasons"])
    [notice] = await told(control)
    assert ("Recording.Quarantined", name) == (notice["type"], notice["data"]["blob"])


@pytest.mark.parametrize("text", ["not base64!", "{}", "abcd", "/+8="])
async def test_a_message_that_is_not_in_base64_blocks_nothing(
    app: App, control: Control, queue: QueueClient, text: str
) -> None:
    """Whoever put it there, it is kept as it is, and those behind it are taken."""
    [one] = await announce(app, await control.recording(1000))
    async with raw_queue(app.settings, app.clients.chunk_poison.name) as plain:
        await plain.send_message(text)
    await queue.send_message(job.write(one))

    assert (2, 0) == (await drain(app), await left(app))

    [name] = await listing(app.settings, "quarantine")
    assert text == (await body_of(app.settings, "quarantine", name))["event"]


async def test_a_missing_queue_is_fine(app: App) -> None:
    """The host makes it when it first needs it."""
    assert 0 == await drain(app)


async def test_more_messages_than_one_page(app: App, control: Control, queue: QueueClient) -> None:
    """A queue that has filled up is drained in one go."""
    [one] = await announce(app, await control.recording(1000))
    for _ in range(40):
        await queue.send_message(job.write(one))

    assert (40, 0) == (await drain(app), await left(app))


async def test_a_topic_that_is_down_does_not_cost_the_archive_its_run(
    app: App, control: Control, queue: QueueClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is raised; the message stays for the next run, the quarantine has it already, and others have a turn."""
    [one] = await announce(app, await control.recording(1000))
    await queue.send_message("whose?")
    await queue.send_message(job.write(one))
    notices = Topic("http://127.0.0.1:9/api/events", TOPIC_KEY, None)

    assert 1 == await poison.drain(
        app.clients.chunk_poison, Quarantine(app.clients.blobs, notices), now=datetime.now(UTC)
    )

    await notices.aclose()
    assert 1 == await left(app)
    assert 1 == len(await listing(app.settings, "quarantine"))
    assert "poison.not_taken" in caplog.text


@pytest_asyncio.fixture
async def poisoned_events(app: App) -> AsyncIterator[QueueClient]:
    """The poison queue of the events, as the host makes it."""
    async with raw_queue(
        app.settings, app.clients.event_poison.name, message_encode_policy=TextBase64EncodePolicy()
    ) as client:
        await client.create_queue()
        yield client
        await client.delete_queue()


async def drain_events(app: App, *, failing: str | None = None) -> list[str]:
    """Drain it once; the answer is the documents whose chunks are to be queued. `failing` is an event that fails."""

    async def take(text: str) -> list[str]:
        if text == failing:
            raise AzureError("storage is down")
        return [one.document_id for one in await receive(app, text)]

    return await poison.drain_events(app.clients.event_poison, take, app.quarantine, now=datetime.now(UTC))


async def test_events_that_were_given_up_are_taken(app: App, control: Control, poisoned_events: QueueClient) -> None:
    """No fact tells of them yet: the message is deleted only when each has one."""
    recordings = [await control.recording(1000) for _ in range(3)]
    events = [json.dumps(file_event(one, event_id=str(uuid4()))) for one in recordings]
    await poisoned_events.send_message(backlog.write(events).decode())

    found = await drain_events(app)

    assert sorted(one["chunks"][0]["documentId"] for one in recordings) == sorted(found)
    assert 3 == len(await listing(app.settings, "staging"))
    assert 0 == await app.clients.event_poison.depth()


async def test_one_event_that_fails_keeps_its_message_and_nobody_else(
    app: App, control: Control, poisoned_events: QueueClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Those beside it and behind it are taken; it is told of, and tried again by the next run."""
    recordings = [await control.recording(1000) for _ in range(3)]
    first, second, third = (json.dumps(file_event(one, event_id=str(uuid4()))) for one in recordings)
    await poisoned_events.send_message(backlog.write([first, second]).decode())
    await poisoned_events.send_message(backlog.write([third]).decode())

    found = await drain_events(app, failing=first)

    assert sorted(one["chunks"][0]["documentId"] for one in recordings[1:]) == sorted(found)
    assert 1 == await app.clients.event_poison.depth()
    assert "event.not_taken" in caplog.text


async def test_where_storage_hangs_every_event_has_its_turn(
    app: App, control: Control, poisoned_events: QueueClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last of a message, too: the time of a run is that of all of them together, and one is never done."""
    monkeypatch.setattr(poison, "_SECONDS", 3.0)
    events = [str(number) for number in range(20)]
    await poisoned_events.send_message(backlog.write(events).decode())

    async def take(text: str) -> list[str]:
        await asyncio.sleep(30 if text == "7" else 1)
        return [text]

    found = await poison.drain_events(app.clients.event_poison, take, app.quarantine, now=datetime.now(UTC))

    assert {*events} - {"7"} == {*found}
    assert 1 == await app.clients.event_poison.depth()


async def test_messages_that_hang_keep_none_behind_them_from_its_turn(
    app: App, poisoned_events: QueueClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They stay, for ten minutes unseen: what a run didn't reach for them the next one does."""
    for name, seconds in {"_SECONDS": 3.0, "_MESSAGE_SECONDS": 1.6, "_HIDDEN_SECONDS": 1}.items():
        monkeypatch.setattr(poison, name, seconds)
    for text in ("hangs", "hangs, too", "goes"):
        await poisoned_events.send_message(backlog.write([text]).decode())

    async def take(text: str) -> list[str]:
        await asyncio.sleep(0 if text == "goes" else 30)
        return [text]

    found = []
    for _ in range(2):
        found += await poison.drain_events(app.clients.event_poison, take, app.quarantine, now=datetime.now(UTC))
        await asyncio.sleep(1.1)

    assert ["goes"] == found
    assert 2 == await app.clients.event_poison.depth()


async def test_a_message_that_somebody_else_has_done_meanwhile_ends_no_drain(
    app: App, poisoned_events: QueueClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can't be moved behind the others, for it is gone; the next one has its turn all the same."""
    for name, seconds in {"_MESSAGE_SECONDS": 2.0, "_HIDDEN_SECONDS": 1}.items():
        monkeypatch.setattr(poison, name, seconds)
    for text in ("hangs", "goes"):
        await poisoned_events.send_message(backlog.write([text]).decode())

    async def take(text: str) -> list[str]:
        if text == "hangs":
            await asyncio.sleep(1.2)
            async for message in poisoned_events.receive_messages(max_messages=1):
                await poisoned_events.delete_message(message)
            await asyncio.sleep(30)
        return [text]

    found = await poison.drain_events(app.clients.event_poison, take, app.quarantine, now=datetime.now(UTC))

    assert ["goes"] == found
    assert 0 == await app.clients.event_poison.depth()


async def test_a_message_without_events_goes_to_quarantine(app: App, poisoned_events: QueueClient) -> None:
    """As one without a chunk job does."""
    await poisoned_events.send_message("whose?")

    assert [] == await drain_events(app)

    [name] = await listing(app.settings, "quarantine")
    assert "whose?" == (await body_of(app.settings, "quarantine", name))["event"]
    assert 0 == await app.clients.event_poison.depth()
