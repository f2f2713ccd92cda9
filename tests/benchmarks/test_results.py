"""benchmarks/results.py, bars.py and chart.py: figures become tables and charts."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from benchmarks import bars, chart, results
from benchmarks.burst import percentile

Row = dict[str, Any]


def row(contender: str, seconds: float, *, size: int = 1_500_000_000, cap: float | None = 25.0, mib: float = 20) -> Row:
    """Make a row of the pump."""
    return {
        "benchmark": "pump",
        "contender": contender,
        "title": contender,
        "bytes": size,
        "shaping": "30 ms, 25 MB/s per connection" if cap else "none",
        "cap_megabytes_per_second_per_connection": cap,
        "transport": "plain",
        "seconds": seconds,
        "megabytes_per_second": round(size / 1e6 / seconds, 1),
        "cpu_seconds_per_gib": 1.0,
        "peak_mib_above_idle": mib,
        "requests_to_sink": 50,
        "percent_of_streams_times_cap": round(size / seconds / 2e6, 1),
    }


def test_bars_are_met_or_not_by_their_figures() -> None:
    """A bar says what was wanted, what was measured, and distinguishes the two."""
    rows = [row("ours", 7.9), row("sdk_tuned", 8.0), row("ours", 1.2, cap=None), row("sdk_tuned", 1.0, cap=None)]

    found = {bar.name: bar for bar in bars.check(rows)}

    assert {name: bar.met for name, bar in found.items()} == {
        "1.5GB, 30 ms, 25 MB/s per connection, against sdk_tuned": True,
        "1.5GB, 30 ms, 25 MB/s per connection, of streams x cap": True,
        "1.5GB, unshaped, against sdk_tuned": False,
        "1.5GB, unshaped, CPU-seconds per GiB until safe": True,
        "peak memory above idle until safe": True,
    }
    line = "NOT MET  1.5GB, unshaped, against sdk_tuned: 0.83 times, 1250.0 to 1500.0 MB/s"
    assert found["1.5GB, unshaped, against sdk_tuned"].line() == f"{line} (must be at least 0.85 times; aim 1)"


def test_memory_must_be_flat() -> None:
    """The largest chunk needs hardly more memory than a large one, and none of them more than its bar."""
    flat = [row("ours", 1.0, size=size, mib=30.0) for size in (64_000_000, 1_500_000_000, 10_000_000_000)]
    steep = [*flat[:2], row("ours", 1.0, size=10_000_000_000, mib=41.0)]

    assert [bar.met for bar in bars.check(flat) if "memory" in bar.name or "10 GB" in bar.name] == [True, True]
    assert [bar.met for bar in bars.check(steep) if "memory" in bar.name or "10 GB" in bar.name] == [False, False]


def test_a_copy_over_tls_is_held_to_no_bar() -> None:
    """It is a row beside the same one without."""
    assert bars.check([row("ours", 9.0) | {"transport": "TLS, uvloop"}]) == []


def worker_row(workers: int, rate: float, azurite: float) -> Row:
    """Make the row of a number of workers."""
    figures = {"archived_per_second": rate, "cores_of_azurite": azurite, "cores_of_workers": 0.5 * workers}
    return {"benchmark": "workers", "contender": "ours", "workers": workers, **figures}


def test_more_workers_archive_more_until_azurite_or_the_machine_is_the_limit() -> None:
    """A step that isn't quicker is accepted only where nothing had any time left, and its line says what."""
    limited = bars.check([worker_row(1, 20.0, 0.5), worker_row(2, 35.0, 0.8), worker_row(4, 36.0, 0.97)])
    stuck = bars.check([worker_row(1, 20.0, 0.5), worker_row(2, 21.0, 0.5)])

    assert [(bar.met, bar.measured.endswith("Azurite is the limit")) for bar in limited] == [
        (True, False),
        (True, True),
    ]
    assert [bar.met for bar in stuck] == [False]
    [busy], [idle] = (
        bars.check([worker_row(1, 20.0, 0.5), worker_row(2, 19.0, 0.75) | {"cores_of_machine": cores}])
        for cores in (2, 4)
    )
    assert (True, "the 2 cores of the machine are the limit") == (busy.met, busy.measured.rpartition(": ")[2])
    assert not idle.met


def test_a_new_row_takes_the_place_of_the_same_one(tmp_path: Path) -> None:
    """Rows of earlier runs stay, those measured again are replaced, and ratios are calculated again."""
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


