"""recording/archive/requeue.py: an operator has a chunk queued again; whatever is not waited for stays as it is."""

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.azurite import Azurite
from recording.app import App
from recording.archive.requeue import ChunkRequeued
from recording.errors import BadRequest, Conflict, NotFound, RecordingError, StorageUnavailable, TrailUnavailable
from recording.model import job, layout
from recording.model.caller import Caller
from recording.model.job import ChunkJob
from recording.model.roles import OPERATE, Principal
from tests.support.archives import at, give_up, lose
from tests.support.emulator import Control
from tests.support.facts import announce, archived, body_of, faults_met, harmed, listing, raw_queue, stage, sweep

EDSGER = Caller("Edsger", principal=Principal("person", "o-1", "Edsger", frozenset({OPERATE})))
HOUR = timedelta(hours=1)
UNKNOWN = "20260301T100000000000Z-3f2b0e4c-0000-4000-8000-000000000001"


async def failed(app: App, control: Control, *, ago: timedelta = HOUR) -> ChunkJob:
    """Announce a recording of one chunk, at which an attempt failed some time ago."""
    [one] = await announce(app, await control.recording(1000))
    await give_up(app, one, now=datetime.now(UTC) - ago)
    return one


async def requeue(app: App, one: ChunkJob, **more: Any) -> ChunkRequeued:
    """Ask for a chunk to be queued again."""
    return await app.requeue.run(EDSGER, one.recording_key, str(one.index), **more)


async def queued(app: App) -> list[ChunkJob]:
    """Read the messages of the queue of chunks; they stay there."""
    async with raw_queue(app.settings, job.QUEUE) as queue:
        messages = await queue.peek_messages(max_messages=32)
    return [ChunkJob.from_message(base64.b64decode(str(message.content)).decode()) for message in messages]


async def facts(app: App) -> list[dict[str, Any]]:
    """Read what the trail has of requeues."""
    names = [name for name in await listing(app.settings, "archive") if "-requeue-" in name]
    return [await body_of(app.settings, "archive", name) for name in sorted(names)]


@pytest.fixture(autouse=True)
async def empty_queue(app: App) -> None:
    """Queues are those of all tests."""
    async with raw_queue(app.settings, job.QUEUE) as queue:
        await queue.clear_messages()


async def test_a_chunk_that_failed_is_queued_at_once(app: App, control: Control) -> None:
    """The job is the timer's own, and who asked for it stands on the trail, with the reason."""
    one = await failed(app, control)

    done = await requeue(app, one, reason="ACS is back")

    assert ("queued", one.document_id) == (done.state, done.document_id)
    assert [one.again()] == await queued(app)
    [fact] = await facts(app)
    assert ("Edsger", "o-1", one.recording_key, [0], "ACS is back", "ok") == (
        fact["who"],
        fact["objectId"],
        fact["recordingKey"],
        fact["indexes"],
        fact["reason"],
        fact["outcome"],
    )
    assert {"documentId": one.document_id, "attempts": 1} == fact["details"]


async def test_the_timer_does_not_queue_it_again_at_the_same_time(app: App, control: Control) -> None:
    """As if it had queued the chunk itself; after its pause it does."""
    one = await failed(app, control)
    await requeue(app, one)

    assert [] == (await sweep(app)).jobs
    assert [one.again()] == (await sweep(app, now=datetime.now(UTC) + HOUR)).jobs


async def test_whoever_asks_twice_queues_once(app: App, control: Control) -> None:
    """The second answer says that it is on the queue; once it has failed again, it is queued again."""
    one = await failed(app, control)
    assert ["queued", "waiting"] == [(await requeue(app, one)).state for _ in range(2)]
    assert 1 == len(await queued(app)) == len(await facts(app))

    await give_up(app, one, now=datetime.now(UTC))

    assert "queued" == (await requeue(app, one)).state
    assert 2 == len(await queued(app))


async def test_two_who_ask_at_once_queue_once(app: App, control: Control) -> None:
    """Both are on record; one of them is told that the chunk is on the queue."""
    one = await failed(app, control)

    done = await asyncio.gather(*(requeue(app, one) for _ in range(4)))

    assert ["queued", "waiting", "waiting", "waiting"] == sorted(each.state for each in done)
    assert [one.again()] == await queued(app)


@pytest.mark.parametrize("has_failed", [True, False], ids=["with a record", "without"])
async def test_a_chunk_is_queued_though_the_answer_to_its_note_is_lost(
    azurite: Azurite, environment: dict[str, str], app: App, control: Control, has_failed: bool
) -> None:
    """The note that is found then is the request's own: without a message nothing would come of it for a while."""
    [one] = await announce(app, await control.recording(1000))
    if has_failed:
        await give_up(app, one, now=datetime.now(UTC) - HOUR)
    rule = {"kind": "lostAnswer", "operation": "PutBlob", "path": "*/attempts/*", "times": 1}
    async with harmed(azurite, environment, rule) as (hampered, proxy):
        done = await requeue(at(hampered, datetime.now(UTC) + HOUR), one)
        assert 1 == faults_met(proxy)

    assert ("queued", [one.again()]) == (done.state, await queued(app))


