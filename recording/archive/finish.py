"""Archive one recording that is due: copies, manifest, log and notice, and then staging is emptied, in this order.

A process may be killed anywhere: the next run finds each step that is done, and continues from there.
"""

from dataclasses import dataclass, replace
from datetime import UTC

from recording.archive.copies import copy_recording
from recording.archive.review import is_due, load_due
from recording.archive.run import Deletable, Due, Run
from recording.archive.sources import deletable
from recording.model import layout, manifest
from recording.model.manifest import Manifest
from recording.model.recheck import RecheckTimes
from recording.notices import Notice, RunNotices
from recording.storage.blobs import Blobs
from recording.storage.calls import CallIds
from recording.storage.endings import Endings
from recording.storage.index import Index
from recording.storage.recordings import RecordingStore
from recording.storage.starts import StartClaims
from recording.telemetry import log, traces

# The share of a recording's time for its copies; the rest is for what comes after them.
_COPYING = 0.6
# Document ids in a notice, which has 1 MB at most.
_MOST_NAMED = 1000


async def publish(written: Manifest, notices: RunNotices) -> bool:
    """Report the result for a recording, in the log and to other systems; False if these can't be reached.

    Staging isn't emptied before: after a run that was killed, or couldn't reach the topic, the next one publishes the
    same notice under the same id.
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
    """Archives recordings, with `delete_source` up to the point where their sources may be deleted."""

    blobs: Blobs
    recordings: RecordingStore
    endings: Endings
    calls: CallIds
    starts: StartClaims
    index: Index
    delete_source: bool
    rechecks: RecheckTimes

    async def one(self, run: Run, key: str, *, note_endings: bool = True) -> None:
        """Archive a recording that is due, publish the result, and empty staging.

        Its facts are loaded here, unless the run's review has loaded them a moment ago (`run.due`). Then they decide
        again whether it is due: the request may be old, and a chunk may have been announced since. `note_endings` is
        False if the watch over unannounced recordings has just cleared the markers of all that are announced.
        """
        due = run.due.get(key) or await load_due(self.recordings, key, await self.recordings.staged(key))
        if not due.whole.events or not is_due(due.pending, run.now, self.rechecks):
            return
        with traces.span("recording.archive", key):
            if note_endings:
                # Once staging is empty nothing shows that it was announced: its marker must be gone before.
                await self._note_ending(due)
            await self._finish(run, due)

    async def _note_ending(self, due: Due) -> None:
        """Record the ending of the recording that is settled; an event may claim that it was another."""
        recording_id = due.pending.recording_id
        for event in due.whole.events:
            if recording_id and event.recording_id == recording_id:
                await self.endings.note_announced(event)
        if recording_id:
            await self.endings.clear_announced(recording_id)

    async def _finish(self, run: Run, due: Due) -> None:
        whole, before = due.whole, due.before
        written: Manifest | None
        if before and not manifest.says_more(due.pending, before):
            if all(layout.staged_kind(blob.name) in layout.TRANSIENT for blob in whole.blobs):
                # What is left is the record of an attempt that ended after the archive: nothing to publish.
                await self.recordings.empty_staging(whole)
                return
            # An earlier run was killed after the archive, or a duplicate of the event came late.
            written = before
        else:
            written = await self._archive(run, due)
        if written is None:
            return
        published = layout.published_blob(whole.key, written.revision)
        is_published = any(blob.name == published for blob in whole.blobs)
        if not is_published:
            # Before the notice, whose reader may look for it; staging is not emptied before either.
            await self.index.write(written)
            if not await publish(written, run.notices):
                return
        sources = deletable(whole, written, run.now) if self.delete_source else []
        if not sources:
            await self.recordings.empty_staging(whole)
            return
        if not is_published:
            await self.blobs.create("staging", published, b"{}")
        # The events list what is still to be deleted at ACS; the fact beside them says that the rest is done.
        kept = {b.name for b in whole.blobs if b.name == published or layout.staged_kind(b.name) == "event"}
        emptied = replace(whole, blobs=tuple(b for b in whole.blobs if b.name not in kept))
        await self.recordings.empty_staging(emptied)
        rest = replace(whole, blobs=tuple(b for b in whole.blobs if b.name in kept))
        run.deletable[whole.key] = Deletable(sources, rest, published)

    async def _archive(self, run: Run, due: Due) -> Manifest | None:
        """Copy what is pending and write the manifest.

        None if copies are left for the next run, or another run was quicker with a different manifest.
        """
        left = await copy_recording(
            due.pending, due.before, self.blobs, limit=run.copies, seconds=run.quarter * _COPYING
        )
        if left:
            run.report.copying.append(due.whole.key)
            log.info("recording.copying", recordingKey=due.whole.key, left=left, next="the next run continues")
            return None
        recording = await self.recordings.with_all_failures(await self.recordings.with_metadata_files(due.pending))
        call = next((event.server_call_id for event in reversed(recording.events) if event.server_call_id), None)
        correlation_id = await self.calls.correlation_id(call)
        at = run.now.astimezone(UTC)
        written = manifest.write_manifest(
            recording,
            archived_at=at,
            before=due.before,
            correlation_id=correlation_id,
            # Events of the 2021 preview API don't name their recording: the stop that was assigned to it does.
            started=await self.starts.find(recording.recording_id or await self.endings.assigned(recording.key)),
        )
        if not await self.recordings.write_manifest(written):
            # Perhaps from an older list of staging: what it doesn't list is archived by the next run.
            log.warning("manifest.superseded", recordingKey=recording.key, next="the next run compares")
            return None
        (run.report.archived if written.complete else run.report.incomplete).append(recording.key)
        return written