def test_the_chart_is_of_the_usual_chunk_and_a_large_one() -> None:
    """A chunk of 10 GB is measured for its memory; what matters to most is drawn, where it was measured."""
    sizes = (64_000_000, 75_000_000, 1_500_000_000, 10_000_000_000)
    rows = [row("ours", 1.0, size=size, cap=cap) for size in sizes for cap in (None, 25.0)]

    drawn = chart.pump(rows)

    assert drawn is not None
    assert ("MB/s, 75 MB, no shaping" in drawn, "MB/s, 1,500 MB, 30 ms" in drawn) == (True, True)
    assert ("MB/s, 64 MB" in drawn, "MB/s, 10,000 MB" in drawn) == (False, False)
    assert "MB/s, 64 MB" in (chart.pump(rows[:1]) or "")


def sweep_row(held: int, requests: int) -> Row:
    """Make a row of the sweep."""
    costs = {
        f"{state}_{unit}": requests
        for state in ("waiting", "handing_over", "archiving")
        for unit in ("requests", "seconds", "cpu_seconds")
    }
    return {"benchmark": "sweep", "recordings_in_archive": held, "recordings_in_staging": 10, **costs}


def small_rows() -> list[Row]:
    """Make rows of the small benchmarks."""
    asked = [
        {"benchmark": "control", "contender": name, "title": name, "connections": count, **figures}
        for name in ("ours", "sdk")
        for count, figures in ((1, {"p50_milliseconds": 2.0, "p99_milliseconds": 4.0}),)
    ]
    killed = [
        {
            "benchmark": "resume",
            "contender": name,
            "title": name,
            "bytes": 250_000_000,
            "killed_at_percent": percent,
            "fetched_again_megabytes": 10.0 * percent,
        }
        for name, percent in (("sdk_read", 50), ("ours", 45), ("ours", 50))
    ]
    arriving = {"events": 200, "bytes": 75_000_000, "arriving_seconds": 600.0}
    safe = {f"safe_{name}_seconds": 1.0 for name in ("p50", "p99", "slowest")}
    day = {"benchmark": "day", "contender": "ours", **arriving, **safe}
    several = [worker_row(1, 20.0, 0.5), worker_row(2, 35.0, 0.8)]
    return [*asked, sweep_row(0, 20), sweep_row(100_000, 21), *several, day, *killed]


def test_the_timer_is_held_to_be_flat() -> None:
    """With 100,000 recordings in the archive a run has 1.2 times the requests at most; seconds aren't held."""
    flat = [sweep_row(0, 100), sweep_row(10_000, 500), sweep_row(100_000, 120)]
    steep = [sweep_row(0, 100), sweep_row(100_000, 121)]

    assert [bar.met for bar in bars.check(flat)] == [True, True, True]
    assert [bar.met for bar in bars.check(steep)] == [False, False, False]
    assert "1.20 times, 100 to 120" in bars.check(flat)[0].line()


def test_without_an_empty_archive_nothing_is_compared() -> None:
    """One size of the archive alone says nothing about another."""
    assert bars.check([sweep_row(100_000, 121)]) == []
    assert bars.check([sweep_row(0, 100)]) == []


def test_kills_and_archives_have_rows_of_their_own(tmp_path: Path) -> None:
    """What differs in nothing but the kill's place or the archive's size doesn't take the other's place."""
    merged = results.merge(tmp_path / "results.json", small_rows(), command="here")

    assert len(merged["rows"]) == len(small_rows())


def test_the_table_has_every_benchmark() -> None:
    """Each small benchmark is a block with its title, a head, and a line per row."""
    lines = results.table(small_rows()).splitlines()

    assert [line for line in lines if line and not line.startswith(" ")] == [
        "the state of a recording, milliseconds",
        "ten recordings in flight: waiting, then queued by the timer, then archived by a worker",
        "finished recordings, archived by so many worker processes",
        "chunks that arrive over time, seconds from event to safe",
        "killed in the middle, megabytes",
    ]
    assert len([line for line in lines if line.startswith(" ")]) == 5 + len(small_rows())


def test_charts_of_the_small_benchmarks() -> None:
    """Each is XML with a bar per figure, and isn't drawn where there is nothing to draw."""
    drawings = (chart.control, chart.sweep, chart.workers, chart.day, chart.resume)
    drawn = {draw.__name__: draw(small_rows()) for draw in drawings}

    bars_drawn = {
        name: len(ET.fromstring(text).findall("{*}rect")) - 1  # noqa: S314 - our own text
        for name, text in drawn.items()
        if text
    }
    assert bars_drawn == {"control": 2 * 2, "sweep": 2 * 9, "workers": 3 * 2, "day": 3, "resume": 3}
    assert [draw([]) for draw in drawings] == [None] * len(drawings)


def test_percentile() -> None:
    """A percentile is one of the values, by nearest rank."""
    values = [float(number) for number in range(1, 101)]

    assert [percentile(values, percent) for percent in (1, 50, 99, 100)] == [1.0, 50.0, 99.0, 100.0]
    assert percentile([3.0], 99) == 3.0
