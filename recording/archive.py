"""Use case: the timer. Finish what is whole, rescue what is missing, report what is lost.

First every recording is looked at and rescued, which is cheap; then those that are due are
finished. The order of writes makes it safe to be killed anywhere: copies, each verified, the
manifest, the log and the notices that tell of it, and last staging is emptied; with DELETE_SOURCE
all but the events, until the sources are deleted. A rerun finds every step that is done and goes
on from there.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby

from azure.core.exceptions import AzureError, ServiceRequestError, ServiceResponseError
from pydantic import ValidationError

from recording import attempts, calls, copies, endings, layout, logs, manifest, outcome, source, state, telemetry
from recording.acs.content import Content
from recording.entry import Chunk
from recording.job import ChunkJob
from recording.manifest import Manifest, Recording
from recording.notices import Notices, Telling
from recording.settings import Settings
from recording.storage import CopyFailed, Storage, Stored

# Below `functionTimeout` (host.json) and the usual schedule: what isn't reached waits for the next run.
BUDGET_SECONDS = 4 * 60.0
PARALLELISM = 8
COPIES = 16
# Of the budget, for one recording: a copy that takes longer goes on by itself, and the next run finds it.
LARGEST_SHARE = 0.25
# Requests in a row, by which a silent archive is told from a moment without answers: more than wait at once.
_SILENT = PARALLELISM + 1


class ArchiveSilent(AzureError):
    """The archive's account doesn't answer."""


@dataclass
class Report:
    """What one run did, by recording key; `jobs` are to be put on the queue again."""

    jobs: list[ChunkJob] = field(default_factory=list)
    archived: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    not_reached: int = 0
    topic_failed: bool = False
    archive_silences: int = 0


def due(recording: Recording, now: datetime) -> bool:
    """Decide whether a recording is to be archived: all is there, or nothing more can come."""
    return recording.is_staged or recording.is_past_deadline(now)


def to_rescue(recording: Recording, now: datetime, *, first: timedelta) -> list[Chunk]:
    """Decide which chunks are to be put on the queue again: announced, not staged, and their time has come."""
    return [c for c in recording.chunks if not c.is_staged and c.rescue_at(first) <= now < c.deadline]


@dataclass(frozen=True)
class _Run:
    """What one run works with; `copies` bounds the server-side copies under way at once.

    `seen` are the recordings in flight, each without the chunks that are archived; `sources` is what is to be deleted
    at ACS when all of them are.
    """

    storage: Storage
    settings: Settings
    content: Content
    telling: Telling
    now: datetime
    report: Report
    copies: asyncio.Semaphore
    seen: list[Recording] = field(default_factory=list)
    sources: dict[str, tuple[list[Chunk], Recording, str]] = field(default_factory=dict)


async def run(
    storage: Storage,
    settings: Settings,
    notices: Notices,
    content: Content,
    *,
    now: datetime,
    budget_seconds: float = BUDGET_SECONDS,
) -> Report:
    """Work on every recording in staging, the one with the oldest deadline first, several at a time."""
    this = _Run(storage, settings, content, Telling(notices), now, Report(), asyncio.Semaphore(COPIES))
    report, until = this.report, time.monotonic() + budget_seconds
    in_flight = await state.in_flight(storage)
    ordered = sorted(in_flight.items(), key=lambda item: _announced(item[1]))
    # First what is cheap and can't wait: a copy that hangs must not keep another recording from being rescued.
    settled: dict[str, tuple[Recording, Manifest | None]] = {}

    async def look(key: str) -> None:
        if found := await _look(this, key, in_flight[key]):
            settled[key] = found

    async def finish(key: str) -> None:
        with telemetry.span("recording.archive", key):
            if not swept:
                # Once staging is empty nothing tells that it was announced: its marker must be gone by then.
                for event in settled[key][0].events:
                    await endings.note_announced(storage, event)
            await _finish(this, *settled[key])

    async def delete_sources(key: str) -> None:
        await _delete_sources(this, key)

    # Half of the time: however many are in flight, some are finished, and the next run has fewer to look at.
    await _each(this, [key for key, _ in ordered], look, until=until - budget_seconds / 2)
    # Several are looked at at a time, and a quick one comes before a slow one: least time left goes first.
    report.jobs.sort(key=lambda job: job.announced_at)
    swept = await endings.sweep(storage, settings, notices, this.seen, now=now)
    share = budget_seconds * LARGEST_SHARE
    await _each(this, [key for key, _ in ordered if key in settled], finish, until=until, share=share)
    # Last: a source that can't be reached keeps no recording from the archive.
    await _each(this, list(this.sources), delete_sources, until=until, share=share, failing="source.not_deleted")
    report.topic_failed = this.telling.failed
    left = [c.deadline - now for one in this.seen for c in one.chunks if not c.is_staged and c.deadline > now]
    logs.info(
        "archive.ran",
        inFlight=len(in_flight),
        chunksInFlight=len(left),
        leastHoursLeft=round(min(left) / timedelta(hours=1), 2) if left else None,
        archived=len(report.archived),
        incomplete=len(report.incomplete),
        queuedAgain=len(report.jobs),
        failed=len(report.failed),
        notReached=report.not_reached,
    )
    return report


async def _each(
    this: _Run,
    keys: list[str],
    step: Callable[[str], Awaitable[None]],
    *,
    until: float,
    share: float | None = None,
    failing: str = "recording.not_archived",
) -> None:
    """Do a step for each recording, several at a time, each within its share of the time."""
    report, waiting = this.report, iter(keys)

    async def work() -> None:
        for key in waiting:
            left = until - time.monotonic()
            if left <= 0:
                report.not_reached += 1
                continue
            try:
                async with asyncio.timeout(min(left, share or left)):
                    await step(key)
            except (AzureError, CopyFailed, TimeoutError) as failed:
                report.failed.append(key)
                reason = str(failed) if isinstance(failed, CopyFailed) else type(failed).__name__
                logs.warning(failing, recordingKey=key, reason=reason, next="the next run tries again")
            except Exception as failed:
                # One recording that can't be worked on must not keep the others from their deadline.
                report.failed.append(key)
                reason = type(failed).__name__
                logs.exception(failing, recordingKey=key, reason=reason, next="the next run tries again")

    async with asyncio.TaskGroup() as group:
        for _ in range(min(PARALLELISM, len(keys))):
            group.create_task(work())


def _announced(blobs: list[Stored]) -> str:
    """Say when the recording was first announced: the oldest deadline is worked on first."""
    return min((blob.metadata["announced"] for blob in blobs if "announced" in blob.metadata), default="")


async def _look(this: _Run, key: str, blobs: list[Stored]) -> tuple[Recording, Manifest | None] | None:
    """Rescue what is missing of a recording; the answer is what to finish, if it is due."""
    try:
        recording, before = await _load(this, key, blobs)
    except (AzureError, TimeoutError, ValidationError):
        # It can't be finished; to fetch what is missing nothing of the archive is needed.
        alone = await state.load(key, this.storage, retention=this.settings.retention, blobs=blobs)
        this.seen.append(alone)
        await _rescue(this, alone)
        raise
    if not recording.events:
        logs.error("staging.orphan", recordingKey=key, blobs=len(blobs), next="left alone; look at it")
        return None
    new = manifest.beyond(recording, before) if before else recording
    this.seen.append(new)
    if due(new, this.now):
        return recording, before
    await _rescue(this, new)
    return None


async def _load(this: _Run, key: str, blobs: list[Stored]) -> tuple[Recording, Manifest | None]:
    """Derive a recording, and read its manifest; a silent archive isn't asked again: the run has more to do."""
    if this.report.archive_silences >= _SILENT:
        raise ArchiveSilent("the archive does not answer")
    try:
        async with asyncio.timeout(state.PATIENCE_SECONDS):
            before = await state.newest_manifest(key, this.storage)
    except (ServiceRequestError, ServiceResponseError, TimeoutError):
        this.report.archive_silences += 1
        raise
    this.report.archive_silences = 0
    recording = await state.load_with_archived_events(
        key, blobs, before, storage=this.storage, retention=this.settings.retention
    )
    return recording, before


