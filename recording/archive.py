"""Use case: the timer. Finish what is whole, rescue what is missing, report what is lost.

First every recording is looked at and rescued, which is cheap; then those that are due are
finished. The order of writes makes it safe to be killed anywhere: copies, each verified, the
manifest, the log and the notices that tell of it, and last staging is emptied. A rerun finds
every step that is done and goes on from there.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby

from azure.core.exceptions import AzureError

from recording import attempts, layout, logs, manifest, state
from recording.job import ChunkJob
from recording.manifest import Chunk, Manifest, Recording
from recording.notices import Notice, Notices
from recording.settings import Settings
from recording.storage import CopyFailed, Storage, Stored

# Below `functionTimeout` (host.json) and the usual schedule: what isn't reached waits for the next run.
BUDGET_SECONDS = 4 * 60.0
PARALLELISM = 8
COPIES = 16
# Of the budget, for one recording: a copy that takes longer goes on by itself, and the next run finds it.
LARGEST_SHARE = 0.25


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


def due(recording: Recording, now: datetime) -> bool:
    """Decide whether a recording is to be archived: all is there, or nothing more can come."""
    return recording.is_staged or recording.is_past_deadline(now)


def to_rescue(recording: Recording, now: datetime, *, first: timedelta) -> list[Chunk]:
    """Decide which chunks are to be put on the queue again: announced, not staged, and their time has come."""
    return [c for c in recording.chunks if not c.is_staged and c.rescue_at(first) <= now < c.deadline]


@dataclass(frozen=True)
class _Run:
    """What one run works with; `copies` bounds the server-side copies under way at once."""

    storage: Storage
    settings: Settings
    notices: Notices
    now: datetime
    report: Report
    copies: asyncio.Semaphore


async def run(
    storage: Storage,
    settings: Settings,
    notices: Notices,
    *,
    now: datetime,
    budget_seconds: float = BUDGET_SECONDS,
) -> Report:
    """Work on every recording in staging, the one with the oldest deadline first, several at a time."""
    this = _Run(storage, settings, notices, now, Report(), asyncio.Semaphore(COPIES))
    report, until = this.report, time.monotonic() + budget_seconds
    in_flight = await state.in_flight(storage)
    ordered = sorted(in_flight.items(), key=lambda item: _announced(item[1]))
    # First what is cheap and can't wait: a copy that hangs must not keep another recording from being rescued.
    settled: dict[str, tuple[Recording, Manifest | None]] = {}

    async def look(key: str) -> None:
        if found := await _look(this, key, in_flight[key]):
            settled[key] = found

    async def finish(key: str) -> None:
        await _finish(this, *settled[key])

    await _each(this, [key for key, _ in ordered], look, until=until)
    share = budget_seconds * LARGEST_SHARE
    await _each(this, [key for key, _ in ordered if key in settled], finish, until=until, share=share)
    logs.info(
        "archive.ran",
        inFlight=len(in_flight),
        archived=len(report.archived),
        incomplete=len(report.incomplete),
        queuedAgain=len(report.jobs),
        failed=len(report.failed),
        notReached=report.not_reached,
    )
    return report


async def _each(
    this: _Run, keys: list[str], step: Callable[[str], Awaitable[None]], *, until: float, share: float | None = None
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
                logs.warning("recording.not_archived", recordingKey=key, reason=reason, next="the next run tries again")
            except Exception:
                # One recording that can't be worked on must not keep the others from their deadline.
                report.failed.append(key)
                logs.exception("recording.not_archived", recordingKey=key, next="the next run tries again")

    async with asyncio.TaskGroup() as group:
        for _ in range(min(PARALLELISM, len(keys))):
            group.create_task(work())


def _announced(blobs: list[Stored]) -> str:
    """Say when the recording was first announced: the oldest deadline is worked on first."""
    return min((blob.metadata["announced"] for blob in blobs if "announced" in blob.metadata), default="")


async def _look(this: _Run, key: str, blobs: list[Stored]) -> tuple[Recording, Manifest | None] | None:
    """Rescue what is missing of a recording; the answer is what to finish, if it is due."""
    before = await state.newest_manifest(key, this.storage)
    recording = await state.load_with_archived_events(
        key, blobs, before, storage=this.storage, retention=this.settings.retention
    )
    if not recording.events:
        logs.error("staging.orphan", recordingKey=key, blobs=len(blobs), next="left alone; look at it")
        return None
    if before:
        recording = manifest.beyond(recording, before)
    if due(recording, this.now):
        return recording, before
    await _rescue(this, recording)
    return None


async def _finish(this: _Run, recording: Recording, before: Manifest | None) -> None:
    """Archive a recording, tell what became of it, and empty staging, in this order."""
    if before and not manifest.news(recording, before):
        # A run before this one was killed here, perhaps before it told, or a duplicate of the event came late.
        written: Manifest | None = before
    else:
        written = await _archive(this, recording, before)
    if written and await _tell(this, written):
        await _empty(recording, this.storage)


async def _archive(this: _Run, recording: Recording, before: Manifest | None) -> Manifest | None:
    storage = this.storage
    # What a manifest tells of by its SHA-256 is never written again, whatever staging has got since.
    told = {f.blob for e in (before.chunks if before else ()) for f in (e.content, e.metadata) if f and f.sha256}

    async def copy(blob: Stored) -> None:
        async with this.copies:
            await storage.copy_to_archive(blob, layout.archived(blob.name))

    kept = [b for b in recording.blobs if b.name.split("/")[1] in ("chunks", "events")]
    try:
        async with asyncio.TaskGroup() as group:
            for blob in kept:
                if layout.archived(blob.name) not in told:
                    group.create_task(copy(blob))
    except ExceptionGroup as several:
        raise several.exceptions[0] from None
    written = manifest.write(recording, archived_at=this.now.astimezone(UTC), before=before)
    text = written.model_dump_json(by_alias=True, indent=2).encode()
    name = layout.manifest_blob(recording.key, written.revision)
    if not await storage.write_fact("archive", name, text) and await storage.read("archive", name) != text:
        # Another run was quicker, perhaps with an older list of staging: what it doesn't tell of is told next time.
        logs.warning("manifest.overtaken", recordingKey=recording.key, next="the next run compares")
        return None
    (this.report.archived if written.complete else this.report.incomplete).append(recording.key)
    return written


async def _tell(this: _Run, written: Manifest) -> bool:
    """Say in the log and to other systems what became of a recording; False if these can't be reached.

    Staging isn't emptied before: a run that was killed, or couldn't reach the topic, is followed by
    one that tells it again, under the same id.
    """
    for entry in written.chunks:
        if entry.outcome != "archived":
            logs.error(
                f"chunk.{entry.outcome}",
                recordingKey=written.recording_key,
                documentId=entry.document_id,
                reason=entry.reason,
            )
    write = logs.info if written.complete else logs.error
    write(
        "recording.archived",
        recordingKey=written.recording_key,
        chunks=len(written.chunks),
        complete=written.complete,
    )
    return await _publish(this, _settled(written))


async def _publish(this: _Run, notice: Notice) -> bool:
    """Publish a notice; after the first failure the topic isn't tried again in this run, which has more to do."""
    if this.report.topic_failed:
        return False
    try:
        await this.notices.publish(notice)
    except (AzureError, TimeoutError) as failed:
        this.report.topic_failed = True
        reason = type(failed).__name__
        logs.warning("notice.failed", kind=notice.kind, reason=reason, next="the next run tells it again")
        return False
    return True


