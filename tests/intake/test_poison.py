"""recording/intake/poison.py: the timer handles what a queue gave up, and the poison queues become empty."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from azure.core.exceptions import AzureError
from azure.storage.queue import TextBase64EncodePolicy
from azure.storage.queue.aio import QueueClient

from recording.app import App, assemble
from recording.intake import backlog
from recording.intake.poison import PoisonQueues
from recording.intake.receive import Intake
from recording.model.job import ArchiveJob, ChunkJob, ExportJob, JoinJob
from recording.notices import Topic
from tests.support.emulator import Control, file_event
from tests.support.facts import TOPIC_KEY, announce, body_of, listing, raw_queue, receive, sweep, told, topic

QUARTER = timedelta(minutes=16)


@pytest_asyncio.fixture
async def queue(app: App) -> AsyncIterator[QueueClient]:
    """The poison queue of the chunks, as the host creates it."""
    async with raw_queue(
        app.settings, app.clients.chunk_poison.name, message_encode_policy=TextBase64EncodePolicy()
    ) as client:
        await client.create_queue()
        yield client
        await client.delete_queue()


async def drain(app: App, intake: Intake | None = None, **limits: Any) -> list[str]:
    """Drain both queues once; return the documents whose chunks are to be queued."""
    queues = PoisonQueues(
        app.clients.chunk_poison,
        app.clients.bulk_poison,
        app.clients.event_poison,
        app.clients.archive_poison,
        app.clients.join_poison,
        app.clients.erasure_poison,
        app.clients.holds_poison,
        app.clients.export_poison,
        exports_again=app.clients.export_queue,
        give_up_join=app.joining.give_up,
        intake=intake or app.intake,
        quarantine=app.quarantine,
        **limits,
    )
    return [ChunkJob.from_message(message).document_id for message in await queues.drain(datetime.now(UTC))]


class Scripted(Intake):
    """An intake that does what the test says."""

    def __init__(self, receive: Callable[[str], Awaitable[list[ChunkJob]]]) -> None:
        self._script = receive

    async def receive(self, text: str, *, may_defer: bool = False) -> list[ChunkJob]:
        """Do what the test says."""
        return await self._script(text)


def chunk_job(document: str) -> ChunkJob:
    """Return a job for some chunk."""
    key = "20260301T100000000000Z-3f2b0e4c-0000-4000-8000-000000000001"
    return ChunkJob(recording_key=key, document_id=document, index=0, announced_at=datetime.now(UTC))


async def left(app: App) -> int:
    """Count the messages, including those that are invisible."""
    return await app.clients.chunk_poison.depth()


async def test_a_chunk_job_is_drained_and_queued_again_from_the_facts(
    app: App, control: Control, queue: QueueClient, caplog: pytest.LogCaptureFixture
) -> None:
    """The message is deleted and logged; the timer requeues the chunk when it is due, once."""
    [one] = await announce(app, await control.recording(1000))
    for _ in range(3):
        await queue.send_message(one.to_message())

    assert ([], 0, {}) == (await drain(app), await left(app), await listing(app.settings, "quarantine"))

    assert 3 == caplog.text.count("chunk.poisoned")
    assert one.document_id in caplog.text
    assert [one.again()] == (await sweep(app, now=datetime.now(UTC) + QUARTER)).jobs


async def test_a_job_whose_chunk_is_done_is_just_deleted(app: App, control: Control, queue: QueueClient) -> None:
    """By the facts nothing is left to do, so nothing is done."""
    [one] = await announce(app, await control.recording(1000))
    await app.ingest.run(one)
    await sweep(app)
    await queue.send_message(one.to_message())

    assert ([], 0, [], {}) == (
        await drain(app),
        await left(app),
        (await sweep(app, now=datetime.now(UTC) + QUARTER)).jobs,
        await listing(app.settings, "staging"),
    )


@pytest.mark.parametrize("text", ["whose?", "{}", '{"chunk": {"recordingKey": "../x"}}', "ü", ""])
async def test_a_message_that_is_not_ours_goes_to_quarantine(
    app: App, control: Control, queue: QueueClient, text: str
) -> None:
    """It is kept with the reason, a notice is published, and the messages behind it are handled."""
    [one] = await announce(app, await control.recording(1000))
    await queue.send_message(text)
    await queue.send_message(one.to_message())

    async with topic(app, control) as there:
        assert ([], 0) == (await drain(there), await left(app))

    [name] = await listing(app.settings, "quarantine")
    kept = await body_of(app.settings, "quarantine", name)
    assert (text, ["not a chunk job, on the poison queue"]) == (kept["event"], kept["reasons"])
    [notice] = await told(control)
    assert ("Recording.Quarantined", name) == (notice["type"], notice["data"]["blob"])


async def test_an_export_that_was_given_up_is_queued_again(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing else would make it: no fact in staging says that somebody waits for it. Other texts are kept."""
    export, poison = uuid4().hex, app.clients.export_poison
    await poison.create()
    await poison.send(ExportJob(export_id=export).to_message())
    await poison.send('{"export": {"exportId": "../x"}}')

    await drain(app)

    waiting = [one.text async for one in app.clients.export_queue.receive(limit=32, hidden_seconds=1)]
    assert 1 == [ExportJob.from_message(one).export_id for one in waiting].count(export)
    assert 0 == await poison.depth()
    assert 1 == len(await listing(app.settings, "quarantine"))
    assert "export.poisoned" in caplog.text


