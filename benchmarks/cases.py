"""What the pump measures: sizes, shapings, and which contender takes part how often."""

from dataclasses import dataclass

from benchmarks.contender import ARCHIVED, OURS, READ, STREAM, TUNED, Contender
from benchmarks.shaping import CAPPED, LATENCY, NONE, Shaping

# 75 MB are ten minutes of mixed video, the usual chunk; 1.5 GB is the largest of the 2021 preview API.
SIZES = {
    **{"1MB": 1_000_000, "8MB": 8_000_000, "64MB": 64_000_000, "75MB": 75_000_000},
    **{"1.5GB": 1_500_000_000, "10GB": 10_000_000_000},
}
FULL = ("1MB", "64MB", "75MB", "1.5GB", "10GB")
QUICK = ("8MB",)
# A copy that takes longer averages by itself; it is made once.
_LONG_SECONDS = 30.0
# A process that starts, and its clients that get warm; in megabytes, for that is shaped, too.
_START_SECONDS, _MOST_WARM_UP_MEGABYTES = 1.5, 64
# MB/s with no shaping, with latency and with caps as measured on two cores, for the estimate of the time that is left,
# and for nothing else.
_EXPECTED: dict[str, tuple[float, float, float]] = {
    "sdk_read": (190, 100, 12),
    "sdk_stream": (26, 25, 13),
    "sdk_tuned": (900, 700, 178),
    "ours": (900, 700, 178),
    "ours_archived": (300, 200, 80),
}


@dataclass(frozen=True)
class Case:
    """A size, a shaping, and who takes part in turn, `rounds` times, each with `copies` in a process of its own.

    If it is `secure`, source and sink are reached by TLS, and the contenders have the event loop of Azure's worker.
    """

    size: int
    shaping: Shaping
    contenders: tuple[Contender, ...]
    rounds: int = 1
    copies: int = 1
    secure: bool = False

    @property
    def title(self) -> str:
        """Name the case for people."""
        size = next((name for name, size in SIZES.items() if size == self.size), f"{self.size} bytes")
        return f"{size}, {self.shaping.name}{', TLS and uvloop' if self.secure else ''}"

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
        return self._seconds(contender, self.size / 1e6)

    def seconds(self) -> float:
        """Expect how long the case takes."""
        warm_up = min(_MOST_WARM_UP_MEGABYTES, max(8, self.size / 1e6))
        return sum(
            _START_SECONDS + self._seconds(one, warm_up) + self.copies * self.copy_seconds(one)
            for _, one in self.turns()
        )

    def _seconds(self, contender: Contender, megabytes: float) -> float:
        rate = _EXPECTED[contender.name][(NONE, LATENCY, CAPPED).index(self.shaping)]
        return megabytes / rate * (1.5 if self.secure else 1) + 4 * self.shaping.latency_seconds


_PIECES = (TUNED, OURS)
_EVERYBODY = (READ, STREAM, TUNED, OURS, ARCHIVED)
PLAN = (
    Case(SIZES["1MB"], LATENCY, (READ, TUNED, OURS), rounds=5, copies=9),
    *(Case(SIZES[size], CAPPED, _PIECES, rounds=5, copies=3) for size in ("64MB", "75MB")),
    # A tenth of a second each: what else the machine does decides about a single one.
    *(Case(SIZES[size], NONE, (*_PIECES, ARCHIVED), rounds=5, copies=15) for size in ("64MB", "75MB")),
    *(Case(SIZES["75MB"], one, (*_PIECES, ARCHIVED), rounds=3, copies=3, secure=True) for one in (LATENCY, CAPPED)),
    Case(SIZES["75MB"], NONE, (*_PIECES, ARCHIVED), rounds=5, copies=3, secure=True),
    Case(SIZES["1.5GB"], CAPPED, (READ, STREAM, *_PIECES), rounds=3),
    Case(SIZES["1.5GB"], NONE, _EVERYBODY, rounds=5),
    # What Azure sees.
    Case(SIZES["1.5GB"], CAPPED, (*_PIECES, ARCHIVED), secure=True),
    Case(SIZES["1.5GB"], NONE, (*_PIECES, ARCHIVED), rounds=3, secure=True),
    Case(SIZES["10GB"], CAPPED, _PIECES),
    Case(SIZES["10GB"], NONE, (ARCHIVED,)),
)


def cases(sizes: tuple[int, ...], *, quick: bool) -> list[Case]:
    """Plan the measurements of some sizes; in a hurry everybody copies once, without a shaping and with caps."""
    if quick:
        return [Case(size, shaping, _EVERYBODY) for size in sizes for shaping in (NONE, CAPPED)]
    return [case for case in PLAN if case.size in sizes]
