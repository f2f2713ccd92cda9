"""Benchmark: one chunk from the source into Blob Storage, ours beside what a user would otherwise write.

Source and sink are processes of their own, and each copy is made by a process of its own, so that its CPU-seconds and
its memory are its own. Everything shares the machine's cores: without shaping, what is measured is CPU.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azure.storage.blob.aio import ContainerClient

from benchmarks import serving, sink
from benchmarks.cases import Case
from benchmarks.contender import Contender
from benchmarks.document import document_id
from benchmarks.place import CONTAINER, Place
from benchmarks.sdk import STREAMS
from benchmarks.serving import Running
from local.azurite import Azurite
from local.stack import ROOT, child_environment

GIB = 1024**3
Row = dict[str, Any]
# Slower than the slowest contender by far: a copy that hangs ends the run with an error.
_SLOWEST_BYTES_PER_SECOND = 4_000_000
_GRACE_SECONDS = 60.0


class CopyFailed(RuntimeError):
    """A contender failed, or what it left in the sink isn't what it should be."""


@dataclass(frozen=True)
class Side:
    """A sink that is there: its connection string, and its counters if it has any."""

    connection_string: str
    counters: Running | None


async def run(cases: list[Case], *, say: Callable[[str], None]) -> list[Row]:
    """Measure all cases, and return a row per contender and case."""
    rows: list[Row] = []
    total = sum(case.seconds() for case in cases)
    done = 0.0
    began = time.monotonic()
    say(f"pump: {sum(len(case.turns()) for case in cases)} copies, about {_minutes(total)}")
    for case in cases:
        pace = (time.monotonic() - began) / done if done > total / 10 else 1.0
        say(f"{case.title}  ({_minutes((total - done) * pace)} left)")
        rows += await _measure(case, say)
        done += case.seconds()
    return rows


async def _measure(case: Case, say: Callable[[str], None]) -> list[Row]:
    found: dict[str, list[Row]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with serving.running("source", case.shaping, log=Path(folder) / "source.log") as source:
            for number, (_, contender) in enumerate(case.turns(), start=1):
                async with AsyncExitStack() as stack:
                    side = await stack.enter_async_context(_side(case, Path(folder)))
                    one = await _copy(case, contender, source, side, number=number)
                found.setdefault(contender.name, []).append(one)
                rate = case.size / 1e6 / one["pump"]["seconds"]
                say(f"    {contender.title:<40} {rate:8.1f} MB/s   {one['pump']['peak_mib']:7.1f} MiB above idle")
    return [_row(case, contender, found[contender.name]) for contender in case.contenders]


@asynccontextmanager
async def _side(case: Case, folder: Path) -> AsyncIterator[Side]:
    """Return a fresh sink with its containers; Azurite keeps in memory what it has, so it must not be used twice."""
    async with AsyncExitStack() as stack:
        if case.sink == "azurite":
            azurite = await stack.enter_async_context(Azurite())
            side = Side(azurite.connection_string, None)
        else:
            running = await stack.enter_async_context(
                serving.running("sink", case.shaping, log=folder / "sink.log"),
            )
            side = Side(sink.connection_string(running.url), running)
        await create_containers(side)
        yield side


async def create_containers(side: Side) -> None:
    """Make what a contender expects to be there."""
    for container in (CONTAINER, f"{CONTAINER}-archive"):
        async with ContainerClient.from_connection_string(side.connection_string, container) as client:
            await client.create_container()


async def _copy(case: Case, contender: Contender, source: Running, side: Side, *, number: int) -> Row:
    """Let one contender make one copy, in a process of its own, and check the result."""
    costs = await finish(await start(contender, case.size, source, side, number=number), contender, case.size)
    costs["requests"] = [(await server.counters()).get("requests", 0) for server in _servers(source, side)]
    await check(case.size, source, side, number=number)
    return costs


async def start(
    contender: Contender, size: int, source: Running, side: Side, *, number: int
) -> asyncio.subprocess.Process:
    """Start the process that makes one copy of `size` bytes."""
    command = [sys.executable, "-m", "benchmarks.contender", contender.name, "--bytes", str(size)]
    command += ["--source", source.url, "--sink", side.connection_string, "--number", str(number)]
    for server in _servers(source, side):
        command += ["--counting", server.url]
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env=child_environment({}),
    )


async def finish(process: asyncio.subprocess.Process, contender: Contender, size: int) -> Row:
    """Wait for a copy, and return what it cost."""
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
    costs: Row = json.loads(out.splitlines()[-1])
    return costs


async def check(size: int, source: Running, side: Side, *, number: int) -> None:
    """Return whether all of a document has arrived."""
    place = Place(source.url, side.connection_string)
    async with ContainerClient.from_connection_string(side.connection_string, CONTAINER) as container:
        blob = container.get_blob_client(place.blob(document_id(size, number=number)))
        found = await blob.get_blob_properties()
    if found.size != size:
        raise CopyFailed(f"{found.size} bytes of {size} have arrived")


def _servers(source: Running, side: Side) -> list[Running]:
    return [source, *([side.counters] if side.counters else [])]


def _row(case: Case, contender: Contender, copies: list[Row]) -> Row:
    """Make one row of a contender's copies: medians, but for memory, where the worst counts."""
    seconds = statistics.median(one["pump"]["seconds"] for one in copies)
    cpu = statistics.median(one["pump"]["cpu_seconds"] for one in copies)
    each = [case.size / 1e6 / one["pump"]["seconds"] for one in copies]
    row = {
        "benchmark": "pump",
        "contender": contender.name,
        "title": contender.title,
        "bytes": case.size,
        "shaping": case.shaping.name,
        "latency_milliseconds": round(case.shaping.latency_seconds * 1000),
        "cap_megabytes_per_second_per_connection": _megabytes(case.shaping.bytes_per_second),
        "sink": case.sink,
        "copies": len(copies),
        "seconds": round(seconds, 3),
        "megabytes_per_second": round(case.size / 1e6 / seconds, 1),
        "slowest_megabytes_per_second": round(min(each), 1),
        "fastest_megabytes_per_second": round(max(each), 1),
        "cpu_seconds_per_gib": round(cpu / (case.size / GIB), 3),
        "peak_mib_above_idle": round(max(one["pump"]["peak_mib"] for one in copies), 1),
        "requests_to_source": copies[0]["requests"][0],
        "requests_to_sink": copies[0]["requests"][1] if len(copies[0]["requests"]) > 1 else None,
    }
    if case.shaping.bytes_per_second:
        most = STREAMS * case.shaping.bytes_per_second
        row["percent_of_streams_times_cap"] = round(100 * case.size / seconds / most, 1)
    if contender.name == "ours_with_proof":
        row |= _proof(case, copies)
    return row


def _proof(case: Case, copies: list[Row]) -> Row:
    """Return what the proof costs beside the pump: from committed to the end."""
    seconds = statistics.median(one["whole"]["seconds"] - one["pump"]["seconds"] for one in copies)
    cpu = statistics.median(one["whole"]["cpu_seconds"] - one["pump"]["cpu_seconds"] for one in copies)
    return {
        "proof_seconds": round(seconds, 3),
        "proof_megabytes_per_second": round(case.size / 1e6 / seconds, 1),
        "proof_cpu_seconds_per_gib": round(cpu / (case.size / GIB), 3),
        "proof_peak_mib_above_idle": round(max(one["whole"]["peak_mib"] for one in copies), 1),
    }


def _megabytes(rate: float | None) -> float | None:
    return rate / 1e6 if rate else None


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
