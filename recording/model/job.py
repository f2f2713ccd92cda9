"""A chunk job: the message on the queue `recording-chunks`.

The payload is nested, since the Functions host overwrites the message's own metadata with top-level
members of a JSON message (docs/functions-host.md#queue).
"""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field

from recording.model import layout
from recording.model.events import AnnouncedChunk
from recording.model.record import Record

QUEUE = "recording-chunks"


def _key(text: str) -> str:
    if not layout.is_recording_key(text):
        raise ValueError("not a recording key")
    return text


def _document(text: str) -> str:
    if not layout.is_document_id(text):
        raise ValueError("not a document id")
    return text


# A queue message holds 64 KiB (docs/functions-host.md#queue).
# What is asked of a re-check: whether there is another version, or all bytes once more.
Recheck = Literal["probe", "read"]
Location = Annotated[str, Field(min_length=1, max_length=8192)]


class ChunkJob(Record):
    """One announced chunk that is to be ingested; `announced_at` is the event's time.

    The locations are those of the file event, unchanged (docs/acs-contract.md#file-event); the events of
    April 2021 have none (docs/acs-contract.md#2021-file-event). `content` checks their hosts before it sends a request.
    With `recheck` the chunk is safe and only re-checked; `version` is that of another version that a re-check brings.
    """

    recording_key: Annotated[str, AfterValidator(_key)]
    document_id: Annotated[str, AfterValidator(_document)]
    index: int = Field(ge=0, le=layout.LARGEST_INDEX)
    announced_at: datetime
    content_location: Location | None = None
    metadata_location: Location | None = None
    recheck: Recheck | None = None
    version: str | None = None

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
        """Return the job for a chunk that a file event of `announced_at` announces."""
        return cls(
            recording_key=key,
            document_id=chunk.document_id,
            index=chunk.index,
            announced_at=announced_at,
            content_location=chunk.content_location,
            metadata_location=chunk.metadata_location,
        )

    @classmethod
    def from_message(cls, message: str) -> "ChunkJob":
        """Parse a queue message; raises pydantic's ValidationError if it isn't a chunk job."""
        return _Message.model_validate_json(message).chunk

    def to_message(self) -> str:
        """Return the job as the text of a queue message: `{"chunk": {"recordingKey": …}}`."""
        return _Message(chunk=self).model_dump_json(by_alias=True, exclude_none=True)


class _Message(Record):
    chunk: ChunkJob
