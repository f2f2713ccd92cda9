"""benchmarks/results.py, bars.py and chart.py: what becomes of the figures."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from benchmarks import bars, chart, results
from benchmarks.burst import percentile

Row = dict[str, Any]


def row(contender: str, seconds: float, *, size: int = 1_500_000_000, cap: float | None = 25.0) -> Row:
    """Make a row of the pump."""
    return {
        "benchmark": "pump",
        "contender": contender,
        "title": contender,
        "bytes": size,
        "shaping": "30 ms, 25 MB/s per connection" if cap else "none",
        "cap_megabytes_per_second_per_connection": cap,
        "sink": "discarding",
        "seconds": seconds,
        "megabytes_per_second": round(size / 1e6 / seconds, 1),
        "cpu_seconds_per_gib": 1.0,
        "peak_mib_above_idle": 20.0,
        "requests_to_sink": 50,
        "percent_of_streams_times_cap": round(size / seconds / 2e6, 1),
    }


def test_bars_are_met_or_not_by_their_figures() -> None:
    """A bar says what was wanted, what was measured, and tells the two apart."""
    rows = [row("ours", 10.0), row("sdk_read", 140.0), row("sdk_stream", 90.0), row("sdk_tuned", 10.0)]

    met = {bar.name: bar.met for bar in bars.check(rows)}

    assert met == {
        "with caps, against (a)": False,
        "with caps, against (b)": True,
        "with caps, against (c)": True,
        "with caps, of streams x cap": False,
        "peak memory above idle": True,
    }


def test_speed_bars_are_for_large_chunks() -> None:
    """At a few megabytes only memory is held against a bar."""
    rows = [row("ours", 1.0, size=8_000_000), row("sdk_read", 1.0, size=8_000_000)]

    assert [bar.name for bar in bars.check(rows)] == ["peak memory above idle"]


def test_a_new_row_takes_the_place_of_the_same_one(tmp_path: Path) -> None:
    """Rows of earlier runs stay, those measured again are replaced, and ratios are made anew."""
    path = tmp_path / "results.json"
    results.write(path, results.merge(path, [row("ours", 10.0), row("sdk_read", 100.0)], command="first"))

    merged = results.merge(path, [row("ours", 5.0)], command="second")

    found = {one["contender"]: (one["seconds"], one["command"], one["times_sdk_read"]) for one in merged["rows"]}
    assert found == {"ours": (5.0, "second", 20.0), "sdk_read": (100.0, "first", 1.0)}


def test_rows_of_another_machine_are_dropped(tmp_path: Path) -> None:
    """Figures of machines of different shape are never in one file."""
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"machine": {"cores": 512}, "rows": [row("ours", 1.0)]}))

    merged = results.merge(path, [row("sdk_read", 2.0)], command="here")

    assert [one["contender"] for one in merged["rows"]] == ["sdk_read"]


def test_charts_are_well_formed() -> None:
    """Both charts are XML, with a bar per figure."""
    pump = chart.pump([row("ours", 10.0), row("sdk_read", 140.0)])
    burst_row = {
        "benchmark": "burst",
        "events": 1000,
        "connections": 32,
        **{f"answer_{name}_seconds": 0.5 for name in ("p50", "p99", "slowest")},
        **{f"staged_{name}_seconds": 5.0 for name in ("p50", "p99", "all")},
    }
    burst = chart.burst([burst_row])

    assert pump is not None
    assert burst is not None
    # The background, then speed, CPU and memory of two contenders.
    assert len(ET.fromstring(pump).findall("{*}rect")) == 1 + 3 * 2  # noqa: S314 - our own text
    assert len(ET.fromstring(burst).findall("{*}rect")) == 1 + 6  # noqa: S314 - our own text


def test_percentile() -> None:
    """A percentile is one of the values, by nearest rank."""
    values = [float(number) for number in range(1, 101)]

    assert [percentile(values, percent) for percent in (1, 50, 99, 100)] == [1.0, 50.0, 99.0, 100.0]
    assert percentile([3.0], 99) == 3.0
