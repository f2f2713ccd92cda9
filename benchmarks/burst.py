"""Benchmark: many file events at once, sent to the webhook of the running stack.

What is measured is how long the webhook's answers take, as the sender sees them, and how long it is until every chunk
is staged and proved. The sender, Azurite, the emulator and the app share the machine's cores. All at once means that
the last event waits for all others; with few connections, as from a sender that waits for answers, it doesn't.
"""

import asyncio
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from azure.storage.blob.aio import ContainerClient
from azure.storage.queue.aio import QueueClient

from local.stack import Stack, StackOptions

EVENTS = 1000
QUICK_EVENTS = 50
FEW = 32
CHUNK_BYTES = 100_000
_STAGING = "recordings-staging"
_QUEUE = "recording-chunks"
# A schedule: once a year.
NEVER = "0 0 0 1 1 *"
_MOST_SECONDS = 300.0
_POLL_SECONDS = 0.5
_MAKING_AT_ONCE = 8

Row = dict[str, Any]


class BurstFailed(RuntimeError):
    """The webhook refused an event, or not everything was staged in time."""


@dataclass(frozen=True)
class Answer:
    seconds: float
    status: int


async def run(events: int, *, folder: Path, say: Callable[[str], None]) -> list[Row]:
    """Send `events` file events at once, then as many by a few connections; a row each. `folder` is for the logs."""
    say(f"burst: twice {events} file events, about {15 + events // 8} s")
    # The archive timer would move what is counted here.
    async with Stack(StackOptions(logs=folder, archive_schedule=NEVER)) as stack:
        timeout = aiohttp.ClientTimeout(total=_MOST_SECONDS)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as http:
            # One before the burst: the first event of all builds the app's clients.
            await _burst(http, stack, events=1, connections=1, before=0)
            rows: list[Row] = []
            for connections in (events, min(events, FEW)):
                before = 1 + events * len(rows)
                rows.append(await _burst(http, stack, events=events, connections=connections, before=before))
                say(f"    by {connections} connections: {rows[-1]}")
    return rows


async def _burst(http: aiohttp.ClientSession, stack: Stack, *, events: int, connections: int, before: int) -> Row:
    """Send events by so many connections; `before` chunks are staged already."""
    made = await recordings(http, stack, events)
    free = asyncio.Semaphore(connections)

    async def one(body: bytes) -> Answer:
        async with free:
            return await send(stack, body)

    bodies = [json.dumps([event(recording)]).encode() for recording in made]
    started = time.time()
    answers = await asyncio.gather(*(one(body) for body in bodies))
    if refused := [answer.status for answer in answers if answer.status // 100 != 2]:
        raise BurstFailed(f"{len(refused)} events were answered with {sorted(set(refused))}")
    moments = sorted(await staged(stack, before + events))[before:]
    return _row(connections, answers, [at - started for at in moments])


async def recordings(http: aiohttp.ClientSession, stack: Stack, count: int) -> list[Any]:
    """Make finished recordings of one small chunk each, unannounced."""
    at_once = asyncio.Semaphore(_MAKING_AT_ONCE)
    body = {"media": {"kind": "filler", "chunkBytes": [CHUNK_BYTES]}, "announce": False}

    async def make() -> Any:
        async with at_once, http.post(f"{stack.acs_url}/emulator/recordings", json=body) as response:
            response.raise_for_status()
            return await response.json()

    return await asyncio.gather(*(make() for _ in range(count)))


async def send(stack: Stack, body: bytes) -> Answer:
    """Deliver a file event as Event Grid does, by a connection of its own; time the answer.

    Not by an HTTP client: two fifths of the CPU would be the sender's, and the answers would wait for it.
    """
    url = urlsplit(stack.app_url)
    head = (
        f"POST /runtime/webhooks/eventgrid?functionName=receive_event HTTP/1.1\r\nHost: {url.netloc}\r\n"
        "Content-Type: application/json\r\naeg-event-type: Notification\r\naeg-subscription-name: BURST\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    try:
        writer.write(head.encode() + body)
        answer = await reader.read()
    finally:
        writer.close()
    status = int(answer.split(maxsplit=2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0
    return Answer(time.perf_counter() - began, status)


def event(recording: Any) -> Row:
    """Write a recording's file event (docs/acs-contract.md#2021-file-event)."""
    chunks = [{name: one[name] for name in ("documentId", "index", "endReason")} for one in recording["chunks"]]
    return {
        "id": str(uuid.uuid4()),
        "topic": "/subscriptions/0/resourceGroups/bench/providers/Microsoft.Communication/CommunicationServices/bench",
        "subject": f"/recording/call/{recording['callId']}",
        "data": {
            "recordingStorageInfo": {"recordingChunks": chunks},
            "recordingStartTime": recording["startTime"],
            "recordingDurationMs": recording["chunks"][0]["durationMs"],
            "sessionEndReason": "CallEnded",
        },
        "eventType": "Microsoft.Communication.RecordingFileStatusUpdated",
        "dataVersion": "1.0",
        "metadataVersion": "1",
        "eventTime": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    }


async def staged(stack: Stack, count: int) -> list[float]:
    """Wait until `count` chunks are proved, and return when each was, in Unix time, to the second.

    What is asked while the app works is only how long the queue is: a list of thousands of blobs with their metadata
    costs a second of CPU, and would slow down what it watches. When each chunk was proved is known afterwards: when it
    was committed.
    """
    deadline = time.monotonic() + _MOST_SECONDS
    connection = stack.storage_connection_string
    async with (
        QueueClient.from_connection_string(connection, _QUEUE) as queue,
        ContainerClient.from_connection_string(connection, _STAGING) as container,
    ):
        proved: list[float] = []
        while time.monotonic() < deadline:
            await asyncio.sleep(_POLL_SECONDS)
            if (await queue.get_queue_properties()).approximate_message_count:
                continue
            blobs = [blob async for blob in container.list_blobs(include=["metadata"]) if blob.name.endswith(".media")]
            proved = [blob.last_modified.timestamp() for blob in blobs if "crc64" in (blob.metadata or {})]
            if len(proved) >= count:
                return proved
    raise BurstFailed(f"{len(proved)} of {count} chunks were staged within {_MOST_SECONDS:.0f} s")


def _row(connections: int, answers: list[Answer], moments: list[float]) -> Row:
    seconds = [answer.seconds for answer in answers]
    # Blobs have their time to the second.
    staged = [max(1.0, at) for at in moments]
    return {
        "benchmark": "burst",
        "contender": "ours",
        "events": len(answers),
        "connections": connections,
        "chunk_bytes": CHUNK_BYTES,
        "answer_p50_seconds": round(percentile(seconds, 50), 3),
        "answer_p99_seconds": round(percentile(seconds, 99), 3),
        "answer_slowest_seconds": round(max(seconds), 3),
        "staged_p50_seconds": round(percentile(staged, 50)),
        "staged_p99_seconds": round(percentile(staged, 99)),
        "staged_all_seconds": round(max(staged)),
        "staged_per_second": round(len(answers) / max(staged), 1),
    }


def percentile(values: list[float], percent: int) -> float:
    """Return the smallest value that `percent` of `values` don't exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
