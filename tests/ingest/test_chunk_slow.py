"""recording/ingest/chunk.py: sources that trickle finish in the end, and keep no other chunk out."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from recording.app import App
from recording.errors import SourceSlow
from recording.ingest import blocks
from recording.ingest.streams import Pace
from recording.model.job import ChunkJob
from tests.support.facts import MIB, announce, proved, stored_sha256, until, with_blobs, with_limits
from tests.support.faults import FaultyBlobs
from tests.support.source import app_with_source, mp4, part, recording_of

KIB = 1024
SLOW, FAST = "0-eus-d12-{:032x}", "0-eus-d13-{:032x}"
# Too slow is less than 64 KiB a second, as ever, but over 0.4 s.
PACE = Pace(seconds=0.4, patience_seconds=0.2)
# Too slow is a source that sends nothing for half a second.
IMPATIENT = Pace(floor=1, seconds=0.5, crowd=0)


@dataclass
class Trickling:
    """A source of documents; those of `SLOW` come at `rate` bytes a second, as far as `where` says of a request."""

    size: int = 48 * KIB
    rate: int = 24 * KIB
    where: str = "content"
    etag: str | None = '"1"'

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = mp4(self.size, request.path.encode()[-1:])
        if request.path.endswith("/metadata"):
            where, body = "metadata", json.dumps({"resourceId": "x" * 200}).encode()
        else:
            span = request.http_range
            body = body[span.start : span.stop]
            where = "content"
        total = f"/{self.size}" if where != "metadata" else f"/{len(body)}"
        start = request.http_range.start or 0 if where != "metadata" else 0
        headers = {"Content-Range": f"bytes {start}-{start + len(body) - 1}{total}", "Content-Length": str(len(body))}
        response = web.StreamResponse(status=206, headers=headers | ({"ETag": self.etag} if self.etag else {}))
        await response.prepare(request)
        is_slow = "d12" in request.path and where == self.where
        piece = max(1, self.rate // 20) if is_slow else len(body)
        for offset in range(0, len(body), piece):
            with contextlib.suppress(ConnectionError):
                await response.write(body[offset : offset + piece])
            if is_slow:
                await asyncio.sleep(0.05)
        return response


@contextlib.asynccontextmanager
async def trickling(
    environment: dict[str, str], source: Trickling, *, slow: int, **limits: Any
) -> AsyncIterator[tuple[App, list[ChunkJob], ChunkJob]]:
    """The app, so many jobs of slow chunks of one recording, and one of another recording's healthy chunk."""
    async with app_with_source(environment, source.answer) as built:
        app = with_limits(built, **{"pace": PACE, "block_pause_seconds": 0.01, "parallelism": 4} | limits)
        jobs = await announce(app, recording_of(*(SLOW.format(number) for number in range(slow))))
        [healthy] = await announce(
            app, recording_of(FAST.format(0)) | {"callId": "3f2b0e4c-0000-4000-8000-000000000002"}
        )
        yield app, jobs, healthy


async def notes(app: App, job: ChunkJob) -> int:
    """Count the blocks of a chunk that are staged with their receipt."""
    staged = await app.clients.blobs.staged_blocks(job.content_blob)
    return len([name for name in staged if not blocks.is_block(name)])


async def test_twelve_trickling_chunks_do_not_starve_a_healthy_one(environment: dict[str, str]) -> None:
    """They are given up while it waits, and so the process is free for it."""
    async with trickling(environment, Trickling(rate=200), slow=12) as (app, jobs, healthy):
        slow = [asyncio.create_task(app.ingest.run(job)) for job in jobs]
        await asyncio.sleep(0.3)
        began = time.monotonic()

        await app.ingest.run(healthy)

        assert time.monotonic() - began < 5 * PACE.seconds

        async def are_given_up() -> bool:
            return sum(task.done() and isinstance(task.exception(), SourceSlow) for task in slow) >= 12 - PACE.crowd

        # As many as the host has no room for are given up, whoever waits.
        await until(are_given_up, seconds=5)
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)


async def attempted(app: App, job: ChunkJob, given_up: type[Exception], *, times: int) -> list[int]:
    """Ingest until it succeeds, so many times at most; return what was staged after each attempt that was given up."""
    progress = [0]
    for _ in range(times):
        try:
            await app.ingest.run(job)
            break
        except given_up:
            progress.append(await notes(app, job))
    return progress


