"""The jobs: ingest a chunk, queue those of a recording with many (a fan-out), archive, join, erase, export or hold.

A chunk job is a message on the queue `recording-chunks`, or on `recording-bulk` if a fan-out has queued it. The payload
of each is nested, since the Functions host overwrites the message's own metadata with top-level members of a JSON
message (docs/functions-host.md#queue).
"""

import hashlib
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field

from recording.model import layout
from recording.model.events import AnnouncedChunk
from recording.model.record import Record

QUEUE = "recording-chunks"
# A queue of their own, so that no other recording waits behind the thousands of chunks of one.
BULK_QUEUE = "recording-bulk"
# Recordings that are due.
ARCHIVE_QUEUE = "recording-archive"
# Recordings that are to be erased.
ERASURE_QUEUE = "recording-erasures"
# Joined files that somebody has asked for.
JOIN_QUEUE = "recording-join"
# Exports of what there is about a person.
EXPORT_QUEUE = "recording-export"
# Holds on what a search finds.
HOLDS_QUEUE = "recording-holds"
# The chunks of an event, or of a recording that are queued again, are queued one by one up to this number. Above it a
# fan-out queues them: the host adds the messages of an output one after the other (docs/functions-host.md#queue).
MOST_DIRECT = 32


def _key(text: str) -> str:
    if not layout.is_recording_key(text):
        raise ValueError("not a recording key")
    return text


def _document(text: str) -> str:
    if not layout.is_document_id(text):
        raise ValueError("not a document id")
    return text


def _source(text: str) -> str:
    if not layout.is_source_id(text):
        raise ValueError("not an id of a document at ACS")
    return text


# What a re-check does: it looks for another version, or also reads all bytes again.
Recheck = Literal["probe", "read"]
# A queue message holds 64 KiB (docs/functions-host.md#queue).
Location = Annotated[str, Field(min_length=1, max_length=8192)]


class ChunkJob(Record):
    """One announced chunk that is to be ingested; `announced_at` is the earliest plausible time of its event.

    `source_id` is its id at ACS, if `document_id` was derived from it (`AnnouncedChunk`).
    The locations are those of the file event, unchanged (docs/acs-contract.md#file-event); the events of
    April 2021 have none (docs/acs-contract.md#2021-file-event). `content` checks their hosts before it sends a request.
    With `recheck` the chunk is safe and only re-checked; `version` is that of another version that a re-check brings.
    `is_again` says that there was a job for the chunk before, which may have brought it or be at work.
    """

    recording_key: Annotated[str, AfterValidator(_key)]
    document_id: Annotated[str, AfterValidator(_document)]
    index: int = Field(ge=0, le=layout.LARGEST_INDEX)
    announced_at: datetime
    content_location: Location | None = None
    metadata_location: Location | None = None
    source_id: Annotated[str, AfterValidator(_source)] | None = None
    recheck: Recheck | None = None
    version: str | None = None
    is_again: Literal[True] | None = None

    @property
    def content_blob(self) -> str:
        """Return the chunk's name in staging."""
        return layout.chunk_blob(self.recording_key, self.index, self.document_id, self.version)

    @property
    def metadata_blob(self) -> str:
        """Return the name of its metadata file in staging."""
        return layout.metadata_blob(self.recording_key, self.index, self.document_id)

    @property
    def attempts_blob(self) -> str:
        """Return the name of its attempts record."""
        return layout.attempts_blob(self.recording_key, self.document_id)

    @classmethod
    def of(cls, key: str, chunk: AnnouncedChunk, announced_at: datetime) -> Self:
        """Return the job for a chunk that was announced at a time."""
        return cls(
            recording_key=key,
            document_id=chunk.document_id,
            index=chunk.index,
            announced_at=announced_at,
            content_location=chunk.content_location,
            metadata_location=chunk.metadata_location,
            source_id=chunk.source_id,
        )

    def again(self) -> Self:
        """Return the job for a chunk for which there was one before."""
        return self.model_copy(update={"is_again": True})

    @classmethod
    def from_message(cls, message: str) -> "ChunkJob":
        """Parse a queue message; raises pydantic's ValidationError if it isn't a chunk job."""
        return _Message.model_validate_json(message).chunk

    def to_message(self) -> str:
        """Return the job as the text of a queue message: `{"chunk": {"recordingKey": …}}`."""
        return _Message(chunk=self).model_dump_json(by_alias=True, exclude_none=True)


