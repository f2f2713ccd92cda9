"""Use case: an operator has a chunk queued again, without waiting for the timer."""

from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Literal

from azure.core.exceptions import AzureError

from recording.archive.review import load_due
from recording.clock import Clock, utc_now
from recording.errors import Conflict, NotFound, RecordingError, StorageUnavailable, describe
from recording.model import layout
from recording.model.attempts import Attempts
from recording.model.caller import Caller
from recording.model.manifest import Manifest
from recording.model.record import Body
from recording.model.recording import InFlightChunk
from recording.storage.queues import Queue
from recording.storage.recordings import RecordingStore
from recording.storage.trail import Trail
from recording.telemetry import log

# queued: now. waiting: it is on the queue already. running: an attempt is at it. safe: staging or the archive has it.
RequeueState = Literal["queued", "waiting", "running", "safe"]


class ChunkRequeued(Body):
    """How a chunk is, after an operator asked for it to be queued again; only `queued` has changed something."""

    recording_key: str
    index: int
    document_id: str
    state: RequeueState


class _Queued(Exception):
    """Somebody else has just queued it."""


class Requeue:
    """Queues chunks again; `first_requeue` is how long the queue has for a chunk."""

    def __init__(
        self,
        recordings: RecordingStore,
        queue: Queue,
        trail: Trail,
        *,
        first_requeue: timedelta,
        clock: Clock = utc_now,
    ) -> None:
        self._recordings = recordings
        self._queue = queue
        self._trail = trail
        self._first = first_requeue
        self._clock = clock

    async def run(self, caller: Caller, key: str, index: str, *, reason: str | None = None) -> ChunkRequeued:
        """Queue a chunk again, unless it is safe or being worked on; what was asked is on the trail first.

        Raises BadRequest for a malformed key or index, NotFound for an unknown one, Conflict for a lost chunk,
        StorageUnavailable, and TrailUnavailable: then nothing was changed.
        """
        layout.check_key(key)
        number = layout.read_index(index)
        try:
            found = await self._find(key, number)
        except (AzureError, TimeoutError) as failed:
            raise _unavailable(key, number, failed) from None
        if not isinstance(found, InFlightChunk):
            return found
        answer = ChunkRequeued(recording_key=key, index=number, document_id=found.document_id, state="queued")
        now = self._clock()
        if state := _worked_on(found, now, self._first):
            return answer.model_copy(update={"state": state})
        asked = partial(
            self._trail.write,
            caller,
            action="requeue",
            recording=key,
            indexes=[number],
            reason=reason,
            details={"documentId": found.document_id, "attempts": found.tries},
        )
        await asked()
        try:
            await self._queue_again(found, now)
        except _Queued:
            return answer.model_copy(update={"state": "waiting"})
        except (AzureError, TimeoutError) as failed:
            unavailable = _unavailable(key, number, failed)
            with suppress(RecordingError):
                await asked(outcome=unavailable.error_code, status=unavailable.http_status)
            raise unavailable from None
        return answer

    async def _find(self, key: str, number: int) -> InFlightChunk | ChunkRequeued:
        """Return the chunk that is waited for, or how it is if it is safe.

        Raises NotFound for an unknown one, Conflict for one that is lost.
        """
        due = await load_due(self._recordings, key, await self._recordings.staged(key))
        if not due.whole.events and due.before is None:
            raise NotFound("there is no recording of this key, neither in flight nor archived", target="recordingKey")
        pending = [chunk for chunk in due.pending.chunks if chunk.announced.index == number]
        for chunk in pending:
            if not chunk.is_staged and not chunk.is_lost:
                return chunk
        for chunk in pending:
            if chunk.is_staged:
                return ChunkRequeued(recording_key=key, index=number, document_id=chunk.document_id, state="safe")
        return _archived(due.before, key, number, is_lost=bool(pending))

    async def _queue_again(self, chunk: InFlightChunk, now: datetime) -> None:
        """Record that it is queued, so that neither the timer nor another request does it as well, and queue it.

        Raises _Queued if another request was faster.
        """

        known = {chunk.attempts.queued_at if chunk.attempts else None, None}

        def note(before: Attempts | None) -> Attempts:
            if before and before.queued_at not in known:
                raise _Queued
            # If the answer to the write gets lost, the client's retry is refused, and this reads what it has written.
            known.add(now)
            return (before or Attempts(next_at=now)).with_requeue(now, first=self._first)

        await self._recordings.update_attempts(chunk.job, note)
        try:
            for job in chunk.jobs:
                await self._queue.send(job.to_message())
        except (AzureError, TimeoutError):
            await self._recordings.update_attempts(chunk.job, lambda before: _not_queued(before, now))
            raise
        log.warning(
            "chunk.queued_again",
            recordingKey=chunk.recording_key,
            documentId=chunk.document_id,
            attempts=chunk.tries,
            unfinished=len(chunk.unfinished),
        )


def _worked_on(chunk: InFlightChunk, now: datetime, first: timedelta) -> RequeueState | None:
    """Return how it is if an attempt is running, or if the queue has it and no attempt has failed since."""
    if any(began + first > now for began in chunk.unfinished):
        return "running"
    tried = chunk.attempts
    if tried is None:
        return "waiting" if chunk.announced_at + first > now and not chunk.unfinished else None
    has_failed_since = tried.queued_at and tried.last and tried.last.at >= tried.queued_at
    return "waiting" if tried.queued_at and not has_failed_since and tried.queued_at + first > now else None


def _archived(before: Manifest | None, key: str, number: int, *, is_lost: bool) -> ChunkRequeued:
    listed = before.listed_at(number) if before else []
    for entry in listed:
        if entry.outcome != "lost":
            return ChunkRequeued(recording_key=key, index=number, document_id=entry.document_id, state="safe")
    if listed or is_lost:
        raise Conflict(
            "this chunk is lost: an attempt failed that began after ACS had deleted it. If ACS has it after all, "
            "replay its event",
            target="index",
            code="ChunkLost",
        )
    raise NotFound("this recording has no chunk at this index", target="index")


def _unavailable(key: str, number: int, failed: Exception) -> StorageUnavailable:
    log.error("chunk.not_requeued", recordingKey=key, index=number, reason=describe(failed), next="the timer queues it")
    return StorageUnavailable("storage can't be reached; the timer queues the chunk again by itself")


def _not_queued(before: Attempts | None, now: datetime) -> Attempts:
    return (before or Attempts(next_at=now)).model_copy(update={"next_at": now, "queued_at": None})
