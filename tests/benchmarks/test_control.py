"""benchmarks/control.py: the seconds become figures."""

from benchmarks.control import Way, row, with_overhead


async def ask() -> str:
    """Tell the state."""
    return "active"


def test_a_row_is_in_milliseconds() -> None:
    """Percentiles are of single requests; eight at once are eight times as many a second."""
    found = row(Way("ours", "ours: state", ask), 8, [0.002] * 98 + [0.1, 0.2])

    figures = [found[f"{name}_milliseconds"] for name in ("p50", "p99", "slowest")]
    assert (figures, found["requests"], found["connections"]) == ([2.0, 100.0, 200.0], 100, 8)
    assert found["requests_per_second"] == round(8 * 100 / (98 * 0.002 + 0.3), 1)


def test_the_overhead_is_what_is_above_the_official_client() -> None:
    """Ours is compared with the official client, whoever else is there."""
    seconds = {"ours": 0.005, "sdk": 0.002, "signed": 0.001}
    rows = [row(Way(name, name, ask), 1, [each] * 10) for name, each in seconds.items()]

    ours, *others = with_overhead(rows)

    assert (ours["p50_milliseconds_above_sdk"], ours["p99_milliseconds_above_sdk"]) == (3.0, 3.0)
    assert not any("p50_milliseconds_above_sdk" in one for one in others)
