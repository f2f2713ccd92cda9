"""Benchmark: one chunk from the source into Blob Storage, ours beside what a user would otherwise write.

Source and sink are processes of their own, and each contender runs in a process of its own, so that its CPU-seconds and
its memory are its own. Everything shares the machine's cores: without shaping, what is measured is CPU. The sink drops
what it gets.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azure.storage.blob.aio import ContainerClient

from benchmarks import serving, sink
from benchmarks.cases import Case
from benchmarks.contender import ARCHIVED, Contender
from benchmarks.document import document_id
from benchmarks.place import CONTAINER, Place
from benchmarks.sdk import STREAMS
from benchmarks.serving import Running
from benchmarks.shaping import Shaping
from local.loopback import certificate
from local.stack import ROOT, child_environment

GIB = 1024**3
Row = dict[str, Any]
# Slower than the slowest contender by far: a copy that hangs ends the run with an error.
_SLOWEST_BYTES_PER_SECOND = 4_000_000
_GRACE_SECONDS = 60.0


class CopyFailed(RuntimeError):
    """A contender failed, or what it left in the sink isn't what it should be."""


@dataclass(frozen=True)
class Sides:
    """Source and sink; `certificate` is the one that contenders must trust, None if they don't use TLS."""

    source: Running
    sink: Running
    certificate: Path | None = None

    @property
    def place(self) -> Place:
        """Return where contenders copy from and to."""
        source, target = ((one.secure_url if self.certificate else one.url) for one in (self.source, self.sink))
        return Place(source, sink.connection_string(target))


async def run(cases: list[Case], *, say: Callable[[str], None]) -> AsyncIterator[Row]:
    """Measure all cases; a row per contender and case, as soon as the case is measured."""
    total = sum(case.seconds() for case in cases)
    done = 0.0
    began = time.monotonic()
    say(f"pump: {sum(len(case.turns()) for case in cases)} copies, about {_minutes(total)}")
    for case in cases:
        pace = (time.monotonic() - began) / done if done > total / 10 else 1.0
        say(f"{case.title}  ({_minutes((total - done) * pace)} left)")
        for row in await _measure(case, say):
            yield row
        done += case.seconds()


async def _measure(case: Case, say: Callable[[str], None]) -> list[Row]:
    found: dict[str, list[Row]] = {}
    for _, contender in case.turns():
        async with sides(case.shaping, secure=case.secure) as both:
            one = await _copy(case, contender, both)
        found.setdefault(contender.name, []).append(one)
        seconds = statistics.median(costs[0]["seconds"] for costs in one["costs"])
        peak = max(costs[0]["peak_mib"] for costs in one["costs"])
        say(f"    {contender.title:<40} {case.size / 1e6 / seconds:8.1f} MB/s   {peak:7.1f} MiB above idle")
    return [_row(case, contender, found[contender.name]) for contender in case.contenders]


