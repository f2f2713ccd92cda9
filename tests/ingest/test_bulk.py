"""recording/ingest/bulk.py: one message stands for thousands of chunks, and queues them in batches."""

import asyncio
import contextlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from recording.app import App
from recording.ingest.bulk import AT_ONCE, BATCH, YIELDS_SECONDS
from recording.ingest.chunk import ChunkIngest
from recording.ingest.streams import Line
from recording.model.job import ChunkJob, FanOut
from tests.support import big
from tests.support.emulator import Control
from tests.support.facts import announce, receive, with_blobs
from tests.support.faults import FaultyBlobs, Killed


@pytest.fixture(autouse=True)
async def empty(app: App) -> None:
    """The queue of every test begins with nothing on it."""
    await big.empty_bulk(app)


async def test_one_message_fans_out_in_bounded_batches(app: App) -> None:
    """Each chunk has its job once, and never is more than a batch of one recording on the queue."""
    await receive(app, big.big_event(90))

    queued = await big.fan_out_all(app, big.bulk_of(app, batch=40), batch=40)

    assert big.documents(90) == sorted(queued)
    assert BATCH * 16 * 1024 < 10 * 1024 * 1024


async def test_copies_of_an_event_queue_each_chunk_once(app: App) -> None:
    """They come at once, and Event Grid may send one ten times: it would keep the queue busy ten times as long."""
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    event = big.big_event(90)
    for _ in range(10):
        await receive(app, event)
    copies = await big.on_bulk(app)
    bulk = big.bulk_of(app, batch=40, clock=lambda: now)

    await asyncio.gather(*(bulk.run(one.to_message()) for one in copies))

    assert 10 == len(copies)
    assert big.documents(90) == sorted(await big.fan_out_all(app, bulk, batch=40))


async def test_a_copy_that_comes_later_queues_what_is_missing(app: App) -> None:
    """The messages of the first batch may be lost by then."""
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    await receive(app, big.big_event(33))
    [asked] = await big.on_bulk(app)

    counts = []
    for minutes in (0, 3, 4):
        bulk = big.bulk_of(app, batch=40, clock=lambda at=now + timedelta(minutes=minutes): at)
        await bulk.run(asked.to_message())
        counts.append(len(await big.on_bulk(app)))

    assert [33, 0, 33] == counts


async def test_a_batch_of_very_many_is_a_32nd_of_them(app: App) -> None:
    """Each batch lists the recording and derives it again, so there must not be ever more of them."""
    await receive(app, big.big_event(70))

    [asked] = await big.on_bulk(app)
    await big.bulk_of(app, batch=1).run(asked.to_message())

    assert [ChunkJob, ChunkJob, FanOut] == [type(message) for message in await big.on_bulk(app)]


@pytest.mark.parametrize("again", ["the event", "the timer", None])
async def test_the_jobs_of_a_second_fan_out_look_first(app: App, again: str | None) -> None:
    """Those of the first are the first for their chunks, in each batch."""
    event = big.big_event(33)
    await receive(app, event)
    [asked] = await big.on_bulk(app)
    if again == "the event":
        await receive(app, event)
        [asked] = await big.on_bulk(app)
    elif again == "the timer":
        asked = FanOut(recording_key=big.KEY, due=datetime.now(UTC) + timedelta(hours=1))
    found: list[ChunkJob | FanOut] = []
    for _ in range(2):
        await big.bulk_of(app, batch=30).run(asked.to_message())
        *jobs, last = await big.on_bulk(app)
        found += jobs
        if isinstance(last, FanOut):
            asked = last
        else:
            found.append(last)

    assert 33 == len(found)
    assert {True if again else None} == {job.is_again for job in found}


async def test_chunks_of_many_wait_for_other_recordings_but_not_for_long(app: App) -> None:
    """An event of thousands must not take others twice their time, nor be kept by them for ever."""
    [job] = big.jobs_of(1, datetime.now(UTC))
    began: list[str] = []

    class Noting(ChunkIngest):
        """An ingest that only says which chunk it was."""

        async def run(self, job: ChunkJob, **_: Any) -> None:
            began.append(job.document_id)

    clients = app.clients
    noting = Noting(clients.blobs, app.recordings, app.tombstones, clients.content, limits=app.ingest.limits)
    bulk = big.bulk_of(replace(app, ingest=noting), batch=40)
    with noting.precedence.first():
        waiting = asyncio.create_task(bulk.run(job.to_message()))
        await asyncio.sleep(0.1)
        assert [] == began
    await asyncio.wait_for(waiting, 0.5)
    with noting.precedence.first():
        await asyncio.wait_for(bulk.run(job.to_message()), YIELDS_SECONDS + 1)

    assert [job.document_id] * 2 == began


