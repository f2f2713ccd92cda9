"""recording/ingest/streams.py: who gets a stream, and from whom one is taken."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress

import pytest

from recording.errors import SourceSlow
from recording.ingest.streams import Line, Pace, Streams, Taken
from tests.infra.snapshots import ROOT

PACE = Pace(floor=1000, seconds=0.12, patience_seconds=0.05, crowd=9)
ALWAYS, NEVER = (lambda: True), (lambda: False)


async def coming(per_second: float, seconds: float) -> AsyncIterator[bytes]:
    """Be a body that comes so fast."""
    for _ in range(int(seconds / 0.01)):
        yield bytes(int(per_second / 100))
        await asyncio.sleep(0.01)


async def sending(line: Line, *, per_second: float, seconds: float = 2.0) -> None:
    """Hold a stream that gets so many bytes a second."""
    async with line.hold():
        async for _ in line.counted(coming(per_second, seconds)):
            pass


async def ends(task: "asyncio.Task[None]") -> Taken | SourceSlow | None:
    """Return why a stream was taken; None if it wasn't within half a second."""
    done, _ = await asyncio.wait([task], timeout=0.5)
    if done:
        failed = task.exception()
        assert isinstance(failed, Taken | SourceSlow)
        return failed
    task.cancel()
    return None


def test_the_crowd_is_where_the_host_takes_no_more_messages() -> None:
    """What waits in the queue can't be seen from here."""
    host = json.loads((ROOT / "host.json").read_text())
    assert Pace().crowd == host["extensions"]["queues"]["newBatchThreshold"]


@pytest.mark.parametrize(
    ("per_second", "may", "waits", "given_up"),
    [(200, ALWAYS, True, True), (200, ALWAYS, False, False), (200, NEVER, True, False), (5000, ALWAYS, True, False)],
)
async def test_a_stream_below_the_pace_is_given_up_while_others_wait(
    per_second: int, may: object, *, waits: bool, given_up: bool
) -> None:
    """Neither a fast one, nor while nobody waits, nor shortly before the deadline."""
    streams = Streams(1, PACE)
    with streams.line("a", may_be_given_up=may) as slow, streams.line("b", may_be_given_up=may) as other:  # type: ignore[arg-type]
        running = asyncio.create_task(sending(slow, per_second=per_second))
        await asyncio.sleep(0.01)
        waiting = asyncio.create_task(sending(other, per_second=9000, seconds=0.05)) if waits else None

        taken = await ends(running)

        assert given_up == (taken is not None)
        if taken:
            assert isinstance(taken, SourceSlow)
            assert int(taken.message.split()[3]) < 1000
        if waiting:
            await waiting


async def test_a_crowd_waits_unseen() -> None:
    """With many chunks at work the host takes no message, so nobody is seen to wait."""
    streams = Streams(9, Pace(floor=1000, seconds=0.12, crowd=1))
    with streams.line("a", may_be_given_up=ALWAYS) as slow, streams.line("b", may_be_given_up=ALWAYS):
        assert (await ends(asyncio.create_task(sending(slow, per_second=200)))) is not None


async def test_small_reads_are_given_up_as_streams_are() -> None:
    """A probe or a metadata file that trickles holds no stream, but its chunk holds a place in the process."""
    streams = Streams(1, Pace(floor=1000, seconds=0.12, crowd=0))
    with streams.line("a", may_be_given_up=ALWAYS) as line, pytest.raises(SourceSlow):
        async with line.reading():
            await asyncio.sleep(5)


async def test_blocks_that_are_too_long_for_the_source_are_taken_though_nobody_waits() -> None:
    """They are cut smaller; blocks that can't be cut are left."""
    streams = Streams(1, PACE)
    with streams.line("a", may_be_given_up=NEVER) as line:
        line.longest, line.shortest = 10_000, 10
        assert isinstance(await ends(asyncio.create_task(sending(line, per_second=200))), Taken)
        assert 10 == line.longest
        assert None is await ends(asyncio.create_task(sending(line, per_second=200)))


@pytest.mark.parametrize(("largest", "is_cut"), [(10_000, True), (5_000, False)])
async def test_blocks_that_take_longer_than_half_an_attempt_are_cut_above_the_floor_too(
    largest: int, *, is_cut: bool
) -> None:
    """To a quarter of it: of those that take all of it none is ever staged. Shorter ones are left."""
    streams = Streams(1, PACE, largest_block=largest, attempt_seconds=4)
    with streams.line("a", may_be_given_up=NEVER) as line:
        line.longest, line.shortest = 100_000, 10
        assert is_cut == isinstance(await ends(asyncio.create_task(sending(line, per_second=4000))), Taken)
        assert None is line.slow_rate
        assert (line.longest <= 4000) == is_cut


