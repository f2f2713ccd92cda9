"""benchmarks/sweep.py: the timer's runs become figures."""

from typing import Any

from benchmarks.sweep import flat_row, throughput_row


def ran(requests: int, seconds: float, *, archived: int = 0) -> dict[str, Any]:
    """Make what the timer says of a run."""
    cost = {"seconds": seconds, "cpu_seconds": seconds / 2, "peak_mib": seconds}
    return {"requests": requests, "archived": archived, **cost}


def test_of_several_runs_the_worst_requests_and_the_median_seconds_count() -> None:
    """A request more is a fact; a second more may be the machine's."""
    waiting = [ran(20, 1.0), ran(23, 9.0), ran(20, 2.0)]

    found = flat_row(100_000, waiting, [ran(150, 3.0, archived=10)])

    assert (23, 2.0, 1.0) == tuple(found[f"waiting_{name}"] for name in ("requests", "seconds", "cpu_seconds"))
    assert (150, 3.0, 1.5) == tuple(found[f"archiving_{name}"] for name in ("requests", "seconds", "cpu_seconds"))
    assert (100_000, 3) == (found["recordings_in_archive"], found["rounds"])


def test_throughput_is_of_all_runs_together() -> None:
    """Runs that are cut off by their budget count with what they have done, and with all of their time."""
    found = throughput_row([ran(30_000, 240.0, archived=1500), ran(7500, 60.0, archived=500)])

    assert (2000, 2, 300.0) == (found["recordings_in_staging"], found["timer_runs"], found["seconds"])
    assert (6.7, 18.8, 75.0) == (
        found["archived_per_second"],
        found["requests_per_recording"],
        found["cpu_milliseconds_per_recording"],
    )
    assert found["peak_mib_above_idle"] == 240.0
