"""Concurrency: a step for each of many items, a task in the background, work in a thread, turns, precedence."""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterable
from typing import Any
from weakref import WeakValueDictionary


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


async def compute[Result](work: Callable[[], Result], *, is_long: bool) -> Result:
    """Do work that waits for nothing: in a thread if it is long, since the event loop would wait for it."""
    return await asyncio.to_thread(work) if is_long else work()


class Turns:
    """Lets those who work on the same thing in this process do so one after the other."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @contextlib.asynccontextmanager
    async def take(self, name: str, *, seconds: float) -> AsyncIterator[bool]:
        """Wait for the others, so many `seconds` at most; yield whether they are done."""
        lock, is_mine = self._locks.setdefault(name, asyncio.Lock()), False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                is_mine = await lock.acquire()
        try:
            yield is_mine
        finally:
            if is_mine:
                lock.release()


class Precedence:
    """Lets some work of this process go first: other work waits for it, but never for long.

    It also waits for `quiet` seconds after it: the next messages of a queue may be on their way.
    """

    def __init__(self, quiet: float = 0.2) -> None:
        self._quiet = quiet
        self._ended = -math.inf
        self._first = 0
        self._none = asyncio.Event()
        self._none.set()

    @contextlib.contextmanager
    def first(self) -> Generator[None]:
        """Do work that goes first."""
        self._first += 1
        self._none.clear()
        try:
            yield
        finally:
            self._first -= 1
            if not self._first:
                self._ended = time.monotonic()
                self._none.set()

    async def wait(self, *, seconds: float) -> None:
        """Wait until no work goes first, so many `seconds` at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._first or time.monotonic() < self._ended + self._quiet:
                    await self._none.wait()
                    await asyncio.sleep(self._ended + self._quiet - time.monotonic())