async def test_a_slow_source_finishes_in_the_end(environment: dict[str, str]) -> None:
    """Its blocks are small enough that each attempt adds to what is staged, however often it is given up."""
    crowded = Pace(seconds=PACE.seconds, crowd=0)
    async with trickling(environment, Trickling(), slow=1, parallelism=1, pace=crowded) as (app, [job], _):
        progress = await attempted(app, job, SourceSlow, times=20)

        assert progress == sorted(set(progress))
        assert len(progress) >= 4
        assert await stored_sha256(app, job) is not None


async def test_large_blocks_of_a_source_above_the_floor_finish_in_the_end(environment: dict[str, str]) -> None:
    """One takes longer than an attempt has: they are cut, so that the next attempt continues from there."""
    source = Trickling(size=12 * MIB, rate=2 * MIB)
    limits = {"parallelism": 2, "largest_block": 16 * MIB, "budget_seconds": 3.0}
    async with trickling(environment, source, slow=1, **limits) as (app, [job], _):
        progress = await attempted(app, job, TimeoutError, times=6)

        assert progress == sorted(set(progress))
        assert len(progress) >= 2
        assert await stored_sha256(app, job) is not None


@pytest.mark.parametrize("etag", ['"1"', None])
async def test_a_slow_source_is_waited_for_while_nobody_waits(environment: dict[str, str], etag: str | None) -> None:
    """In one attempt, with or without an ETag; and the bytes are right."""
    async with trickling(environment, Trickling(etag=etag), slow=1, parallelism=8) as (app, [job], _):
        await app.ingest.run(job)

        facts = await proved(app, job)
        assert (facts.blocks or 0) > 10


async def test_in_the_last_quarter_before_the_deadline_nothing_is_given_up(environment: dict[str, str]) -> None:
    """Whoever waits: it may be the last attempt."""
    crowded = Pace(seconds=PACE.seconds, crowd=0)
    late = {"keep_slow_after": timedelta(0), "pace": crowded}
    async with trickling(environment, Trickling(), slow=1, **late) as (app, [job], _):
        await app.ingest.run(job)

        assert await stored_sha256(app, job) is not None


async def test_a_metadata_file_that_trickles_is_given_up_as_well(environment: dict[str, str]) -> None:
    """It holds no stream, but a place among the few chunks of the process; the content is kept."""
    crowded = Pace(seconds=PACE.seconds, crowd=0)
    source = Trickling(rate=20, where="metadata")
    async with trickling(environment, source, slow=1, pace=crowded) as (app, [job], _):
        with pytest.raises(SourceSlow):
            await app.ingest.run(job)

        await proved(app, job)


async def test_a_first_request_that_trickles_is_given_up_as_well(environment: dict[str, str]) -> None:
    """Before its first KiB is there, nothing is known of the document."""
    crowded = Pace(seconds=PACE.seconds, crowd=0)
    async with trickling(environment, Trickling(rate=20), slow=1, pace=crowded) as (app, [job], _):
        with pytest.raises(SourceSlow):
            await app.ingest.run(job)

        assert await stored_sha256(app, job) is None


async def test_storage_that_is_slow_makes_no_shorter_blocks(environment: dict[str, str]) -> None:
    """The source, which has sent all that was taken from it, is not given up for it either."""

    body = mp4(12 * MIB)

    async def answer(request: web.Request) -> web.StreamResponse:
        return part(request, body, '"1"')

    async with app_with_source(environment, answer) as built:
        blobs = FaultyBlobs(built.settings).on("stage_block", hangs=1)
        app = with_limits(with_blobs(built, blobs), pace=IMPATIENT, parallelism=2, largest_block=4 * MIB)
        [job] = await announce(app, recording_of(FAST.format(1)))
        await app.ingest.run(job)

        facts = await proved(app, job)
        await blobs.aclose()
        assert (3, 4 * MIB) == (facts.blocks, facts.block_bytes)


async def test_waiting_as_the_source_has_asked_makes_no_shorter_blocks(environment: dict[str, str]) -> None:
    """Throttled for longer than a pace is measured: each block is asked for as often as it was refused, and once."""
    asked: dict[str, int] = {}
    body = mp4(14 * MIB)

    async def answer(request: web.Request) -> web.StreamResponse:
        span = request.headers.get("Range", "")
        asked[span] = asked.get(span, 0) + 1
        if not request.path.endswith("/metadata") and asked[span] == 1:
            return web.Response(status=429, headers={"Retry-After": "1"})
        return part(request, body, '"1"')

    async with app_with_source(environment, answer) as built:
        app = with_limits(built, pace=IMPATIENT, parallelism=2, largest_block=4 * MIB)
        [job] = await announce(app, recording_of(FAST.format(1)))
        await app.ingest.run(job)

        facts = await proved(app, job)
        assert (4, 4 * MIB) == (facts.blocks, facts.block_bytes)