async def _finish(this: _Run, whole: Recording, before: Manifest | None) -> None:
    """Archive a recording, tell what became of it, and empty staging, in this order."""
    recording = manifest.beyond(whole, before) if before else whole
    if before and not manifest.news(recording, before):
        if not any(blob.name.split("/")[1] in ("chunks", "events") for blob in whole.blobs):
            # The note of an attempt that ended after the archive: it makes no manifest, and what did is gone, so told.
            await _empty(whole, this.storage)
            return
        # A run before this one was killed here, perhaps before it told, or a duplicate of the event came late.
        written: Manifest | None = before
    else:
        written = await _archive(this, recording, before)
    if written is None:
        return
    told = layout.told_blob(whole.key, written.revision)
    is_told = any(blob.name == told for blob in whole.blobs)
    if not is_told and not await outcome.tell(written, this.telling):
        return
    sources = source.left(whole, written, this.now) if this.settings.delete_source else []
    if not sources:
        await _empty(whole, this.storage)
        return
    if not is_told:
        await this.storage.write_fact("staging", told, b"{}")
    # The events tell what is still to be deleted at ACS, and the fact beside them that nothing else is to be done.
    kept = [b for b in whole.blobs if b.name == told or b.name.startswith(f"{whole.key}/events/")]
    await _empty(replace(whole, blobs=tuple(b for b in whole.blobs if b not in kept)), this.storage)
    this.sources[whole.key] = sources, replace(whole, blobs=tuple(kept)), told


