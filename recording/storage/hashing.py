"""SHA-256 of bytes that pass by."""

import asyncio
import hashlib

# Small pieces are gathered before they go to the hashing thread: the hand-over costs more than the hash.
_HASH_BYTES = 1024 * 1024


class Sha256:
    """SHA-256 taken in a thread, so that the event loop does not wait for it (docs/measurements.md#streaming)."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._pieces: list[bytes] = []
        self._gathered = 0
        self._running: asyncio.Future[None] | None = None

    async def update(self, piece: bytes) -> None:
        """Take more bytes; waits only while the bytes before them are still being hashed."""
        self._pieces.append(piece)
        self._gathered += len(piece)
        if self._gathered >= _HASH_BYTES:
            await self._flush()

    async def finish(self) -> str:
        """Say the digest in hex."""
        await self._flush()
        if self._running:
            await self._running
        return self._hash.hexdigest()

    async def _flush(self) -> None:
        if self._running:
            await self._running
        pieces, self._pieces, self._gathered = self._pieces, [], 0
        self._running = asyncio.ensure_future(asyncio.to_thread(self._add, pieces))

    def _add(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            self._hash.update(piece)
