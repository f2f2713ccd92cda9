"""The results as a file, and as a table in the terminal."""

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Row = dict[str, Any]

_KEY = (
    *("benchmark", "contender", "bytes", "shaping", "transport", "events", "connections"),
    *("recordings_in_archive", "recordings_in_staging", "workers", "killed_at_percent"),
)
# The ratios of a row to the same measurement of another contender.
_AGAINST = ("sdk_read", "sdk_stream", "sdk_tuned")
_COLUMNS = (
    ("contender", "contender"),
    ("MB/s", "megabytes_per_second"),
    ("CPU-s/GiB", "cpu_seconds_per_gib"),
    ("MiB above idle", "peak_mib_above_idle"),
    ("requests", "requests_to_sink"),
    ("x (a)", "times_sdk_read"),
    ("x (b)", "times_sdk_stream"),
    ("x (c)", "times_sdk_tuned"),
)
# Of the smaller benchmarks, each of which is one block: its title and its columns.
_BLOCKS: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "control": (
        "the state of a recording, milliseconds",
        (
            ("asked", "contender"),
            ("at once", "connections"),
            ("p50", "p50_milliseconds"),
            ("p99", "p99_milliseconds"),
            ("p50 above sdk", "p50_milliseconds_above_sdk"),
            ("p99 above sdk", "p99_milliseconds_above_sdk"),
        ),
    ),
    "concurrency": (
        "file events to one worker, by so many connections",
        (
            ("connections", "connections"),
            ("answered a second", "answered_per_second"),
            ("p99, s", "answer_p99_seconds"),
        ),
    ),
    "sweep": (
        "ten recordings in flight: waiting, then queued by the timer, then archived by a worker",
        (
            ("archived before", "recordings_in_archive"),
            ("requests", "waiting_requests"),
            ("seconds", "waiting_seconds"),
            ("requests", "handing_over_requests"),
            ("seconds", "handing_over_seconds"),
            ("requests", "archiving_requests"),
            ("seconds", "archiving_seconds"),
        ),
    ),
    "workers": (
        "finished recordings, archived by so many worker processes",
        (
            ("workers", "workers"),
            ("a second", "archived_per_second"),
            ("queued a second", "handed_over_per_second"),
            ("requests each", "requests_per_recording"),
            ("CPU-ms each", "cpu_milliseconds_per_recording"),
            ("cores, workers", "cores_of_workers"),
            ("cores, Azurite", "cores_of_azurite"),
            ("MiB above idle", "peak_mib_above_idle"),
        ),
    ),
    "day": (
        "chunks that arrive over time, seconds from event to safe",
        (
            ("chunks", "events"),
            ("bytes", "bytes"),
            ("over seconds", "arriving_seconds"),
            ("p50", "safe_p50_seconds"),
            ("p99", "safe_p99_seconds"),
            ("slowest", "safe_slowest_seconds"),
        ),
    ),
    "slow": (
        "a healthy chunk beside slow sources, with the limit of pace and without it",
        (
            ("contender", "contender"),
            ("slow chunks", "slow_chunks"),
            ("each alone, s", "slow_seconds"),
            ("pace over, s", "pace_seconds"),
            ("healthy, s", "healthy_seconds"),
        ),
    ),
    "big": (
        "a recording of many chunks, and others beside it, seconds",
        (
            ("chunks", "events"),
            ("answered", "answer_seconds"),
            ("read", "read_seconds"),
            ("listed", "list_seconds"),
            ("others alone", "others_alone_seconds"),
            ("others beside", "others_beside_seconds"),
            ("all staged", "staged_all_seconds"),
            ("archived", "archived_seconds"),
        ),
    ),
    "find": (
        "a page of fifty recordings, milliseconds",
        (
            ("search", "contender"),
            ("recordings", "recordings_in_archive"),
            ("on the page", "recordings_on_page"),
            ("requests", "requests"),
            ("p50", "p50_milliseconds"),
            ("worst", "worst_milliseconds"),
        ),
    ),
    "resume": (
        "killed in the middle, megabytes",
        (
            ("contender", "contender"),
            ("bytes", "bytes"),
            ("killed at %", "killed_at_percent"),
            ("served", "served_until_the_kill_megabytes"),
            ("fetched again", "fetched_again_megabytes"),
            ("s to the end", "seconds_after_the_restart"),
        ),
    ),
}


def machine() -> dict[str, Any]:
    """Describe the machine's shape, and nothing that names it."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30),
        "system": platform.system(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
    }


def merge(path: Path, rows: list[Row], *, command: str) -> dict[str, Any]:
    """Put new rows in the place of the same ones of an earlier run on a machine of this shape."""
    here = machine()
    found = json.loads(path.read_text()) if path.is_file() else {}
    kept = found["rows"] if found.get("machine") == here else []
    when = datetime.now(UTC).date().isoformat()
    fresh = {key(row): {**row, "measured_on": when, "command": command} for row in rows}
    merged = {key(row): row for row in kept} | fresh
    return {"machine": here, "rows": with_ratios(list(merged.values()))}


def write(path: Path, results: dict[str, Any]) -> None:
    """Write the results; a row per line would be shorter, a field per line can be compared."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")


def with_ratios(rows: list[Row]) -> list[Row]:
    """Add to each row of the pump how many times as fast as the others it is."""
    places = {key(row): row for row in rows}
    done: list[Row] = []
    for row in rows:
        ratios: Row = {}
        for other in _AGAINST if row["benchmark"] == "pump" else ():
            against = places.get(key({**row, "contender": other}))
            if against:
                ratios[f"times_{other}"] = round(against["seconds"] / row["seconds"], 2)
        done.append({**row, **ratios})
    return done


def table(rows: list[Row]) -> str:
    """Write rows as text: a block per size, shaping and transport of the pump, one for each other; no burst."""
    lines: list[str] = []
    before: tuple[Any, ...] = ()
    for row in rows:
        if row["benchmark"] != "pump":
            continue
        case = (row["bytes"], row["shaping"], row["transport"])
        if case != before:
            lines += ["", f"{row['bytes'] / 1e6:g} MB, {row['shaping']}, {row['transport']}"]
            lines.append(_line([title for title, _ in _COLUMNS]))
        before = case
        lines.append(_line([_text(row.get(name)) for _, name in _COLUMNS]))
        if "archived_seconds" in row:
            until = f"{row['archived_seconds']} s, {row['archived_cpu_seconds_per_gib']} CPU-s/GiB, "
            lines.append(f"  {'until archived':<24}{until}{row['archived_peak_mib_above_idle']} MiB above idle")
    for benchmark, (title, columns) in _BLOCKS.items():
        if mine := [row for row in rows if row["benchmark"] == benchmark]:
            lines += ["", title, _line([head for head, _ in columns])]
            lines += [_line([_text(row.get(name)) for _, name in columns]) for row in mine]
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return f"  {cells[0]:<24}" + "".join(f"{cell:>16}" for cell in cells[1:])


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def key(row: Row) -> tuple[Any, ...]:
    """Return which measurement a row is of: a later one with the same key takes its place."""
    return tuple(row.get(name) for name in _KEY)
