"""benchmarks/sweep.py: what workers say becomes figures."""

from typing import Any

import psutil

from benchmarks.sweep import flat_row, workers_row


def ran(requests: int, seconds: float, *, began: float = 0.0, **more: int) -> dict[str, Any]:
    """Make what a worker says of what it was asked for."""
    cost = {"seconds": seconds, "cpu_seconds": seconds / 2, "peak_mib": seconds, "queue_requests": requests // 10}
    return {"requests": requests, "began": began, "ended": began + seconds, **cost, **more}


def test_of_several_runs_the_worst_requests_and_the_median_seconds_count() -> None:
    """A request more is a fact; a second more may be the machine's."""
    waiting = [ran(20, 1.0), ran(23, 9.0), ran(20, 2.0)]

    found = flat_row(100_000, {"waiting": waiting, "archiving": [ran(150, 3.0)]})

    assert (23, 2.0, 1.0) == tuple(found[f"waiting_{name}"] for name in ("requests", "seconds", "cpu_seconds"))
    assert (150, 3.0, 1.5) == tuple(found[f"archiving_{name}"] for name in ("requests", "seconds", "cpu_seconds"))
    assert (100_000, 3) == (found["recordings_in_archive"], found["rounds"])


def test_throughput_is_that_of_all_workers_together() -> None:
    """From the first one's beginning to the last one's end; what the timer needed to queue them is beside it."""
    several = [ran(12_000, 30.0, messages=1200), ran(8000, 39.0, began=1.0, messages=800)]

    found = workers_row(ran(8000, 10.0), several, azurite_cpu_seconds=38.0)

    assert (2, 2000, 40.0, 50.0) == tuple(
        found[name] for name in ("workers", "recordings_in_staging", "seconds", "archived_per_second")
    )
    assert (200.0, 10.0, 1.0) == tuple(
        found[name] for name in ("handed_over_per_second", "requests_per_recording", "queue_requests_per_recording")
    )
    assert psutil.cpu_count() == found["cores_of_machine"]
    assert (0.86, 0.95, 39.0) == tuple(
        found[name] for name in ("cores_of_workers", "cores_of_azurite", "peak_mib_above_idle")
    )
