"""The metadata on a chunk's blob in staging: what the chunk is, where it is from, and how it was proved."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict

from recording.formats.media import Kind
from recording.model.payload import OrNone


class ChunkFacts(BaseModel):
    """The metadata of a chunk's blob; a value that can't be read counts as missing.

    `crc64` is that of the whole file in 16 hex digits, as it was
    received from the source. `block_crcs` has those of its ranges, the first of which has `first_bytes`, each other
    one `block_bytes`, the last the rest. `blocks` is the number of requests that wrote them, `blocks_compared` how many
    of these were answered with the CRC64 that was counted. `version` identifies the source's version, and `attempt` is
    the one that committed it. `verdict` is the one on its structure (`model/verdict.py`), as far as it was seen.

    `flight` and `flight_again` are digests of what was sent, by an older version, which proved a chunk by reading it
    back, and added `sha256` and `proved_at` then. `problem` is of a version that was older still.
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
    version: str | None = None
    crc64: str | None = None
    block_crcs: str | None = None
    first_bytes: Annotated[int | None, OrNone] = None
    verdict: str | None = None
    attempt: str | None = None

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
