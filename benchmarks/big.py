"""Benchmark: one recording of thousands of chunks, its event at Event Grid's limit, on the running stack.

What is measured is how long the event's answer takes, how long reading and listing the recording take while its chunks
are fetched, how much longer other recordings take beside it, and when it is staged and archived. The app's timer runs
meanwhile. Sender, Azurite, emulator and app share the machine's cores. All is seen from outside, so that the same file
measures an older app.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob.aio import BlobServiceClient

from benchmarks import burst
from benchmarks.burst import Answer
from local.soak.watch import ARCHIVE, PROVED, STAGING, key_of
from local.stack import Stack, StackOptions

CHUNKS = 5000
QUICK_CHUNKS = 200
OTHERS = 100
CHUNK_BYTES = 1000
# Ten times as often as in Azure.
_SCHEDULE = "*/30 * * * * *"
# What takes longer is given up, and has no figure.
MOST_SECONDS = 900.0
_POLL_SECONDS = 0.25

Row = dict[str, Any]


class BigFailed(RuntimeError):
    """The event was refused, or the other recordings were not staged in time."""


async def run(chunks: int, *, folder: Path, say: Callable[[str], None]) -> list[Row]:
    """Measure other recordings alone, then the large one and others beside it; one row. `folder` is for the logs."""
    say(f"big: a recording of {chunks:,} chunks")
    options = StackOptions(logs=folder, archive_schedule=_SCHEDULE)
    timeout = aiohttp.ClientTimeout(total=MOST_SECONDS)
    async with (
        Stack(replace(options, api="2021")) as stack,
        aiohttp.ClientSession(timeout=timeout) as http,
        BlobServiceClient.from_connection_string(stack.storage_connection_string) as storage,
    ):
        bench = _Bench(stack, http, storage)
        # The first event of all builds the app's clients.
        await bench.others(1)
        alone = await bench.others(OTHERS)
        # Else the timer would archive these beside the large one, and nothing beside these.
        await bench.archive_others()
        large = await bench.make(chunks)
        body = json.dumps([burst.event(large)]).encode()
        began = time.monotonic()
        sending = asyncio.ensure_future(burst.send(stack, body))
        beside = await bench.others(OTHERS)
        answer: Answer = await sending
        if answer.status // 100 != 2:
            raise BigFailed(f"the event was answered with {answer.status}")
        say(f"    answered in {answer.seconds:.2f} s; others {alone:.1f} s alone, {beside:.1f} s beside it")
        read, listed = await bench.seconds(f"recordings/{key_of(large)}"), await bench.seconds("recordings")
        say(f"    read in {read:.2f} s, listed in {listed:.2f} s")
        staged = await bench.until(key_of(large), ("staged", "archived"), began)
        archived = await bench.until(key_of(large), ("archived",), began)
    row = {
        "benchmark": "big",
        "contender": "ours",
        "events": chunks,
        "event_bytes": len(body),
        "answer_seconds": round(answer.seconds, 2),
        "read_seconds": round(read, 2),
        "list_seconds": round(listed, 2),
        "others_alone_seconds": round(alone, 1),
        "others_beside_seconds": round(beside, 1),
        "staged_all_seconds": staged and round(staged),
        "archived_seconds": archived and round(archived),
    }
    say(f"    {row}")
    return [row]


class _Bench:
    def __init__(self, stack: Stack, http: aiohttp.ClientSession, storage: BlobServiceClient) -> None:
        self._stack = stack
        self._http = http
        self._storage = storage
        self._others: list[Any] = []

    async def make(self, chunks: int) -> Any:
        """Make a finished recording of so many chunks, unannounced."""
        body = {"media": {"kind": "filler", "chunkBytes": [CHUNK_BYTES] * chunks}, "announce": False}
        async with self._http.post(f"{self._stack.acs_url}/emulator/recordings", json=body) as response:
            response.raise_for_status()
            return await response.json()

    async def others(self, count: int) -> float:
        """Announce recordings of one chunk at once; return the seconds until all are staged or archived."""
        made = [await self.make(1) for _ in range(count)]
        began = time.monotonic()
        await asyncio.gather(*(burst.send(self._stack, json.dumps([burst.event(one)]).encode()) for one in made))
        self._others += made
        await self._each(made, self._is_safe)
        return time.monotonic() - began

    async def archive_others(self) -> None:
        """Wait until all other recordings so far are archived."""
        await self._each(self._others, self._is_archived)

    async def _each(self, made: Iterable[Any], is_done: Callable[[Any], Awaitable[bool]]) -> None:
        """Wait for one recording after the other; storage is asked, for the app has enough to do."""
        deadline = time.monotonic() + MOST_SECONDS
        for one in made:
            while not await is_done(one):
                if time.monotonic() > deadline:
                    raise BigFailed(f"another recording was not done within {MOST_SECONDS:.0f} s")
                await asyncio.sleep(_POLL_SECONDS)

    async def _is_safe(self, recording: Any) -> bool:
        name = f"{key_of(recording)}/chunks/00000-{recording['chunks'][0]['documentId']}.media"
        with contextlib.suppress(ResourceNotFoundError):
            found = await self._storage.get_blob_client(STAGING, name).get_blob_properties()
            if PROVED.intersection(found.metadata or ()):
                return True
        return await self._is_archived(recording)

    async def _is_archived(self, recording: Any) -> bool:
        key = key_of(recording)
        name = f"{key[:4]}/{key[4:6]}/{key[6:8]}/{key}/recording.json"
        return bool(await self._storage.get_blob_client(ARCHIVE, name).exists())

    async def until(self, key: str, states: tuple[str, ...], began: float) -> float | None:
        """Poll a recording until it has one of the states; return the seconds since `began`, None if that was long."""
        while (elapsed := time.monotonic() - began) < MOST_SECONDS:
            try:
                async with self._http.get(f"{self._stack.app_url}/recordings/{key}") as response:
                    state = (await response.json(content_type=None)).get("state") if response.status == 200 else None
            except (aiohttp.ClientError, TimeoutError):
                state = None
            if state in states:
                return time.monotonic() - began
            # The state of thousands of chunks costs the app CPU, which it needs.
            await asyncio.sleep(max(_POLL_SECONDS, (time.monotonic() - began - elapsed) * 5))
        return None

    async def seconds(self, path: str) -> float:
        """Time one request."""
        began = time.monotonic()
        try:
            async with self._http.get(f"{self._stack.app_url}/{path}") as response:
                await response.read()
        except TimeoutError:
            return MOST_SECONDS
        return time.monotonic() - began
