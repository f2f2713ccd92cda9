"""recording/workers.py: steps beside each other and one after the other."""

import asyncio
from collections.abc import Coroutine

import pytest

from recording.workers import Precedence, Turns, run_each


async def test_each_item_has_its_step_and_no_more_than_some_run_at_once() -> None:
    """A slow one doesn't keep the others waiting."""
    running: set[int] = set()
    most, done = 0, []

    async def step(item: int) -> None:
        nonlocal most
        running.add(item)
        most = max(most, len(running))
        await asyncio.sleep(0.05 if item == 0 else 0)
        running.remove(item)
        done.append(item)

    await run_each(step, range(20), at_once=3)

    assert (3, {*range(20)}, 0) == (most, {*done}, done[-1])


async def test_the_first_failure_is_raised_and_nothing_new_begins() -> None:
    """It is raised as it is, not in a group."""
    begun: list[int] = []

    async def step(item: int) -> None:
        begun.append(item)
        await asyncio.sleep(0)
        if item == 1:
            raise ValueError("second")

    with pytest.raises(ValueError, match="second"):
        await run_each(step, range(100), at_once=2)

    assert len(begun) < 10


async def test_those_who_work_on_the_same_thing_take_turns() -> None:
    """Whoever works on something else doesn't wait, and nothing is kept."""
    turns, order = Turns(), list[tuple[str, int, str]]()

    async def work(name: str, number: int) -> None:
        async with turns.take(name, seconds=5):
            order.append((name, number, "begins"))
            await asyncio.sleep(0.05)
            order.append((name, number, "ends"))

    await asyncio.gather(*(work("same", number) for number in range(3)), work("other", 0))

    mine = [(number, what) for name, number, what in order if name == "same"]
    assert [(number, what) for number in range(3) for what in ("begins", "ends")] == mine
    assert 1 == order.index(("other", 0, "begins"))
    assert 0 == len(turns._locks)


async def test_nobody_waits_for_a_turn_longer_than_it_wants() -> None:
    """Then both work; the turn of the first ends with its own work, and one that fails gives it back."""
    turns, waited = Turns(), list[bool]()

    async def work(*inside: Coroutine[None, None, None], fails: bool = False) -> None:
        async with turns.take("same", seconds=0.05) as is_mine:
            waited.append(not is_mine)
            for one in inside:
                await one
            if fails:
                raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        await work(work(), work(), fails=True)
    await work()

    assert [False, True, True, False] == waited


async def test_other_work_waits_for_all_that_goes_first() -> None:
    """Until the last of it has ended, and a moment longer; not at all while there is none, and never too long."""
    precedence = Precedence(quiet=0.05)
    await asyncio.wait_for(precedence.wait(seconds=60), 0.04)
    with precedence.first():
        with precedence.first():
            waiting = asyncio.create_task(precedence.wait(seconds=60))
            await asyncio.sleep(0.01)
        assert not waiting.done()
        await precedence.wait(seconds=0.01)
        assert not waiting.done()
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await asyncio.wait_for(waiting, 1)
