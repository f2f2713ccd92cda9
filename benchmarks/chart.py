"""Bar charts as SVG, written by hand: a plotting library would be the largest dependency of the project."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

Row = dict[str, Any]

_WIDTH, _LABELS, _VALUES = 760, 250, 90
_BAR, _GAP, _TITLE, _MARGIN = 18, 6, 34, 16
_OURS, _OTHERS = "#0f6cbd", "#9aa5b1"
# Bytes: the usual chunk, and a large one.
_DRAWN = (75_000_000, 1_500_000_000)
_STYLE = "font-family:system-ui,sans-serif;font-size:12px"


@dataclass(frozen=True)
class Entry:
    """One bar: its label and value; ours stand out."""

    label: str
    value: float
    is_ours: bool = False


@dataclass(frozen=True)
class Panel:
    """Bars on one scale, with a title that has the unit."""

    title: str
    entries: Sequence[Entry]

    @property
    def height(self) -> int:
        """Pixels from the title's top to the last bar's end."""
        return _TITLE + len(self.entries) * (_BAR + _GAP) + _MARGIN


def draw(title: str, panels: Sequence[Panel]) -> str:
    """Draw the panels below each other."""
    height = _TITLE + sum(panel.height for panel in panels) + _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}" style="{_STYLE}">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{_MARGIN}" y="26" font-size="16" font-weight="600" fill="#1b1f24">{escape(title)}</text>',
    ]
    top = _TITLE + _MARGIN
    for panel in panels:
        parts += _panel(panel, top)
        top += panel.height
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel, top: int) -> list[str]:
    largest = max((entry.value for entry in panel.entries), default=0) or 1
    space = _WIDTH - _LABELS - _VALUES - 2 * _MARGIN
    parts = [f'<text x="{_MARGIN}" y="{top + 14}" font-weight="600" fill="#1b1f24">{escape(panel.title)}</text>']
    for number, entry in enumerate(panel.entries):
        y = top + _TITLE - 8 + number * (_BAR + _GAP)
        left, length = _MARGIN + _LABELS, max(1.0, space * entry.value / largest)
        label = f'<text x="{left - 8}" y="{y + 13}" text-anchor="end" fill="#3d444d">{escape(entry.label)}</text>'
        colour = _OURS if entry.is_ours else _OTHERS
        bar = f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{_BAR}" rx="2" fill="{colour}"/>'
        value = f'<text x="{left + length + 6:.1f}" y="{y + 13}" fill="#1b1f24">{_number(entry.value)}</text>'
        parts += [label, bar, value]
    return parts


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def pump(rows: Sequence[Row]) -> str | None:
    """Draw the speed of the usual chunk and of a large one, and CPU and memory of the large one, each without TLS."""
    mine = [row for row in rows if row["benchmark"] == "pump" and row["transport"] == "plain"]
    if not mine:
        return None
    cases = sorted({(row["bytes"], row["shaping"]) for row in mine})
    shown = [case for case in cases if case[0] in _DRAWN] or cases

    def of(case: tuple[int, str]) -> list[Row]:
        return [row for row in mine if (row["bytes"], row["shaping"]) == case]

    def title(case: tuple[int, str]) -> str:
        return f"{case[0] / 1e6:,.0f} MB, {'no shaping' if case[1] == 'none' else case[1]}"

    panels = [Panel(f"MB/s, {title(case)}", _entries(of(case), "megabytes_per_second")) for case in shown]
    last = max(shown, key=lambda case: (case[0], case[1] == "none"))
    panels.append(Panel(f"CPU-seconds per GiB, {title(last)}", _entries(of(last), "cpu_seconds_per_gib")))
    panels.append(Panel(f"Peak memory above idle, MiB, {title(last)}", _entries(of(last), "peak_mib_above_idle")))
    return draw("One chunk, source to committed", panels)


def burst(rows: Sequence[Row]) -> str | None:
    """Draw the answers and the staging of the largest burst, by many connections and by few."""
    mine = [row for row in rows if row["benchmark"] == "burst"]
    if not mine:
        return None
    most = max(row["events"] for row in mine)
    answers = (("p50", "answer_p50_seconds"), ("p99", "answer_p99_seconds"), ("slowest", "answer_slowest_seconds"))
    staged = (("half of them", "staged_p50_seconds"), ("99 %", "staged_p99_seconds"), ("all", "staged_all_seconds"))
    panels: list[Panel] = []
    for row in (one for one in mine if one["events"] == most):
        by = f"{row['connections']:,} connections"
        panels.append(Panel(f"Until the webhook answers, seconds, {by}", _ours(row, answers)))
        panels.append(Panel(f"Until the chunks are staged and proved, seconds, {by}", _ours(row, staged)))
    return draw(f"{most:,} file events", panels)


def control(rows: Sequence[Row]) -> str | None:
    """Draw how long each way takes to get a recording's state, by one connection and by several."""
    mine = [row for row in rows if row["benchmark"] == "control"]
    if not mine:
        return None
    panels = [
        Panel(
            f"Milliseconds, {name}, {connections} at once",
            _entries([row for row in mine if row["connections"] == connections], f"{name}_milliseconds"),
        )
        for connections in dict.fromkeys(row["connections"] for row in mine)
        for name in ("p50", "p99")
    ]
    return draw("The state of a recording", panels)


