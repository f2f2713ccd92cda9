"""benchmarks/pump.py: a quick run, each copy in a process of its own."""

from benchmarks import pump
from benchmarks.cases import FULL, SIZES, Case, cases
from benchmarks.contender import CONTENDERS
from benchmarks.shaping import NONE, Shaping

SIZE = 1_000_000


async def test_a_quick_run_gives_rows() -> None:
    """Each contender's row has every figure, with what was moved by how many requests."""
    said: list[str] = []
    mine = tuple(one for one in CONTENDERS if one.name in ("sdk_read", "ours_with_proof"))

    rows = await pump.run([Case(SIZE, NONE, "discarding", 1, mine)], say=said.append)

    read, ours = rows
    assert (read["contender"], ours["contender"]) == ("sdk_read", "ours_with_proof")
    assert (read["requests_to_source"], read["requests_to_sink"]) == (1, 1)
    for row in rows:
        assert min(row["seconds"], row["megabytes_per_second"], row["cpu_seconds_per_gib"]) > 0
        assert row["bytes"] == SIZE
    assert ours["proof_seconds"] > 0
    assert said


def test_the_full_plan_is_interleaved_and_ends_in_time() -> None:
    """Every contender has its turn before any has a second one; all of it is expected to take 15 minutes at most."""
    planned = cases(tuple(SIZES[name] for name in FULL), quick=False)

    for case in planned:
        assert [one.name for turn, one in case.turns() if turn == 0] == [one.name for one in case.contenders]
        assert [turn for turn, _ in case.turns()] == sorted(turn for turn, _ in case.turns())
    assert sum(case.seconds() for case in planned) < 15 * 60


def test_10_gb_leaves_out_who_holds_it_in_memory() -> None:
    """At 10 GB no contender runs that would need 10 GB of memory."""
    [case] = cases((SIZES["10GB"],), quick=False)

    assert "sdk_read" not in [one.name for one in case.contenders]


def test_shaping_as_arguments() -> None:
    """What a server is started with is what was asked for."""
    arguments = Shaping("", latency_seconds=0.03, bytes_per_second=25e6).arguments()

    assert arguments == ["--latency-seconds", "0.03", "--bytes-per-second", "25000000.0"]
