"""Run a command until it is done or somebody wants it to end."""

import asyncio
import signal
from collections.abc import Coroutine

INTERRUPTED = 130


def run(command: Coroutine[None, None, int]) -> int:
    """Run `command` and give its exit status.

    SIGINT (Ctrl-C) and SIGTERM cancel it, so that it can end what it has started; the status is 130 then.
    """
    return asyncio.run(_run(command))


async def _run(command: Coroutine[None, None, int]) -> int:
    task = asyncio.create_task(command)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Only once: a second, impatient signal must not leave the rest of the stack behind.
        loop.add_signal_handler(number, lambda: task.cancelling() or task.cancel())
    try:
        return await task
    except asyncio.CancelledError:
        return INTERRUPTED