def sweep(rows: Sequence[Row]) -> str | None:
    """Draw what the timer costs as the archive grows."""
    mine = sorted(
        (row for row in rows if row["benchmark"] == "sweep"), key=lambda row: int(row["recordings_in_archive"])
    )
    if not mine:
        return None
    states = (
        ("waiting", "recordings wait"),
        ("handing_over", "recordings are queued"),
        ("archiving", "recordings are archived"),
    )
    units = (("requests", "Requests"), ("cpu_seconds", "CPU-seconds"), ("seconds", "Seconds"))
    panels = [
        Panel(
            f"{unit}, {mine[0]['recordings_in_staging']} {what}",
            [
                Entry(f"archive of {row['recordings_in_archive']:,}", row[f"{state}_{field}"], is_ours=True)
                for row in mine
            ],
        )
        for state, what in states
        for field, unit in units
    ]
    return draw("The timer and the archive queue as the archive grows", panels)


def workers(rows: Sequence[Row]) -> str | None:
    """Draw how many recordings are archived in a second by more and more worker processes, and who is busy then."""
    mine = [row for row in rows if row["benchmark"] == "workers"]
    if not mine:
        return None
    panels = [
        Panel(title, [Entry(f"{row['workers']} workers", row[field], field.startswith("archived")) for row in mine])
        for title, field in (
            ("Recordings a second", "archived_per_second"),
            ("Cores used by the workers", "cores_of_workers"),
            ("Cores used by Azurite, of the one that it can use", "cores_of_azurite"),
        )
    ]
    return draw("Recordings of one chunk, archived from the queue", panels)


def day(rows: Sequence[Row]) -> str | None:
    """Draw how long chunks of the usual size take from their event to safe."""
    mine = [row for row in rows if row["benchmark"] == "day"]
    if not mine:
        return None
    fields = (("p50", "safe_p50_seconds"), ("p99", "safe_p99_seconds"), ("slowest", "safe_slowest_seconds"))
    panels = [
        Panel(
            f"Seconds, {row['events']} chunks of {row['bytes'] / 1e6:g} MB over {row['arriving_seconds']:g} s",
            _ours(row, fields),
        )
        for row in mine
    ]
    return draw("From event to safe", panels)


def resume(rows: Sequence[Row]) -> str | None:
    """Draw how many megabytes are fetched again after a kill, a panel per size."""
    mine = [row for row in rows if row["benchmark"] == "resume"]
    if not mine:
        return None
    panels = [
        Panel(
            f"MB fetched again, of {size / 1e6:,.0f} MB",
            [
                Entry(
                    f"{row['title']}, at {row['killed_at_percent']} %",
                    row["fetched_again_megabytes"],
                    row["contender"].startswith("ours"),
                )
                for row in mine
                if row["bytes"] == size
            ],
        )
        for size in sorted({row["bytes"] for row in mine})
    ]
    return draw("A chunk whose copy was killed in the middle", panels)


def _ours(row: Row, fields: Sequence[tuple[str, str]]) -> list[Entry]:
    return [Entry(label, row[name], True) for label, name in fields]


def _entries(rows: Sequence[Row], field: str) -> list[Entry]:
    return [Entry(row["title"], row[field], row["contender"].startswith("ours")) for row in rows]
