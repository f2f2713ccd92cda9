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


async def hash_blocks(
    pieces: AsyncIterator[bytes], plan: tuple[Block, ...], *, whole: Sha256, inspection: Inspection
) -> dict[int, str]:
    """Hash a chunk that is read back; return the SHA-256 of each block. `whole` and `inspection` get all bytes.

    Raises NotProved if the pieces have more or fewer bytes than the plan.
    """
    digests: dict[int, str] = {}
    ahead = iter(plan)
    block = next(ahead)
    digest, left = Sha256(), block.length
    async for received in pieces:
        piece = received
        await whole.update(piece)
        inspection.feed(piece)
        while piece:
            if not left:
                following = next(ahead, None)
                if following is None:
                    raise NotProved("the committed chunk is longer than what was fetched")
                block, digest, left = following, Sha256(), following.length
            mine, piece = piece[:left], piece[left:]
            left -= len(mine)
            await digest.update(mine)
            if not left:
                digests[block.index] = await digest.finish()
    if left or next(ahead, None) is not None:
        raise NotProved("the committed chunk is shorter than what was fetched")
    return digests


def combine(digests: Mapping[int, str]) -> str:
    """Combine the digests of all blocks into one, by block index; of each only the digits of a receipt count."""
    return hashlib.sha256("\n".join(f"{i}:{digests[i][:DIGEST]}" for i in sorted(digests)).encode()).hexdigest()