async def test_a_chunk_that_was_just_announced_is_on_the_queue(app: App, control: Control) -> None:
    """A second message would have it fetched twice; after RESCUE_MINUTES the first may have got lost."""
    [one] = await announce(app, await control.recording(1000))

    assert "waiting" == (await requeue(app, one)).state
    assert ([], []) == (await queued(app), await facts(app))
    assert "queued" == (await requeue(at(app, datetime.now(UTC) + HOUR), one)).state


async def test_a_chunk_at_which_an_attempt_is_running_is_left_to_it(app: App, control: Control) -> None:
    """Until it must have been killed."""
    one = await failed(app, control)
    began = layout.attempt_id(datetime.now(UTC), "0a0b0c0d")
    await app.clients.blobs.create("staging", layout.began_blob(one.recording_key, one.document_id, began), b"{}")

    assert "running" == (await requeue(app, one)).state
    assert [] == await queued(app)
    assert "queued" == (await requeue(at(app, datetime.now(UTC) + HOUR), one)).state


async def test_a_chunk_that_is_safe_is_not_queued(app: App, control: Control) -> None:
    """Neither in staging nor in the archive is anything changed, and the answer says so."""
    [one] = await stage(app, await control.recording(1000))
    before = await listing(app.settings, "staging")
    assert "safe" == (await requeue(app, one)).state
    [other] = await archived(app, control, 2000, event_id="other")
    assert "safe" == (await requeue(app, other)).state

    assert ([], []) == (await queued(app), await facts(app))
    assert before.items() <= (await listing(app.settings, "staging") or before).items()


async def test_a_chunk_that_is_lost_is_not_queued(app: App, control: Control) -> None:
    """ACS has deleted it: neither while it is in flight nor once its loss is in the archive."""
    [one] = await announce(app, await control.recording(1000))
    await lose(app, control, one)
    for _ in range(2):
        with pytest.raises(Conflict) as refused:
            await requeue(app, one)
        assert ("ChunkLost", 409) == (refused.value.error_code, refused.value.http_status)
        await sweep(app, now=datetime.now(UTC) + timedelta(hours=50))

    assert {} == await listing(app.settings, "staging")
    assert ([], []) == (await queued(app), await facts(app))


async def test_what_is_not_there_is_refused_and_nothing_changes(app: App, control: Control) -> None:
    """By name; neither queue nor trail has anything of it."""
    one = await failed(app, control)
    before = await listing(app.settings, "staging")
    wrong: list[tuple[str, str, type[RecordingError], str]] = [
        ("no-key", "0", BadRequest, "recordingKey"),
        ("../../x", "0", BadRequest, "recordingKey"),
        ("20261301T100000000000Z-x", "0", BadRequest, "recordingKey"),
        *((one.recording_key, index, BadRequest, "index") for index in ("-1", "100000", "\u0663", "", "0.0")),
        (UNKNOWN, "0", NotFound, "recordingKey"),
        (one.recording_key, "7", NotFound, "index"),
    ]

    for key, index, error, target in wrong:
        with pytest.raises(error) as refused:
            await app.requeue.run(EDSGER, key, index)
        assert target == refused.value.target

    assert before == await listing(app.settings, "staging")
    assert ([], []) == (await queued(app), await facts(app))


async def test_without_its_fact_nothing_is_queued(
    azurite: Azurite, environment: dict[str, str], app: App, control: Control
) -> None:
    """What can't be put on record is not done."""
    one = await failed(app, control)
    rule = {"kind": "status", "operation": "PutBlob", "path": "*/audit/*", "status": 503, "times": None}
    async with harmed(azurite, environment, rule, retry_total=0) as (hampered, _):
        with pytest.raises(TrailUnavailable):
            await requeue(hampered, one)

    assert ([], []) == (await queued(app), await facts(app))
    assert "queued" == (await requeue(app, one)).state


async def test_a_queue_out_of_reach_leaves_the_chunk_to_the_timer(
    app: App, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its next run queues it; that it was asked for, and failed, is on record."""
    one = await failed(app, control)

    async def hang(text: str) -> None:
        raise TimeoutError

    with monkeypatch.context() as broken:
        broken.setattr(app.clients.chunk_queue, "send", hang)
        with pytest.raises(StorageUnavailable):
            await requeue(app, one)

    assert ["ok", "StorageUnavailable"] == [fact["outcome"] for fact in await facts(app)]
    assert [one.again()] == (await sweep(app, now=datetime.now(UTC) + timedelta(minutes=16))).jobs
