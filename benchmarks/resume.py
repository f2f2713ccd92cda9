"""Benchmark: what is fetched again after the process that copies was killed in the middle.

A process copies a chunk and is killed (SIGKILL) once the source has served a share of it. Another one, started as the
queue would, copies the chunk to its end. What the source has served in both beyond the chunk's length it served again.

Ours asks storage which blocks are staged and have a receipt, and fetches the others: lost are the blocks that were in
flight, eight of up to 32 MiB, the first of 8 MiB. So a chunk of at most 232 MiB may be in flight all at once, with
nothing staged of it at half. All streams begin together and are equally quick here, so with a larger chunk it depends
on where exactly the kill falls how far their blocks have got: ours is killed at more than one place.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks import pump
from benchmarks.contender import OURS, READ, STREAM, Contender
from benchmarks.pump import Sides
from benchmarks.shaping import NONE, Shaping

SIZES = (250_000_000, 1_500_000_000)
QUICK_SIZES = SIZES[:1]
# The source only: slow enough to be stopped at a chosen place, on a machine that does all three parts.
SHAPING = Shaping("50 MB/s per connection from the source", bytes_per_second=50_000_000)
HALF = 50
_PLACES = (45, 50, 55)
_POLL_SECONDS = 0.01
_QUIET_SECONDS = 0.1
_START_SECONDS = 60.0
_SLOWEST_BYTES_PER_SECOND = 4_000_000
# MB/s, for the estimate of the time and for nothing else.
_EXPECTED = {"sdk_read": 45, "sdk_stream": 35, "ours": 150}

Row = dict[str, Any]


class ResumeFailed(RuntimeError):
    """A copy couldn't be killed where it should be."""


@dataclass(frozen=True)
class Kill:
    """A chunk of `size` bytes, whose copy is killed when so much of it was served."""

    size: int
    contender: Contender
    percent: int

    def seconds(self) -> float:
        """Expect how long the two copies take."""
        return 5 + (1 + self.percent / 100) * self.size / 1e6 / _EXPECTED[self.contender.name]


def kills(sizes: tuple[int, ...], *, quick: bool) -> Iterator[Kill]:
    """Plan the kills: everybody at half, ours also before and after."""
    for size in sizes:
        for contender in (READ, STREAM, OURS):
            for percent in _PLACES if contender is OURS and not quick else (HALF,):
                yield Kill(size, contender, percent)


async def run(planned: list[Kill], *, say: Callable[[str], None]) -> list[Row]:
    """Measure every kill; a row each."""
    say(f"resume: {len(planned)} kills, about {sum(one.seconds() for one in planned):.0f} s")
    rows: list[Row] = []
    for kill in planned:
        rows.append(await _measure(kill))
        again = f"{rows[-1]['fetched_again_megabytes']:7.1f} MB fetched again"
        say(f"    {kill.contender.title:<40} {kill.size / 1e6:g} MB, killed at {kill.percent} %   {again}")
    return rows


async def _measure(kill: Kill) -> Row:
    """Copy twice, the first time not to the end."""
    async with pump.sides(SHAPING, of_sink=NONE) as both:
        before = await _killed(kill, both)
        again = await pump.start(kill.contender, kill.size, both)
        [[costs]] = await pump.finish(again, kill.contender, kill.size)
        after = (await both.source.counters()).get("bytes_sent", 0)
        await pump.check(kill.size, both)
    return row(kill, before, after, costs["seconds"])


async def _killed(kill: Kill, both: Sides) -> int:
    """Start a copy and kill it, and return how many bytes the source has served."""
    process = await pump.start(kill.contender, kill.size, both)
    source = both.source
    try:
        deadline = time.monotonic() + _START_SECONDS + kill.size / _SLOWEST_BYTES_PER_SECOND
        await pump.warm(process, _START_SECONDS)
        while (await source.counters()).get("bytes_sent", 0) < kill.size * kill.percent / 100:
            if process.returncode is not None or time.monotonic() > deadline:
                raise ResumeFailed(f"{kill.contender.name} ended, or stood still, before it could be killed")
            await asyncio.sleep(_POLL_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
    # What was on its way when the process went is served by now, or never.
    served = -1
    while (found := (await source.counters())["bytes_sent"]) != served:
        served = found
        await asyncio.sleep(_QUIET_SECONDS)
    return served


def row(kill: Kill, before: int, after: int, seconds: float) -> Row:
    """Make the row of one kill out of what the source has served until it and since."""
    again = max(0, before + after - kill.size)
    return {
        "benchmark": "resume",
        "contender": kill.contender.name,
        "title": kill.contender.title,
        "bytes": kill.size,
        "shaping": SHAPING.name,
        "killed_at_percent": kill.percent,
        "served_until_the_kill_megabytes": round(before / 1e6, 1),
        "fetched_again_megabytes": round(again / 1e6, 1),
        "fetched_again_percent_of_the_served": round(100 * again / before, 1),
        "seconds_after_the_restart": round(seconds, 2),
    }
