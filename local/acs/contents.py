"""The content of a document: a media file, filler, or bytes in memory."""

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Protocol

from local.acs.filler import Filler

Bytes = bytes | memoryview
PIECE_BYTES = 256 * 1024


class Content(Protocol):
    """The size of a document and its bytes at any offset."""

    @property
    def size(self) -> int:
        """Return the length in bytes."""

    async def read(self, offset: int, length: int) -> list[Bytes]:
        """Return the bytes from ``offset``, at most ``length``, in one or more pieces."""


class BytesContent:
    """Content in memory: metadata files and JSON answers."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def size(self) -> int:
        """Return the length in bytes."""
        return len(self._data)

    async def read(self, offset: int, length: int) -> list[Bytes]:
        """Return one slice."""
        return [memoryview(self._data)[offset : offset + length]]


class FileContent:
    """Content of a media file on disk, read piece by piece in a thread."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def size(self) -> int:
        """Return the length in bytes."""
        return self._path.stat().st_size

    async def read(self, offset: int, length: int) -> list[Bytes]:
        """Read one piece."""
        return [await asyncio.to_thread(_read_file, self._path, offset, length)]


class FillerContent:
    """Content of filler media, computed for each piece."""

    def __init__(self, filler: Filler) -> None:
        self._filler = filler

    @property
    def size(self) -> int:
        """Return the length in bytes."""
        return self._filler.size

    async def read(self, offset: int, length: int) -> list[Bytes]:
        """Return slices of the pattern; they aren't copied, so no thread is needed."""
        return self._filler.pieces(offset, length)


class ResizedContent:
    """Another content, cut or padded with zeros to a length: a document that has changed."""

    def __init__(self, inner: Content, size: int) -> None:
        self._inner = inner
        self._size = size

    @property
    def size(self) -> int:
        """Return the length in bytes."""
        return self._size

    async def read(self, offset: int, length: int) -> list[Bytes]:
        """Return bytes of the inner content, then zeros."""
        length = max(0, min(length, self._size - offset))
        pieces = await self._inner.read(offset, length) if offset < self._inner.size else []
        missing = length - sum(len(piece) for piece in pieces)
        return [*pieces, bytes(missing)] if missing else pieces


class Digest:
    """The SHA-256 of a content, computed in a thread at the first use and then kept."""

    def __init__(self, pieces: Callable[[], Iterator[Bytes]]) -> None:
        self._pieces = pieces
        self._task: asyncio.Task[str] | None = None

    async def value(self) -> str:
        """Return 64 lower-case hex digits, what ``sha256sum`` prints."""
        if self._task is None:
            self._task = asyncio.create_task(asyncio.to_thread(_hash, self._pieces))
        # Shielded: the first caller may be cancelled while others still wait.
        return await asyncio.shield(self._task)


def file_digest(path: Path) -> Digest:
    """Return the digest of a file."""
    return Digest(lambda: _file_pieces(path))


def filler_digest(filler: Filler) -> Digest:
    """Return the digest of filler."""
    return Digest(lambda: iter(filler.pieces(0, filler.size)))


def _hash(pieces: Callable[[], Iterator[Bytes]]) -> str:
    digest = hashlib.sha256()
    for piece in pieces():
        digest.update(piece)
    return digest.hexdigest()


def _file_pieces(path: Path) -> Iterator[Bytes]:
    with path.open("rb") as file:
        while piece := file.read(1024 * 1024):
            yield piece


def _read_file(path: Path, offset: int, length: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(length)
