"""Pure: what is kept beside a joined file, as JSON."""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from recording.formats.verdict import Kind
from recording.join.parts import Bytes, Missing, Part, Piece, Place, Range, Silence
from recording.join.refusals import Reason, Refused
from recording.join.sources import Recording
from recording.model import layout
from recording.model.manifest import Manifest, ManifestFile
from recording.model.record import Record

# Raise it when `recording.join` makes other files from the same chunks: then they are made again.
VERSION = 1


class JoinedChunk(Record):
    """A chunk in a joined file; the file plays at `begins_at` + x what the chunk plays at second x.

    `place` is its place in the list of chunks of the manifest. `blob`, `bytes`, `sha256` and `crc64` are those of its
    archive copy, `etag` is the version that was copied.
    """

    index: int
    place: int
    begins_at: float
    seconds: float
    blob: str
    bytes: int
    sha256: str | None
    crc64: str | None
    etag: str

    @classmethod
    def of(cls, place: Place, content: ManifestFile, etag: str) -> "JoinedChunk":
        """Return where a chunk is in a file, and which bytes it has."""
        return cls(
            index=place.index,
            place=place.chunk,
            begins_at=place.begins_at,
            seconds=place.seconds,
            blob=content.blob,
            bytes=content.bytes,
            sha256=content.sha256,
            crc64=content.crc64,
            etag=etag,
        )


class JoinedPiece(Record):
    """Bytes of a joined file, in its order: a range of the chunk at `place` from `begin`, or new ones.

    `crc64` is that which storage computed of them, in hex; the service has compared it with that of the archive, or of
    the bytes that were sent, if `compared`.
    """

    bytes: int
    crc64: str
    compared: bool
    place: int | None = None
    begin: int | None = None


class JoinedChapter(Record):
    """A place in a joined file that has a title; `at` is in seconds from its beginning."""

    at: float
    title: str


class JoinedMissing(Record):
    """A chunk that is not in the file, or (`notProved`) in it though nothing proves its bytes."""

    index: int
    state: Literal["lost", "waiting", "damaged", "notProved"]
    why: str

    @classmethod
    def of(cls, missing: Missing) -> "JoinedMissing":
        """Return what the plan says."""
        return cls(index=missing.index, state=missing.state, why=missing.why)


class JoinedPart(Record):
    """One file: part `part` of `of`. It is a blob of the container `where`: of the archive if it is a chunk itself.

    `etag` is that of the blob, `crc64` of all its bytes. `because` says why it doesn't continue the part before.
    """

    part: int
    of: int
    kind: Kind
    where: Literal["archive", "derived"]
    blob: str
    etag: str
    bytes: int
    crc64: str | None
    content_type: str
    file_name: str
    seconds: float | None
    chunks: tuple[JoinedChunk, ...]
    chapters: tuple[JoinedChapter, ...]
    missing: tuple[JoinedMissing, ...]
    because: str | None = None
    remarks: tuple[str, ...] = ()
    pieces: tuple[JoinedPiece, ...] = ()

    @classmethod
    def planned(
        cls,
        part: Part,
        chunks: Sequence[JoinedChunk],
        *,
        where: Literal["archive", "derived"],
        blob: str,
        etag: str,
        crc64: str | None,
        pieces: Sequence[JoinedPiece] = (),
    ) -> "JoinedPart":
        """Return what the plan says of a file, and where it is."""
        return cls(
            part=part.part,
            of=part.of,
            kind=part.kind,
            where=where,
            blob=blob,
            etag=etag,
            bytes=part.size,
            crc64=crc64,
            content_type=part.content_type,
            file_name=part.file_name,
            seconds=part.seconds,
            chunks=tuple(chunks),
            chapters=tuple(JoinedChapter(at=one.at, title=one.title) for one in part.chapters),
            missing=tuple(JoinedMissing.of(one) for one in part.missing),
            because=part.because.message if part.because else None,
            remarks=part.remarks,
            pieces=tuple(pieces),
        )


class JoinedFile(Record):
    """`file.json`: the joined file of a recording, as made from one revision of its manifest. It is written last."""

    version: Literal[1] = 1
    recording_key: str
    revision: int
    plan: str
    made_at: datetime
    parts: tuple[JoinedPart, ...]


class BeingMade(Record):
    """A file that is being made, and how many bytes it is going to have."""

    blob: str
    bytes: int


class Making(Record):
    """`making-{plan}.json`: the files that are being made."""

    parts: tuple[BeingMade, ...]


class Reported(Record):
    """Why a chunk is not joined; `chunk` is its index, None if it is about all of them."""

    reason: Reason
    chunk: int | None
    message: str


class NotJoined(Record):
    """`refused.json`: why there is no joined file of this revision."""

    refusals: tuple[Reported, ...]

    @classmethod
    def of(cls, refused: Refused) -> "NotJoined":
        """Return what the plan says."""
        return cls(
            refusals=tuple(Reported(reason=r.reason, chunk=r.chunk, message=r.message) for r in refused.refusals)
        )


def folder(manifest: Manifest) -> str:
    """Name the folder of the joined file of a manifest: of another revision, or made otherwise, it is another one."""
    chunks = [
        (entry.index, entry.outcome, entry.verdict, *((file.blob, file.bytes, file.sha256, file.crc64) if file else ()))
        for entry in manifest.chunks
        for file in [entry.content]
    ]
    made_from = json.dumps([VERSION, manifest.revision, chunks], separators=(",", ":"))
    digest = hashlib.sha256(made_from.encode()).hexdigest()[:16]
    return layout.joined_folder(manifest.recording_key, manifest.revision, digest)


def plan_digest(recording: Recording, parts: Sequence[Part]) -> str:
    """Return 16 hex digits that differ if any byte of the files does: blocks of two plans never meet in one file."""
    hashed = hashlib.sha256(f"{recording.key} {recording.revision}".encode())
    for part in parts:
        hashed.update(f"\n{part.kind} {part.size}".encode())
        for piece in part.pieces:
            hashed.update(_described(piece))
    return hashed.hexdigest()[:16]


def _described(piece: Piece) -> bytes:
    match piece:
        case Range(chunk, begin, end):
            return f"\nrange {chunk} {begin} {end}".encode()
        case Bytes(content):
            return b"\nbytes " + hashlib.sha256(content).digest()
        case Silence(packet, count):
            return b"\nsilence %d " % count + packet