@asynccontextmanager
async def sides(shaping: Shaping, *, secure: bool = False, of_sink: Shaping | None = None) -> AsyncIterator[Sides]:
    """Run a source and a fresh sink with its containers; `of_sink` is the sink's shaping where it has another."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        place = Path(folder)
        pem = certificate(place) if secure else None
        async with (
            serving.running("source", shaping, log=place / "source.log", certificate=pem) as source,
            serving.running("sink", of_sink or shaping, log=place / "sink.log", certificate=pem) as target,
        ):
            for container in (CONTAINER, Place("", "").archive):
                async with ContainerClient.from_connection_string(
                    sink.connection_string(target.url), container
                ) as client:
                    await client.create_container()
            yield Sides(source, target, pem)


async def _copy(case: Case, contender: Contender, both: Sides) -> Row:
    """Let one contender make its copies, in a process of its own, and check them; the answer has their costs."""
    process = await start(contender, case.size, both, copies=case.copies)
    costs = await finish(process, contender, case.copies * case.size)
    requests = [(await server.counters()).get("requests", 0) / case.copies for server in (both.source, both.sink)]
    for number in range(1, 1 + case.copies):
        await check(case.size, both, number=number, archived=contender is ARCHIVED)
    return {"costs": costs, "requests": requests}


async def start(
    contender: Contender, size: int, both: Sides, *, copies: int = 1, under: Sequence[str] = ()
) -> asyncio.subprocess.Process:
    """Start the process that makes copies of `size` bytes, with the numbers 1 and so on, perhaps `under` a profiler."""
    place = both.place
    command = [*under, sys.executable, "-m", "benchmarks.contender", contender.name, "--bytes", str(size)]
    command += ["--source", place.source_url, "--sink", place.storage_connection_string, "--copies", str(copies)]
    for server in (both.source, both.sink):
        command += ["--counting", server.url]
    pem = str(both.certificate) if both.certificate else None
    command += ["--uvloop"] if pem else []
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
        # By the first aiohttp trusts it, by the second requests.
        env=child_environment(dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), pem) if pem else {}),
    )


async def warm(process: asyncio.subprocess.Process, seconds: float) -> None:
    """Wait until a process begins with the copy that is measured."""
    async with asyncio.timeout(seconds):
        if process.stdout:
            await process.stdout.readline()


async def finish(process: asyncio.subprocess.Process, contender: Contender, size: int) -> list[list[Row]]:
    """Wait for copies of `size` bytes in all, and return what each of them had cost at the end of each step."""
    try:
        async with asyncio.timeout(size / _SLOWEST_BYTES_PER_SECOND + _GRACE_SECONDS):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        told = err.decode(errors="replace")[-3000:]
        raise CopyFailed(f"{contender.name} failed to copy {size / 1e6:g} MB\n{told}")
    # A profiler that it runs under has something to say, too.
    said = [line for line in out.splitlines() if line.startswith(b"[[")]
    if not said:
        raise CopyFailed(f"{contender.name} ended without its costs\n{out.decode(errors='replace')[-3000:]}")
    costs: list[list[Row]] = json.loads(said[0])
    return costs


async def check(size: int, both: Sides, *, number: int = 1, archived: bool = False) -> None:
    """Raise CopyFailed unless all of a document has arrived, in the archive if it was `archived`."""
    place, document = both.place, document_id(size, number=number)
    container, name = (place.archive, place.archived(document)) if archived else (CONTAINER, place.blob(document))
    async with ContainerClient.from_connection_string(sink.connection_string(both.sink.url), container) as client:
        found = await client.get_blob_client(name).get_blob_properties()
    if found.size != size:
        raise CopyFailed(f"{found.size} bytes of {size} have arrived")


def _row(case: Case, contender: Contender, runs: list[Row]) -> Row:
    """Make one row of a contender's copies: medians, but for memory, where the worst counts."""
    copies = [costs for one in runs for costs in one["costs"]]
    seconds = statistics.median(costs[0]["seconds"] for costs in copies)
    each = [case.size / 1e6 / costs[0]["seconds"] for costs in copies]
    row = {
        "benchmark": "pump",
        "contender": contender.name,
        "title": contender.title,
        "bytes": case.size,
        "shaping": case.shaping.name,
        "latency_milliseconds": round(case.shaping.latency_seconds * 1000),
        "cap_megabytes_per_second_per_connection": _megabytes(case.shaping.bytes_per_second),
        "transport": "TLS, uvloop" if case.secure else "plain",
        "copies": len(copies),
        "seconds": round(seconds, 4),
        "megabytes_per_second": round(case.size / 1e6 / seconds, 1),
        "slowest_megabytes_per_second": round(min(each), 1),
        "fastest_megabytes_per_second": round(max(each), 1),
        "cpu_seconds_per_gib": _cpu(case, copies, 0),
        "peak_mib_above_idle": round(max(costs[0]["peak_mib"] for costs in copies), 1),
        "requests_to_source": round(runs[0]["requests"][0], 1),
        "requests_to_sink": round(runs[0]["requests"][1], 1),
    }
    if case.shaping.bytes_per_second:
        most = STREAMS * case.shaping.bytes_per_second
        row["percent_of_streams_times_cap"] = round(100 * case.size / seconds / most, 1)
    if contender is ARCHIVED:
        row["archived_seconds"] = round(statistics.median(costs[1]["seconds"] for costs in copies), 4)
        row["archived_cpu_seconds_per_gib"] = _cpu(case, copies, 1)
        row["archived_peak_mib_above_idle"] = round(max(costs[1]["peak_mib"] for costs in copies), 1)
    return row


def _cpu(case: Case, copies: list[list[Row]], step: int) -> float:
    """Return the CPU-seconds per GiB from the beginning until the end of a step."""
    seconds: list[float] = [costs[step]["cpu_seconds"] for costs in copies]
    return round(statistics.median(seconds) / (case.size / GIB), 3)


def _megabytes(rate: float | None) -> float | None:
    return rate / 1e6 if rate else None


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