class FanOut(Record):
    """The missing chunks of a recording are to be queued, in batches: those behind `after`, in the order of chunks.

    Either those that the event in the blob `event` announces, or those whose next try was due at `due`. `is_again` says
    that there were jobs for them before.
    """

    recording_key: Annotated[str, AfterValidator(_key)]
    event: str | None = None
    due: datetime | None = None
    after: tuple[int, str] | None = None
    is_again: Literal[True] | None = None

    @property
    def digest(self) -> str:
        """Return what its chunks are known by: the same for each copy of an event, in hex."""
        return hashlib.sha256(self.model_dump_json(exclude={"is_again"}).encode()).hexdigest()[:8]

    def to_message(self) -> str:
        """Return the fan-out as the text of a queue message: `{"fanOut": {"recordingKey": …}}`."""
        return _BulkMessage(fan_out=self).model_dump_json(by_alias=True, exclude_none=True)


class ArchiveJob(Record):
    """A recording is to be archived, if it is due."""

    recording_key: Annotated[str, AfterValidator(_key)]

    @classmethod
    def from_message(cls, message: str) -> "ArchiveJob":
        """Parse a queue message; raises pydantic's ValidationError if it names no recording."""
        return _ArchiveMessage.model_validate_json(message).archive

    def to_message(self) -> str:
        """Return the job as the text of a queue message: `{"archive": {"recordingKey": …}}`."""
        return _ArchiveMessage(archive=self).model_dump_json(by_alias=True)


def _export(text: str) -> str:
    if not layout.is_export_id(text):
        raise ValueError("not the id of an export")
    return text


class ExportJob(Record):
    """An export of what there is about a person is to be made; it names nobody."""

    export_id: Annotated[str, AfterValidator(_export)]

    @classmethod
    def from_message(cls, message: str) -> "ExportJob":
        """Parse a queue message; raises pydantic's ValidationError if it names no export."""
        return _ExportMessage.model_validate_json(message).export

    def to_message(self) -> str:
        """Return the job as the text of a queue message: `{"export": {"exportId": …}}`."""
        return _ExportMessage(export=self).model_dump_json(by_alias=True)


class JoinJob(Record):
    """The chunks of a recording are to be joined into one playable file."""

    recording_key: Annotated[str, AfterValidator(_key)]

    @classmethod
    def from_message(cls, message: str) -> "JoinJob":
        """Parse a queue message; raises pydantic's ValidationError if it names no recording."""
        return _JoinMessage.model_validate_json(message).join

    def to_message(self) -> str:
        """Return the job as the text of a queue message: `{"join": {"recordingKey": …}}`."""
        return _JoinMessage(join=self).model_dump_json(by_alias=True)


class ErasureJob(Record):
    """A recording is to be erased, if that is due."""

    recording_key: Annotated[str, AfterValidator(_key)]

    @classmethod
    def from_message(cls, message: str) -> "ErasureJob":
        """Parse a queue message; raises pydantic's ValidationError if it names no recording."""
        return _ErasureMessage.model_validate_json(message).erasure

    def to_message(self) -> str:
        """Return the job as the text of a queue message: `{"erasure": {"recordingKey": …}}`."""
        return _ErasureMessage(erasure=self).model_dump_json(by_alias=True)


class HoldsJob(Record):
    """The recordings that a search finds are to be held."""

    hold_id: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]

    @classmethod
    def from_message(cls, message: str) -> "HoldsJob":
        """Parse a queue message; raises pydantic's ValidationError if it names no search."""
        return _HoldsMessage.model_validate_json(message).holds

    def to_message(self) -> str:
        """Return the job as the text of a queue message: `{"holds": {"holdId": …}}`."""
        return _HoldsMessage(holds=self).model_dump_json(by_alias=True)


class _Message(Record):
    chunk: ChunkJob


class _HoldsMessage(Record):
    holds: HoldsJob


class _ArchiveMessage(Record):
    archive: ArchiveJob


class _ExportMessage(Record):
    export: ExportJob


class _JoinMessage(Record):
    join: JoinJob


class _ErasureMessage(Record):
    erasure: ErasureJob


class _BulkMessage(Record):
    chunk: ChunkJob | None = None
    fan_out: FanOut | None = None


def from_bulk_message(message: str) -> ChunkJob | FanOut:
    """Parse a message of the queue `recording-bulk`; raises ValueError (pydantic's, too) if it has no job."""
    read = _BulkMessage.model_validate_json(message)
    found = read.chunk or read.fan_out
    if found is None:
        raise ValueError("neither a chunk job nor a fan-out")
    return found
