"""Benchmark: chunks of the usual size that arrive over time, from their event to safe; `--only day`, for it takes long.

Each event reaches the webhook of a local Functions host with one worker, its job passes the queue, and the worker
brings the chunk from a source into a sink, both with latency and a most of bytes per second and connection. Only queues
and the host's own blobs are in Azurite. A chunk is safe when the sink has its commit; the sink says when that was.
"""

import asyncio
import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks import burst, pump, sink
from benchmarks.burst import BurstFailed, percentile
from benchmarks.document import document_id
from benchmarks.place import CONTAINER, START, Place
from benchmarks.shaping import CAPPED
from local.loopback import http
from local.stack import Stack, StackOptions

CHUNKS, QUICK_CHUNKS = 200, 10
CHUNK_BYTES, QUICK_CHUNK_BYTES = 75_000_000, 8_000_000
SECONDS, QUICK_SECONDS = 600.0, 10.0
# Moments of one run are those of the next.
_SEED = 15
_MOST_SECONDS = 300.0
_POLL_SECONDS = 1.0

Row = dict[str, Any]


async def run(chunks: int, *, quick: bool, folder: Path, say: Callable[[str], None]) -> list[Row]:
    """Send the events at random moments, wait until all is safe; one row. `folder` is for the logs."""
    size, seconds = (QUICK_CHUNK_BYTES, QUICK_SECONDS) if quick else (CHUNK_BYTES, SECONDS)
    say(f"day: {chunks} chunks of {size / 1e6:g} MB over {seconds:g} s")
    random.seed(_SEED)
    moments = sorted(random.uniform(0, seconds) for _ in range(chunks))  # noqa: S311 - a plan, not a secret
    async with pump.sides(CAPPED) as both:
        place = both.place
        settings = {
            "STAGING_STORAGE": place.storage_connection_string,
            "ARCHIVE_STORAGE": place.storage_connection_string,
            "STAGING_CONTAINER": place.container,
            "ARCHIVE_CONTAINER": place.archive,
            "ACS_CONNECTION_STRING": place.acs_connection_string,
        }
        options = StackOptions(api="2021", logs=folder, archive_schedule=burst.NEVER, settings=settings)
        async with Stack(options) as stack, http() as session:
            # The first event of all builds the app's clients, and counts for nothing.
            await _send(stack, document_id(size, number=chunks + 1))
            await _written(session, both.sink.url, place, [document_id(size, number=chunks + 1)])
            documents = [document_id(size, number=number) for number in range(1, chunks + 1)]
            began = time.time()
            sent = await asyncio.gather(
                *(_send(stack, one, at=began + moment) for one, moment in zip(documents, moments, strict=True))
            )
            safe = await _written(session, both.sink.url, place, documents)
    waits = [at - event for at, event in zip(safe, sent, strict=True)]
    row = {
        "benchmark": "day",
        "contender": "ours",
        "events": chunks,
        "bytes": size,
        "shaping": CAPPED.name,
        "arriving_seconds": seconds,
        "safe_p50_seconds": round(percentile(waits, 50), 2),
        "safe_p99_seconds": round(percentile(waits, 99), 2),
        "safe_slowest_seconds": round(max(waits), 2),
    }
    say(f"    {row}")
    return [row]


async def _send(stack: Stack, document: str, *, at: float = 0.0) -> float:
    """Send the event of a recording with this chunk at a moment in Unix time; return when that was."""
    await asyncio.sleep(max(0.0, at - time.time()))
    chunk = {"documentId": document, "index": 0, "endReason": "CallEnded", "durationMs": 600_000}
    body = json.dumps(burst.event({"callId": document, "startTime": START.isoformat(), "chunks": [chunk]})).encode()
    sent = time.time()
    answer = await burst.send(stack, body)
    if answer.status // 100 != 2:
        raise BurstFailed(f"an event was answered with {answer.status}")
    return sent


async def _written(session: aiohttp.ClientSession, url: str, place: Place, documents: list[str]) -> list[float]:
    """Wait until all these documents are committed; return when each was, in Unix time."""
    names = [f"/{sink.ACCOUNT}/{CONTAINER}/{place.blob(document)}" for document in documents]
    deadline = time.monotonic() + _MOST_SECONDS
    while time.monotonic() < deadline:
        async with session.get(url + sink.MOMENTS) as answer:
            moments: dict[str, float] = await answer.json()
        if all(name in moments for name in names):
            return [moments[name] for name in names]
        await asyncio.sleep(_POLL_SECONDS)
    missing = sum(name not in moments for name in names)
    raise BurstFailed(f"{missing} of {len(names)} chunks were not staged within {_MOST_SECONDS:.0f} s")
