"""The metadata on a chunk's blob in staging: what the chunk is, where it is from, and how it was proved."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict

from recording.formats.media import Kind
from recording.model.payload import OrNone


class ChunkFacts(BaseModel):
    """The metadata of a chunk's blob; a value that can't be read counts as missing.

            Seven are committed with the chunk, the others added by its proof. `flight` is the digest in transit: a
        digest of the digests of all blocks, computed while they were copied. `flight_again` is that of a second
    reading, where the source has no validator. `seconds` is the duration by the structure.
        Only an older version wrote `problem`, why the file is incomplete; now that is a fact (`model/verdict.py`).
    """

    model_config = ConfigDict(frozen=True)

    kind: Annotated[Kind | None, OrNone] = None
    problem: str | None = None
    source_etag: str | None = None
    source_bytes: Annotated[int | None, OrNone] = None
    blocks: Annotated[int | None, OrNone] = None
    block_bytes: Annotated[int | None, OrNone] = None
    flight: str | None = None
    flight_again: str | None = None
    sha256: str | None = None
    proved_at: Annotated[datetime | None, OrNone] = None
    blocks_compared: Annotated[int | None, OrNone] = None
    seconds: Annotated[float | None, OrNone] = None

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> Self:
        """Parse the metadata of a blob, whoever wrote it."""
        return cls.model_validate(dict(metadata))

    def to_metadata(self) -> dict[str, str]:
        """Return what is known as metadata; empty values are omitted, since a header without a value may get lost."""
        return {
            name: value.isoformat(timespec="seconds") if isinstance(value, datetime) else str(value)
            for name, value in self
            if value not in (None, "")
        }

    def is_written_by_ingest(self, size: int) -> bool:
        """Return whether a blob of this size was committed by ingest, which commits only complete content."""
        return self.source_bytes == size and self.flight is not None

    def is_same_version(self, other: Self) -> bool:
        """Return whether both are of the same version of the document."""
        return (self.source_etag, self.source_bytes) == (other.source_etag, other.source_bytes)
