"""recording/ingest/chunk.py in processes of its own, one of which is killed."""

import os
import sys
from pathlib import Path

from local.process import Process
from recording.app import App
from recording.model.job import ChunkJob
from tests.support.emulator import Control
from tests.support.facts import MIB, announce, proved, staged_receipts, stored_sha256, until

# What the queue function does, with the settings of the environment.
CHILD = """
import asyncio, sys
from recording import app as bootstrap
from recording.model.job import ChunkJob

async def main():
    app = await bootstrap.ready()
    await app.ingest.run(ChunkJob.from_message(sys.argv[1]))
    print("ingested", flush=True)
    await app.aclose()

asyncio.run(main())
"""
ROOT = Path(__file__).parents[2]


def ingest_process(one: ChunkJob, environment: dict[str, str], log: Path) -> Process:
    """Make a process that does one chunk job."""
    command = [sys.executable, "-c", CHILD, one.to_message()]
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
        return await staged_receipts(app.clients.blobs, one) >= 6

    async with ingest_process(one, environment, tmp_path / "killed.log") as first:
        await until(staged, seconds=30)
        os.kill(first.pid, 9)
    assert await app.clients.blobs.stat("staging", one.content_blob) is None
    await control.call("DELETE", "faults")
    async with ingest_process(one, environment, tmp_path / "second.log") as second:
        await second.wait_for("ingested", seconds=30)

    facts = await proved(app, one)
    assert recording["chunks"][0]["sha256"] == await stored_sha256(app, one)
    again = sum(r["bytesSent"] for r in await control.downloads() if r["bytesSent"] > 64 * 1024) - size
    print(f"a killed ingest of {size // MIB} MiB: {again / MIB:.1f} MiB were fetched again")
    # What the emulator handed to the kernel, and the process never got, counts as well.
    assert again <= (streams + 1) * block
    assert (16, 16) == (facts.blocks, facts.blocks_compared)
    [chunk] = (await app.recordings.load(one.recording_key)).chunks
    assert (1, 1) == (chunk.tries, len(chunk.unfinished))
