"""The proofs of a chunk: what its commit says of its bytes, and what reading its archive copy has found."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import batched
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from recording import crc64
from recording.formats.media import Kind
from recording.model.payload import OrNone, Seconds
from recording.model.record import Record, to_header
from recording.model.stored import StoredBlob
from recording.model.verdict import ChunkVerdict

# What metadata says of bytes, which is not true of damaged ones.
_DIGESTS = ("sha256", "crc64", "block_crcs", "flight", "flight_again", "proved_at", "blocks_compared", "verdict")


@dataclass(frozen=True)
class ByteRange:
    """A range of a file, in bytes, and its CRC64 if that is known."""

    offset: int
    length: int
    crc64: int | None = None


class ChunkFacts(BaseModel):
    """The metadata of a chunk's blob; a value that can't be read counts as missing.

    `crc64` is that of the whole file in 16 hex digits, as it was received from the source. `block_crcs` has those of
    its ranges, 8 bytes each, in base64: the first range has `first_bytes`, each other one `block_bytes`, the last the
    rest. `blocks` is the number of requests that wrote the file, `blocks_compared` how many of these were answered with
    the CRC64 that was counted. `version` identifies the source's version, and `attempt` is the one that committed it.
    `verdict` is the one on its structure (`model/verdict.py`), as far as it was seen. `damaged` is when it was found
    that storage holds other bytes than it had received, and ACS none: then nothing is proved of them any more.

    `flight` and `flight_again` are digests of what was sent, by an older version, which proved a chunk by reading it
    back, and added `sha256` and `proved_at` then; now `proved_at` is the time of the commit. `problem` is of a version
    that was older still.
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
    seconds: Seconds = None
    version: str | None = None
    crc64: str | None = None
    block_crcs: str | None = None
    first_bytes: Annotated[int | None, OrNone] = None
    verdict: str | None = None
    attempt: str | None = None
    damaged: Annotated[datetime | None, OrNone] = None

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

    def ranges(self, size: int) -> tuple[ByteRange, ...]:
        """Return the ranges of a file of `size` bytes, in order, with their CRC64s; none if they aren't known."""
        try:
            raw = base64.b64decode(self.block_crcs or "", validate=True)
            crcs = [crc64.from_bytes(bytes(one)) for one in batched(raw, crc64.BYTES, strict=False)]
        except (binascii.Error, ValueError):
            return ()
        found, offset = [], 0
        for number, crc in enumerate(crcs):
            usual = (self.block_bytes if number else self.first_bytes) or size
            length = size - offset if number == len(crcs) - 1 else usual
            found.append(ByteRange(offset, length, crc))
            offset += length
        fits = bool(found) and offset == size and all(one.length > 0 for one in found)
        joined = crc64.to_hex(crc64.join((one.crc64 or 0, one.length) for one in found)) if fits else None
        return tuple(found) if joined == self.crc64 else ()

    def is_written_by_ingest(self, size: int) -> bool:
        """Return whether a blob of this size was committed by ingest, which commits only complete content."""
        return self.source_bytes == size and self.flight is not None


def damaged_metadata(metadata: Mapping[str, str], at: datetime) -> dict[str, str]:
    """Return the metadata of a blob whose bytes are not those that were proved: without their digests."""
    left = {name: value for name, value in metadata.items() if name not in _DIGESTS}
    return left | ChunkFacts(damaged=at).to_metadata()


class CopyProof(Record):
    """What one pass over all bytes of an archive copy has found, which equals what its source has.

    `content` is the chunk's name in staging; `blob` and `etag` are those of the copy, `bytes`, `crc64` and `sha256`
    are of all its bytes. `verdict` and `seconds` are what their structure says.
    """

    content: str
    blob: str
    etag: str
    bytes: int
    crc64: str
    sha256: str
    kind: Kind | None = None
    seconds: Seconds = None
    verdict: ChunkVerdict
    proved_at: datetime

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> Self | None:
        """Read the fact as a listing has it; None if it can't be read: then the copy is read again."""
        try:
            return cls.model_validate_json(metadata.get("proof", ""))
        except ValidationError:
            return None

    def to_metadata(self) -> dict[str, str]:
        """Return the fact as metadata of its blob, so that a listing has it."""
        return {"proof": to_header(self.model_dump(mode="json", by_alias=True))}

    def is_of(self, content: StoredBlob) -> bool:
        """Return whether the copy has the bytes that were proved of a chunk's content in staging."""
        return content.name == self.content and has_bytes(
            content, size=self.bytes, crc64=self.crc64, sha256=self.sha256
        )


def has_bytes(content: StoredBlob, *, size: int, crc64: str, sha256: str) -> bool:
    """Return whether bytes of this length and these digests are those that were proved of a chunk's content."""
    is_proved = content.digest is not None and content.crc64 in (None, crc64) and content.sha256 in (None, sha256)
    return is_proved and content.size == size
