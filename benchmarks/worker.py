"""A worker of the archive in a process of its own, which is asked on standard input and reports in lines of JSON.

`python -m benchmarks.worker` has the app's settings in its environment, and builds the app as the host's worker does.
Asked to `run`, it does what the function `archive_recordings` does, the timer; asked to `drain`, what the function
`archive_recording` does, for message after message until the queue is empty, as many at once as host.json allows. Its
clients stay warm in between. What is counted are the requests that the storage clients send, each repeat as one more: a
proxy in between would take more of what is measured than the counter does.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from azure.core.pipeline.transport import AioHttpTransport

from benchmarks.meter import Meter, idle_kib
from local.stack import ROOT, child_environment
from recording import app as bootstrap
from recording import timer
from recording.app import App
from recording.archive.finish import BUDGET_SECONDS
from recording.model.job import ArchiveJob
from recording.storage.queues import QueuedMessage

READY = "ready"
_GRACE_SECONDS = 60.0
_sent: Counter[str] = Counter()


class WorkerFailed(RuntimeError):
    """The worker's process ended, or took longer than its budget."""


class Worker:
    """The process, as the one who asks it sees it."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    async def run(self) -> dict[str, Any]:
        """Have the timer run once; the answer has seconds, cpu_seconds, peak_mib, requests, and what it did."""
        return await self._ask("run", timer.BUDGET_SECONDS + _GRACE_SECONDS)

    async def drain(self) -> dict[str, Any]:
        """Have it archive what is on the queue; the answer has the same, and how many messages it took."""
        return await self._ask("drain", BUDGET_SECONDS + _GRACE_SECONDS)

    async def _ask(self, what: Literal["run", "drain"], seconds: float) -> dict[str, Any]:
        if self._process.stdin is None:
            raise WorkerFailed("there is no way to ask it")
        self._process.stdin.write(f"{what}\n".encode())
        await self._process.stdin.drain()
        found: dict[str, Any] = json.loads(await self.line(seconds))
        return found

    async def line(self, seconds: float) -> str:
        """Wait for the next line that it says."""
        if self._process.stdout is None:
            raise WorkerFailed("there is no way to hear it")
        try:
            async with asyncio.timeout(seconds):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise WorkerFailed(f"the worker said nothing within {seconds:.0f} s") from None
        if not line:
            told = await asyncio.to_thread(self._log.read_text, errors="replace")
            raise WorkerFailed(f"the worker's process ended\n{told[-3000:]}")
        return line.decode().strip()


@asynccontextmanager
async def running(environment: dict[str, str], *, log: Path) -> AsyncIterator[Worker]:
    """Run the process while the context lasts; it is ready, and the containers exist, when this returns."""
    await asyncio.to_thread(log.parent.mkdir, parents=True, exist_ok=True)
    with await asyncio.to_thread(log.open, "wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.worker"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=output,
            cwd=ROOT,
            env=child_environment(environment),
        )
    try:
        worker = Worker(process, log)
        if (said := await worker.line(_GRACE_SECONDS)) != READY:
            raise WorkerFailed(f"the worker's process said {said!r}")
        yield worker
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def count() -> None:
    """Count what the storage clients of this process send from now on; it ends with the measurement."""
    send = AioHttpTransport.send

    async def counted(self: Any, request: Any, **options: Any) -> Any:
        _sent["queue" if "/messages" in request.url else "blobs"] += 1
        return await send(self, request, **options)

    setattr(AioHttpTransport, "send", counted)  # noqa: B010 - mypy: a method is not to be replaced


async def _run(app: App) -> dict[str, Any]:
    """Do what the timer's function does."""
    report = await app.timer.run()
    lists = ("handed_over", "archived", "incomplete", "waiting", "failed")
    done = {name: len(getattr(report, name)) for name in lists}
    return {**done, "not_reached": report.not_reached, "jobs": len(report.messages)}


async def _drain(app: App) -> dict[str, Any]:
    """Do what the function of the queue does for each message, taken as the host takes them."""
    queues = json.loads((ROOT / "host.json").read_text())["extensions"]["queues"]
    queue, working, done = app.clients.archive_queue, set[asyncio.Task[None]](), 0

    async def work(message: QueuedMessage) -> None:
        await app.archive.run(ArchiveJob.from_message(message.text).recording_key)
        await queue.delete(message)

    while True:
        if len(working) > queues["newBatchThreshold"]:
            _, working = await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
            continue
        taken = [one async for one in queue.receive(limit=queues["batchSize"], hidden_seconds=600)]
        if not taken:
            break
        working |= {asyncio.create_task(work(message)) for message in taken}
        done += len(taken)
    await asyncio.gather(*working)
    return {"messages": done}


async def _serve() -> int:
    app = await bootstrap.ready()
    try:
        count()
        print(READY, flush=True)
        while asked := (await asyncio.to_thread(sys.stdin.readline)).strip():
            _sent.clear()
            meter, began = Meter(idle_kib()), time.time()
            done = await (_drain(app) if asked == "drain" else _run(app))
            cost = {**asdict(meter.read()), "requests": _sent["blobs"], "queue_requests": _sent["queue"]}
            print(json.dumps({**cost, **done, "began": began, "ended": time.time()}), flush=True)
    finally:
        await app.aclose()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(_serve()))
