"""The results as a file, and as a table in the terminal."""

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Row = dict[str, Any]

_KEY = ("benchmark", "contender", "bytes", "shaping", "sink", "events", "connections")
# The ratios of a row to the same measurement of another contender.
_AGAINST = ("sdk_read", "sdk_stream", "sdk_stream_large_reads", "sdk_tuned")
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
    """Write the pump's rows as text, a block per size, shaping and sink."""
    lines: list[str] = []
    before: tuple[Any, ...] = ()
    for row in rows:
        if row["benchmark"] != "pump":
            continue
        case = (row["bytes"], row["shaping"], row["sink"])
        if case != before:
            lines += ["", f"{row['bytes'] / 1e6:g} MB, {row['shaping']}, {row['sink']}"]
            lines.append(_line([title for title, _ in _COLUMNS]))
        before = case
        lines.append(_line([_text(row.get(name)) for _, name in _COLUMNS]))
        if "proof_seconds" in row:
            proof = f"{row['proof_seconds']} s, {row['proof_cpu_seconds_per_gib']} CPU-s/GiB"
            lines.append(f"  {'the proof after it':<24}{proof}")
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return f"  {cells[0]:<24}" + "".join(f"{cell:>16}" for cell in cells[1:])


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def key(row: Row) -> tuple[Any, ...]:
    """Tell which measurement a row is of: a later one with the same key takes its place."""
    return tuple(row.get(name) for name in _KEY)
