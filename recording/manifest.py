"""The record of a recording, derived from its facts.

`Recording` is what listing a recording's prefix in staging tells; `Manifest` is what is written
into the archive as `recording.json`, last of all: it exists = the recording is archived.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from recording import layout
from recording.attempts import FIRST_RESCUE, Attempts
from recording.events import AnnouncedChunk, FileStatusUpdated
from recording.job import ChunkJob
from recording.storage import Stored


@dataclass(frozen=True)
class Chunk:
    """One announced chunk and what staging holds of it."""

    job: ChunkJob
    end_reason: str | None
    deadline: datetime
    content: Stored | None
    metadata: Stored | None
    attempts: Attempts | None

    @property
    def is_staged(self) -> bool:
        """Tell whether its proved content and its metadata file are both there."""
        return self.content is not None and self.content.sha256 is not None and self.metadata is not None

    def rescue_at(self, first: timedelta = FIRST_RESCUE) -> datetime:
        """Say when the timer puts it on the queue again, if it isn't staged by then."""
        if self.attempts is None:
            return self.job.announced_at + first
        # Close to the deadline the pauses grow no more: the last of them would outlast it.
        last = self.attempts.failed_at or self.job.announced_at
        return min(self.attempts.next_at, max(self.deadline - 4 * first, last + first))


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


