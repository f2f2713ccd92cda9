"""Review each recording in staging: requeue what is missing, warn of what is at risk, find what is due."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from azure.core.exceptions import AzureError, ServiceRequestError, ServiceResponseError
from pydantic import ValidationError

from recording.archive.run import Due, Run
from recording.model import layout, manifest
from recording.model.attempts import Attempts
from recording.model.recheck import RecheckTimes
from recording.model.recording import InFlightChunk, InFlightRecording
from recording.model.stored import StoredBlob
from recording.notices import Notice
from recording.storage.blobs import Blobs
from recording.storage.recordings import RecordingStore
from recording.telemetry import log


class ArchiveSilent(AzureError):
    """The archive's account doesn't answer."""


def is_due(recording: InFlightRecording, now: datetime, times: RecheckTimes) -> bool:
    """Decide whether a recording is to be archived: all is staged or nothing more can come, and all is settled."""
    return _waits_for_no_chunk(recording, now) and all(chunk.is_settled(now, times) for chunk in recording.chunks)


def _waits_for_no_chunk(recording: InFlightRecording, now: datetime) -> bool:
    return recording.is_staged or recording.is_past_deadline(now)


def to_requeue(recording: InFlightRecording, now: datetime, *, first: timedelta) -> list[InFlightChunk]:
    """Decide which chunks go back to the queue: announced, not staged, and the time of their next try has come."""
    return [c for c in recording.chunks if not c.is_staged and c.requeue_at(first) <= now < c.deadline]


async def load_due(recordings: RecordingStore, key: str, blobs: list[StoredBlob]) -> Due:
    """Derive a recording from its facts, and compare it with its manifest.

    Raises azure-core's errors, TimeoutError, or pydantic's ValidationError for a manifest that can't be read.
    """
    before = await recordings.newest_manifest_in_time(key)
    whole = await recordings.load_with_archived_events(key, blobs, before)
    return Due(whole, manifest.without_archived(whole, before) if before else whole, before)


@dataclass(frozen=True)
class Review:
    """Reviews recordings; `first_requeue` is how long the queue has for a chunk, `risk_margin` when it is at risk.

    `rechecks` is when chunks that aren't complete are re-checked.
    """

    blobs: Blobs
    recordings: RecordingStore
    first_requeue: timedelta
    risk_margin: timedelta
    rechecks: RecheckTimes

    async def one(self, run: Run, key: str, blobs: list[StoredBlob]) -> None:
        """Review one recording: requeue its missing chunks, or note in `run.due` that it can be archived."""
        try:
            found = await self._load(run, key, blobs)
        except (AzureError, TimeoutError, ValidationError):
            # It can't be archived now; fetching what is missing needs nothing of the archive.
            alone = await self.recordings.load(key, blobs)
            run.seen.append(alone)
            await self._requeue(run, alone)
            raise
        if not found.whole.events:
            log.error("staging.orphan", recordingKey=key, blobs=len(blobs), next="not touched; inspect it")
            return
        run.seen.append(found.pending)
        if is_due(found.pending, run.now, self.rechecks):
            run.due[key] = found
        else:
            await self._requeue(run, found.pending)

    async def _load(self, run: Run, key: str, blobs: list[StoredBlob]) -> Due:
        """Load a recording; an archive that is silent isn't asked again, since the run has more to do."""
        # More requests in a row than are under way at once: a silent archive, not a moment without answers.
        if run.archive_silences > run.parallelism:
            raise ArchiveSilent("the archive does not answer")
        try:
            found = await load_due(self.recordings, key, blobs)
        except (ServiceRequestError, ServiceResponseError, TimeoutError):
            run.archive_silences += 1
            raise
        run.archive_silences = 0
        return found

    async def _requeue(self, run: Run, recording: InFlightRecording) -> None:
        run.report.waiting.append(recording.key)
        for chunk in to_requeue(recording, run.now, first=self.first_requeue):
            await self.recordings.update_attempts(
                chunk.job,
                lambda before: (before or Attempts(next_at=run.now)).with_requeue(run.now, first=self.first_requeue),
            )
            run.report.jobs.append(chunk.job)
            log.warning(
                "chunk.queued_again",
                recordingKey=recording.key,
                documentId=chunk.document_id,
                attempts=chunk.tries,
                unfinished=len(chunk.unfinished),
            )
        await self._recheck(run, recording)
        # Last: a topic that accepts nothing must not cost a chunk its next try.
        for chunk in recording.chunks:
            if not chunk.is_staged and run.now < chunk.deadline <= run.now + self.risk_margin:
                await self._warn(run, recording, chunk)

    async def _recheck(self, run: Run, recording: InFlightRecording) -> None:
        """Queue the steps of re-checks whose time has come, each once; a step that is lost with its run is left out."""
        is_last = _waits_for_no_chunk(recording, run.now)
        for chunk in recording.chunks:
            if (found := chunk.next_recheck(run.now, self.rechecks, is_last=is_last)) is None:
                continue
            step, recheck = found
            fact = layout.recheck_blob(recording.key, chunk.document_id, step)
            if await self.blobs.create("staging", fact, b"{}", at=run.now.astimezone(UTC).isoformat()):
                run.report.rechecks.append(chunk.job.model_copy(update={"recheck": recheck}))

    async def _warn(self, run: Run, recording: InFlightRecording, chunk: InFlightChunk) -> None:
        """Report that a chunk is at risk: in the log on every run, to other systems once."""
        document, left = chunk.document_id, round((chunk.deadline - run.now).total_seconds() / 3600, 2)
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
        published = layout.notice_blob(recording.key, document)
        if any(blob.name == published for blob in recording.blobs):
            return
        data = {
            "documentId": document,
            "hoursLeft": left,
            "attempts": tries,
            "unfinished": unfinished,
            "reason": reason,
        }
        if await run.notices.publish(Notice("Recording.AtRisk", recording.key, document, run.now, data)):
            await self.blobs.create("staging", published, json.dumps(data).encode())