@pytest.mark.parametrize("text", ["not base64!", "{}", "abcd", "/+8="])
async def test_a_message_that_is_not_in_base64_blocks_nothing(
    app: App, control: Control, queue: QueueClient, text: str
) -> None:
    """It is kept unchanged, and the messages behind it are handled."""
    [one] = await announce(app, await control.recording(1000))
    async with raw_queue(app.settings, app.clients.chunk_poison.name) as plain:
        await plain.send_message(text)
    await queue.send_message(one.to_message())

    assert ([], 0) == (await drain(app), await left(app))

    [name] = await listing(app.settings, "quarantine")
    assert text == (await body_of(app.settings, "quarantine", name))["event"]


async def test_a_missing_queue_is_fine(app: App) -> None:
    """The host creates it when it first needs it."""
    assert [] == await drain(app)


async def test_more_messages_than_one_page(app: App, control: Control, queue: QueueClient) -> None:
    """A long queue is drained in one run."""
    [one] = await announce(app, await control.recording(1000))
    for _ in range(40):
        await queue.send_message(one.to_message())

    assert (40, [], 0) == (await left(app), await drain(app), await left(app))


async def test_a_topic_that_is_down_does_not_cost_the_archive_its_run(
    app: App, control: Control, queue: QueueClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is raised; the message stays for the next run, is in quarantine already, and the others are handled."""
    [one] = await announce(app, await control.recording(1000))
    await queue.send_message("whose?")
    await queue.send_message(one.to_message())
    down = Topic("http://127.0.0.1:9/api/events", TOPIC_KEY, None)

    assert [] == await drain(assemble(app.settings, replace(app.clients, topic=down)))

    await down.aclose()
    assert 1 == await left(app)
    assert 1 == len(await listing(app.settings, "quarantine"))
    assert "poison.not_taken" in caplog.text


@pytest_asyncio.fixture
async def poisoned_events(app: App) -> AsyncIterator[QueueClient]:
    """The poison queue of the events, as the host creates it."""
    async with raw_queue(
        app.settings, app.clients.event_poison.name, message_encode_policy=TextBase64EncodePolicy()
    ) as client:
        await client.create_queue()
        yield client
        await client.delete_queue()


async def test_events_that_were_given_up_are_taken(app: App, control: Control, poisoned_events: QueueClient) -> None:
    """There are no facts of them yet: the message is deleted only when each event has one."""
    recordings = [await control.recording(1000) for _ in range(3)]
    events = [json.dumps(file_event(one, event_id=str(uuid4()))) for one in recordings]
    await poisoned_events.send_message(backlog.format_message(events))

    found = await drain(app)

    assert sorted(one["chunks"][0]["documentId"] for one in recordings) == sorted(found)
    assert 3 == len(await listing(app.settings, "staging"))
    assert 0 == await app.clients.event_poison.depth()


async def test_one_event_that_fails_keeps_its_message_and_nobody_else(
    app: App, control: Control, poisoned_events: QueueClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Those beside it and behind it are accepted; it is logged, and the next run tries it again."""
    recordings = [await control.recording(1000) for _ in range(3)]
    first, second, third = (json.dumps(file_event(one, event_id=str(uuid4()))) for one in recordings)
    await poisoned_events.send_message(backlog.format_message([first, second]))
    await poisoned_events.send_message(backlog.format_message([third]))

    async def fail_first(text: str) -> list[ChunkJob]:
        if text == first:
            raise AzureError("storage is down")
        return await receive(app, text)

    found = await drain(app, Scripted(fail_first))

    assert sorted(one["chunks"][0]["documentId"] for one in recordings[1:]) == sorted(found)
    assert 1 == await app.clients.event_poison.depth()
    assert "event.not_taken" in caplog.text


async def test_where_storage_hangs_every_event_has_its_turn(
    app: App, control: Control, poisoned_events: QueueClient
) -> None:
    """The events of a message are accepted at the same time: one that hangs delays no other."""
    events = [f"event-{number}" for number in range(20)]
    await poisoned_events.send_message(backlog.format_message(events))

    async def accept(text: str) -> list[ChunkJob]:
        await asyncio.sleep(30 if text == "event-7" else 1)
        return [chunk_job(text)]

    found = await drain(app, Scripted(accept), timeout=3.0)

    assert {*events} - {"event-7"} == {*found}
    assert 1 == await app.clients.event_poison.depth()


async def test_messages_that_hang_keep_none_behind_them_from_its_turn(app: App, poisoned_events: QueueClient) -> None:
    """They stay, invisible for ten minutes: the next run handles the messages that this one didn't reach."""
    limits = {"timeout": 3.0, "message_timeout": 1.6, "hidden_seconds": 1}
    for text in ("hangs-1", "hangs-too", "goes-1"):
        await poisoned_events.send_message(backlog.format_message([text]))

    async def accept(text: str) -> list[ChunkJob]:
        await asyncio.sleep(0 if text == "goes-1" else 30)
        return [chunk_job(text)]

    found = []
    for _ in range(2):
        found += await drain(app, Scripted(accept), **limits)
        await asyncio.sleep(1.1)

    assert ["goes-1"] == found
    assert 2 == await app.clients.event_poison.depth()


async def test_a_message_that_somebody_else_has_done_meanwhile_ends_no_drain(
    app: App, poisoned_events: QueueClient
) -> None:
    """It can't be hidden, for it doesn't exist any more; the next message is handled nevertheless."""
    limits = {"message_timeout": 2.0, "hidden_seconds": 1}
    for text in ("hangs-1", "goes-1"):
        await poisoned_events.send_message(backlog.format_message([text]))

    async def accept(text: str) -> list[ChunkJob]:
        if text == "hangs-1":
            await asyncio.sleep(1.2)
            async for message in poisoned_events.receive_messages(max_messages=1):
                await poisoned_events.delete_message(message)
            await asyncio.sleep(30)
        return [chunk_job(text)]

    found = await drain(app, Scripted(accept), **limits)

    assert ["goes-1"] == found
    assert 0 == await app.clients.event_poison.depth()


async def test_messages_are_handled_beside_each_other(app: App, poisoned_events: QueueClient) -> None:
    """The other steps of the timer wait for the last one: some at a time of each queue, and all queues at once."""
    for number in range(8):
        await poisoned_events.send_message(backlog.format_message([f"event-{number}"]))

    async def accept(text: str) -> list[ChunkJob]:
        await asyncio.sleep(1)
        return [chunk_job(text)]

    async with asyncio.timeout(4):
        assert 8 == len(await drain(app, Scripted(accept)))


async def test_a_message_without_events_goes_to_quarantine(app: App, poisoned_events: QueueClient) -> None:
    """As a message without a chunk job does."""
    await poisoned_events.send_message("whose?")

    assert [] == await drain(app)

    [name] = await listing(app.settings, "quarantine")
    assert "whose?" == (await body_of(app.settings, "quarantine", name))["event"]
    assert 0 == await app.clients.event_poison.depth()


@pytest.mark.parametrize(("job", "kind"), [(ArchiveJob, "archive"), (JoinJob, "join")])
async def test_the_job_of_a_recording_that_was_given_up_is_deleted(
    app: App, caplog: pytest.LogCaptureFixture, job: type[ArchiveJob | JoinJob], kind: str
) -> None:
    """What is to be archived follows from staging, a joined file is asked for again; what names none is kept."""
    poison = app.clients.archive_poison if kind == "archive" else app.clients.join_poison
    await poison.create()
    key = "20260301T100000000000Z-3f2b0e4c"
    for text in (job(recording_key=key).to_message(), f'{{"{kind}": {{"recordingKey": "../x"}}}}', "whose?"):
        await poison.send(text)

    assert [] == await drain(app)

    assert (0, 1) == (await poison.depth(), caplog.text.count(f"{kind}.poisoned"))
    assert key in caplog.text
    assert 2 == len(await listing(app.settings, "quarantine"))
    await poison.delete_queue()
