"""The plan of a soak run, drawn from its seed: recordings, invalid events, kills and second hosts."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from local.acs.filler import FileType, Form
from local.stack import Api

# "archiver": the worker that has made an archive copy and hasn't proved it yet.
Target = Literal["host", "worker", "archiver"]
TARGETS: tuple[Target, ...] = get_args(Target)
KIB, MIB = 1024, 1024 * 1024
# Share of the chunks, smallest and largest size; above 4 MiB a chunk has several blocks.
SIZES = ((0.70, KIB, 64 * KIB), (0.26, 64 * KIB, MIB), (0.04, MIB, 12 * MIB))
CHUNKS = (1, 1, 2, 2, 3, 4)
# How often an event is published at once: mostly once, sometimes ten times.
REPEATS = (*([1] * 14), 2, 2, 3, 10)
AGAIN_SHARE = 0.15
LATE_SHARE = 0.10
HALF_BAD_SHARE = 0.05
EXPIRED_SHARE = 0.03
BAD_SHARE = 0.12
ODD_SHARE = 0.12
FALSE_TIME_SHARE = 0.06
MISLABELLED_SHARE = 0.05
ODD_EVENT_SHARE = 0.12
# How late events are, and how long ago the source deleted an expired recording, in units of the retention.
LATE, EXPIRED = (0.01, 0.96), 1.02
ODD_FORMS: tuple[Form, ...] = ("zeros", "open sizes", "cut", "noise")
# Years that an event may claim.
FALSE_YEARS = (2001, 2999)
# Among so many recordings one, the 501st, has as many chunks as fit into an event of 1 MB, which is Event Grid's limit.
BIG_EVERY, BIG_FIRST, BIG_CHUNKS, BIG_CHUNK_BYTES = 5000, 500, 1500, 1024
# Of the Call Automation API; the type limits the possible sizes.
FILE_TYPES: tuple[FileType, ...] = ("mp4", "mp4", "mp3", "wav")


def event_rates() -> dict[str, float]:
    """Return the share of recordings whose event is changed in each way; duplicates: additional events."""
    return {
        "duplicates": round(sum(REPEATS) / len(REPEATS) - 1, 3),
        "again": AGAIN_SHARE,
        "late": LATE_SHARE,
        "expired": EXPIRED_SHARE,
        "halfBad": HALF_BAD_SHARE,
        "bad": BAD_SHARE,
        "oddForm": ODD_SHARE,
        "falseTime": FALSE_TIME_SHARE,
        "mislabelled": MISLABELLED_SHARE,
        "oddEvent": ODD_EVENT_SHARE,
        "big": 1 / BIG_EVERY,
    }


@dataclass(frozen=True)
class PlannedRecording:
    """One recording to make, `at_seconds` after the start.

    Its event is published `repeats` times at once and again `again_after` seconds later (None: not again). The event's
    time is `late_hours` ago; with `is_expired` it is so late that the source has deleted the chunks. With `is_half_bad`
    the event has an additional, invalid chunk. An invalid event of each kind in `bad_events` is published as well.
    With a `false_year` an event claims to be of that year: its only one, or one after the true one (`has_true_event`).
    `form` is that of its files, `label` the type of file that its event names, and `odd_event` selects how its event
    differs from that of the service, though it is valid.
    """

    api: Api
    file_type: FileType
    form: Form
    label: FileType
    number: int
    at_seconds: float
    chunk_bytes: tuple[int, ...]
    repeats: int
    again_after: float | None
    late_hours: float
    is_expired: bool
    is_half_bad: bool
    false_year: int | None
    has_true_event: bool
    odd_event: int | None
    bad_events: tuple[int, ...]

    @property
    def is_big(self) -> bool:
        """Return whether its event is as large as an event may be."""
        return len(self.chunk_bytes) == BIG_CHUNKS


@dataclass(frozen=True)
class Kill:
    """One SIGKILL, `after_seconds` after the previous one; `choice` (0 to 1) selects one of the running hosts."""

    after_seconds: float
    target: Target
    choice: float
    down_seconds: float


@dataclass(frozen=True)
class Shift:
    """A time without and a time with a second host; `is_killed` says whether that one is killed."""

    off_seconds: float
    on_seconds: float
    is_killed: bool


def recordings(count: int, *, seed: int, per_second: float, api: Api, retention_hours: float) -> list[PlannedRecording]:
    """Plan the recordings, in the order in which they are made."""
    draw = random.Random(f"{seed}/recordings")  # noqa: S311 - a plan, not a secret
    types = random.Random(f"{seed}/types")  # noqa: S311 - likewise
    claims = random.Random(f"{seed}/claims")  # noqa: S311 - likewise
    at = 0.0
    planned = []
    for number in range(count):
        at += draw.expovariate(per_second)
        kind = draw.random()
        is_expired = kind < EXPIRED_SHARE
        is_late = EXPIRED_SHARE <= kind < EXPIRED_SHARE + LATE_SHARE
        is_half_bad = EXPIRED_SHARE + LATE_SHARE <= kind < EXPIRED_SHARE + LATE_SHARE + HALF_BAD_SHARE
        file_type = types.choice(FILE_TYPES) if api == "today" else "mp4"
        late_hours = retention_hours * (draw.uniform(*LATE) if is_late else EXPIRED if is_expired else 0.0)
        sizes = tuple(_size(draw, file_type) for _ in range(draw.choice(CHUNKS)))
        is_mislabelled = claims.random() < MISLABELLED_SHARE
        if number % BIG_EVERY == BIG_FIRST:
            sizes, is_expired, late_hours = (BIG_CHUNK_BYTES,) * BIG_CHUNKS, False, 0.0
        planned.append(
            PlannedRecording(
                api=api,
                file_type=file_type,
                form=claims.choice(ODD_FORMS) if claims.random() < ODD_SHARE else "complete",
                label=claims.choice(FILE_TYPES) if is_mislabelled else file_type,
                number=number,
                at_seconds=at,
                chunk_bytes=sizes,
                repeats=draw.choice(REPEATS),
                again_after=draw.uniform(2, 15) if draw.random() < AGAIN_SHARE else None,
                late_hours=late_hours,
                is_expired=is_expired,
                is_half_bad=is_half_bad,
                false_year=claims.choice(FALSE_YEARS) if claims.random() < FALSE_TIME_SHARE else None,
                has_true_event=claims.random() < 0.5,
                odd_event=claims.randrange(1000) if claims.random() < ODD_EVENT_SHARE else None,
                bad_events=(draw.randrange(1000),) if draw.random() < BAD_SHARE else (),
            )
        )
    return planned


def kills(count: int, *, seed: int, every_seconds: float) -> Iterator[Kill]:
    """Plan `count` SIGKILLs with a mean distance of `every_seconds`."""
    draw = random.Random(f"{seed}/kills")  # noqa: S311 - a plan, not a secret
    for number in range(count):
        yield Kill(
            after_seconds=draw.uniform(0.4, 1.6) * every_seconds,
            # In turn, so that even a short run has all of them.
            target=TARGETS[number % len(TARGETS)],
            choice=draw.random(),
            down_seconds=draw.uniform(0.0, 1.0),
        )


def shifts(*, seed: int, is_long: bool = False) -> Iterator[Shift]:
    """Plan, without end, when a second host runs: in a long run a quarter of the time, otherwise nearly always.

    While it does, each event comes twice as often, and two timers read what is in flight.
    """
    draw = random.Random(f"{seed}/shifts")  # noqa: S311 - a plan, not a secret
    while True:
        off, on = (draw.uniform(180.0, 360.0), 90.0) if is_long else (draw.uniform(0.5, 3.0), draw.uniform(10.0, 30.0))
        yield Shift(off, on, draw.random() < 0.5)


def _size(draw: random.Random, file_type: FileType) -> int:
    weights = [share for share, _, _ in SIZES]
    _, low, high = draw.choices(SIZES, weights)[0]
    # Uniformly distributed over the orders of magnitude.
    size = int(low * (high / low) ** draw.random())
    # With samples of 16 bits the size of a WAV is even.
    return size + size % 2 if file_type == "wav" else size
