"""Benchmark: how many requests at a time one worker gets the most done with.

In Azure the platform gives an instance only so many HTTP requests at a time (infra/function-app.bicep), and starts
another instance for the rest. File events are sent by so many connections to one local host with one worker, in rounds,
so that what else the machine does falls on all of them; a row is the median of its rounds.
"""

import asyncio
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.burst import NEVER, BurstFailed, event, percentile, recordings, send, staged
from local.stack import Stack, StackOptions

EVENTS = 200
QUICK_EVENTS = 20
CONNECTIONS = (1, 2, 4, 8, 16, 32, 64, 128)
ROUNDS = 3

Row = dict[str, Any]


async def run(events: int, *, folder: Path, say: Callable[[str], None]) -> list[Row]:
    """Send `events` file events by each number of connections, in rounds; a row each. `folder` is for the logs."""
    say(f"concurrency: {ROUNDS} rounds of {events} file events by {len(CONNECTIONS)} numbers of connections")
    found: dict[int, list[tuple[float, float]]] = {connections: [] for connections in CONNECTIONS}
    async with (
        Stack(StackOptions(logs=folder, archive_schedule=NEVER)) as stack,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
    ):
        done = 0
        # The first event of all builds the app's clients, and counts for nothing.
        for count, connections in [(1, 1), *((events, one) for _ in range(ROUNDS) for one in CONNECTIONS)]:
            made = await recordings(http, stack, count)
            measured = await _answers([json.dumps([event(one)]).encode() for one in made], stack, connections)
            # All is staged before the next: what is ingested meanwhile would take the worker's time.
            done += count
            await staged(stack, done)
            if done > 1:
                found[connections].append(measured)
    return [_row(events, connections, measured) for connections, measured in found.items()]


async def _answers(bodies: list[bytes], stack: Stack, connections: int) -> tuple[float, float]:
    """Send the events by so many connections, and return events a second, and the p99 of the answers' seconds."""
    free = asyncio.Semaphore(connections)

    async def one(body: bytes) -> float:
        async with free:
            answer = await send(stack, body)
        if answer.status // 100 != 2:
            raise BurstFailed(f"an event was answered with {answer.status}")
        return answer.seconds

    began = time.perf_counter()
    seconds = await asyncio.gather(*(one(body) for body in bodies))
    return len(bodies) / (time.perf_counter() - began), percentile(seconds, 99)


def _row(events: int, connections: int, measured: list[tuple[float, float]]) -> Row:
    return {
        "benchmark": "concurrency",
        "contender": "ours",
        "events": events,
        "connections": connections,
        "answered_per_second": round(statistics.median(rate for rate, _ in measured), 1),
        "answer_p99_seconds": round(statistics.median(slow for _, slow in measured), 3),
    }
