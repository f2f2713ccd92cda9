"""Benchmark: the archive timer as the archive grows, and the queue that archives, by more and more workers.

What is measured first is whether the cost depends on how much the archive holds: ten recordings in flight, first
waiting for their chunk, then whole: the timer queues them, and a worker archives them. Requests and CPU-seconds are
ours alone. The seconds have Azurite's in them, which keeps all blobs in one list, and writes that list to disk every
few seconds: they may grow where those of Azure don't. Azurite is on disk, for in memory it doesn't let go of what was
deleted.

Then how many recordings of one small chunk are archived in a second by 1, 2 and 4 worker processes, each with an
Azurite of its own. All share the machine's cores, and Azurite can use one: its row says how much of it. A copy is made
by the storage server and read once, so a larger chunk costs more requests, one per 4 MiB.
"""

import asyncio
import itertools
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from benchmarks import blobs, worker
from benchmarks.blobs import Blob, Recorded
from benchmarks.worker import Worker
from local.azurite import Azurite
from recording.config.settings import Settings, read_settings

ARCHIVES = (0, 10_000, 100_000)
QUICK_ARCHIVES = (0, 500)
WORKERS = (1, 2, 4)
FINISHED = 1000
QUICK_FINISHED = 30
IN_FLIGHT = 10
_ROUNDS = 5
_QUICK_ROUNDS = 1
_STATES = ("waiting", "handing_over", "archiving")
# The requests are none of ACS's, only its settings have to be there.
_ACS = "endpoint=http://127.0.0.1:9;accesskey=YmVuY2htYXJr"
_PUTS_PER_SECOND, _ARCHIVED_PER_SECOND = 300, 25

Row = dict[str, Any]


class SweepFailed(RuntimeError):
    """The timer or a worker didn't do what there was to do."""


async def run(
    archives: tuple[int, ...], finished: int, *, quick: bool, folder: Path, say: Callable[[str], None]
) -> AsyncIterator[Row]:
    """Measure at each size of the archive, then each number of workers; a row each, at once. `folder` is for logs."""
    each = 3 * finished / _PUTS_PER_SECOND + finished / _ARCHIVED_PER_SECOND
    seconds = max(archives) / _PUTS_PER_SECOND + len(WORKERS) * each + 20
    say(f"sweep: an archive of up to {max(archives):,} recordings, then {finished:,} to archive, about {seconds:.0f} s")
    rounds = _QUICK_ROUNDS if quick else _ROUNDS
    with tempfile.TemporaryDirectory(prefix="bench-") as data:
        async with Azurite(Path(data) / "flat", log=folder / "sweep-azurite.log") as azurite:
            bench = Bench(azurite, say)
            async with worker.running(bench.environment, log=folder / "sweep.log") as running:
                for before, held in itertools.pairwise((0, *archives)):
                    await bench.put(blobs.archived(range(before, held)), held - before, "into the archive")
                    yield await flat(bench, running, held, rounds)
        for count in WORKERS:
            async with Azurite(Path(data) / f"workers-{count}", log=folder / "workers-azurite.log") as azurite:
                yield await _workers(Bench(azurite, say), count, finished, folder)


