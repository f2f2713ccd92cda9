"""Steps beside each other: for each of many items, a few at a time, or one whose result may not be needed."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any


async def run_each[Item](step: Callable[[Item], Awaitable[None]], items: Iterable[Item], *, at_once: int) -> None:
    """Do a step for each item, `at_once` at a time, each as soon as another has ended.

    Raises the first failure; items that have not begun before it are skipped.
    """
    waiting = iter(items)

    async def work() -> None:
        for item in waiting:
            await step(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(work())
    except ExceptionGroup as several:
        raise several.exceptions[0] from None


def begin[Result](step: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
    """Begin a step beside others; its failure is reported only if the task is awaited."""
    task = asyncio.create_task(step)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task