async def _delete_sources(this: _Run, key: str) -> None:
    sources, recording, told = this.sources[key]
    if await source.delete(sources, this.content):
        await this.storage.delete("staging", told)
        await _empty(recording, this.storage)


async def _archive(this: _Run, recording: Recording, before: Manifest | None) -> Manifest | None:
    storage = this.storage
    await copies.make(recording, before, storage, gate=this.copies)
    call = next((event.server_call_id for event in reversed(recording.events) if event.server_call_id), None)
    correlation_id = await calls.correlation_id(storage, call)
    at = this.now.astimezone(UTC)
    written = manifest.write(recording, archived_at=at, before=before, correlation_id=correlation_id)
    text = written.model_dump_json(by_alias=True, indent=2).encode()
    name = layout.manifest_blob(recording.key, written.revision)
    if not await storage.write_fact("archive", name, text) and await storage.read("archive", name) != text:
        # Another run was quicker, perhaps with an older list of staging: what it doesn't tell of is told next time.
        logs.warning("manifest.overtaken", recordingKey=recording.key, next="the next run compares")
        return None
    (this.report.archived if written.complete else this.report.incomplete).append(recording.key)
    return written


async def _empty(recording: Recording, storage: Storage) -> None:
    """Empty the staging prefix, events last: while one blob is left, its event tells what it is."""
    order = {"attempts": 0, "notices": 0, "chunks": 1, "events": 2}
    blobs = sorted(recording.blobs, key=lambda blob: order.get(blob.name.split("/")[1], 0))
    for _, group in groupby(blobs, key=lambda blob: blob.name.split("/")[1]):
        await asyncio.gather(*(storage.delete("staging", blob.name, etag=blob.etag) for blob in group))


async def _rescue(this: _Run, recording: Recording) -> None:
    storage, settings, now = this.storage, this.settings, this.now
    this.report.waiting.append(recording.key)
    for chunk in to_rescue(recording, now, first=settings.first_rescue):
        await state.note(
            chunk.job, storage, lambda before: attempts.queued_again(before, now=now, first=settings.first_rescue)
        )
        this.report.jobs.append(chunk.job)
        logs.warning("chunk.queued_again", recordingKey=recording.key, documentId=chunk.job.document_id)
    # Last: a topic that takes nothing must not cost a chunk its next try.
    for chunk in recording.chunks:
        if not chunk.is_staged and now < chunk.deadline <= now + settings.risk_margin:
            await outcome.warn(recording, chunk, this.telling, storage, now=now)
