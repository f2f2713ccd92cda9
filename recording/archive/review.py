"""Look at each recording in staging: rescue what is missing, warn of what is at risk, find what is due."""

import asyncio
import json
from datetime import datetime, timedelta

from azure.core.exceptions import AzureError, ServiceRequestError, ServiceResponseError
from pydantic import ValidationError

from recording.archive.run import PARALLELISM, Run
from recording.model import attempts, layout, manifest
from recording.model.manifest import Manifest
from recording.model.recording import InFlightChunk, InFlightRecording
from recording.model.stored import StoredBlob
from recording.notices import Notice, RunNotices
from recording.storage.blobs import Blobs
from recording.telemetry import log

# Requests in a row, by which a silent archive is told from a moment without answers: more than wait at once.
_SILENT = PARALLELISM + 1


class ArchiveSilent(AzureError):
    """The archive's account doesn't answer."""


def is_due(recording: InFlightRecording, now: datetime) -> bool:
    """Decide whether a recording is to be archived: all is there, or nothing more can come."""
    return recording.is_staged or recording.is_past_deadline(now)


def to_requeue(recording: InFlightRecording, now: datetime, *, first: timedelta) -> list[InFlightChunk]:
    """Decide which chunks are to be put on the queue again: announced, not staged, and their time has come."""
    return [c for c in recording.chunks if not c.is_staged and c.rescue_at(first) <= now < c.deadline]


async def review_one(this: Run, key: str, blobs: list[StoredBlob]) -> tuple[InFlightRecording, Manifest | None] | None:
    """Rescue what is missing of a recording; the answer is what to finish, if it is due."""
    try:
        recording, before = await _load(this, key, blobs)
    except (AzureError, TimeoutError, ValidationError):
        # It can't be finished; to fetch what is missing nothing of the archive is needed.
        alone = await this.recordings.load(key, blobs)
        this.seen.append(alone)
        await _rescue(this, alone)
        raise
    if not recording.events:
        log.error("staging.orphan", recordingKey=key, blobs=len(blobs), next="left alone; look at it")
        return None
    new = manifest.without_archived(recording, before) if before else recording
    this.seen.append(new)
    if is_due(new, this.now):
        return recording, before
    await _rescue(this, new)
    return None


async def _load(this: Run, key: str, blobs: list[StoredBlob]) -> tuple[InFlightRecording, Manifest | None]:
    """Derive a recording, and read its manifest; a silent archive isn't asked again: the run has more to do."""
    if this.report.archive_silences >= _SILENT:
        raise ArchiveSilent("the archive does not answer")
    try:
        async with asyncio.timeout(this.recordings.archive_timeout):
            before = await this.recordings.newest_manifest(key)
    except (ServiceRequestError, ServiceResponseError, TimeoutError):
        this.report.archive_silences += 1
        raise
    this.report.archive_silences = 0
    return await this.recordings.load_with_archived_events(key, blobs, before), before


async def _rescue(this: Run, recording: InFlightRecording) -> None:
    settings, now = this.settings, this.now
    this.report.waiting.append(recording.key)
    for chunk in to_requeue(recording, now, first=settings.first_rescue):
        await this.recordings.update_attempts(
            chunk.job, lambda before: attempts.queued_again(before, now=now, first=settings.first_rescue)
        )
        this.report.jobs.append(chunk.job)
        log.warning(
            "chunk.queued_again",
            recordingKey=recording.key,
            documentId=chunk.job.document_id,
            attempts=chunk.tries,
            unfinished=len(chunk.unfinished),
        )
    # Last: a topic that takes nothing must not cost a chunk its next try.
    for chunk in recording.chunks:
        if not chunk.is_staged and now < chunk.deadline <= now + settings.risk_margin:
            await warn(recording, chunk, this.telling, this.blobs, now=now)


async def warn(
    recording: InFlightRecording, chunk: InFlightChunk, telling: RunNotices, blobs: Blobs, *, now: datetime
) -> None:
    """Say that a chunk is at risk: in the log on every run, to other systems once."""
    document, left = chunk.job.document_id, round((chunk.deadline - now).total_seconds() / 3600, 2)
    tries, unfinished, reason = chunk.tries, len(chunk.unfinished), chunk.reason
    log.error(
        "chunk.at_risk",
        recordingKey=recording.key,
        documentId=document,
        hoursLeft=left,
        attempts=tries,
        unfinished=unfinished,
        reason=reason,
        next="it is tried until its deadline",
    )
    told = layout.notice_blob(recording.key, document)
    if any(blob.name == told for blob in recording.blobs):
        return
    data = {"documentId": document, "hoursLeft": left, "attempts": tries, "unfinished": unfinished, "reason": reason}
    if await telling.tell(Notice("Recording.AtRisk", recording.key, document, now, data)):
        await blobs.create("staging", told, json.dumps(data).encode())
