"""What is in storage, read by a client of its own, and the use cases that bring it there."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from azure.storage.blob.aio import BlobServiceClient, ContainerClient
from azure.storage.queue.aio import QueueClient

from local.azurite import Azurite
from local.storage_faults import StorageRule
from local.storage_proxy import StorageProxy
from recording import crc64
from recording.acs.service import RecordingService
from recording.app import App, assemble
from recording.archive.run import TimerReport
from recording.config.settings import Settings, read_settings
from recording.control.operations import RecordingControl
from recording.ingest.blocks import is_block
from recording.ingest.chunk import ChunkIngest
from recording.model import layout
from recording.model.job import ArchiveJob, ChunkJob
from recording.model.proof import ChunkFacts
from recording.model.stored import Container
from recording.notices import Topic
from recording.storage.blobs import RETRIES, Blobs
from tests.support.emulator import Control, file_event
from tests.support.events_schema import check
from tests.support.source import open_app

MIB = 1024 * 1024
# As many retries of storage as ever, without pauses.
QUICK = RETRIES | {"initial_backoff": 0, "increment_base": 0, "random_jitter_range": 0}
TOPIC_KEY = "dG9waWMta2V5LW9mLXRoZS10ZXN0cw=="


async def _nothing(now: datetime) -> list[str]:
    return []


_NOTHING_POISONED = SimpleNamespace(drain=_nothing)


@asynccontextmanager
async def container(settings: Settings, where: Container) -> AsyncIterator[ContainerClient]:
    """Open a container with a client of the test's own."""
    accounts = {"archive": settings.archive_storage, "derived": settings.derived_storage}
    account = accounts.get(where, settings.staging_storage)
    assert account.connection_string is not None
    connection = account.connection_string.get_secret_value()
    async with BlobServiceClient.from_connection_string(connection, use_env_settings=False) as service:
        yield service.get_container_client(getattr(settings, f"{where}_container"))


@asynccontextmanager
async def raw_queue(settings: Settings, name: str, **more: Any) -> AsyncIterator[QueueClient]:
    """Open a queue with a client of the test's own."""
    connection = settings.host_storage.connection_string
    assert connection is not None
    more.setdefault("use_env_settings", False)
    async with QueueClient.from_connection_string(connection.get_secret_value(), name, **more) as queue:
        yield queue


async def listing(settings: Settings, where: Container) -> dict[str, str]:
    """List a container: {blob name: SHA-256 of its bytes}."""
    found = {}
    async with container(settings, where) as blobs:
        async for name in blobs.list_blob_names():
            if name == layout.INDEX_KEY:
                continue  # of the archive as a whole, made by whoever needs it first
            body = await (await blobs.download_blob(name)).readall()
            found[name] = hashlib.sha256(body).hexdigest()
    return found


async def put(settings: Settings, where: Container, name: str, body: bytes, **metadata: str) -> None:
    """Put a blob where the app doesn't expect it."""
    async with container(settings, where) as blobs:
        await blobs.upload_blob(name, body, overwrite=True, metadata=metadata)


async def trail_of(settings: Settings) -> list[Any]:
    """Read every fact of the trail, in the order of their names."""
    async with container(settings, "archive") as blobs:
        found = sorted([name async for name in blobs.list_blob_names(name_starts_with=f"{layout.TRAIL}/")])
        return [json.loads(await (await blobs.download_blob(name)).readall()) for name in found]


async def body_of(settings: Settings, where: Container, name: str) -> Any:
    """Read a JSON blob."""
    async with container(settings, where) as blobs:
        return json.loads(await (await blobs.download_blob(name)).readall())


def with_blobs(app: App, blobs: Blobs) -> App:
    """Wire the app with another client of Blob Storage."""
    there = assemble(app.settings, replace(app.clients, blobs=blobs), clock=app.timer.clock)
    return with_limits(there, **vars(app.ingest.limits))


def with_limits(app: App, **limits: Any) -> App:
    """Wire the app with other limits of ingest."""
    changed = replace(app.ingest.limits, **limits)
    blobs, content = app.clients.blobs, app.clients.content
    ingest = ChunkIngest(blobs, app.recordings, app.tombstones, content, limits=changed, clock=app.timer.clock)
    return replace(app, ingest=ingest)


def worker(app: App) -> App:
    """Wire the app as another process has it: nothing but storage says what this one does."""
    return with_limits(assemble(app.settings, app.clients, clock=app.timer.clock), **vars(app.ingest.limits))


def control_with(app: App, service: RecordingService | None = None, **more: Any) -> RecordingControl:
    """Wire the recording operations with some parts that aren't the app's."""
    parts: dict[str, Any] = {"trail": app.trail, "claims": app.starts, "endings": app.endings}
    parts |= {"index": app.clients.index, "consents": app.consents, "tombstones": app.tombstones}
    parts["classes"] = app.keeping.keeping.classes
    parts["default_callback_uri"] = app.settings.callback_uri()
    return RecordingControl(service or app.clients.service, **parts | more)


async def receive(app: App, event: Any, *, now: datetime | None = None, may_defer: bool = False) -> list[ChunkJob]:
    """Receive an event, at `now` if given; return its chunk jobs."""
    text = event if isinstance(event, str) else json.dumps(event)
    if now is not None:
        app = assemble(app.settings, app.clients, clock=lambda: now)
    return await app.intake.receive(text, may_defer=may_defer)


async def announce(app: App, recording: Any, **more: Any) -> list[ChunkJob]:
    """Accept the recording's file event, and return its chunk jobs."""
    return await receive(app, file_event(recording, **more))


