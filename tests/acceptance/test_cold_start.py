"""A new worker handles its first event soon."""

import statistics

import pytest

from benchmarks import cold_start
from local.stack import ROOT
from tests.acceptance.conftest import Say

ROUNDS = 5
# An idle machine with two cores takes less than one. CPU, for imports cost nothing else, and it is the steadier figure.
MOST_CPU_SECONDS = 2.0


@pytest.mark.timeout(300)
async def test_a_new_worker_handles_its_first_event_soon(say: Say) -> None:
    """Imports are most of it, so one that isn't needed at the start shows."""
    [starts] = await cold_start.compare([ROOT], ROUNDS, say=say)

    seconds, cpu = (
        statistics.median(figure) for figure in zip(*((s.seconds, s.cpu_seconds) for s in starts), strict=True)
    )
    say(f"{seconds:.2f} s, {cpu:.2f} CPU-seconds")
    to_do = "`python -X importtime -c 'import function_app'` shows which import costs it"
    assert cpu <= MOST_CPU_SECONDS, f"a cold start takes {cpu:.1f} CPU-seconds, at most {MOST_CPU_SECONDS:g}; {to_do}"
