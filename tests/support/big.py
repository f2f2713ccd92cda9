"""Recordings of many chunks: their event, their facts in staging, and what is on their queue."""

import json
from datetime import datetime
from typing import Any

from local.storage_proxy import StorageProxy
from recording.app import App
from recording.ingest.bulk import BulkIngest
from recording.model import job
from recording.model.attempts import Attempts, Failure
from recording.model.job import ChunkJob, FanOut
from recording.workers import run_each
from tests.support.emulator import file_event
from tests.support.facts import raw_queue
from tests.support.source import recording_of, wav

KEY = "20260301T100000000000Z-3f2b0e4c-0000-4000-8000-000000000001"


def documents(count: int) -> list[str]:
    """Name `count` documents."""
    return [f"0-eus-d12-{number:032x}" for number in range(count)]


def big_event(count: int, **more: Any) -> dict[str, Any]:
    """Write the event of a recording of `count` chunks."""
    return file_event(recording_of(*documents(count)), **more)


def jobs_of(count: int, announced_at: datetime) -> list[ChunkJob]:
    """Make the jobs of its chunks."""
    return [
        ChunkJob(recording_key=KEY, document_id=document, index=index, announced_at=announced_at)
        for index, document in enumerate(documents(count))
    ]


async def stage_all(app: App, jobs: list[ChunkJob], **facts: str) -> None:
    """Put every chunk into staging, as ingest leaves it; `facts` are more metadata of each."""

    async def one(chunk: ChunkJob) -> None:
        await app.clients.blobs.create("staging", chunk.content_blob, wav(9), kind="wav", **facts)
        await app.clients.blobs.create("staging", chunk.metadata_blob, b"{}")

    await run_each(one, jobs, at_once=8)


async def fail_all(app: App, jobs: list[ChunkJob], *, at: datetime) -> None:
    """Record a failure of every chunk."""

    async def one(chunk: ChunkJob) -> None:
        failure = Failure(at=at, code="SourceGone", message="ACS has no such document (404): \N{SNOWMAN}")
        record = Attempts(next_at=at).with_failure(failure).with_failure(failure.model_copy(update={"attempt": "x"}))
        text = record.model_dump_json(by_alias=True).encode()
        await app.clients.blobs.replace("staging", chunk.attempts_blob, text, over=None, **record.to_metadata())

    await run_each(one, jobs, at_once=8)


async def empty_bulk(app: App) -> None:
    """Remove what other tests have left on the queue."""
    async with raw_queue(app.settings, job.BULK_QUEUE) as queue:
        await queue.clear_messages()


async def on_bulk(app: App) -> list[ChunkJob | FanOut]:
    """Remove the messages of the queue."""
    found = []
    async for message in app.clients.bulk_queue.receive(limit=1000, hidden_seconds=30):
        assert len(message.text) < 48 * 1024
        found.append(job.from_bulk_message(message.text))
        await app.clients.bulk_queue.delete(message)
    return found


def counted(proxy: StorageProxy) -> int:
    """Count the requests so far."""
    return sum(total["requests"] for total in proxy.log.view(0)["totals"].values())


def is_within_limits(event: dict[str, Any]) -> bool:
    """Return whether Event Grid would deliver it."""
    return len(json.dumps(event)) <= 1024 * 1024


def bulk_of(app: App, *, batch: int, **parts: Any) -> BulkIngest:
    """Wire the fan-out with small batches."""
    known: dict[str, Any] = {"blobs": app.clients.blobs, "recordings": app.recordings, "queue": app.clients.bulk_queue}
    return BulkIngest(app.ingest, **known | parts, first_requeue=app.settings.first_rescue, batch=batch)


async def fan_out_all(app: App, bulk: BulkIngest, *, batch: int) -> list[str]:
    """Do every fan-out on the queue; return the documents of the chunk jobs, which aren't done."""
    found: list[str] = []
    for _ in range(50):
        messages = await on_bulk(app)
        if not messages:
            return found
        chunks = [message.document_id for message in messages if isinstance(message, ChunkJob)]
        assert len(chunks) <= batch
        found += chunks
        for message in messages:
            if isinstance(message, FanOut):
                await bulk.run(message.to_message())
    raise AssertionError("the fan-out doesn't end")