async def test_storage_that_hangs_and_pauses_are_not_the_slowness_of_the_source() -> None:
    """What came fast and waits for storage, or a source that has asked for a pause, is no reason to give up or cut."""
    streams = Streams(1, Pace(floor=1000, seconds=0.12, crowd=0))
    with streams.line("a", may_be_given_up=ALWAYS) as line:
        line.longest, line.shortest = 10_000, 10

        async def storing() -> None:
            async with line.hold():
                with line.aside():
                    async for _ in line.counted(coming(9000, 0.02)):
                        await asyncio.sleep(1)

        assert None is await ends(asyncio.create_task(storing()))
        assert (10_000, None) == (line.longest, line.slow_rate)


async def test_a_source_that_does_not_answer_gets_no_shorter_blocks() -> None:
    """More requests would be the answer to one that has too many; it is given up while others wait."""
    streams = Streams(1, PACE)
    with streams.line("a", may_be_given_up=ALWAYS) as line, streams.line("b", may_be_given_up=ALWAYS) as other:
        line.longest, line.shortest = 10_000, 10

        async def hanging() -> None:
            async with line.hold():
                await asyncio.sleep(5)

        running = asyncio.create_task(hanging())
        await asyncio.sleep(3 * PACE.seconds)
        assert (10_000, 0, False) == (line.longest, line.slow_rate, running.done())

        waiting = asyncio.create_task(sending(other, per_second=9000, seconds=0.05))
        assert isinstance(await ends(running), SourceSlow)
        await waiting


async def test_no_recording_holds_all_streams_while_another_waits() -> None:
    """However fast it is, it gives one back; a chunk of its own gets none that way."""
    streams = Streams(3, PACE)
    with (
        streams.line("a", may_be_given_up=ALWAYS) as one,
        streams.line("a", may_be_given_up=ALWAYS) as two,
        streams.line("b", may_be_given_up=ALWAYS) as other,
    ):
        held = [asyncio.create_task(sending(line, per_second=9000)) for line in (one, one, one)]
        await asyncio.sleep(0)
        of_the_same = asyncio.create_task(sending(two, per_second=9000))
        await asyncio.sleep(2 * PACE.patience_seconds)
        assert not any(task.done() for task in held)

        async with asyncio.timeout(4 * PACE.patience_seconds), other.hold():
            assert [False, False, True] == [task.done() for task in held]
            assert not of_the_same.done()
        with suppress(Taken):
            await held[2]
        for task in (*held, of_the_same):
            task.cancel()
        await asyncio.gather(*held, of_the_same, return_exceptions=True)


async def test_a_recording_that_holds_less_is_served_first() -> None:
    """Though it came later; and a slow chunk after all others."""
    streams = Streams(2, PACE)
    order: list[str] = []

    async def take(line: Line, name: str) -> None:
        async with line.hold():
            order.append(name)

    with (
        streams.line("a", may_be_given_up=ALWAYS) as many,
        streams.line("b", may_be_given_up=ALWAYS) as few,
        streams.line("c", may_be_given_up=ALWAYS) as slow,
    ):
        slow.slow_rate = 1.0
        async with AsyncExitStack() as first:
            await first.enter_async_context(many.hold())
            async with many.hold():
                tasks = [
                    asyncio.create_task(take(line, name))
                    for line, name in ((slow, "slow"), (many, "many"), (few, "few"))
                ]
                await asyncio.sleep(0.01)
            await asyncio.gather(*tasks)

    assert ["few", "many", "slow"] == order


async def test_a_stream_is_never_lost() -> None:
    """Cancelled while it waits, just when it is granted, or while it is held."""
    streams = Streams(1, PACE)
    with streams.line("a", may_be_given_up=ALWAYS) as line:
        for steps in range(6):
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(line.hold())
                waiting = asyncio.create_task(sending(line, per_second=9000))
                await asyncio.sleep(0)
            for _ in range(steps):
                await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])

            async with asyncio.timeout(1), line.hold():
                pass


async def test_a_chunk_that_waits_for_a_turn_is_one_of_those_that_wait() -> None:
    """It has no line yet; only who has such a turn is given up for it."""
    streams = Streams(4, PACE)
    with (
        streams.line("a", may_be_given_up=ALWAYS, has_turn=True) as slow,
        streams.line("b", may_be_given_up=ALWAYS) as other,
    ):
        running = [asyncio.create_task(sending(line, per_second=200)) for line in (slow, other)]
        await asyncio.sleep(0.2)
        assert not any(task.done() for task in running)
        with streams.waiting():
            assert isinstance(await ends(running[0]), SourceSlow)
            assert await ends(running[1]) is None
