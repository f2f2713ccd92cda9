"""Recordings and manifests, made of facts without a storage."""

from datetime import UTC, datetime, timedelta
from typing import Any

from recording.model.attempts import Attempts
from recording.model.events import AnnouncedChunk, FileStatusUpdated
from recording.model.layout import chunk_blob, metadata_blob, recording_key, recording_start
from recording.model.manifest import Manifest, ManifestChunk, ManifestFile, Participant, with_timeline
from recording.model.metadata_file import participant_kind
from recording.model.recording import InFlightRecording, assemble
from recording.model.stored import StoredBlob

START = datetime(2026, 3, 1, 10, tzinfo=UTC)
KEY = "20260301T100000000000Z-3f2b0e4c"
RETENTION = timedelta(hours=48)
DONE = START + RETENTION
DOCUMENTS = ("a-0", "a-1", "a-2")
PROOF = {"sha256": "0" * 64, "source_etag": "e", "proved_at": START.isoformat(), "blocks": "3", "blocks_compared": "2"}


def event(*documents: str, hours: int = 0, **more: Any) -> FileStatusUpdated:
    """Make the event that announces documents."""
    given: dict[str, Any] = {
        "id": f"event-{hours}",
        "time": START + timedelta(hours=hours),
        "call_id": "3f2b0e4c",
        "recording_id": None,
        "server_call_id": None,
        "start": START,
        "duration_ms": None,
        "session_end_reason": None,
        "chunks": tuple(AnnouncedChunk(d, DOCUMENTS.index(d), "SessionEnded") for d in documents),
    }
    return FileStatusUpdated(**(given | more))


def content(document: str, **metadata: str) -> StoredBlob:
    """Make a chunk's content as staging has it."""
    return StoredBlob(chunk_blob(KEY, DOCUMENTS.index(document), document), 1000, "e", metadata)


def metadata(document: str) -> StoredBlob:
    """Make a chunk's metadata file as staging has it."""
    return StoredBlob(metadata_blob(KEY, DOCUMENTS.index(document), document), 10, "e", {"sha256": "1" * 64})


def recording(
    events: list[FileStatusUpdated], blobs: list[StoredBlob], tried: dict[str, Attempts] | None = None
) -> InFlightRecording:
    """Derive a recording."""
    return assemble(KEY, events=events, blobs=blobs, attempts=tried or {}, retention=RETENTION)


def empty_manifest(key: str, call_id: str = "x") -> Manifest:
    """Make the manifest of an archived recording without chunks."""
    return Manifest(
        recording_key=key,
        call_id=call_id,
        recording_id=None,
        server_call_id=None,
        recording_start_time=recording_start(key),
        recording_duration_ms=None,
        session_end_reason=None,
        complete=True,
        state="archived",
        archived_at=datetime.now(UTC),
        events=[],
        chunks=[],
    )


def finished(number: int, *, call_id: str = "", **more: Any) -> Manifest:
    """Make the manifest of an archived recording with one chunk; the higher the number, the later it started."""
    start = START + timedelta(minutes=number)
    call_id = call_id or f"3f2b0e4c-0000-4000-8000-{number:012}"
    entry = ManifestChunk(
        document_id=f"0-eus-{number:08x}",
        index=0,
        end_reason="SessionEnded",
        outcome="archived",
        announced_at=start,
        deadline=start + RETENTION,
        content=ManifestFile(blob=f"{number}.mp4", bytes=1000, sha256="0" * 64),
        metadata=ManifestFile(blob=f"{number}.json", bytes=10, sha256="1" * 64),
        start_time=start,
        duration_ms=60_000,
    )
    key = recording_key(start, call_id)
    made = empty_manifest(key, call_id).model_copy(update={"recording_id": f"recording-{number}", "chunks": [entry]})
    return with_timeline(made.model_copy(update=more))


def person(participant_id: str) -> Participant:
    """Make a participant of the first chunk."""
    return Participant(id=participant_id, kind=participant_kind(participant_id), chunks=(0,))
