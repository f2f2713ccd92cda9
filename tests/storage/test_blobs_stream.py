"""recording/storage/blobs.py: a blob is read by ranges in parallel, in order, and of one version."""

import asyncio
from typing import Literal

import pytest
from azure.core.exceptions import ResourceModifiedError

from recording.app import App
from tests.support.facts import MIB, put

# The test's own client hands blobs over in one piece.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body")


@pytest.mark.parametrize("size", [0, 1, 2 * MIB, 2 * MIB + 1, 9 * MIB + 7])
async def test_a_stream_is_in_order(app: App, size: int) -> None:
    """However many ranges are read at once, and whichever comes first, the bytes are the blob's."""
    content = (bytes(n % 251 for n in range(1000)) * (size // 1000 + 1))[:size]
    await put(app.settings, "staging", "a", content)
    found = await app.clients.blobs.stat("staging", "a")
    assert found is not None
    gate = asyncio.Semaphore(2)

    for ahead in (1, 3, 8, 100):
        pieces = [piece async for piece in app.clients.blobs.read_ranges("staging", found, prefetch=ahead, limit=gate)]

        assert content == b"".join(pieces), ahead
        assert [piece for piece in pieces if len(piece) > 2 * MIB] == []
        assert not gate.locked()


@pytest.mark.parametrize("ahead", [1, 4])
async def test_a_stream_is_of_one_version(app: App, ahead: int) -> None:
    """A blob that is replaced in the middle ends the stream: versions are never mixed, and nothing is left over."""
    await put(app.settings, "staging", "a", b"1" * 12 * MIB)
    found = await app.clients.blobs.stat("staging", "a")
    assert found is not None
    gate, pieces = asyncio.Semaphore(4), list[bytes]()

    with pytest.raises(ResourceModifiedError):  # noqa: PT012 - the first piece has to come before it
        async for piece in app.clients.blobs.read_ranges("staging", found, prefetch=ahead, limit=gate):
            if not pieces:
                await put(app.settings, "staging", "a", b"2" * 12 * MIB)
            pieces.append(piece)

    assert {b"1"} == {piece[:1] for piece in pieces}
    assert len(pieces) <= ahead + 1
    assert not gate.locked()


async def test_a_stream_reads_within_its_gate(app: App) -> None:
    """So many ranges at once and no more, whatever is asked for ahead."""
    await put(app.settings, "staging", "a", b"1" * 12 * MIB)
    found = await app.clients.blobs.stat("staging", "a")
    assert found is not None
    under_way, most, gate = 0, 0, asyncio.Semaphore(3)

    class Counting(asyncio.Semaphore):
        async def acquire(self) -> Literal[True]:
            nonlocal under_way, most
            await gate.acquire()
            under_way += 1
            most = max(most, under_way)
            return True

        def release(self) -> None:
            nonlocal under_way
            under_way -= 1
            gate.release()

    size = 0
    async for piece in app.clients.blobs.read_ranges("staging", found, prefetch=8, limit=Counting()):
        size += len(piece)

    assert (12 * MIB, 3, 0) == (size, most, under_way)
