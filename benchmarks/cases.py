"""What is measured: sizes, shaping, sinks, and which contender takes part how often."""

from dataclasses import dataclass
from typing import Literal

from benchmarks.contender import CONTENDERS, Contender
from benchmarks.shaping import CAPPED, LATENCY, NONE, Shaping

SinkKind = Literal["discarding", "azurite"]

SIZES = {"1MB": 1_000_000, "8MB": 8_000_000, "64MB": 64_000_000, "1.5GB": 1_500_000_000, "10GB": 10_000_000_000}
FULL = ("1MB", "64MB", "1.5GB")
QUICK = ("8MB",)
# From here on it's about memory: once, unshaped, and without those who hold the whole file in it.
_HUGE = 4_000_000_000
# Below this Azurite shows nothing but what a request costs it.
_LARGE_ENOUGH_FOR_AZURITE = 50_000_000
_LARGE = 1_000_000_000
_ROUNDS = 2
# A copy that takes longer averages by itself; it is made once.
_LONG_SECONDS = 10.0
# A process that starts, and its clients that get warm; in megabytes, for that is shaped, too.
_START_SECONDS, _WARM_UP_MEGABYTES = 1.2, 8

# MB/s per shaping as measured on two cores, for the estimate of the time that is left, and for nothing else.
_EXPECTED: dict[str, tuple[float, float, float]] = {
    "sdk_read": (190, 100, 12),
    "sdk_stream": (45, 33, 16),
    "sdk_stream_large_reads": (400, 105, 24),
    "sdk_tuned": (900, 700, 178),
    "ours": (650, 500, 175),
    "ours_without_hash": (800, 600, 175),
    "ours_with_proof": (300, 150, 19),
}
_AZURITE_EXPECTED = 40.0
# A variant is about CPU, which shaping hides: at large sizes it is measured without.
_MAIN = tuple(one for one in CONTENDERS if not one.is_variant)


@dataclass(frozen=True)
class Case:
    """One size, shaping and sink; every contender that takes part does so in turn, `rounds` times."""

    size: int
    shaping: Shaping
    sink: SinkKind
    rounds: int
    contenders: tuple[Contender, ...]

    @property
    def title(self) -> str:
        """Name the case for people."""
        size = next((name for name, size in SIZES.items() if size == self.size), f"{self.size} bytes")
        return f"{size}, {self.shaping.name}, {self.sink}"

    def turns(self) -> list[tuple[int, Contender]]:
        """List who copies in which order: interleaved, so that what else the machine does hits all alike."""
        return [
            (turn, one)
            for turn in range(self.rounds)
            for one in self.contenders
            if turn == 0 or self.copy_seconds(one) <= _LONG_SECONDS
        ]

    def copy_seconds(self, contender: Contender) -> float:
        """Expect how long one copy takes."""
        rate = _EXPECTED[contender.name][(NONE, LATENCY, CAPPED).index(self.shaping)]
        if self.sink == "azurite":
            rate = min(rate, _AZURITE_EXPECTED)
        requests_seconds = 15 * self.shaping.latency_seconds
        return self.size / 1e6 / rate + requests_seconds

    def seconds(self) -> float:
        """Expect how long the case takes."""
        warm_up_seconds = _WARM_UP_MEGABYTES * 1e6 / (self.shaping.bytes_per_second or 200e6)
        return sum(self.copy_seconds(one) + _START_SECONDS + warm_up_seconds for _, one in self.turns())


def cases(sizes: tuple[int, ...], *, quick: bool) -> list[Case]:
    """Plan the measurements of some sizes: every shaping against the discarding sink, Azurite unshaped."""
    planned: list[Case] = []
    for size in sizes:
        if size >= _HUGE:
            frugal = tuple(one for one in CONTENDERS if not one.holds_everything)
            planned.append(Case(size, NONE, "discarding", 1, frugal))
            continue
        for shaping in (NONE, CAPPED) if quick else (NONE, LATENCY, CAPPED):
            is_slow = shaping is not NONE and size >= _LARGE
            rounds = 1 if quick else _ROUNDS
            planned.append(Case(size, shaping, "discarding", rounds, _MAIN if is_slow else CONTENDERS))
        if _LARGE_ENOUGH_FOR_AZURITE <= size < _LARGE:
            # Azurite is the limit there, for whoever can reach it: one round shows it, and 1.5 GB would take minutes.
            planned.append(Case(size, NONE, "azurite", 1, _MAIN))
    return planned