async def test_a_chunk_of_another_recording_goes_first(app: App, control: Control) -> None:
    """From its own queue; one that is itself of the queue for many doesn't."""
    [first] = await announce(app, await control.recording(1000))
    [other] = await announce(app, await control.recording(1001))
    seen: list[bool] = []

    async def look() -> None:
        waiting = asyncio.create_task(there.ingest.precedence.wait(seconds=60))
        await asyncio.sleep(0.01)
        seen.append(not waiting.done())
        waiting.cancel()

    faulty = FaultyBlobs(app.settings).on("put_chunk", before=look, times=2)
    there = with_blobs(app, faulty)
    await there.bulk.run(other.to_message())
    await there.ingest.run(first)
    await faulty.aclose()

    assert [False, True] == seen


async def test_a_fan_out_that_is_killed_anywhere_does_no_harm(app: App) -> None:
    """Its message comes again: a chunk may be queued twice, and none is forgotten."""
    await receive(app, big.big_event(50))
    [asked] = await big.on_bulk(app)
    assert isinstance(asked, FanOut)

    class Dying:
        """A queue whose client is killed after so many messages."""

        left = 30

        async def send(self, text: str) -> None:
            if not self.left:
                raise Killed
            self.left -= 1
            await app.clients.bulk_queue.send(text)

    with contextlib.suppress(BaseExceptionGroup):
        await big.bulk_of(app, batch=40, queue=Dying()).run(asked.to_message())
    queued = [message.document_id for message in await big.on_bulk(app) if isinstance(message, ChunkJob)]
    # Those that were on their way when it was killed may be lost.
    assert 0 < len(queued) <= 30
    await big.bulk_of(app, batch=40).run(asked.to_message(), is_redelivered=True)
    queued += await big.fan_out_all(app, big.bulk_of(app, batch=40), batch=40)

    assert {*big.documents(50)} == {*queued}


async def test_a_chunk_job_of_the_queue_is_done_as_any_other(app: App, control: Control) -> None:
    """The chunk is staged; a message that is none of ours is refused, so that the host keeps it."""
    [job] = await announce(app, await control.recording(1000))

    await app.bulk.run(job.to_message())

    assert await app.clients.blobs.stat("staging", job.metadata_blob)
    for message in ("{}", '{"foreign": 1}', "x"):
        with pytest.raises(ValueError, match=r"neither a chunk job|Invalid JSON"):
            await app.bulk.run(message)


async def test_what_a_chunk_waits_for_its_turn_is_part_of_its_time(app: App) -> None:
    """Else attempts at slow chunks would outlast the function's time-out, which ends the process and all its jobs."""
    jobs = big.jobs_of(AT_ONCE + 1, datetime.now(UTC))
    waits: list[float] = []

    class Busy(ChunkIngest):
        """An ingest that takes `seconds` for a chunk."""

        seconds = 0.1

        async def run(self, job: ChunkJob, *, waited: float = 0.0, **more: Any) -> None:
            waits.append(waited)
            await asyncio.sleep(self.seconds)

    limits = replace(app.ingest.limits, budget_seconds=0.8)
    busy = Busy(app.clients.blobs, app.recordings, app.tombstones, app.clients.content, limits=limits)
    bulk = big.bulk_of(replace(app, ingest=busy), batch=40)
    await asyncio.gather(*(bulk.run(job.to_message()) for job in jobs))
    assert [True] * AT_ONCE + [False] == [waited < 0.05 for waited in waits]

    busy.seconds = 1.0
    ended = await asyncio.gather(*(bulk.run(job.to_message()) for job in jobs), return_exceptions=True)

    # It has not begun: the source was not asked, and that is no evidence.
    assert [type(None)] * AT_ONCE + [TimeoutError] == [type(one) for one in ended]
    assert 2 * AT_ONCE + 1 == len(waits)


async def test_chunks_that_wait_for_a_turn_are_seen_by_those_that_have_one(app: App) -> None:
    """So that a source that trickles is given up for them; while a turn is free, nobody is."""
    jobs = big.jobs_of(AT_ONCE + 1, datetime.now(UTC))
    begun: asyncio.Queue[Line] = asyncio.Queue()
    may_end = asyncio.Event()

    class Slow(ChunkIngest):
        """An ingest whose sources trickle."""

        async def run(self, job: ChunkJob, **more: Any) -> None:
            with self.streams.line(job.recording_key, may_be_given_up=lambda: True, has_turn=more["has_turn"]) as line:
                begun.put_nowait(line)
                await may_end.wait()

    clients = app.clients
    slow = Slow(clients.blobs, app.recordings, app.tombstones, clients.content, limits=app.ingest.limits)
    bulk = big.bulk_of(replace(app, ingest=slow), batch=40)

    first = [asyncio.create_task(bulk.run(job.to_message())) for job in jobs[:-1]]
    lines = [await begun.get() for _ in first]
    assert not any(slow.streams._others_wait(line) for line in lines)
    last = asyncio.create_task(bulk.run(jobs[-1].to_message()))
    await asyncio.sleep(0)
    assert all(slow.streams._others_wait(line) for line in lines)
    may_end.set()
    await asyncio.gather(*first, last)

    assert not slow.streams._others_wait(lines[0])
