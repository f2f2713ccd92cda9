"""SHA-256 of bytes that are read: of archive copies, joined files and re-checks."""

import asyncio
import hashlib

# Small pieces are collected before they go to the hashing thread: the switch costs more than the hash.
_HASH_BYTES = 1024 * 1024


class Sha256:
    """SHA-256 computed in a thread, so that the event loop does not wait for it (docs/measurements.md#streaming)."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._pieces: list[bytes] = []
        self._collected = 0
        self._running: asyncio.Future[None] | None = None

    async def update(self, piece: bytes) -> None:
        """Add bytes; waits only while the bytes before them are still being hashed."""
        self._pieces.append(piece)
        self._collected += len(piece)
        if self._collected >= _HASH_BYTES:
            await self._flush()

    async def finish(self) -> str:
        """Return the digest in hex."""
        await self._flush()
        if self._running:
            await self._running
        return self._hash.hexdigest()

    async def _flush(self) -> None:
        if self._running:
            await self._running
        pieces, self._pieces, self._collected = self._pieces, [], 0
        self._running = asyncio.ensure_future(asyncio.to_thread(self._add, pieces))

    def _add(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            self._hash.update(piece)