async def stage(app: App, recording: Any, **more: Any) -> list[ChunkJob]:
    """Announce a recording and ingest every chunk of it."""
    jobs = await announce(app, recording, **more)
    for job in jobs:
        await app.ingest.run(job)
    return jobs


async def sweep(app: App, *, now: datetime | None = None, **more: Any) -> TimerReport:
    """Run the archive timer once."""
    return await run_timer(app, now=now or datetime.now(UTC), **more)


async def run_timer(app: App, *, now: datetime, **more: Any) -> TimerReport:
    """Run the timer once, at a time and within limits of the test's own; by default it archives what is due itself.

    Nothing is poisoned in most tests, and eight requests to empty queues are as many as the rest of an idle run sends.
    """
    parts: dict[str, Any] = {"archives_all": True, "poison": _NOTHING_POISONED} | more
    return await replace(app.timer, clock=lambda: now, **parts).run()


async def to_archive(app: App) -> list[str]:
    """Remove the messages of the queue that archives, and return the recordings that they name."""
    found = []
    async for message in app.clients.archive_queue.receive(limit=32, hidden_seconds=30):
        found.append(ArchiveJob.from_message(message.text).recording_key)
        await app.clients.archive_queue.delete(message)
    return found


async def archived(app: App, control: Control, *sizes: int, **more: Any) -> list[ChunkJob]:
    """Bring a recording of chunks of these sizes into the archive, and return its jobs.

    By the job that the timer queues: a whole run of the timer takes twice the requests.
    """
    jobs = await stage(app, await control.recording(*sizes), **more)
    assert (await app.archive.run(jobs[0].recording_key)).archived
    return jobs


@asynccontextmanager
async def topic(app: App, control: Control) -> AsyncIterator[App]:
    """Set the emulator's custom topic as the app's topic."""
    notices = Topic(f"{control.endpoint}/emulator/topic/api/events", TOPIC_KEY, None)
    try:
        yield assemble(app.settings, replace(app.clients, topic=notices))
    finally:
        await notices.aclose()


async def told(control: Control) -> list[dict[str, Any]]:
    """List what was published there; what a test itself has made up apart, each is as docs/events.schema.json says."""
    found: list[dict[str, Any]] = (await control.call("GET", "topic/events"))["events"]
    for event in found:
        if event["data"] != {"a": 1}:
            check(event)
    return found


async def stored_sha256(app: App, job: ChunkJob) -> str | None:
    """Hash the blob in staging, independently of the proof; None without one."""
    return (await listing(app.settings, "staging")).get(job.content_blob)


async def proved(app: App, job: ChunkJob) -> ChunkFacts:
    """Return the facts of a chunk, whose CRC64s are those of the bytes that lie in staging."""
    found = await app.clients.blobs.stat("staging", job.content_blob)
    body = await app.clients.blobs.read("staging", job.content_blob)
    assert found is not None
    assert body is not None
    facts = ChunkFacts.from_metadata(found.metadata)
    assert found.crc64 == crc64.to_hex(crc64.crc64(body))
    ranges = facts.ranges(len(body))
    assert ranges
    assert all(one.crc64 == crc64.crc64(body[one.offset : one.offset + one.length]) for one in ranges)
    return facts


async def until(condition: Callable[[], Awaitable[bool]], *, seconds: float = 10.0) -> None:
    """Poll until something holds."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.02)


async def staged_receipts(blobs: Blobs, job: ChunkJob) -> int:
    """Count the blocks that are staged with their receipt."""
    return len([name for name in await blobs.staged_blocks(job.content_blob) if not is_block(name)])


async def bytes_with_receipt(blobs: Blobs, job: ChunkJob) -> int:
    """Count the bytes of the blocks that are staged with their receipt: the next attempt needn't fetch them."""
    staged = await blobs.staged_blocks(job.content_blob)
    ids = {name[:-16] for name in staged if not is_block(name)}
    return sum(length for name, length in staged.items() if is_block(name) and name[:-16] in ids)


async def killed_after(app: App, job: ChunkJob, *, blocks: int) -> None:
    """Run an ingest and end it in the middle, once so many blocks are staged."""
    running = asyncio.ensure_future(app.ingest.run(job))

    async def staged() -> bool:
        return running.done() or await staged_receipts(app.clients.blobs, job) >= blocks

    await until(staged)
    assert not running.done()
    running.cancel()
    await asyncio.wait([running])


def add_fault(proxy: StorageProxy, **rule: Any) -> None:
    """Add a rule for requests to storage."""
    proxy.faults.add([StorageRule.model_validate(rule)])


def faults_met(proxy: StorageProxy) -> int:
    """Count the requests to which a rule was applied."""
    return sum(rule["applied"] for rule in proxy.faults.view())


@asynccontextmanager
async def harmed(
    azurite: Azurite, environment: dict[str, str], *rules: dict[str, Any], **retries: Any
) -> AsyncIterator[tuple[App, StorageProxy]]:
    """The app, and the storage between that does what the rules say; retries are as many as ever, without pauses."""
    async with StorageProxy(azurite.blob_url, azurite.queue_url, azurite.table_url) as proxy:
        there = {"STAGING_STORAGE": proxy.connection_string, "ARCHIVE_STORAGE": proxy.connection_string}
        # Azurite copies within one address only.
        there |= {"DERIVED_STORAGE": proxy.connection_string} if "DERIVED_STORAGE" in environment else {}
        app = await open_app(read_settings(environment | there), retries=QUICK | retries)
        for rule in rules:
            add_fault(proxy, **rule)
        try:
            yield with_limits(app, block_pause_seconds=0.01), proxy
        finally:
            await app.aclose()
