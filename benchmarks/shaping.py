"""What a network does to a connection: a wait before each answer, and a most of bytes per second."""

import asyncio
from dataclasses import dataclass

# A connection that was held up may catch up this much: without it every late wake-up of the event
# loop would lower the rate below the one asked for.
_CATCH_UP_SECONDS = 0.05
# 25 MB/s in pieces of this size is a wake-up every 5 ms per connection: cheap, and smooth enough.
PIECE_BYTES = 128 * 1024


@dataclass(frozen=True)
class Shaping:
    """Latency in seconds before the first byte of each answer; bytes per second and connection, each way."""

    name: str
    latency_seconds: float = 0.0
    bytes_per_second: float | None = None

    def arguments(self) -> list[str]:
        """Return the command-line arguments that `parse` reads."""
        rate = self.bytes_per_second or 0
        return ["--latency-seconds", str(self.latency_seconds), "--bytes-per-second", str(rate)]


NONE = Shaping("none")
LATENCY = Shaping("30 ms", latency_seconds=0.030)
CAPPED = Shaping("30 ms, 25 MB/s per connection", latency_seconds=0.030, bytes_per_second=25_000_000)


class Bucket:
    """The token bucket of one direction of one connection."""

    def __init__(self, bytes_per_second: float | None) -> None:
        self._rate = bytes_per_second
        self._due = 0.0

    async def take(self, count: int) -> None:
        """Account for `count` bytes, and wait until that many may have passed."""
        if self._rate is None:
            return
        now = asyncio.get_running_loop().time()
        self._due = max(self._due, now - _CATCH_UP_SECONDS) + count / self._rate
        if self._due > now:
            await asyncio.sleep(self._due - now)
