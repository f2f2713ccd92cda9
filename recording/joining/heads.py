"""Read what the plan of a joined file needs of its chunks: their heads, of exactly one version of each archive copy."""

from dataclasses import dataclass

from recording import crc64
from recording.join.parts import Range
from recording.model.manifest import ManifestChunk, ManifestFile
from recording.model.proof import ByteRange, ChunkFacts
from recording.model.stored import StoredBlob
from recording.storage.blobs import Blobs, CopyFailed

# Of all heads together; what has no room is read again.
_REMEMBERED_BYTES = 8 * 1024 * 1024
_READ_BYTES = 2 * 1024 * 1024


@dataclass(frozen=True)
class Source:
    """A chunk as it lies in the archive; its `ranges` have their recorded CRC64s, or there are none."""

    content: ManifestFile
    blob: StoredBlob
    ranges: tuple[ByteRange, ...]


class Heads:
    """The chunks of one recording, by their places in its manifest."""

    def __init__(self, blobs: Blobs, entries: list[ManifestChunk]) -> None:
        self._blobs = blobs
        self._entries = entries
        self._sources: dict[int, Source] = {}
        self._read: dict[int, list[tuple[int, bytes]]] = {}
        self._room = _REMEMBERED_BYTES

    async def source(self, place: int) -> Source:
        """Find the archive copy of a chunk; raises CopyFailed if it isn't the one of the manifest."""
        if place not in self._sources:
            entry = self._entries[place]
            content = entry.content
            found = await self._blobs.stat("archive", content.blob) if content else None
            if content is None or found is None or found.size != content.bytes:
                raise CopyFailed(f"the archive does not have the file that the manifest lists for chunk {entry.index}")
            # The metadata that ingest has written was copied with the chunk.
            facts = ChunkFacts.from_metadata(found.metadata)
            ranges = facts.ranges(found.size) if content.crc64 and facts.crc64 == content.crc64 else ()
            if content.crc64 and not ranges:
                # Somebody has replaced the copy, or its metadata: the manifest says the CRC64 of all its bytes.
                ranges = (ByteRange(0, found.size, int(content.crc64, 16)),)
            self._sources[place] = Source(content, found, ranges)
        return self._sources[place]

    async def read(self, wanted: Range) -> bytes:
        """Read a range of a chunk, and remember it; raises azure-core's errors, also if the chunk has changed."""
        if (known := self._known(wanted)) is not None:
            return known
        found = await self.source(wanted.chunk)
        data = await self._blobs.read_part("archive", found.blob, wanted.begin, wanted.size)
        if len(data) <= self._room:
            self._room -= len(data)
            self._read.setdefault(wanted.chunk, []).append((wanted.begin, data))
        return data

    async def crc64(self, wanted: Range) -> int:
        """Return the CRC64 of a range; what was read before isn't read again."""
        crc, begin = 0, wanted.begin
        while begin < wanted.end:
            piece = self._from(wanted.chunk, begin, wanted.end)
            if piece is None:
                later = [at for at, _ in self._read.get(wanted.chunk, ()) if begin < at < wanted.end]
                stop = min([wanted.end, begin + _READ_BYTES, *later])
                found = await self.source(wanted.chunk)
                piece = await self._blobs.read_part("archive", found.blob, begin, stop - begin)
            crc = crc64.crc64(piece, crc)
            begin += len(piece)
        return crc

    def _known(self, wanted: Range) -> bytes | None:
        piece = self._from(wanted.chunk, wanted.begin, wanted.end)
        return piece if piece is not None and len(piece) == wanted.size else None

    def _from(self, place: int, begin: int, end: int) -> bytes | None:
        """Return remembered bytes that begin there, as many as there are; None if there are none."""
        for at, data in self._read.get(place, ()):
            if at <= begin < at + len(data):
                return data[begin - at : end - at]
        return None
