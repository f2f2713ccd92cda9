"""How long the event loop is held by one step."""

import asyncio
import time
from collections.abc import Awaitable
from itertools import pairwise


async def longest_step[Result](work: Awaitable[Result]) -> tuple[Result, float]:
    """Do some work; return its result, and the seconds of CPU for which no other task had a turn.

    Those of the loop's thread alone: they are the same on a busy machine.
    """
    turns: list[float] = [time.thread_time()]

    async def take_turns() -> None:
        while True:
            turns.append(time.thread_time())
            await asyncio.sleep(0.001)

    others = asyncio.create_task(take_turns())
    try:
        result = await work
        turns.append(time.thread_time())
    finally:
        others.cancel()
    return result, max(after - before for before, after in pairwise(turns))
