"""recording/storage/hashing.py: SHA-256 of bytes in transit."""

import asyncio
import hashlib

import pytest

from recording.storage.hashing import Sha256
from tests.support.facts import MIB


@pytest.mark.parametrize("size", [1, 1_000, MIB])
@pytest.mark.parametrize("content", [b"", b"a", bytes(3 * MIB + 1)], ids=len)
async def test_a_digest_is_that_of_the_bytes(content: bytes, size: int) -> None:
    """Whatever pieces the bytes come in, the digest is the one that sha256sum prints."""
    digest, step = Sha256(), max(size, len(content) // 100)
    for offset in range(0, len(content), step):
        await digest.update(content[offset : offset + step])

    assert hashlib.sha256(content).hexdigest() == await digest.finish()


async def test_the_loop_goes_on_while_a_digest_is_taken() -> None:
    """Hashing is done in a thread: other tasks have their turn meanwhile."""
    digest, turns = Sha256(), 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await digest.update(bytes(64 * MIB))
    await digest.finish()
    counting.cancel()

    assert turns > 10
