"""benchmarks/shaping.py and wire.py: the network that the contenders meet."""

import asyncio
import time

import aiohttp

from benchmarks.shaping import Bucket, Shaping
from benchmarks.source import handler
from benchmarks.wire import Server, byte_range


async def test_a_bucket_keeps_its_rate() -> None:
    """A megabyte at ten per second takes about a tenth of a second, however it is cut."""
    bucket = Bucket(10_000_000)
    began = time.monotonic()

    for _ in range(20):
        await bucket.take(50_000)

    # The head start of a new bucket is what it may catch up: 50 ms.
    assert 0.04 <= time.monotonic() - began <= 0.5


async def test_a_bucket_without_a_rate_never_waits() -> None:
    """Unshaped bytes pass without a turn of the event loop."""
    bucket = Bucket(None)
    turns = 0

    def turn() -> None:
        nonlocal turns
        turns += 1

    asyncio.get_running_loop().call_soon(turn)
    await bucket.take(10**12)

    assert turns == 0


async def test_an_answer_comes_late_and_slowly() -> None:
    """A shaped server waits before it answers, then keeps to its rate."""
    shaping = Shaping("", latency_seconds=0.1, bytes_per_second=4_000_000)
    async with Server(handler(), shaping) as server, aiohttp.ClientSession() as http:
        began = time.monotonic()
        async with http.get(f"{server.url}/recording/download/0-bench-1000000-1") as response:
            first = time.monotonic() - began
            body = await response.read()
        whole = time.monotonic() - began

    assert len(body) == 1_000_000
    assert 0.1 <= first <= 1.0
    assert 0.2 <= whole <= 2.0


def test_byte_range() -> None:
    """Ranges are read with both ends, open at the end, past the end, and not at all."""
    assert byte_range("bytes=0-0", 10) == (0, 1)
    assert byte_range("bytes=4-", 10) == (4, 6)
    assert byte_range("bytes=4-99", 10) == (4, 6)
    assert byte_range(None, 10) is None
