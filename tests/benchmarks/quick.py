"""A quick run of benchmarks/pump.py, each contender in a process of its own."""

from benchmarks import pump
from benchmarks.cases import Case
from benchmarks.contender import ARCHIVED, READ
from benchmarks.shaping import NONE

SIZE = 1_000_000


async def run_quickly(*, secure: bool) -> None:
    """Check that each contender's row has every figure, with what was moved by how many requests."""
    said: list[str] = []

    case = Case(SIZE, NONE, (READ, ARCHIVED), copies=2, secure=secure)
    rows = [row async for row in pump.run([case], say=said.append)]

    read, ours = rows
    assert (read["contender"], ours["contender"]) == ("sdk_read", "ours_archived")
    assert (read["requests_to_source"], read["requests_to_sink"]) == (1, 1)
    for row in rows:
        assert min(row["seconds"], row["megabytes_per_second"], row["cpu_seconds_per_gib"]) > 0
        assert (row["bytes"], row["copies"]) == (SIZE, 2)
    assert ours["archived_seconds"] > ours["seconds"]
    assert ours["archived_cpu_seconds_per_gib"] > ours["cpu_seconds_per_gib"]
    assert said
