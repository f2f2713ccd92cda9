"""A recording in flight and its chunks, derived from the facts in staging."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from recording.formats import media
from recording.formats.media import Kind
from recording.model import layout
from recording.model.attempts import FIRST_RESCUE, Attempts, unfinished
from recording.model.events import AnnouncedChunk, FileStatusUpdated
from recording.model.job import ChunkJob
from recording.model.proof import ChunkFacts
from recording.model.stored import StoredBlob

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class InFlightChunk:
    """One announced chunk, and what staging has of it.

    `announced` combines what its events say of it, `described` what they say of its media. `unfinished` has the start
    of each attempt that is not known to have failed or succeeded.
    """

    recording_key: str
    announced: AnnouncedChunk
    announced_at: datetime
    deadline: datetime
    content: StoredBlob | None
    metadata: StoredBlob | None
    attempts: Attempts | None
    unfinished: tuple[datetime, ...]
    described: dict[str, str]

    @property
    def document_id(self) -> str:
        """Return the id of the chunk's document."""
        return self.announced.document_id

    @property
    def job(self) -> ChunkJob:
        """Return the job that ingests it."""
        return ChunkJob.of(self.recording_key, self.announced, self.announced_at)

    @property
    def is_staged(self) -> bool:
        """Return whether staging has its proved content and its metadata file."""
        return self.content is not None and self.content.sha256 is not None and self.metadata is not None

    @property
    def tries(self) -> int:
        """Return how many attempts began, without one that succeeded."""
        return (self.attempts.count if self.attempts else 0) + len(self.unfinished)

    @property
    def reason(self) -> str | None:
        """Describe the last failure, and how many attempts ended without a record; None if none has begun."""
        last, killed = self.attempts.last if self.attempts else None, len(self.unfinished)
        failed = f"{last.code}: {last.message}" if last else ""
        unfinished = f"{killed} attempt{'s' if killed > 1 else ''} began and did not end" if killed else ""
        return "; ".join(filter(None, (failed, unfinished))) or None

    @property
    def facts(self) -> ChunkFacts:
        """Return the facts in the metadata of its content."""
        return ChunkFacts.from_metadata(self.content.metadata if self.content else {})

    @property
    def description(self) -> dict[str, str]:
        """Return what its metadata file says of its media, or its events where that file says nothing.

        See docs/acs-contract.md#app-duties.
        """
        return self.described | ({} if self.metadata is None else dict(self.metadata.metadata))

    @property
    def kind(self) -> Kind | None:
        """Return what its bytes are, whatever the label says: a wrong label must not cost a recording.

        A file with the wrong extension can't be opened. Without bytes, the label is all there is.
        """
        return self.facts.kind or media.parse_kind(self.description.get("format"))

    @property
    def label_mismatch(self) -> str | None:
        """Describe how it is labelled and what it is, if these differ."""
        label = self.description.get("format")
        if self.content is None or self.kind is None or label in (None, self.kind):
            return None
        return f"labelled {label}, content is {self.kind}"

    def requeue_at(self, first: timedelta = FIRST_RESCUE) -> datetime:
        """Return when the timer requeues it, unless it is staged by then."""
        if self.attempts is None:
            return self.announced_at + first
        # Close to the deadline the pauses stop growing: the last one would end after it.
        last = self.attempts.last
        began = max(self.announced_at, last.at if last else _NEVER, self.attempts.queued_at or _NEVER)
        return min(self.attempts.next_at, max(self.deadline - 4 * first, began + first))


@dataclass(frozen=True)
class InFlightRecording:
    """A recording in flight: its file events, oldest first, and every chunk that they announce."""

    key: str
    events: tuple[FileStatusUpdated, ...]
    chunks: tuple[InFlightChunk, ...]
    blobs: tuple[StoredBlob, ...]

    @property
    def is_staged(self) -> bool:
        """Return whether every announced chunk is staged."""
        return bool(self.chunks) and all(chunk.is_staged for chunk in self.chunks)

    def is_past_deadline(self, now: datetime) -> bool:
        """Return whether nothing more can be fetched: each chunk is staged, or past its deadline."""
        return all(chunk.is_staged or chunk.deadline <= now for chunk in self.chunks)


def assemble(
    key: str,
    *,
    events: Iterable[FileStatusUpdated],
    blobs: Iterable[StoredBlob],
    attempts: dict[str, Attempts],
    retention: timedelta,
) -> InFlightRecording:
    """Derive a recording from its facts; `attempts` by document id.

    Several events may announce one chunk: the earliest sets its deadline, since the service counts from then; its
    location is taken from the newest event that has one.
    """
    named = {blob.name: blob for blob in blobs}
    begun: dict[str, list[str]] = defaultdict(list)
    for staged in filter(None, map(layout.parse, named)):
        if staged.attempt is not None:
            begun[staged.id].append(staged.attempt)
    ordered = tuple(sorted(events, key=lambda event: (event.time, event.id)))
    said: dict[str, list[tuple[FileStatusUpdated, AnnouncedChunk]]] = defaultdict(list)
    for event in ordered:
        for announced in event.chunks:
            said[announced.document_id].append((event, announced))
    chunks = [
        _chunk(key, announcements, named, attempts.get(document_id), begun[document_id], retention)
        for document_id, announcements in said.items()
    ]
    in_order = tuple(sorted(chunks, key=lambda c: (c.announced.index, c.document_id)))
    return InFlightRecording(key, ordered, in_order, tuple(named.values()))


def _chunk(
    key: str,
    said: list[tuple[FileStatusUpdated, AnnouncedChunk]],
    named: dict[str, StoredBlob],
    attempts: Attempts | None,
    begun: list[str],
    retention: timedelta,
) -> InFlightChunk:
    event, first = said[0]
    announced = AnnouncedChunk(
        document_id=first.document_id,
        index=first.index,
        end_reason=newest(one.end_reason for _, one in said),
        content_location=newest(one.content_location for _, one in said),
        metadata_location=newest(one.metadata_location for _, one in said),
        delete_location=newest(one.delete_location for _, one in said),
        source_id=first.source_id,
    )
    described = {
        "content_type": newest(event.content_type for event, _ in said),
        "channel_type": newest(event.channel_type for event, _ in said),
        "format": newest(event.format_type for event, _ in said),
    }
    metadata = named.get(layout.metadata_blob(key, first.index, first.document_id))
    # The last write of a successful attempt names the attempt.
    succeeded = metadata.metadata.get("attempt") if metadata else None
    return InFlightChunk(
        recording_key=key,
        announced=announced,
        announced_at=event.time,
        deadline=event.time + retention,
        content=named.get(layout.chunk_blob(key, first.index, first.document_id)),
        metadata=metadata,
        attempts=attempts,
        unfinished=tuple(map(layout.recording_start, unfinished(begun, attempts, succeeded=succeeded))),
        described={name: value for name, value in described.items() if value},
    )


def newest[Value](values: Iterable[Value | None]) -> Value | None:
    """Return the last value that isn't None."""
    return next((value for value in reversed(list(values)) if value is not None), None)
