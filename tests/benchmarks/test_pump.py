"""benchmarks/pump.py: a quick run, each contender in a process of its own."""

from benchmarks.bars import _SPEED
from benchmarks.cases import FULL, PLAN, SIZES, cases
from benchmarks.contender import ARCHIVED, OURS, TUNED
from benchmarks.shaping import CAPPED, LATENCY, NONE, Shaping
from tests.benchmarks.quick import run_quickly


async def test_a_quick_run_gives_rows() -> None:
    """Over TLS with uvloop, which takes more than the plain run; `make acceptance` has that, too."""
    await run_quickly(secure=True)


def test_the_full_plan_is_interleaved_and_ends_in_time() -> None:
    """Every contender has its turn before any has a second one; all of it is expected to take 20 minutes at most."""
    planned = cases(tuple(SIZES[name] for name in FULL), quick=False)

    assert planned == list(PLAN)
    for case in planned:
        assert [one.name for turn, one in case.turns() if turn == 0] == [one.name for one in case.contenders]
        assert [turn for turn, _ in case.turns()] == sorted(turn for turn, _ in case.turns())
    assert sum(case.seconds() for case in planned) < 20 * 60


def test_the_full_plan_measures_what_the_bars_are_for() -> None:
    """Each bar has its case, with both contenders; each shaping has one over TLS."""
    taking_part = {
        (case.size, case.shaping.name, one.name) for case in PLAN if not case.secure for one in case.contenders
    }

    wanted = {(SIZES[size], shaping.name, name) for size, shaping, other, *_ in _SPEED for name in ("ours", other)}
    assert wanted <= taking_part
    assert {case.shaping for case in PLAN if case.secure} == {NONE, LATENCY, CAPPED}


def test_10_gb_leaves_out_who_holds_it_in_memory() -> None:
    """At 10 GB no contender runs that would need 10 GB of memory."""
    planned = cases((SIZES["10GB"],), quick=False)

    assert {one for case in planned for one in case.contenders} == {TUNED, OURS, ARCHIVED}


def test_shaping_as_arguments() -> None:
    """What a server is started with is what was asked for."""
    arguments = Shaping("", latency_seconds=0.03, bytes_per_second=25e6).arguments()

    assert arguments == ["--latency-seconds", "0.03", "--bytes-per-second", "25000000.0"]