def _settled(written: Manifest) -> Notice:
    """Tell others that a recording is archived, or what of it is lost."""
    missing = [e.document_id for e in written.chunks if e.outcome != "archived" or e.metadata is None]
    return Notice(
        "Recording.Lost" if missing else "Recording.Archived",
        subject=written.recording_key,
        fact=f"revision {written.revision}",
        time=written.archived_at or written.recording_start_time,
        data={
            "recordingKey": written.recording_key,
            "manifest": layout.manifest_blob(written.recording_key, written.revision),
            "chunks": len(written.chunks),
            "missing": missing,
        },
    )


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
        note = attempts.queued_again(chunk.attempts, now=now, first=settings.first_rescue)
        await storage.replace("staging", chunk.job.attempts_blob, note.model_dump_json(by_alias=True).encode())
        this.report.jobs.append(chunk.job)
        logs.warning("chunk.queued_again", recordingKey=recording.key, documentId=chunk.job.document_id)
    # Last: a topic that takes nothing must not cost a chunk its next try.
    for chunk in recording.chunks:
        if not chunk.is_staged and now < chunk.deadline <= now + settings.risk_margin:
            await _warn(this, recording, chunk)


async def _warn(this: _Run, recording: Recording, chunk: Chunk) -> None:
    """Say that a chunk is at risk: in the log on every run, to other systems once."""
    document, left = chunk.job.document_id, round((chunk.deadline - this.now).total_seconds() / 3600, 2)
    tries, reason = (chunk.attempts.count, chunk.attempts.message) if chunk.attempts else (0, None)
    logs.error(
        "chunk.at_risk",
        recordingKey=recording.key,
        documentId=document,
        hoursLeft=left,
        attempts=tries,
        reason=reason,
        next="it is tried until its deadline",
    )
    told = layout.notice_blob(recording.key, document)
    if any(blob.name == told for blob in recording.blobs):
        return
    data = {"documentId": document, "hoursLeft": left, "attempts": tries, "reason": reason}
    if await _publish(this, Notice("Recording.AtRisk", recording.key, document, this.now, data)):
        await this.storage.write_fact("staging", told, json.dumps(data).encode())
