"""Prove a joined file by one read: each chunk's bytes in it have, with the rest of the chunk, the recorded SHA-256."""

from collections.abc import Callable
from dataclasses import dataclass

from recording import crc64
from recording.joining.fact import JoinedChunk, JoinedFile, JoinedPart, JoinedPiece
from recording.model.manifest import Manifest
from recording.model.record import Body
from recording.model.stored import StoredBlob
from recording.storage.blobs import Blobs
from recording.storage.hashing import Sha256
from recording.telemetry import log

_PREFETCH = 4
_READ_BYTES = 2 * 1024 * 1024

# Is told how many bytes more were read of the joined file.
type Read = Callable[[int], None]


class PartVerification(Body):
    """What was found of one file: `chunks` are the indexes whose recorded digest was proved."""

    part: int
    file_name: str
    bytes: int
    problems: list[str]
    chunks: list[int]


class JoinedVerification(Body):
    """Whether the bytes of a joined file are those of the archive."""

    recording_key: str
    ok: bool
    revision: int
    parts: list[PartVerification]


@dataclass
class _Chunk:
    """A chunk whose longest range is being read."""

    chunk: JoinedChunk
    begin: int
    end: int
    sha256: Sha256


async def verify(blobs: Blobs, manifest: Manifest, made: JoinedFile, *, read: Read | None = None) -> JoinedVerification:
    """Read each file once, and of its chunks what isn't in it; raises azure-core's errors."""
    parts = [await _verify_part(blobs, manifest, part, read) for part in made.parts]
    ok = not any(part.problems for part in parts)
    problems = {part.part: part.problems for part in parts if part.problems}
    (log.info if ok else log.error)("joined.verified", recordingKey=made.recording_key, ok=ok, problems=problems)
    return JoinedVerification(recording_key=made.recording_key, ok=ok, revision=made.revision, parts=parts)


async def _verify_part(blobs: Blobs, manifest: Manifest, part: JoinedPart, read: Read | None) -> PartVerification:
    result = PartVerification(part=part.part, file_name=part.file_name, bytes=part.bytes, problems=[], chunks=[])
    recorded = {entry.content.blob: entry.content for entry in manifest.chunks if entry.content}
    for chunk in part.chunks:
        content = recorded.get(chunk.blob)
        if content is None or (content.bytes, content.sha256) != (chunk.bytes, chunk.sha256):
            result.problems.append(f"chunk {chunk.index}: the manifest lists other bytes than were joined")
    found = await blobs.stat(part.where, part.blob)
    if found is None or found.size != part.bytes:
        result.problems.append(f"has {found.size if found else 'no'} bytes, {part.bytes} were joined")
        return result
    pieces = part.pieces or _whole(part)
    if sum(piece.bytes for piece in pieces) != part.bytes:
        result.problems.append("what is kept beside it lists other bytes than the file has")
        return result
    reader = _Reader(blobs, part, found, pieces, read)
    await reader.run(result)
    named = {chunk.index for chunk in part.chunks if chunk.sha256 and chunk.place not in reader.read_chunks}
    result.problems.extend(f"chunk {index}: none of its bytes is in the file" for index in sorted(named))
    return result


def _whole(part: JoinedPart) -> tuple[JoinedPiece, ...]:
    """Return the piece of a file that is a chunk itself."""
    [chunk] = part.chunks
    return (JoinedPiece(bytes=part.bytes, crc64=part.crc64 or "", compared=False, place=chunk.place, begin=0),)


class _Reader:
    """Reads one file in order, and gives each of its bytes to its piece."""

    def __init__(
        self, blobs: Blobs, part: JoinedPart, found: StoredBlob, pieces: tuple[JoinedPiece, ...], read: Read | None
    ) -> None:
        self._blobs = blobs
        self._part = part
        self._found = found
        self._pieces = pieces
        self._read = read
        # Of each chunk the longest range is the one with its media.
        longest: dict[int, JoinedPiece] = {}
        for piece in pieces:
            if piece.place is not None and piece.bytes > getattr(longest.get(piece.place), "bytes", -1):
                longest[piece.place] = piece
        self._media = {id(piece) for piece in longest.values()}
        self._chunks = {chunk.place: chunk for chunk in part.chunks}
        self.read_chunks = frozenset(longest)

    async def run(self, result: PartVerification) -> None:
        """Read the file, and add what is wrong and which chunks are proved to the result."""
        stream = self._blobs.read_ranges(self._part.where, self._found, prefetch=_PREFETCH)
        rest = b""
        for piece in self._pieces:
            left, crc, chunk = piece.bytes, 0, await self._begin(piece)
            while left:
                if not rest:
                    rest = await anext(stream)
                    if self._read:
                        self._read(len(rest))
                data, rest = rest[:left], rest[left:]
                left -= len(data)
                crc = crc64.crc64(data, crc)
                if chunk:
                    await chunk.sha256.update(data)
            if piece.crc64 not in ("", crc64.to_hex(crc)):
                what = "new bytes" if piece.place is None else f"chunk {self._index(piece.place)}"
                result.problems.append(f"{what}: other bytes than were joined")
            if chunk:
                await self._end(chunk, result)

    def _index(self, place: int) -> int:
        return self._chunks[place].index if place in self._chunks else place

    async def _begin(self, piece: JoinedPiece) -> _Chunk | None:
        """Begin the digest of a chunk with what stands before its range; None for a piece without one."""
        chunk = self._chunks.get(piece.place) if piece.place is not None else None
        if chunk is None or piece.begin is None or id(piece) not in self._media or chunk.sha256 is None:
            return None
        begun = _Chunk(chunk, piece.begin, piece.begin + piece.bytes, Sha256())
        await self._add(begun, 0, begun.begin)
        return begun

    async def _end(self, begun: _Chunk, result: PartVerification) -> None:
        await self._add(begun, begun.end, begun.chunk.bytes)
        digest = await begun.sha256.finish()
        if digest == begun.chunk.sha256:
            result.chunks.append(begun.chunk.index)
        else:
            wrong = f"has SHA-256 {digest}, the manifest says {begun.chunk.sha256}"
            result.problems.append(f"chunk {begun.chunk.index}: {wrong}")

    async def _add(self, begun: _Chunk, begin: int, end: int) -> None:
        """Add bytes of the archive copy that are not in the file."""
        copy = StoredBlob(begun.chunk.blob, begun.chunk.bytes, begun.chunk.etag)
        for offset in range(begin, end, _READ_BYTES):
            data = await self._blobs.read_part("archive", copy, offset, min(_READ_BYTES, end - offset))
            await begun.sha256.update(data)
