"""recording/ingest/relay.py: SHA-256 of bytes that pass by, and of what was stored of them."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recording.errors import NotProved, SourceUnavailable
from recording.formats.media import Inspection
from recording.ingest import blocks
from recording.ingest.blocks import Block
from recording.ingest.relay import Relay, combine, hash_blocks
from recording.storage.hashing import Sha256
from tests.support.facts import MIB


async def pieces(content: bytes, size: int) -> AsyncIterator[bytes]:
    """Yield bytes piece by piece."""
    for offset in range(0, len(content), size):
        yield content[offset : offset + size]


def digests_of(content: bytes, plan: tuple[Block, ...]) -> dict[int, str]:
    """Hash each block."""
    return {b.index: hashlib.sha256(content[b.offset : b.offset + b.length]).hexdigest() for b in plan}


@pytest.mark.parametrize("size", [1, 1_000, MIB])
@pytest.mark.parametrize("content", [b"", b"a", bytes(3 * MIB + 1)], ids=len)
async def test_a_digest_is_that_of_the_bytes(content: bytes, size: int) -> None:
    """Whatever pieces the bytes come in, the digest is the one that sha256sum prints."""
    digest = Sha256()
    async for piece in pieces(content, max(size, len(content) // 100)):
        await digest.update(piece)

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


async def test_a_relay_passes_bytes_on_and_hashes_them() -> None:
    """What goes in comes out, and its digest is there afterwards."""
    relay = Relay(pieces(b"abc" * 1_000, 7))

    assert b"abc" * 1_000 == b"".join([piece async for piece in relay.body()])
    assert hashlib.sha256(b"abc" * 1_000).hexdigest() == await relay.digest.finish()
    assert relay.failure is None


async def test_a_relay_remembers_why_the_bytes_stopped() -> None:
    """The failure of the source is kept: whoever sends the body only sees a broken connection."""

    async def breaking() -> AsyncIterator[bytes]:
        yield b"abc"
        raise SourceUnavailable("broke off")

    relay = Relay(breaking())
    with pytest.raises(SourceUnavailable):
        [piece async for piece in relay.body()]

    assert str(relay.failure) == "broke off"


@given(st.binary(min_size=1, max_size=200), st.integers(1, 50), st.integers(1, 60))
@settings(deadline=None, max_examples=60)
def test_what_is_read_back_is_hashed_by_block(content: bytes, length: int, size: int) -> None:
    """Whatever pieces it comes in: each block has its own digest, and the whole has one."""
    plan = blocks.split(len(content), length)

    whole, inspection = Sha256(), Inspection(len(content))

    async def run() -> tuple[dict[int, str], str]:
        found = await hash_blocks(pieces(content, size), plan, whole=whole, inspection=inspection)
        return found, await whole.finish()

    assert (digests_of(content, plan), hashlib.sha256(content).hexdigest()) == asyncio.run(run())
    assert "undecided" != inspection.verdict().outcome


@pytest.mark.parametrize("size", [1, 7, 16, 100])
@pytest.mark.parametrize(("stored", "word"), [(70, "shorter"), (90, "shorter"), (99, "shorter"), (101, "longer")])
async def test_another_length_is_not_proved(stored: int, word: str, size: int) -> None:
    """A committed chunk that is shorter or longer than the plan is not what was fetched."""
    with pytest.raises(NotProved, match=word):
        await hash_blocks(
            pieces(bytes(stored), size), blocks.split(100, 30), whole=Sha256(), inspection=Inspection(stored)
        )


async def test_a_real_plan() -> None:
    """Of a chunk of several blocks of 4 MiB only the block that changed has another digest."""
    content = bytes(9 * MIB)
    plan = blocks.plan_blocks(len(content), largest=4 * MIB, streams=1)
    stored = bytearray(content)
    stored[-1] = 1

    found = await hash_blocks(pieces(bytes(stored), MIB), plan, whole=Sha256(), inspection=Inspection(len(content)))

    known = digests_of(content, plan)
    assert ([0, 1], combine(known)) == ([i for i in found if found[i] == known[i]], combine(digests_of(content, plan)))
    assert combine(found) != combine(known)


@given(st.dictionaries(st.integers(0, 50_000), st.text("0123456789abcdef", min_size=64, max_size=64), max_size=5))
def test_a_seal_tells_digests_apart(digests: dict[int, str]) -> None:
    """The order in which blocks came doesn't matter; any other digest, index or number of blocks does."""
    sealed = combine(digests)

    assert sealed == combine(dict(reversed(digests.items())))
    for index, digest in digests.items():
        others = {i: d for i, d in digests.items() if i != index}
        assert sealed not in (
            combine(others),
            combine(others | {index: "x" + digest[::-1]}),
            combine(others | {-1: digest}),
        )
