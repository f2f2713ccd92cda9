"""recording/workers.py: the same step for each of many items, a few at a time."""

import asyncio

import pytest

from recording.workers import run_each


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
