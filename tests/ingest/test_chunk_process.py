"""recording/ingest/chunk.py in processes of its own: one that is killed, and one that must stay small."""

import os
import re
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from local.azurite import Azurite
from local.process import Process
from recording import app as bootstrap
from recording.app import App
from recording.config.settings import read
from recording.model import job
from recording.model.job import ChunkJob
from tests.conftest import Control
from tests.support.facts import MIB, announce, staged_receipts, stored_sha256, until
from tests.support.source import recording_of

# What the queue function does, with the settings of the environment, and how much memory that took.
CHILD = """
import asyncio, sys, time
import psutil
from recording.model import job
from recording import app as bootstrap

async def peak(most):
    # ru_maxrss won't do: it begins with what the parent had when it forked.
    while True:
        most.append(max(most.pop(), psutil.Process().memory_info().rss))
        await asyncio.sleep(0.02)

async def main():
    app = await bootstrap.app()
    before, begun = psutil.Process().memory_info().rss, time.monotonic()
    most = [before]
    watch = asyncio.create_task(peak(most))
    await app.ingest.run(job.read(sys.argv[1]))
    watch.cancel()
    print(f"before={before} grown={most[0] - before} seconds={time.monotonic() - begun:.1f}", flush=True)
    await app.aclose()

asyncio.run(main())
"""
ROOT = Path(__file__).parents[2]


def ingest_process(one: ChunkJob, environment: dict[str, str], log: Path) -> Process:
    """Make a process that does one chunk job."""
    command = [sys.executable, "-c", CHILD, job.write(one)]
    return Process("ingest", command, log=log, environment=os.environ | environment, folder=ROOT)


async def test_a_killed_process_costs_the_blocks_in_flight_and_no_more(
    app: App, control: Control, environment: dict[str, str], tmp_path: Path
) -> None:
    """After SIGKILL a second process finishes the chunk; only blocks that weren't staged yet are fetched again."""
    size, block, streams = 64 * MIB, 4 * MIB, 4
    environment |= {"INGEST_BLOCK_MIB": "4", "INGEST_PARALLELISM": str(streams)}
    recording = await control.recording(size)
    [one] = await announce(app, recording)
    await control.fault("slow", "/recording/download/*", bytesPerSecond=6 * MIB, times=None)

    async def staged() -> bool:
        return await staged_receipts(app.storage, one) >= 6

    async with ingest_process(one, environment, tmp_path / "killed.log") as first:
        await until(staged, seconds=30)
        os.kill(first.pid, 9)
    assert await app.storage.find("staging", one.content_blob) is None
    await control.call("DELETE", "faults")
    async with ingest_process(one, environment, tmp_path / "second.log") as second:
        await second.wait_for("grown=", seconds=30)

    found = await app.storage.find("staging", one.content_blob)
    assert found is not None
    assert found.sha256 == recording["chunks"][0]["sha256"] == await stored_sha256(app, one)
    again = sum(r["bytesSent"] for r in await control.downloads() if r["bytesSent"] > 64 * 1024) - size
    print(f"a killed ingest of {size // MIB} MiB: {again / MIB:.1f} MiB were fetched again")
    # What the emulator handed to the kernel, and the process never got, counts as well.
    assert again <= streams * block
    assert ("16", "16") == (found.metadata["blocks"], found.metadata["blocks_compared"])


# Azurite takes half a minute of two idle cores for the largest chunk of the service; its figure comes from
# LARGE_CHUNK_BYTES=1500000000 pytest -s tests/ingest/test_chunk_process.py
@pytest.mark.timeout(300)
async def test_a_chunk_of_any_size_passes_through_little_memory(tmp_path: Path) -> None:
    """The process that ingests a chunk of hundreds of MB grows by 64 MiB at most."""
    size = int(os.environ.get("LARGE_CHUNK_BYTES", "250000000"))
    ports = [part for name in ("--port", "--storage-port", "--region-port") for part in (name, "0")]
    emulator = Process("emulator", [sys.executable, "-m", "local", "acs", *ports], log=tmp_path / "acs.log")
    async with Azurite() as azurite, emulator:
        found = await emulator.wait_for(r"^ACS_CONNECTION_STRING=(.*)$", seconds=20)
        environment = {"AzureWebJobsStorage": azurite.connection_string, "ACS_CONNECTION_STRING": found.group(1)}
        app = await bootstrap.build(read(environment))
        document_id = await filler(found.group(1), size)
        [one] = await announce(app, recording_of(document_id))
        async with ingest_process(one, environment, tmp_path / "ingest.log") as child:
            told = await child.wait_for(r"grown=(?P<bytes>\d+) seconds=(?P<seconds>.+)", seconds=280)

        chunk = await app.storage.find("staging", one.content_blob)
        await app.aclose()
    grown = int(told["bytes"])
    print(f"{size / 1e9:.1f} GB ingested in {told['seconds']} s; memory grew by {grown / MIB:.1f} MiB")
    assert chunk is not None
    assert (size, True) == (chunk.size, chunk.sha256 is not None)
    assert grown <= 64 * MIB


async def filler(connection: str, size: int) -> str:
    """Make a recording of one filler chunk; the answer is its document id."""
    endpoint = re.sub("endpoint=(.*);accesskey=.*", r"\1", connection)
    body: dict[str, Any] = {"media": {"kind": "filler", "chunkBytes": [size]}, "announce": False}
    async with aiohttp.ClientSession() as http, http.post(f"{endpoint}/emulator/recordings", json=body) as made:
        return str((await made.json())["chunks"][0]["documentId"])
