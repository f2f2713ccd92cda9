"""Chunks of any size pass through little memory and few requests."""

import asyncio
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from azure.storage.blob.aio import ContainerClient

from benchmarks import pump
from benchmarks.cases import Case
from benchmarks.contender import ARCHIVED
from benchmarks.shaping import NONE
from local.loopback import http
from local.stack import Stack, StackOptions
from tests.acceptance.conftest import Say

MIB = 1024 * 1024
# What the process may grow by, whatever the size: eight streams with their buffers.
MOST_GROWTH = 64 * MIB
# The largest chunk of the service, and one far beyond it.
SERVICE_BYTES, HUGE_BYTES = 1_500_000_000, 10_000_000_000
ARCHIVE_SECONDS = 900.0
# Blocks are 32 MiB at most; what isn't a block's range is the probe and the structure's check.
BLOCK_BYTES, OTHER_REQUESTS = 32 * MIB, 16
TO_DO = "find out what holds it: `python -m benchmarks --only pump --sizes 10GB` compares it with other ways"


@pytest.mark.timeout(ARCHIVE_SECONDS + 120)
async def test_a_chunk_of_any_size_passes_through_little_memory(tmp_path: Path, say: Say) -> None:
    """The service's largest chunk goes all the way into the archive; the worker grows by 64 MiB at most."""
    options = StackOptions(data=tmp_path / "data", logs=tmp_path / "logs")
    async with Stack(options) as stack, http() as session:

        async def recording(size: int) -> tuple[int, int]:
            """Have a recording archived; return the worker's memory before and at its highest."""
            worker = _worker(stack)
            before = most = worker.memory_info().rss
            body = {"media": {"kind": "filler", "chunkBytes": [size]}}
            async with session.post(f"{stack.acs_url}/emulator/recordings", json=body) as answer:
                made: dict[str, Any] = await answer.json()
            began, told = time.monotonic(), 0.0
            while not await _is_archived(stack, made["callId"]):
                most = max(most, worker.memory_info().rss)
                waited = time.monotonic() - began
                assert waited < ARCHIVE_SECONDS, f"not archived after {waited:.0f} s; see {stack.logs}/functions.log"
                if waited - told >= 10:
                    told = waited
                    say(f"{size / 1e9:g} GB, {waited:.0f} s; memory {before // MIB} to {most // MIB} MiB")
                await asyncio.sleep(0.05)
            say(f"{size / 1e9:g} GB archived; the worker grew by {(most - before) / MIB:.1f} MiB")
            return before, most

        # One before: what is imported late and connected first is no part of it.
        await recording(64 * MIB)
        before, most = await recording(SERVICE_BYTES)
    grown = most - before
    assert grown <= MOST_GROWTH, f"the worker grew by {grown / MIB:.0f} MiB; {TO_DO}"


def _worker(stack: Stack) -> psutil.Process:
    [worker] = psutil.Process(stack.app.pid).children()
    return worker


async def _is_archived(stack: Stack, call_id: str) -> bool:
    async with ContainerClient.from_connection_string(
        stack.storage_connection_string, "recordings-archive"
    ) as container:
        names = [name async for name in container.list_blob_names()] if await container.exists() else []
    return any(call_id in name and name.endswith("/recording.json") for name in names)


@pytest.mark.timeout(1200)
async def test_ten_gigabytes_are_ingested_and_archived(say: Say) -> None:
    """No chunk of the service is that large: memory and requests follow from the blocks alone."""
    [row] = [one async for one in pump.run([Case(HUGE_BYTES, NONE, (ARCHIVED,))], say=say)]

    most = MOST_GROWTH / MIB
    grown = row["archived_peak_mib_above_idle"]
    assert grown <= most, f"the process grew by {grown} MiB instead of at most {most:.0f}; {TO_DO}"
    requests = -(-HUGE_BYTES // BLOCK_BYTES) + OTHER_REQUESTS
    assert row["requests_to_source"] <= requests, "blocks are smaller or fetched twice; see recording/ingest/blocks.py"
