"""Benchmark: the archive timer, as the archive grows, and with many recordings to archive.

What is measured first is whether a run's cost depends on how much the archive holds: ten recordings in flight, first
waiting for their chunk, then whole and archived, at each size of the archive. Requests and CPU-seconds are ours alone.
The seconds have Azurite's in them, which keeps all blobs in one list, and writes that list to disk every few seconds:
they may grow where those of Azure don't. Azurite is on disk, for in memory it doesn't let go of what was deleted.

Then the timer's throughput: finished recordings of one small chunk in staging, and run after run until all are
archived. A copy is made by the storage server, so a larger chunk costs the timer no more requests.
"""

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks import blobs, timer
from benchmarks.blobs import Blob, Recorded
from benchmarks.timer import Timer
from local.azurite import Azurite
from recording import timer as archive
from recording.config.settings import Settings, read_settings

ARCHIVES = (0, 10_000, 100_000)
QUICK_ARCHIVES = (0, 500)
FINISHED = 2000
QUICK_FINISHED = 30
IN_FLIGHT = 10
_ROUNDS = 5
_QUICK_ROUNDS = 1
# The timer's requests are none of the service's, only its settings have to be there.
_ACS = "endpoint=http://127.0.0.1:9;accesskey=YmVuY2htYXJr"
_MOST_RUNS = 50
_PUTS_PER_SECOND, _ARCHIVED_PER_SECOND = 300, 15

Row = dict[str, Any]


class SweepFailed(RuntimeError):
    """The timer didn't do what there was to do."""


async def run(
    archives: tuple[int, ...], finished: int, *, quick: bool, folder: Path, say: Callable[[str], None]
) -> list[Row]:
    """Measure at each size of the archive, then the throughput; a row each. `folder` is for the logs."""
    seconds = (max(archives) + 3 * finished) / _PUTS_PER_SECOND + finished / _ARCHIVED_PER_SECOND + 10
    say(f"sweep: an archive of up to {max(archives):,} recordings, then {finished:,} to archive, about {seconds:.0f} s")
    rounds = _QUICK_ROUNDS if quick else _ROUNDS
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as data:
        async with Azurite(Path(data) / "flat", log=folder / "sweep-azurite.log") as azurite:
            bench = Bench(azurite, say)
            async with timer.running(bench.environment, log=folder / "sweep.log") as running:
                for before, held in itertools.pairwise((0, *archives)):
                    await bench.put(blobs.archived(range(before, held)), held - before, "into the archive")
                    rows.append(await flat(bench, running, held, rounds))
        async with Azurite(Path(data) / "throughput", log=folder / "sweep-throughput-azurite.log") as azurite:
            bench = Bench(azurite, say)
            async with timer.running(bench.environment, log=folder / "sweep-throughput.log") as running:
                rows.append(await _throughput(bench, running, finished))
    return rows


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


async def flat(bench: Bench, running: Timer, held: int, rounds: int) -> Row:
    """Measure a run with nothing but waiting recordings, and one that archives them."""
    await running.run()
    waiting: list[Row] = []
    archiving: list[Row] = []
    for _ in range(rounds):
        recordings = bench.recordings(IN_FLIGHT)
        await bench.put((blob for one in recordings for blob in one.announced()), 2 * IN_FLIGHT)
        waiting.append(_checked(await running.run(), waiting=IN_FLIGHT))
        await bench.put((one.content() for one in recordings), IN_FLIGHT)
        archiving.append(_checked(await running.run(), archived=IN_FLIGHT))
    found = flat_row(held, waiting, archiving)
    told = "   ".join(
        f"{name} {found[f'{name}_requests']} requests, {found[f'{name}_seconds']} s"
        for name in ("waiting", "archiving")
    )
    bench.say(f"    archive of {held:>7,}: {told}")
    return found


def _checked(done: Row, **wanted: int) -> Row:
    """Hold a run against what was to be done: nothing left out, nothing else done."""
    for name in ("archived", "waiting", "incomplete", "failed", "not_reached", "jobs"):
        if done[name] != wanted.get(name, 0):
            raise SweepFailed(f"{done[name]} recordings are {name} instead of {wanted.get(name, 0)}: {done}")
    return done


def flat_row(held: int, waiting: list[Row], archiving: list[Row]) -> Row:
    """Make the row of one size of the archive: medians, but for requests, where the worst run counts."""
    row: Row = {
        "benchmark": "sweep",
        "contender": "ours",
        "recordings_in_archive": held,
        "recordings_in_staging": IN_FLIGHT,
        "rounds": len(waiting),
    }
    for name, runs in (("waiting", waiting), ("archiving", archiving)):
        row[f"{name}_requests"] = max(one["requests"] for one in runs)
        row[f"{name}_seconds"] = round(statistics.median(one["seconds"] for one in runs), 3)
        row[f"{name}_cpu_seconds"] = round(statistics.median(one["cpu_seconds"] for one in runs), 3)
    return row


async def _throughput(bench: Bench, running: Timer, finished: int) -> Row:
    """Have the timer run until all that is finished is archived."""
    recordings = bench.recordings(finished)
    whole = (blob for one in recordings for blob in (*one.announced(), one.content()))
    # What is imported late and connected first is no part of it.
    await running.run()
    await bench.put(whole, 3 * finished, "into staging")
    runs: list[Row] = []
    while sum(one["archived"] for one in runs) < finished:
        if len(runs) == _MOST_RUNS:
            raise SweepFailed(f"not all of {finished} recordings were archived in {len(runs)} runs")
        runs.append(await running.run())
        bench.say(f"    run {len(runs)}: {runs[-1]['archived']:,} archived in {runs[-1]['seconds']:.1f} s")
    found = throughput_row(runs)
    bench.say(f"    {found['archived_per_second']} a second, {found['requests_per_recording']} requests each")
    return found


def throughput_row(runs: list[Row]) -> Row:
    """Make the row of the throughput out of all runs together."""
    archived, seconds = sum(one["archived"] for one in runs), sum(one["seconds"] for one in runs)
    return {
        "benchmark": "sweep_throughput",
        "contender": "ours",
        "recordings_in_staging": archived,
        "recordings_in_archive": 0,
        "chunk_bytes": blobs.CHUNK_BYTES,
        "budget_seconds": archive.BUDGET_SECONDS,
        "timer_runs": len(runs),
        "seconds": round(seconds, 1),
        "archived_per_second": round(archived / seconds, 1),
        "requests_per_recording": round(sum(one["requests"] for one in runs) / archived, 1),
        "cpu_milliseconds_per_recording": round(1000 * sum(one["cpu_seconds"] for one in runs) / archived, 1),
        "peak_mib_above_idle": round(max(one["peak_mib"] for one in runs), 1),
    }