class _Entry(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class File(_Entry):
    """A blob: its name in the archive container (in staging while in flight), bytes and SHA-256."""

    blob: str
    bytes: int
    sha256: str | None


class ChunkEntry(_Entry):
    """What became of one announced chunk.

    waiting, staged: in flight, not proved yet or proved; never in an archived manifest.
    archived: its bytes were read back and compared; `blocksCompared` of `blocks` with what passed by
    in flight (blocks that an earlier, killed attempt staged have no digest in flight).
    unproved: committed whole, but the deadline passed before it could be read back.
    lost: not in our storage when ACS deleted it; `reason` says why.
    """

    document_id: str
    index: int
    end_reason: str | None
    outcome: Literal["waiting", "staged", "archived", "unproved", "lost"]
    reason: str | None = None
    attempts: int = 0
    announced_at: datetime
    deadline: datetime
    content: File | None = None
    metadata: File | None = None
    source_etag: str | None = None
    proved_at: datetime | None = None
    blocks: int | None = None
    blocks_compared: int | None = None


class Manifest(_Entry):
    """`recording.json`; `complete` says that every announced chunk and its metadata file are there."""

    version: Literal[1] = 1
    revision: int = 1
    recording_key: str
    call_id: str
    recording_id: str | None
    server_call_id: str | None
    recording_start_time: datetime
    recording_duration_ms: int | None
    session_end_reason: str | None
    complete: bool
    state: Literal["ingesting", "staged", "archived", "incomplete"]
    archived_at: datetime | None
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
    service began to count.
    """
    named = {blob.name: blob for blob in blobs}
    ordered = tuple(sorted(events, key=lambda event: (event.time, event.id)))
    chunks: dict[str, Chunk] = {}
    for event in ordered:
        for announced in event.chunks:
            if announced.document_id not in chunks:
                chunks[announced.document_id] = _chunk(key, event, announced, named, attempts, retention)
    in_order = tuple(sorted(chunks.values(), key=lambda c: (c.job.index, c.job.document_id)))
    return Recording(key, ordered, in_order, tuple(named.values()))


def _chunk(
    key: str,
    event: FileStatusUpdated,
    announced: AnnouncedChunk,
    named: dict[str, Stored],
    attempts: dict[str, Attempts],
    retention: timedelta,
) -> Chunk:
    job = ChunkJob(recording_key=key, document_id=announced.document_id, index=announced.index, announced_at=event.time)
    return Chunk(
        job=job,
        end_reason=announced.end_reason,
        deadline=event.time + retention,
        content=named.get(job.content_blob),
        metadata=named.get(job.metadata_blob),
        attempts=attempts.get(announced.document_id),
    )


def write(recording: Recording, *, archived_at: datetime | None, before: Manifest | None = None) -> Manifest:
    """Write the manifest of a recording: to be archived now, or of its present state if still in flight.

    `before` is the manifest that this one overtakes: its chunks are carried over, so that the
    newest manifest always tells the whole story.
    """
    entries = {entry.document_id: entry for entry in before.chunks} if before else {}
    for chunk in news(recording, before):
        entry = _entry(chunk, "archive" if archived_at else "staging")
        known = entries.get(entry.document_id)
        entries[entry.document_id] = _joined(known, entry) if known else entry
    chunks = sorted(entries.values(), key=lambda e: (e.index, e.document_id))
    complete = all(e.outcome == "archived" and e.metadata is not None for e in chunks)
    last = recording.events[-1]
    settled: Literal["archived", "incomplete"] = "archived" if complete else "incomplete"
    return Manifest(
        revision=before.revision + 1 if before else 1,
        recording_key=recording.key,
        call_id=last.call_id,
        recording_id=_newest([before and before.recording_id, *(e.recording_id for e in recording.events)]),
        server_call_id=_newest([before and before.server_call_id, *(e.server_call_id for e in recording.events)]),
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
    known = {entry.document_id: entry for entry in before.chunks} if before else {}
    return [c for c in recording.chunks if _has_more(c, known.get(c.job.document_id))]


def beyond(recording: Recording, before: Manifest) -> Recording:
    """Leave the chunks away that the manifest before has in the archive, unless there is news of them."""
    kept = {entry.document_id for entry in before.chunks if entry.content is not None}
    new = news(recording, before)
    return replace(recording, chunks=tuple(c for c in recording.chunks if c in new or c.job.document_id not in kept))


def _has_more(chunk: Chunk, entry: ChunkEntry | None) -> bool:
    """Tell whether staging has a chunk's content, its proof or its metadata file, and the entry hasn't."""
    if entry is None:
        return True
    proof = chunk.content and chunk.content.sha256
    return (
        (chunk.content is not None and entry.content is None)
        or (proof is not None and entry.content is not None and entry.content.sha256 is None)
        or (chunk.metadata is not None and entry.metadata is None)
    )


def _joined(known: ChunkEntry, new: ChunkEntry) -> ChunkEntry:
    """Join what two archive runs have of one chunk: nothing that is in the archive goes out of the manifest."""
    entry = new if new.content is not None and (new.outcome == "archived" or known.content is None) else known
    metadata = known.metadata or new.metadata
    return entry.model_copy(
        update={
            "metadata": metadata,
            "reason": None if entry.outcome == "archived" and metadata else entry.reason,
            "attempts": max(known.attempts, new.attempts),
            "announced_at": known.announced_at,
            "deadline": known.deadline,
        }
    )


def _entry(chunk: Chunk, where: Literal["staging", "archive"]) -> ChunkEntry:
    content, facts = chunk.content, dict(chunk.content.metadata) if chunk.content else {}
    proved = content is not None and content.sha256 is not None
    tried = chunk.attempts
    outcome: Literal["waiting", "staged", "archived", "unproved", "lost"]
    if where == "staging":
        outcome = "staged" if proved else "waiting"
    else:
        outcome = "lost" if content is None else "archived" if proved else "unproved"
    reason = f"{tried.code}: {tried.message}" if tried and tried.message and not chunk.is_staged else None
    if where == "archive" and not chunk.is_staged:
        what = "content" if content is None else "proof" if not proved else "metadata file"
        reason = f"no {what} by the deadline; the last attempt said: {reason or 'nothing, none was made'}"
    return ChunkEntry(
        document_id=chunk.job.document_id,
        index=chunk.job.index,
        end_reason=chunk.end_reason,
        outcome=outcome,
        reason=reason,
        attempts=tried.count if tried else 0,
        announced_at=chunk.job.announced_at,
        deadline=chunk.deadline,
        content=_file(content, where),
        metadata=_file(chunk.metadata, where),
        source_etag=facts.get("source_etag") or None,
        proved_at=datetime.fromisoformat(facts["proved_at"]) if "proved_at" in facts else None,
        blocks=int(facts["blocks"]) if "blocks" in facts else None,
        blocks_compared=int(facts["blocks_compared"]) if "blocks_compared" in facts else None,
    )


def _file(blob: Stored | None, where: Literal["staging", "archive"]) -> File | None:
    if blob is None:
        return None
    name = layout.archived(blob.name) if where == "archive" else blob.name
    return File(blob=name, bytes=blob.size, sha256=blob.sha256)


def _newest[Value](values: Iterable[Value | None]) -> Value | None:
    return next((value for value in reversed(list(values)) if value is not None), None)
