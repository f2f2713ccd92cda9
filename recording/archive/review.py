"""Review each recording in staging: requeue what is missing, warn of what is at risk, find what is due."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from secrets import token_hex

from azure.core.exceptions import AzureError, ServiceRequestError, ServiceResponseError

from recording.archive.erased import ErasedRecordings
from recording.archive.run import Due, Run
from recording.errors import ManifestUnreadable
from recording.model import layout, manifest
from recording.model.attempts import LAST_QUARTER, Attempts, Failure
from recording.model.job import MOST_DIRECT, ChunkJob, FanOut
from recording.model.recheck import RecheckTimes
from recording.model.recording import InFlightChunk, InFlightRecording, first_said
from recording.model.stored import StoredBlob
from recording.notices import Notice
from recording.storage.blobs import Blobs
from recording.storage.queues import Queue
from recording.storage.recordings import RecordingStore
from recording.storage.starts import StartClaims
from recording.telemetry import log
from recording.workers import run_each

# Of one recording in one run: a request to a topic has 1 MB at most, and each notice leaves a fact.
_MOST_NOTICES = 320
_WRITES = 16


class ArchiveSilent(AzureError):
    """The archive's account doesn't answer."""


def is_due(recording: InFlightRecording, now: datetime, times: RecheckTimes) -> bool:
    """Decide whether a recording is to be archived: all is staged or nothing more can come, and all is settled."""
    return _waits_for_no_chunk(recording) and all(chunk.is_settled(now, times) for chunk in recording.chunks)


def _waits_for_no_chunk(recording: InFlightRecording) -> bool:
    return recording.is_staged or recording.is_over


def to_requeue(recording: InFlightRecording, now: datetime, *, first: timedelta) -> list[InFlightChunk]:
    """Decide which chunks go back to the queue: not staged, not lost, and the time of their next try has come."""

    # A fan-out queues every chunk that is due. A second one beside it would have them fetched twice. But it may take
    # hours, and one of its first chunks that failed, or whose message got lost before an attempt could leave a record,
    # has its tries before the deadline nevertheless: the job of one that is fetched meanwhile looks first.
    began, worked = recording.fanned_out_at, recording.fan_out_worked_at

    def is_left_to_fan_out(chunk: InFlightChunk) -> bool:
        is_late = chunk.announced_at + LAST_QUARTER * (chunk.deadline - chunk.announced_at) <= now
        since = began if is_late else worked
        return since is not None and now < since + first

    missing = (c for c in recording.chunks if not c.is_staged and not c.is_lost)
    return [c for c in missing if c.requeue_at(first) <= now and not is_left_to_fan_out(c)]


async def load_due(recordings: RecordingStore, key: str, blobs: list[StoredBlob]) -> Due:
    """Derive a recording from its facts, and compare it with its manifest.

    Raises azure-core's errors, TimeoutError, or ManifestUnreadable.
    """
    before = await recordings.newest_manifest_in_time(key)
    whole = await recordings.load_with_archived_events(key, blobs, before)
    return Due(whole, manifest.without_archived(whole, before) if before else whole, before)


@dataclass(frozen=True)
class Review:
    """Reviews recordings; `first_requeue` is how long the queue has for a chunk, `risk_margin` when it is at risk.

    `bulk` gets a fan-out for a recording with many chunks to requeue, and its re-checks. `rechecks` is when chunks that
    aren't complete are re-checked.
    """

    blobs: Blobs
    recordings: RecordingStore
    erased: ErasedRecordings
    starts: StartClaims
    bulk: Queue
    first_requeue: timedelta
    risk_margin: timedelta
    rechecks: RecheckTimes

    async def one(self, run: Run, key: str, blobs: list[StoredBlob]) -> None:
        """Review one recording: requeue its missing chunks, or note in `run.due` that it can be archived."""
        try:
            found = await self._load(run, key, blobs)
        except (AzureError, TimeoutError, ManifestUnreadable):
            # It can't be archived now; fetching what is missing needs nothing of the archive.
            alone = await self.recordings.load(key, blobs)
            run.seen.append(alone)
            await self._requeue(run, alone)
            raise
        if not found.whole.events:
            # What an attempt has written that ended after its recording was erased.
            if stone := (await self.erased.by_key(key)).whole:
                await self.erased.empty(key, stone)
                return
            # A recording that was archived since the list was made has no events either.
            if await self.recordings.staged(key) == blobs:
                log.error("staging.orphan", recordingKey=key, blobs=len(blobs), next="not touched; inspect it")
            return
        run.seen.append(found.pending)
        if is_due(found.pending, run.now, self.rechecks):
            run.due[key] = found
        else:
            await self._requeue(run, found.pending)

    async def _load(self, run: Run, key: str, blobs: list[StoredBlob]) -> Due:
        """Load a recording; an archive that is silent isn't asked again, since the run has more to do."""
        # More requests in a row than are in progress at once: a silent archive, not a moment without answers.
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
        missing = to_requeue(recording, run.now, first=self.first_requeue)
        if missing:
            # Accepted while its tombstone could not be read; ingest brings nothing of it.
            # Of many it matters only who would be asked for for ever.
            asked = [chunk for chunk in missing if len(missing) <= MOST_DIRECT or chunk.expires_at < run.now]
            match = await self.erased.find_if_possible(recording, [chunk.document_id for chunk in asked])
            if match.whole:
                if await self.erased.empty(recording.key, match.whole, recording=recording):
                    run.forget(recording.key)
                return
            for chunk in missing:
                if chunk.document_id in match.documents and chunk.expires_at < run.now:
                    await self._give_up(run, chunk)
            missing = [chunk for chunk in missing if chunk.document_id not in match.documents]
        run.report.waiting.append(recording.key)
        if len(missing) > MOST_DIRECT:
            await self._fan_out(run, recording, missing)
            missing = []
        for chunk in missing:
            await self.recordings.update_attempts(
                chunk.job,
                lambda before: (before or Attempts(next_at=run.now)).with_requeue(run.now, first=self.first_requeue),
            )
            run.report.jobs.extend(chunk.jobs)
            log.warning(
                "chunk.queued_again",
                recordingKey=recording.key,
                documentId=chunk.document_id,
                attempts=chunk.tries,
                unfinished=len(chunk.unfinished),
            )
        await self._recheck(run, recording)
        # Last: a topic that accepts nothing must not cost a chunk its next try.
        await self._warn(run, recording)

    async def _give_up(self, run: Run, chunk: InFlightChunk) -> None:
        """Record that a chunk will not come, since its document belongs to an erased recording: it counts as lost."""
        code, message = "Erased", "this document belongs to an erased recording"
        failure = Failure(at=run.now, code=code, message=message)
        await self.recordings.update_attempts(
            chunk.job, lambda before: (before or Attempts(next_at=run.now)).with_failure(failure)
        )

    async def _recheck(self, run: Run, recording: InFlightRecording) -> None:
        """Queue the steps of re-checks whose time has come, each once; a step that is lost with its run is skipped.

        Those of many chunks go to the queue of large recordings, where no other recording waits behind them.
        """
        is_last = _waits_for_no_chunk(recording)
        due = [
            (chunk.job.model_copy(update={"recheck": found[1]}), found[0])
            for chunk in recording.chunks
            if (found := chunk.next_recheck(run.now, self.rechecks, is_last=is_last))
        ]

        async def queue(one: tuple[ChunkJob, str]) -> None:
            job, step = one
            fact = layout.recheck_blob(recording.key, job.document_id, step)
            at = run.now.astimezone(UTC).isoformat()
            if not await self.blobs.create("staging", fact, b"{}", at=at):
                # Another run queues it; unless the fact is ours, and only the answer to its write got lost.
                known = await self.blobs.stat("staging", fact)
                if known is None or known.metadata.get("at") != at:
                    return
            if len(due) > MOST_DIRECT:
                await self.bulk.send(job.to_message())
            else:
                run.report.rechecks.append(job)

        await run_each(queue, due, at_once=_WRITES)

    async def _fan_out(self, run: Run, recording: InFlightRecording, missing: list[InFlightChunk]) -> None:
        """Queue all chunks that are due by one message; one fact records that, instead of a write for each chunk."""
        await self.bulk.send(FanOut(recording_key=recording.key, due=run.now).to_message())
        await self.blobs.create(
            "staging", layout.fan_out_blob(recording.key, layout.attempt_id(run.now, token_hex(4))), b"{}"
        )
        run.report.fanned_out += len(missing)
        log.warning("recording.queued_again", recordingKey=recording.key, chunks=len(missing))

    async def _warn(self, run: Run, recording: InFlightRecording) -> None:
        """Report the chunks at risk: in the log on every run, to other systems each once.

        Of a recording with many each run logs those with the least time left, and publishes a number of notices in one
        request.
        """
        at_risk = [
            c
            for c in recording.chunks
            if not c.is_staged and not c.is_lost and c.deadline <= run.now + self.risk_margin
        ]
        at_risk.sort(key=lambda chunk: chunk.deadline)
        for chunk in at_risk[:MOST_DIRECT]:
            log.error(
                "chunk.at_risk",
                recordingKey=recording.key,
                documentId=chunk.document_id,
                hoursLeft=chunk.hours_left(run.now),
                attempts=chunk.tries,
                unfinished=len(chunk.unfinished),
                reason=chunk.reason,
                atRisk=len(at_risk),
                next="it is tried until it is staged, or an attempt fails that began after it expired",
                expiresAt=chunk.expires_at.isoformat(),
            )
        unreported = [c for c in at_risk if recording.named(layout.notice_blob(recording.key, c.document_id)) is None]
        if not unreported:
            return
        started = await self.starts.find_if_possible(recording.recording_id)
        call = first_said(event.server_call_id for event in recording.events)
        ids = manifest.known_ids(recording.recording_id, call, started.reference if started else None)
        facts = {chunk.document_id: ids | _risk(chunk, run.now) for chunk in unreported[:_MOST_NOTICES]}
        notices = [Notice("Recording.AtRisk", recording.key, name, run.now, data) for name, data in facts.items()]

        async def note(document_id: str) -> None:
            name = layout.notice_blob(recording.key, document_id)
            await self.blobs.create("staging", name, json.dumps(facts[document_id]).encode())

        if await run.notices.publish(*notices):
            await run_each(note, facts, at_once=_WRITES)


def _risk(chunk: InFlightChunk, now: datetime) -> dict[str, object]:
    return {
        "documentId": chunk.document_id,
        "hoursLeft": chunk.hours_left(now),
        "attempts": chunk.tries,
        "unfinished": len(chunk.unfinished),
        "reason": chunk.reason,
    }
