"""What became of a recording, told in the log and to other systems."""

import json
from datetime import datetime

from recording import layout, logs
from recording.entry import Chunk
from recording.manifest import Manifest, Recording
from recording.notices import Notice, Telling
from recording.storage import Storage


async def tell(written: Manifest, telling: Telling) -> bool:
    """Say what became of a recording; False if other systems can't be reached.

    Staging isn't emptied before: a run that was killed, or couldn't reach the topic, is followed by
    one that tells it again, under the same id.
    """
    for entry in written.chunks:
        if entry.note:
            logs.warning(
                "chunk.mislabelled",
                recordingKey=written.recording_key,
                documentId=entry.document_id,
                reason=entry.note,
                next="its extension is that of its bytes",
            )
        if entry.outcome != "archived":
            logs.error(
                f"chunk.{entry.outcome}",
                recordingKey=written.recording_key,
                documentId=entry.document_id,
                reason=entry.reason,
            )
    missing = [entry.document_id for entry in written.chunks if not entry.is_safe]
    write = logs.info if written.complete else logs.error
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


async def warn(recording: Recording, chunk: Chunk, telling: Telling, storage: Storage, *, now: datetime) -> None:
    """Say that a chunk is at risk: in the log on every run, to other systems once."""
    document, left = chunk.job.document_id, round((chunk.deadline - now).total_seconds() / 3600, 2)
    tries, last = (chunk.attempts.count, chunk.attempts.last) if chunk.attempts else (0, None)
    reason = last.message if last else None
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
    if await telling.tell(Notice("Recording.AtRisk", recording.key, document, now, data)):
        await storage.write_fact("staging", told, json.dumps(data).encode())
