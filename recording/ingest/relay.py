"""SHA-256 of bytes in transit, and of what was stored of them."""

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping

from recording.errors import ChunkError, NotProved
from recording.formats.media import Inspection
from recording.ingest.blocks import DIGEST, Block
from recording.storage.hashing import Sha256


class Relay:
    """Passes a block's bytes on, hashes them in transit, and remembers why they stopped.

    `inspection` is for a block that is the whole file: it judges the file's structure in transit. `count` is called
    with the length of each piece.
    """

    def __init__(
        self,
        source: AsyncIterator[bytes],
        inspection: Inspection | None = None,
        *,
        count: Callable[[int], None] = lambda length: None,
    ) -> None:
        self._source = source
        self._count = count
        self._inspection = inspection
        self.digest = Sha256()
        self.failure: ChunkError | None = None

    async def body(self) -> AsyncIterator[bytes]:
        """Yield the bytes, once."""
        try:
            async for piece in self._source:
                self._count(len(piece))
                await self.digest.update(piece)
                if self._inspection:
                    self._inspection.feed(piece)
                yield piece
        except ChunkError as failed:
            self.failure = failed
            raise


class BlockHashes:
    """The SHA-256 of each block of a plan, of bytes that come in any pieces."""

    def __init__(self, plan: tuple[Block, ...]) -> None:
        self._ahead = iter(plan)
        self._block = next(self._ahead)
        self._digest, self._left = Sha256(), self._block.length
        self._digests: dict[int, str] = {}

    async def feed(self, piece: bytes) -> None:
        """Hash the next bytes. Raises NotProved for more than the plan has."""
        while piece:
            if not self._left:
                following = next(self._ahead, None)
                if following is None:
                    raise NotProved("the committed chunk is longer than what was fetched")
                self._block, self._digest, self._left = following, Sha256(), following.length
            mine, piece = piece[: self._left], piece[self._left :]
            self._left -= len(mine)
            await self._digest.update(mine)
            if not self._left:
                self._digests[self._block.index] = await self._digest.finish()

    def finish(self) -> dict[int, str]:
        """Return the digests by block index. Raises NotProved if bytes are missing."""
        if self._left or next(self._ahead, None) is not None:
            raise NotProved("the committed chunk is shorter than what was fetched")
        return self._digests


async def hash_blocks(
    pieces: AsyncIterator[bytes],
    plan: tuple[Block, ...],
    *,
    whole: Sha256,
    inspection: Inspection,
    again: BlockHashes | None = None,
) -> dict[int, str]:
    """Hash a chunk that is read back; return the SHA-256 of each block. The others get all bytes too.

    Raises NotProved if the pieces have more or fewer bytes than the plan.
    """
    hashes = BlockHashes(plan)
    async for piece in pieces:
        await whole.update(piece)
        inspection.feed(piece)
        await hashes.feed(piece)
        if again is not None:
            await again.feed(piece)
    return hashes.finish()


def combine(digests: Mapping[int, str]) -> str:
    """Combine the digests of all blocks into one, by block index; of each only the digits of a receipt count."""
    return hashlib.sha256("\n".join(f"{i}:{digests[i][:DIGEST]}" for i in sorted(digests)).encode()).hexdigest()
