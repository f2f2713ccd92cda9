"""Archive one recording that is due: copies and their proofs, manifest, log and notice; then staging is emptied.

A process may be killed anywhere, and two may work on one recording: whoever comes next finds each step that is done,
and continues from there.
"""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from azure.core.exceptions import AzureError

from recording.archive.copies import Copies
from recording.archive.erased import ErasedRecordings
from recording.archive.matching import match_endings
from recording.archive.review import is_due, load_due
from recording.archive.run import Due, Run, TimerReport, log_failure
from recording.archive.sources import SourceCopies, deletable
from recording.archive.unannounced import as_announced, began
from recording.clock import Clock, utc_now
from recording.model import layout, manifest
from recording.model.consent import counting, standing
from recording.model.keeping import Protection
from recording.model.manifest import Manifest
from recording.model.recheck import RecheckTimes
from recording.model.recording import InFlightRecording
from recording.model.stored import StoredBlob
from recording.notices import Notice, RunNotices, Topic
from recording.storage.blobs import Blobs, CopyFailed
from recording.storage.calls import CallIds
from recording.storage.consents import Consents
from recording.storage.endings import Endings
from recording.storage.index import Index
from recording.storage.keeping import KeepingStore, NotProtected, log_not_protected
from recording.storage.recordings import RecordingStore
from recording.storage.starts import StartClaims
from recording.telemetry import log, traces
from recording.workers import Turns

# Below `functionTimeout` (host.json), whose time-out kills every other job of the process too.
BUDGET_SECONDS = 25 * 60.0
# The share of a recording's time for its copies; the rest is for what comes after them.
_COPYING = 0.6
# The part of a recording's time for which it waits to be assigned its stop.
_WAITS_FOR_STOP = 0.25
# How long a job waits for another one of its recording.
_TURN_SECONDS = 15.0
# Document ids in a notice, which has 1 MB at most.
_MOST_NAMED = 1000


async def publish(written: Manifest, notices: RunNotices) -> bool:
    """Report the result for a recording, in the log and to other systems; False if these can't be reached.

    Staging isn't emptied before: after a run that couldn't reach the topic, or was killed before it noted that it did,
    the next one publishes the same notice under the same id.
    """
    for entry in written.chunks:
        if entry.note:
            log.warning(
                "chunk.label_mismatch",
                recordingKey=written.recording_key,
                documentId=entry.document_id,
                reason=entry.note,
                next="its extension is that of its bytes",
            )
        match entry.outcome:
            case "lost":
                _log_missing("chunk.lost", written, entry)
            case "unproved":
                _log_missing("chunk.unproved", written, entry)
            case "archived" if not entry.is_whole:
                log.error(
                    "chunk.not_complete",
                    recordingKey=written.recording_key,
                    documentId=entry.document_id,
                    verdict=entry.verdict,
                    reason="; ".join(entry.remarks),
                    next="it is archived as ACS delivered it; ACS had no better version",
                )
            case "waiting" | "staged" | "archived":
                pass
        if entry.outcome == "archived" and entry.metadata is None:
            log.error(
                "chunk.no_metadata_file",
                recordingKey=written.recording_key,
                documentId=entry.document_id,
                reason=entry.reason,
                next="its content is archived and proved",
            )
    if written.uncovered:
        log.error(
            "recording.uncovered",
            recordingKey=written.recording_key,
            recordingId=written.recording_id,
            participants=len(written.uncovered),
            next="its manifest names who was recorded without consent on record",
        )
    missing = [entry.document_id for entry in written.chunks if not entry.is_safe]
    write = log.info if written.complete else log.error
    write(
        "recording.archived",
        recordingKey=written.recording_key,
        recordingId=written.recording_id,
        chunks=len(written.chunks),
        missing=len(missing),
        complete=written.complete,
    )
    notice = Notice(
        "Recording.Lost" if missing else "Recording.Archived",
        subject=written.recording_key,
        fact=f"revision {written.revision}",
        time=written.archived_at or written.recording_start_time,
        data={
            "recordingKey": written.recording_key,
            **written.ids,
            "manifest": layout.manifest_blob(written.recording_key, written.revision),
            "chunks": len(written.chunks),
            "missing": missing[:_MOST_NAMED],
        },
    )
    return await notices.publish(notice)


