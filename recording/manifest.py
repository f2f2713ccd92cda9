"""The record of a recording, derived from its facts.

`Recording` is what listing a recording's prefix in staging tells; `Manifest` is what is written
into the archive as `recording.json`, last of all: it exists = the recording is archived.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from recording import attempts as tries
from recording import entry, layout
from recording.announced import AnnouncedChunk
from recording.attempts import Attempts
from recording.entry import Chunk, ChunkEntry, Written
from recording.events import FileStatusUpdated
from recording.job import ChunkJob
from recording.storage import Stored


@dataclass(frozen=True)
class Recording:
    """A recording in flight: its file events, oldest first, and every chunk that they announce."""

    key: str
    events: tuple[FileStatusUpdated, ...]
    chunks: tuple[Chunk, ...]
    blobs: tuple[Stored, ...]

    @property
    def is_staged(self) -> bool:
        """Tell whether every announced chunk is."""
        return bool(self.chunks) and all(chunk.is_staged for chunk in self.chunks)

    def is_past_deadline(self, now: datetime) -> bool:
        """Tell whether nothing more can be fetched: each chunk is staged, or past its deadline."""
        return all(chunk.is_staged or chunk.deadline <= now for chunk in self.chunks)


class Absence(Written):
    """What is known of a recording that was stopped through us and never announced."""

    evidence: str
    stopped_at: datetime
    stopped_by: str | None
    conversation_id: str | None


class Manifest(Written):
    """`recording.json`; `complete` says that every announced chunk and its metadata file are there."""

    version: Literal[1] = 1
    revision: int = 1
    recording_key: str
    call_id: str
    recording_id: str | None
    server_call_id: str | None
    correlation_id: str | None = None
    recording_start_time: datetime
    recording_duration_ms: int | None
    session_end_reason: str | None
    complete: bool
    state: Literal["ingesting", "staged", "archived", "incomplete", "absent"]
    archived_at: datetime | None
    absent: Absence | None = None
    events: list[str]
    chunks: list[ChunkEntry]


def assemble(
    key: str,
    *,
    events: Iterable[FileStatusUpdated],
    blobs: Iterable[Stored],
    attempts: dict[str, Attempts],
    retention: timedelta,
) -> Recording:
    """Derive a recording from its facts; `attempts` by document id.

    Several events may announce one chunk: the earliest sets its deadline, for that is when the
    service began to count; where it lies is told by the newest that says so.
    """
    named = {blob.name: blob for blob in blobs}
    begun: dict[str, list[str]] = defaultdict(list)
    for document_id, attempt in filter(None, map(layout.attempt_of, named)):
        begun[document_id].append(attempt)
    ordered = tuple(sorted(events, key=lambda event: (event.time, event.id)))
    said: dict[str, list[tuple[FileStatusUpdated, AnnouncedChunk]]] = defaultdict(list)
    for event in ordered:
        for announced in event.chunks:
            said[announced.document_id].append((event, announced))
    chunks = [
        _chunk(key, announcements, named, attempts.get(document_id), begun[document_id], retention)
        for document_id, announcements in said.items()
    ]
    in_order = tuple(sorted(chunks, key=lambda c: (c.job.index, c.job.document_id)))
    return Recording(key, ordered, in_order, tuple(named.values()))


def _chunk(
    key: str,
    said: list[tuple[FileStatusUpdated, AnnouncedChunk]],
    named: dict[str, Stored],
    attempts: Attempts | None,
    begun: list[str],
    retention: timedelta,
) -> Chunk:
    event, first = said[0]
    job = ChunkJob(
        recording_key=key,
        document_id=first.document_id,
        index=first.index,
        announced_at=event.time,
        content_location=_newest(announced.content_location for _, announced in said),
        metadata_location=_newest(announced.metadata_location for _, announced in said),
    )
    described = {
        "content_type": _newest(event.content_type for event, _ in said),
        "channel_type": _newest(event.channel_type for event, _ in said),
        "format": _newest(event.format_type for event, _ in said),
    }
    metadata = named.get(job.metadata_blob)
    # The last write of an attempt says which one it was.
    succeeded = metadata.metadata.get("attempt") if metadata else None
    unfinished = tries.unfinished(begun, attempts, succeeded=succeeded)
    return Chunk(
        job=job,
        end_reason=_newest(announced.end_reason for _, announced in said),
        deadline=event.time + retention,
        content=named.get(job.content_blob),
        metadata=metadata,
        attempts=attempts,
        unfinished=tuple(map(layout.recording_start, unfinished)),
        delete_location=_newest(announced.delete_location for _, announced in said),
        described={name: word for name, word in described.items() if word},
    )


def write(
    recording: Recording,
    *,
    archived_at: datetime | None,
    before: Manifest | None = None,
    correlation_id: str | None = None,
) -> Manifest:
    """Write the manifest of a recording: to be archived now, or of its present state if still in flight.

    `before` is the manifest that this one overtakes: its chunks are carried over, so that the
    newest manifest always tells the whole story.
    """
    entries = {known.document_id: known for known in before.chunks} if before else {}
    for chunk in news(recording, before):
        new = entry.write(chunk, "archive" if archived_at else "staging")
        known = entries.get(new.document_id)
        entries[new.document_id] = entry.joined(known, new) if known else new
    chunks = sorted(entries.values(), key=lambda e: (e.index, e.document_id))
    complete = all(e.is_safe for e in chunks)
    last = recording.events[-1]
    settled: Literal["archived", "incomplete"] = "archived" if complete else "incomplete"
    return Manifest(
        revision=before.revision + 1 if before else 1,
        recording_key=recording.key,
        call_id=last.call_id,
        recording_id=_newest([before and before.recording_id, *(e.recording_id for e in recording.events)]),
        server_call_id=_newest([before and before.server_call_id, *(e.server_call_id for e in recording.events)]),
        correlation_id=correlation_id or (before and before.correlation_id),
        recording_start_time=last.start,
        recording_duration_ms=_newest(
            [before and before.recording_duration_ms, *(e.duration_ms for e in recording.events)]
        ),
        session_end_reason=_newest(
            [before and before.session_end_reason, *(e.session_end_reason for e in recording.events)]
        ),
        complete=complete,
        state=settled if archived_at else ("staged" if recording.is_staged else "ingesting"),
        archived_at=archived_at,
        events=sorted({*(event.id for event in recording.events), *(before.events if before else ())}),
        chunks=chunks,
    )


def news(recording: Recording, before: Manifest | None) -> list[Chunk]:
    """Tell of which chunks staging has more than the manifest before tells of."""
    known = {e.document_id: e for e in before.chunks} if before else {}
    return [c for c in recording.chunks if entry.has_more(c, known.get(c.job.document_id))]


def beyond(recording: Recording, before: Manifest) -> Recording:
    """Leave the chunks away that the manifest before has in the archive, unless there is news of them."""
    kept = {e.document_id for e in before.chunks if e.content is not None}
    new = news(recording, before)
    return replace(recording, chunks=tuple(c for c in recording.chunks if c in new or c.job.document_id not in kept))


def _newest[Value](values: Iterable[Value | None]) -> Value | None:
    return next((value for value in reversed(list(values)) if value is not None), None)