class Bench:
    """An Azurite, the settings for it, and recordings with numbers of their own."""

    def __init__(self, azurite: Azurite, say: Callable[[str], None]) -> None:
        self.environment = {"AzureWebJobsStorage": azurite.connection_string, "ACS_CONNECTION_STRING": _ACS}
        self.say = say
        self._azurite = azurite
        self._settings: Settings = read_settings(self.environment)
        self._numbers = itertools.count(1)

    def recordings(self, count: int) -> list[Recorded]:
        """Make recordings that ended just now, each another."""
        start = datetime.now(UTC) - timedelta(hours=1)
        return [Recorded(next(self._numbers), start) for _ in range(count)]

    async def put(self, some: Iterable[Blob], count: int, what: str = "") -> None:
        """Put blobs, and say how it goes where that takes long."""
        began, step = time.monotonic(), max(1000, count // 10)

        def done(so_far: int) -> None:
            if what and (so_far == count or so_far % step == 0):
                rate = so_far / (time.monotonic() - began)
                left = (count - so_far) / rate
                self.say(f"    {so_far:,} of {count:,} blobs {what}, {rate:.0f} a second, {left:.0f} s left")

        await blobs.put(self._azurite, self._settings, some, done=done)

    def cpu_seconds_of_azurite(self) -> float:
        """Return how much CPU Azurite has used so far."""
        used = psutil.Process(self._azurite.pid).cpu_times()
        return float(used.user + used.system)


async def flat(bench: Bench, running: Worker, held: int, rounds: int) -> Row:
    """Measure a run with nothing but waiting recordings, one that queues them, and their archiving."""
    await running.run()
    found: dict[str, list[Row]] = {state: [] for state in _STATES}
    for _ in range(rounds):
        recordings = bench.recordings(IN_FLIGHT)
        await bench.put((blob for one in recordings for blob in one.announced()), 2 * IN_FLIGHT)
        found["waiting"].append(_checked(await running.run(), waiting=IN_FLIGHT))
        await bench.put((one.content() for one in recordings), IN_FLIGHT)
        found["handing_over"].append(_checked(await running.run(), handed_over=IN_FLIGHT))
        drained = await running.drain()
        if drained["messages"] != IN_FLIGHT:
            raise SweepFailed(f"{drained['messages']} of {IN_FLIGHT} messages were left for this worker: {drained}")
        found["archiving"].append(drained)
        # What was not archived is still in flight.
        _checked(await running.run())
    made = flat_row(held, found)
    told = "   ".join(
        f"{state} {made[f'{state}_requests']} requests, {made[f'{state}_seconds']} s" for state in _STATES
    )
    bench.say(f"    archive of {held:>7,}: {told}")
    return made


def _checked(done: Row, **wanted: int) -> Row:
    """Hold a run against what was to be done: nothing left out, nothing else done."""
    for name in ("handed_over", "archived", "waiting", "incomplete", "failed", "not_reached", "jobs"):
        if done[name] != wanted.get(name, 0):
            raise SweepFailed(f"{done[name]} recordings are {name} instead of {wanted.get(name, 0)}: {done}")
    return done


def flat_row(held: int, found: dict[str, list[Row]]) -> Row:
    """Make the row of one size of the archive: medians, but for requests, where the worst run counts."""
    row: Row = {
        "benchmark": "sweep",
        "contender": "ours",
        "recordings_in_archive": held,
        "recordings_in_staging": IN_FLIGHT,
        "rounds": len(found["waiting"]),
    }
    for state, runs in found.items():
        row[f"{state}_requests"] = max(one["requests"] for one in runs)
        row[f"{state}_seconds"] = round(statistics.median(one["seconds"] for one in runs), 3)
        row[f"{state}_cpu_seconds"] = round(statistics.median(one["cpu_seconds"] for one in runs), 3)
    return row


async def _workers(bench: Bench, count: int, finished: int, folder: Path) -> Row:
    """Have finished recordings queued, and archived by so many workers at once."""
    async with AsyncExitStack() as exits:
        workers = [
            await exits.enter_async_context(worker.running(bench.environment, log=folder / f"worker-{number}.log"))
            for number in range(1, count + 1)
        ]
        # What is imported late and connected first is no part of it.
        for one in workers:
            await one.run()
            await one.drain()
        whole = (blob for one in bench.recordings(finished) for blob in (*one.announced(), one.content()))
        await bench.put(whole, 3 * finished, "into staging")
        handed = _checked(await workers[0].run(), handed_over=finished)
        before = bench.cpu_seconds_of_azurite()
        runs = await asyncio.gather(*(one.drain() for one in workers))
        azurite = bench.cpu_seconds_of_azurite() - before
        _checked(await workers[0].run())
    row = workers_row(handed, runs, azurite)
    bench.say(f"    {row}")
    return row


def workers_row(handed: Row, runs: list[Row], azurite_cpu_seconds: float) -> Row:
    """Make the row of a number of workers out of the run that queued them, and of what each of them did."""
    archived = sum(one["messages"] for one in runs)
    seconds = max(one["ended"] for one in runs) - min(one["began"] for one in runs)
    cpu = sum(one["cpu_seconds"] for one in runs)
    return {
        "benchmark": "workers",
        "contender": "ours",
        "workers": len(runs),
        "recordings_in_staging": archived,
        "chunk_bytes": blobs.CHUNK_BYTES,
        "seconds": round(seconds, 1),
        "archived_per_second": round(archived / seconds, 1),
        "handed_over_per_second": round(archived / handed["seconds"], 1),
        "requests_per_recording": round(sum(one["requests"] for one in runs) / archived, 1),
        "queue_requests_per_recording": round(sum(one["queue_requests"] for one in runs) / archived, 1),
        "cpu_milliseconds_per_recording": round(1000 * cpu / archived, 1),
        "cores_of_workers": round(cpu / seconds, 2),
        "cores_of_azurite": round(azurite_cpu_seconds / seconds, 2),
        "cores_of_machine": psutil.cpu_count(),
        "peak_mib_above_idle": round(max(one["peak_mib"] for one in runs), 1),
    }
