"""Archive a recording that is due, tell what became of it in the log and to other systems, and empty staging."""

from dataclasses import replace
from datetime import UTC

from recording.archive import copies
from recording.archive import sources as source
from recording.archive.run import Run
from recording.model import layout, manifest
from recording.model.manifest import Manifest
from recording.model.recording import InFlightRecording
from recording.notices import Notice, RunNotices
from recording.telemetry import log


async def tell(written: Manifest, telling: RunNotices) -> bool:
    """Say what became of a recording; False if other systems can't be reached.

    Staging isn't emptied before: a run that was killed, or couldn't reach the topic, is followed by
    one that tells it again, under the same id.
    """
    for entry in written.chunks:
        if entry.note:
            log.warning(
                "chunk.mislabelled",
                recordingKey=written.recording_key,
                documentId=entry.document_id,
                reason=entry.note,
                next="its extension is that of its bytes",
            )
        if entry.outcome != "archived":
            log.error(
                f"chunk.{entry.outcome}",
                recordingKey=written.recording_key,
                documentId=entry.document_id,
                reason=entry.reason,
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
            "manifest": layout.manifest_blob(written.recording_key, written.revision),
            "chunks": len(written.chunks),
            "missing": missing,
        },
    )
    return await telling.tell(notice)


async def finish_one(this: Run, whole: InFlightRecording, before: Manifest | None) -> None:
    """Archive a recording, tell what became of it, and empty staging, in this order."""
    recording = manifest.without_archived(whole, before) if before else whole
    if before and not manifest.new_chunks(recording, before):
        if all(layout.staged_kind(blob.name) in layout.TRANSIENT for blob in whole.blobs):
            # The note of an attempt that ended after the archive: it makes no manifest, and what did is gone, so told.
            await this.recordings.empty_staging(whole)
            return
        # A run before this one was killed here, perhaps before it told, or a duplicate of the event came late.
        written: Manifest | None = before
    else:
        written = await _archive(this, recording, before)
    if written is None:
        return
    told = layout.published_blob(whole.key, written.revision)
    is_told = any(blob.name == told for blob in whole.blobs)
    if not is_told and not await tell(written, this.telling):
        return
    sources = source.deletable(whole, written, this.now) if this.settings.delete_source else []
    if not sources:
        await this.recordings.empty_staging(whole)
        return
    if not is_told:
        await this.blobs.create("staging", told, b"{}")
    # The events tell what is still to be deleted at ACS, and the fact beside them that nothing else is to be done.
    kept = [b for b in whole.blobs if b.name == told or layout.staged_kind(b.name) == "event"]
    await this.recordings.empty_staging(replace(whole, blobs=tuple(b for b in whole.blobs if b not in kept)))
    this.sources[whole.key] = sources, replace(whole, blobs=tuple(kept)), told


async def _archive(this: Run, recording: InFlightRecording, before: Manifest | None) -> Manifest | None:
    await copies.copy_recording(recording, before, this.blobs, gate=this.copies)
    call = next((event.server_call_id for event in reversed(recording.events) if event.server_call_id), None)
    correlation_id = await this.calls.correlation_id(call)
    at = this.now.astimezone(UTC)
    written = manifest.write_manifest(recording, archived_at=at, before=before, correlation_id=correlation_id)
    if not await this.recordings.write_manifest(written):
        # Another run was quicker, perhaps with an older list of staging: what it doesn't tell of is told next time.
        log.warning("manifest.overtaken", recordingKey=recording.key, next="the next run compares")
        return None
    (this.report.archived if written.complete else this.report.incomplete).append(recording.key)
    return written
