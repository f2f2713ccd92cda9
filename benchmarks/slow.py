"""Benchmark: how long a healthy chunk takes beside twelve whose sources trickle, with the limit of pace and without it.

One process ingests all, as many as the Functions host hands to an instance. The slow ones begin first and hold all
streams; each would take `slow_seconds` if left alone. The sources, Azurite and the app share the machine's cores.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from benchmarks.place import START, Place
from local.azurite import Azurite
from recording import app as bootstrap
from recording.config.settings import read_settings
from recording.ingest.chunk import ChunkIngest
from recording.ingest.streams import Pace
from recording.model import layout
from recording.model.job import ChunkJob

SLOW_SECONDS, QUICK_SLOW_SECONDS = 120.0, 12.0
CHUNKS = 12
_QUICK_PACE = Pace(seconds=3.0, patience_seconds=1.0)
_SLOW_BYTES, _HEALTHY_BYTES = 64 * 1024, 64 * 1024 * 1024
_AHEAD_SECONDS = 2.0
_PIECES_A_SECOND = 0.5
_WITHOUT = Pace(floor=0.0, seconds=3600.0, patience_seconds=3600.0)

Row = dict[str, Any]


async def run(*, quick: bool, say: Callable[[str], None]) -> list[Row]:
    """Measure without the limit, then with it; a row each."""
    seconds, pace = (QUICK_SLOW_SECONDS, _QUICK_PACE) if quick else (SLOW_SECONDS, Pace())
    say(f"slow: a healthy chunk beside {CHUNKS} that trickle, about {1.5 * seconds + 10:.0f} s")
    rows: list[Row] = []
    async with Azurite() as azurite, _Source(seconds) as source:
        for contender, one in (("without_limit", _WITHOUT), ("ours", pace)):
            place = Place(source.url, azurite.connection_string, container=f"bench-{contender.replace('_', '-')}")
            rows.append(_row(contender, one, seconds, await _healthy_seconds(place, one)))
            say(f"    {contender}: {rows[-1]['healthy_seconds']} s")
    return rows


async def _healthy_seconds(place: Place, pace: Pace) -> float:
    settings = read_settings(
        {
            "AzureWebJobsStorage": place.storage_connection_string,
            "ACS_CONNECTION_STRING": place.acs_connection_string,
            "STAGING_CONTAINER": place.container,
            "ARCHIVE_CONTAINER": f"{place.container}-archive",
        }
    )
    app = await bootstrap.open_app(settings)
    limits = replace(app.ingest.limits, pace=pace)
    ingest = ChunkIngest(app.clients.blobs, app.recordings, app.tombstones, app.clients.content, limits=limits)

    def job(document: str) -> ChunkJob:
        key = layout.recording_key(START, document)
        return ChunkJob(recording_key=key, document_id=document, index=0, announced_at=datetime.now(UTC))

    async def again_and_again(slow: ChunkJob) -> None:
        # As the queue does after the time-out of its message.
        while True:
            with contextlib.suppress(Exception):
                await ingest.run(slow)
            await asyncio.sleep(pace.seconds)

    slow = [asyncio.create_task(again_and_again(job(f"slow-{number}"))) for number in range(CHUNKS)]
    try:
        await asyncio.sleep(_AHEAD_SECONDS)
        began = time.perf_counter()
        await ingest.run(job("healthy-0"))
        return time.perf_counter() - began
    finally:
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        await app.aclose()


class _Source:
    """Serves `healthy-…` at once, and blocks of `slow-…` a few bytes every two seconds; any range."""

    def __init__(self, slow_seconds: float) -> None:
        self._slow_seconds = slow_seconds
        self._bodies = {"healthy": _media(_HEALTHY_BYTES), "slow": _media(_SLOW_BYTES)}
        self.url = ""

    async def __aenter__(self) -> "_Source":
        application = web.Application()
        application.router.add_get("/recording/download/{document}", self._content)
        application.router.add_get("/recording/download/{document}/metadata", self._metadata)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _metadata(self, _: web.Request) -> web.Response:
        return web.json_response({"resourceId": "bench"})

    async def _content(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["document"].partition("-")[0]
        body, asked = self._bodies[name], request.http_range
        first, last = asked.start or 0, min(asked.stop or len(body), len(body))
        headers = {"ETag": '"1"', "Content-Range": f"bytes {first}-{last - 1}/{len(body)}"}
        # What probes a file comes at once: it is the blocks that hold the streams.
        if name == "healthy" or last - first <= 1024:
            return web.Response(status=206, body=body[first:last], headers=headers)
        response = web.StreamResponse(status=206, headers=headers | {"Content-Length": str(last - first)})
        await response.prepare(request)
        piece = math.ceil(len(body) / self._slow_seconds / _PIECES_A_SECOND)
        with contextlib.suppress(ConnectionError):
            for offset in range(first, last, piece):
                await response.write(body[offset : min(offset + piece, last)])
                await asyncio.sleep(1 / _PIECES_A_SECOND)
        return response


def _media(size: int) -> bytes:
    """Make a file whose boxes add up."""
    head = b"\0\0\0\x10ftypisom\0\0\2\0" + b"\0\0\0\x08moov"
    return head + (size - len(head)).to_bytes(4) + b"mdat" + bytes(size - len(head) - 8)


def _row(contender: str, pace: Pace, slow_seconds: float, seconds: float) -> Row:
    return {
        "benchmark": "slow",
        "contender": contender,
        "bytes": _HEALTHY_BYTES,
        "slow_chunks": CHUNKS,
        "slow_seconds": slow_seconds,
        "pace_seconds": pace.seconds,
        "healthy_seconds": round(seconds, 1),
    }
