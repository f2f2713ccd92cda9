"""recording/intake/backlog.py: a deferred event is on the queue before it is answered."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from azure.core.exceptions import AzureError, ResourceNotFoundError
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from recording.app import App
from recording.intake import backlog
from recording.intake.backlog import AT_ONCE, LARGEST_MESSAGE, Backlog, format_message, parse_message
from recording.intake.receive import Intake
from recording.model.job import ChunkJob
from recording.workers import Precedence
from tests.support.calls import leg_event
from tests.support.emulator import file_event
from tests.support.facts import listing, raw_queue, receive
from tests.support.source import recording_of

DOCUMENT = "0-eus-d12-801b3f3fc462fe8a01e6810cbff729b8"


@pytest_asyncio.fixture
async def full(app: App) -> AsyncIterator[Backlog]:
    """A backlog that has no room, on a queue with nothing in it."""
    async with raw_queue(app.settings, backlog.QUEUE) as queue:
        await queue.clear_messages()
    yield Backlog(app.clients.event_queue, at_once=0)


def through(app: App, backlog: Backlog) -> Intake:
    """Build the intake with another backlog."""
    return Intake(
        recordings=app.recordings,
        endings=app.endings,
        calls=app.calls,
        index=app.clients.index,
        quarantine=app.quarantine,
        backlog=backlog,
        bulk=app.clients.bulk_queue,
        tombstones=app.tombstones,
        auto_record=None,
    )


def file_events(count: int, *, chunks: int = 1) -> list[str]:
    """Return the file events of `count` recordings."""
    documents = [f"{DOCUMENT[:-4]}{number:04}" for number in range(chunks)]
    made: list[Any] = [recording_of(*documents) | {"callId": str(uuid4())} for _ in range(count)]
    return [json.dumps(file_event(recording, event_id=str(uuid4()))) for recording in made]


async def held(app: App) -> list[list[str]]:
    """Remove every message from the queue; return the events of each."""
    found = []
    async for message in app.clients.event_queue.receive(limit=1000, hidden_seconds=30):
        found.append(parse_message(message.text))
        await app.clients.event_queue.delete(message)
    return found


async def test_only_a_few_are_taken_at_once(app: App, full: Backlog) -> None:
    """When they are answered, the others are on the queue, each once; no event is in both places."""
    events = file_events(20)

    answers = await asyncio.gather(*(receive(app, text, may_defer=True) for text in events))

    assert [1] * AT_ONCE + [0] * (20 - AT_ONCE) == [len(jobs) for jobs in answers]
    assert AT_ONCE == len(await listing(app.settings, "staging"))
    assert sorted(events[AT_ONCE:]) == sorted(text for message in await held(app) for text in message)


async def test_there_is_room_again_when_an_event_was_taken(app: App, full: Backlog) -> None:
    """Received one after the other, none is deferred, even after one that fails."""
    for text in ["no event", *file_events(2 * AT_ONCE)]:
        await receive(app, text, may_defer=True)

    assert ([], 2 * AT_ONCE) == (await held(app), len(await listing(app.settings, "staging")))


@pytest.mark.parametrize("more", range(-2, 3))
async def test_a_message_is_as_large_as_it_may_be_and_no_larger(app: App, full: Backlog, more: int) -> None:
    """At each length around the limit every event is on the queue, in messages that the service accepts."""
    dozens = ["x" * 1000] * 40
    last = "y" * (LARGEST_MESSAGE - len(format_message([*dozens, ""])) + more)
    alone = "z" * (LARGEST_MESSAGE - len(format_message([""])) + more)
    events = [text for text in [*dozens, last, alone] if not full.has_room(text)]

    async with asyncio.timeout(20):
        await asyncio.gather(*(full.defer(text) for text in events))

    messages = await held(app)
    assert events == [text for message in messages for text in message]
    assert max(len(format_message(message)) for message in messages) <= LARGEST_MESSAGE
    assert (more <= 0) == ([*dozens, last] in messages) == (alone in events)


async def test_an_event_that_is_accepted_goes_before_chunks_of_many(app: App) -> None:
    """At once or from a message: its recording may be one of a hundred that came beside thousands of chunks."""
    precedence = Precedence(quiet=0)
    backlog = Backlog(app.clients.event_queue, precedence)
    waits: list[bool] = []

    async def receive(_: str) -> list[ChunkJob]:
        waits.append(await is_waited_for(precedence))
        return []

    with backlog.accepting():
        waits.append(await is_waited_for(precedence))
    await backlog.accept_message(format_message(["{}"]), receive)

    assert ([True, True], False) == (waits, await is_waited_for(precedence))


async def is_waited_for(precedence: Precedence) -> bool:
    """Return whether other work has to wait."""
    other = asyncio.create_task(precedence.wait(seconds=60))
    await asyncio.sleep(0.01)
    return not other.done() and other.cancel()


async def test_dozens_share_a_message(app: App, full: Backlog) -> None:
    """A thousand events cost a few dozen writes, and no message is larger than the service allows."""
    events = file_events(1000)

    await asyncio.gather(*(full.defer(text) for text in events))

    messages = await held(app)
    assert events == [text for message in messages for text in message]
    assert len(messages) < 40
    assert max(len(base64.b64encode(format_message(message).encode())) for message in messages) <= 64 * 1024


async def test_an_event_of_a_call_never_waits(app: App, full: Backlog) -> None:
    """It may start a recording: it is accepted at once, however many others are being accepted."""
    leg = {"callLegId": "57005a00-8ad2-4b8d", "conversationId": "3f2b0e4c-0000-4000-8000-000000000001"}

    await through(app, full).receive(json.dumps(leg_event(leg)), may_defer=True)

    assert [] == await held(app)


async def test_an_event_that_fits_into_no_message_is_taken_at_once(app: App, full: Backlog) -> None:
    """The event of a recording of hundreds of chunks is so large."""
    [text] = file_events(1, chunks=600)
    assert len(text) > LARGEST_MESSAGE

    jobs = await through(app, full).receive(text, may_defer=True)

    # A fan-out queues its chunks.
    assert ([], [], 1) == (jobs, await held(app), len(await listing(app.settings, "staging")))


async def test_what_is_no_event_goes_to_quarantine_without_waiting(app: App, full: Backlog) -> None:
    """Only an event that was parsed is deferred."""
    await through(app, full).receive("[]", may_defer=True)

    assert ([], 1) == (await held(app), len(await listing(app.settings, "quarantine")))


async def test_when_the_queue_fails_every_event_is_refused(app: App, full: Backlog) -> None:
    """Event Grid then delivers each of them again; when the queue is back, they are deferred."""
    events, intake = file_events(100), through(app, full)
    await app.clients.event_queue.delete_queue()

    failed = await asyncio.gather(*(intake.receive(text, may_defer=True) for text in events), return_exceptions=True)
    await app.clients.event_queue.create()
    again = await asyncio.gather(*(intake.receive(text, may_defer=True) for text in events))

    assert [ResourceNotFoundError] * 100 == [type(error) for error in failed]
    assert [[]] * 100 == again
    assert sorted(events) == sorted(text for message in await held(app) for text in message)


async def test_a_sender_that_gave_up_costs_the_others_nothing(app: App, full: Backlog) -> None:
    """Their events are on the queue; that of the cancelled sender may be, and is delivered again anyway."""
    events = file_events(10)
    adding = [asyncio.ensure_future(full.defer(text)) for text in events]
    await asyncio.sleep(0)

    adding[0].cancel()
    adding[5].cancel()
    await asyncio.wait(adding)

    found = {text for message in await held(app) for text in message}
    assert {text for number, text in enumerate(events) if number not in (0, 5)} <= found
    assert 2 == sum(one.cancelled() for one in adding)


async def test_an_event_that_fails_keeps_nobody_waiting(app: App, full: Backlog) -> None:
    """It goes back to the queue in a message of its own; if it is alone in one, the queue counts the tries."""
    first, failing, last = file_events(3)

    async def accept(text: str) -> list[ChunkJob]:
        if text == failing:
            raise AzureError("storage is down")
        return await receive(app, text)

    assert 2 == len(await full.accept_message(format_message([first, failing, last]), accept))
    assert ([[failing]], 2) == (await held(app), len(await listing(app.settings, "staging")))
    with pytest.raises(AzureError):
        await full.accept_message(format_message([failing]), accept)
    assert [] == await held(app)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_a_message_reads_as_it_was_written(events: list[str]) -> None:
    """Exactly: the fact in storage is the event as it was received."""
    assert events == parse_message(format_message(events).encode().decode("ascii"))


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"events": "x"}', '{"events": [1]}', '{"chunk": {}}'])
def test_a_message_of_somebody_else_is_refused(text: str) -> None:
    """It goes to the poison queue, and from there to quarantine."""
    with pytest.raises(ValidationError):
        parse_message(text)
