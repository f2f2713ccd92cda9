"""Run a command until it ends or is interrupted."""

import asyncio
import signal
from collections.abc import Coroutine

import uvloop

INTERRUPTED = 130


def run(command: Coroutine[None, None, int]) -> int:
    """Run `command` and return its exit status.

    SIGINT (Ctrl-C) and SIGTERM cancel it, so that it can end what it has started; the status is then 130.
    """
    return asyncio.run(_run(command), loop_factory=uvloop.new_event_loop)


async def _run(command: Coroutine[None, None, int]) -> int:
    task = asyncio.create_task(command)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Only once: a second signal must not interrupt the cleanup and leave processes behind.
        loop.add_signal_handler(number, lambda: task.cancelling() or task.cancel())
    try:
        return await task
    except asyncio.CancelledError:
        return INTERRUPTED
