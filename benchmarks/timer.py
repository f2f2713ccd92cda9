"""The archive timer in a process of its own: a run for each line on standard input, reported in a line of JSON.

`python -m benchmarks.timer` has the app's settings in its environment, builds the app as the host's worker does, and
then does what the function `archive_recordings` does; its clients stay warm in between, as a worker's do. What is
counted are the requests that the storage clients send, each repeat as one more: a proxy in between would take more of
what is measured than the counter does.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from azure.core.pipeline.transport import AioHttpTransport

from benchmarks.meter import Meter, idle_kib
from local.stack import ROOT, child_environment
from recording import app as bootstrap
from recording import timer
from recording.app import App

READY = "ready"
_GRACE_SECONDS = 60.0
_sent = 0


class TimerFailed(RuntimeError):
    """The timer's process ended, or a run took longer than its budget."""


class Timer:
    """The process, as the one who asks it for runs sees it."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    async def run(self) -> dict[str, Any]:
        """Have the timer run once; the answer has seconds, cpu_seconds, peak_mib, requests, and what it did."""
        if self._process.stdin is None:
            raise TimerFailed("there is no way to ask it")
        self._process.stdin.write(b"run\n")
        await self._process.stdin.drain()
        found: dict[str, Any] = json.loads(await self.line(timer.BUDGET_SECONDS + _GRACE_SECONDS))
        return found

    async def line(self, seconds: float) -> str:
        """Wait for the next line that it says."""
        if self._process.stdout is None:
            raise TimerFailed("there is no way to hear it")
        try:
            async with asyncio.timeout(seconds):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise TimerFailed(f"the timer said nothing within {seconds:.0f} s") from None
        if not line:
            told = await asyncio.to_thread(self._log.read_text, errors="replace")
            raise TimerFailed(f"the timer's process ended\n{told[-3000:]}")
        return line.decode().strip()


@asynccontextmanager
async def running(environment: dict[str, str], *, log: Path) -> AsyncIterator[Timer]:
    """Run the process while the context lasts; it is ready, and the containers exist, when this returns."""
    await asyncio.to_thread(log.parent.mkdir, parents=True, exist_ok=True)
    with await asyncio.to_thread(log.open, "wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.timer"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=output,
            cwd=ROOT,
            env=child_environment(environment),
        )
    try:
        timer = Timer(process, log)
        if (said := await timer.line(_GRACE_SECONDS)) != READY:
            raise TimerFailed(f"the timer's process said {said!r}")
        yield timer
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def count() -> None:
    """Count what the storage clients of this process send from now on; it ends with the measurement."""
    send = AioHttpTransport.send

    async def counted(self: Any, request: Any, **options: Any) -> Any:
        global _sent
        _sent += 1
        return await send(self, request, **options)

    setattr(AioHttpTransport, "send", counted)  # noqa: B010 - mypy: a method is not to be replaced


async def _run(app: App) -> dict[str, Any]:
    """Do what the timer's function does."""
    global _sent
    _sent = 0
    meter = Meter(idle_kib())
    report = await app.timer.run()
    cost = meter.read()
    lists = ("archived", "incomplete", "waiting", "failed")
    done = {name: len(getattr(report, name)) for name in lists}
    return {**asdict(cost), "requests": _sent, **done, "not_reached": report.not_reached, "jobs": len(report.messages)}


async def _serve() -> int:
    app = await bootstrap.ready()
    try:
        count()
        print(READY, flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(await _run(app)), flush=True)
    finally:
        await app.aclose()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(_serve()))