def _log_missing(event: str, written: Manifest, entry: manifest.ManifestChunk) -> None:
    log.error(event, recordingKey=written.recording_key, documentId=entry.document_id, reason=entry.reason)


@dataclass(frozen=True)
class Finish:
    """Archives recordings, with `delete_source` up to the point where their sources are deleted.

    `budget_seconds` is for a message of the queue; what isn't done by then is queued again.
    """

    blobs: Blobs
    recordings: RecordingStore
    erased: ErasedRecordings
    endings: Endings
    calls: CallIds
    starts: StartClaims
    consents: Consents
    index: Index
    keeping: KeepingStore
    copies: Copies
    sources: SourceCopies
    topic: Topic
    rechecks: RecheckTimes
    delete_source: bool
    needs_consent: bool = False
    clock: Clock = utc_now
    budget_seconds: float = BUDGET_SECONDS
    turns: Turns = field(default_factory=Turns)

    async def run(self, key: str) -> TimerReport:
        """Archive the recording that a message names, as far as it is due; what it raises makes the queue try again."""
        run = Run(self.clock(), RunNotices(self.topic), self.budget_seconds)
        try:
            # For a second message of a recording nothing is left to do once the first is done. Many of them must not
            # take the places of others; the message of the first comes back if that fails.
            async with asyncio.timeout(self.budget_seconds), self.turns.take(key, seconds=_TURN_SECONDS) as is_mine:
                if is_mine:
                    await self.one(run, key, seconds=self.budget_seconds)
                else:
                    log.info("recording.at_work", recordingKey=key, next="nothing: another job archives it")
        except Exception as failed:
            log_failure("recording.not_archived", key, failed, "the queue tries again, then the timer")
            raise
        return run.report

    async def one(self, run: Run, key: str, *, seconds: float, note_endings: bool = True) -> None:
        """Archive a recording that is due, publish the result, and empty staging, in about `seconds`.

        Its facts are loaded here, unless the run's review has loaded them a moment ago (`run.due`). Then they decide
        again whether it is due: the request may be old, and a chunk may have been announced since. `note_endings` is
        False if the watch over unannounced recordings has just cleared the markers of all that are announced. If there
        is more to do, the notes of its hand-over are deleted, so that the next run of the timer queues it again.
        """
        due = run.due.get(key)
        if due is None:
            if not (blobs := await self.recordings.staged(key)):
                return
            due = await load_due(self.recordings, key, blobs)
        if not due.whole.events:
            return
        is_emptied = False
        if is_due(due.pending, run.now, self.rechecks):
            match = await self.erased.find(due.whole)
            if match.whole:
                if await self.erased.empty(key, match.whole, recording=due.whole):
                    run.forget(key)
                return
            is_changed = bool(match.documents) and await self.erased.remove_documents(due.whole, match)
            if not is_changed and not await self._waits_for_stop(run, due):
                is_emptied = await self._finish_due(run, due, seconds, note_endings=note_endings)
        if not is_emptied:
            notes = [blob for blob in due.whole.blobs if layout.staged_kind(blob.name) == "hand_over"]
            await self.blobs.delete_each("staging", notes)

    async def _finish_due(self, run: Run, due: Due, seconds: float, *, note_endings: bool) -> bool:
        with traces.span("recording.archive", due.whole.key):
            if note_endings:
                # Once staging is empty nothing shows that it was announced: its marker must be gone before.
                await self._note_ending(due)
            return await self._finish(run, due, seconds * _COPYING)

    async def _waits_for_stop(self, run: Run, due: Due) -> bool:
        """Return whether a stop that is not assigned yet may be that of a recording which its event doesn't name.

        Its conversation, its reference and its class follow from it, and the class can't be taken back. The timer
        assigns it: which event is closest to a stop, only a look at all of them shows. Not for ever: some can't be.
        """
        key, recording = due.whole.key, due.pending
        nameless = [one for one in as_announced(recording) if one.digest is None]
        times = [(chunk.announced_at, chunk.deadline) for chunk in recording.chunks]
        if due.before or not nameless or not times:
            return False
        announced_at, deadline = min(times)
        if announced_at + _WAITS_FOR_STOP * (deadline - announced_at) <= run.now:
            return False
        stopped = await self.endings.pending()
        if not match_endings(stopped, nameless, started=await began(self.starts, stopped)):
            return False
        if await self.endings.assigned(key):
            return False  # the marker is about to go, or another recording's
        log.info("recording.waits_for_stop", recordingKey=key, next="the next run assigns it, and queues it again")
        run.report.waiting.append(key)
        return True

    async def _note_ending(self, due: Due) -> None:
        """Record the ending of the recording that is settled; an event may claim that it was another."""
        recording_id = due.pending.recording_id
        for event in due.whole.events:
            if recording_id and event.recording_id == recording_id:
                await self.endings.note_announced(event)
        if recording_id:
            await self.endings.clear_announced(recording_id)

    async def _finish(self, run: Run, due: Due, seconds: float) -> bool:
        """Do what is left to do; return whether staging is emptied."""
        whole, before = due.whole, due.before
        written: Manifest | None
        if before and not manifest.says_more(due.pending, before):
            if all(layout.staged_kind(blob.name) in layout.TRANSIENT for blob in whole.blobs):
                # What is left is the record of an attempt that ended after the archive: nothing to publish.
                await self.recordings.empty_staging(whole)
                return True
            # An earlier run was killed after the archive, or a duplicate of the event came late.
            written = before
        else:
            whole, written = await self._archive(run, due, seconds)
        if written is None:
            return False
        published = layout.published_blob(whole.key, written.revision)
        is_published = whole.named(published) is not None
        if not is_published:
            # Before the notice, whose reader may look for it; staging is not emptied before either.
            await self._keep(written)
            if not await publish(written, run.notices):
                return False
        sources = deletable(whole, written, run.now) if self.delete_source else []
        if not is_published and (sources or self.topic.is_set):
            # Emptying that is cut short must not publish the notice again.
            await self.blobs.create("staging", published, b"{}")
            whole = replace(whole, blobs=(*whole.blobs, StoredBlob(published, 2, "")))
        if sources:
            # The events list what is still to be deleted at ACS; the fact beside them says that the rest is done.
            kept = {b.name for b in whole.blobs if b.name == published or layout.staged_kind(b.name) == "event"}
            await self.recordings.empty_staging(
                replace(whole, blobs=tuple(b for b in whole.blobs if b.name not in kept))
            )
            whole = replace(whole, blobs=tuple(b for b in whole.blobs if b.name in kept))
            if not await self.sources.delete(sources):
                return False
        await self.recordings.empty_staging(whole)
        return True

    async def _archive(self, run: Run, due: Due, seconds: float) -> tuple[InFlightRecording, Manifest | None]:
        """Copy what is pending, prove the copies, and write the manifest; also return the recording with its proofs.

        No manifest, if copies are left for the next run, a copy shows that its chunk may get better, or another run was
        quicker with a different manifest.
        """
        key, now = due.whole.key, run.now
        protection = await self._protection(due, now)
        copied = await self.copies.bring(due.pending, due.before, seconds=seconds, protection=protection)
        whole = await self.recordings.with_blobs(due.whole, copied.proofs)
        pending = manifest.without_archived(whole, due.before) if due.before else whole
        if copied.left:
            run.report.copying.append(key)
            log.info("recording.copying", recordingKey=key, left=copied.left, next="the next run continues")
            return whole, None
        if not is_due(pending, max(now, self.clock()), self.rechecks):
            log.info("recording.rechecking", recordingKey=key, next="its archive waits for the re-check of a chunk")
            run.report.waiting.append(key)
            return whole, None
        recording = await self.recordings.with_all_failures(await self.recordings.with_metadata_files(pending))
        call = next((event.server_call_id for event in reversed(recording.events) if event.server_call_id), None)
        correlation_id, match = await asyncio.gather(self.calls.correlation_id(call), self.erased.by_key(key))
        if match.whole:
            # While its copies were made; the erasure lists the archive again when this job must have ended.
            return whole, None
        at = now.astimezone(UTC)
        written = manifest.write_manifest(
            recording,
            archived_at=at,
            before=due.before,
            correlation_id=correlation_id,
            # Events of the 2021 preview API don't name their recording: the stop that was assigned to it does.
            started=await self.starts.find(recording.recording_id or await self.endings.assigned(recording.key)),
            copies=copied.names,
        )
        written = await self._with_consents(written)
        if unproved := [entry.document_id for entry in written.chunks if entry.is_safe and not entry.has_proof]:
            raise CopyFailed(f"no proof of the copies of {unproved}")
        if not await self.recordings.write_manifest(written, protection):
            # Perhaps from an older list of staging: what it doesn't list is archived by the next run.
            log.warning("manifest.superseded", recordingKey=key, next="the next run compares")
            return whole, None
        (run.report.archived if written.complete else run.report.incomplete).append(key)
        return whole, written

    async def _with_consents(self, written: Manifest) -> Manifest:
        """Return a manifest with the consents of its conversation, and who is in its metadata files without one.

        Where consent isn't required, nobody counts as uncovered before somebody in the conversation was asked. Raises
        azure-core's errors.
        """
        since = written.recording_start_time
        found = await self.consents.of(written.conversation_id, written.server_call_id, since=since)
        # What was said later than the call is listed as well: a withdrawal is never left out.
        said = counting(found, since=since)
        people = [one.id for one in written.participants]
        is_asked = self.needs_consent or bool(said.consents or said.unreadable)
        uncovered = standing(said).uncovered(people) if is_asked else ()
        return written.model_copy(update={"consents": tuple(said.consents), "uncovered": uncovered})

    async def _protection(self, due: Due, now: datetime) -> Protection | None:
        """Return what the platform is asked for copies and manifest; the class of retention is set before the first.

        `now` is the time that the manifest is going to say: no policy may end later than the time of the recording.
        """
        if not self.keeping.classes.classes and not self.keeping.is_immutable:
            return None
        key, now = due.whole.key, now.astimezone(UTC)
        recording_id = due.pending.recording_id or await self.endings.assigned(key)
        started = await self.starts.find(recording_id)
        is_unknown = recording_id is None and bool(self.keeping.classes.classes)
        if is_unknown and (await self.keeping.find(key)).retention_class is None:
            log.warning(
                "retention.by_default",
                recordingKey=key,
                reason="its event doesn't name it, and no stop is assigned to it",
                next="it gets the default class; set another one by PUT /v1/recordings/{key}/retention",
            )
        kept = await self.keeping.assign(key, started.retention_class if started else None, now=now)
        if not self.keeping.is_immutable:
            return None
        return Protection(until=kept.until(now), hold=bool(kept.holds))

    async def _keep(self, written: Manifest) -> None:
        """Write the rows of an archived recording, and have the platform keep its blobs, also for what came meanwhile.

        What the platform refuses doesn't keep a recording from the archive: the timer asks again.
        """
        key = written.recording_key
        kept = await self.keeping.find(key)
        marker = await self.keeping.mark(key) if self.keeping.is_immutable else None
        while True:
            await self.index.write(written, kept)
            try:
                await self.keeping.protect(key, hold=bool(kept.holds), until=kept.until(written.archived_at))
            except (AzureError, NotProtected) as failed:
                log_not_protected(key, failed)
                return
            # Somebody may have placed a hold meanwhile, whose rows and platform must not follow what was read before.
            before, kept = kept, await self.keeping.find(key)
            if kept == before:
                break
        if marker:
            await self.keeping.unmark(marker)
