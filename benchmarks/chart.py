"""Bar charts as SVG, written by hand: a plotting library would be the largest dependency of the project."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

Row = dict[str, Any]

_WIDTH, _LABELS, _VALUES = 760, 250, 90
_BAR, _GAP, _TITLE, _MARGIN = 18, 6, 34, 16
_OURS, _OTHERS = "#0f6cbd", "#9aa5b1"
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
    """Draw speed, CPU and memory of the pump at the largest size that was measured with every shaping."""
    mine = [row for row in rows if row["benchmark"] == "pump" and row["sink"] == "discarding"]
    if not mine:
        return None
    shaped = {(row["bytes"], row["shaping"]) for row in mine}
    size = max({row["bytes"] for row in mine}, key=lambda one: (sum(one == size for size, _ in shaped), one))
    here = [row for row in mine if row["bytes"] == size]
    shapings = dict.fromkeys(row["shaping"] for row in here)
    titles = {shaping: f"MB/s, {'no shaping' if shaping == 'none' else shaping}" for shaping in shapings}
    panels = [
        Panel(titles[one], _entries([row for row in here if row["shaping"] == one], "megabytes_per_second"))
        for one in shapings
    ]
    first = [row for row in here if row["shaping"] == next(iter(shapings))]
    panels.append(
        Panel(f"CPU-seconds per GiB, {titles[first[0]['shaping']][6:]}", _entries(first, "cpu_seconds_per_gib"))
    )
    panels.append(Panel("Peak memory above idle, MiB", _entries(first, "peak_mib_above_idle")))
    return draw(f"One chunk of {size / 1e6:g} MB, source to committed", panels)


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
    states = (("waiting", "recordings wait"), ("archiving", "recordings are archived"))
    units = (("requests", "Requests of a run"), ("cpu_seconds", "CPU-seconds"), ("seconds", "Seconds"))
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
    return draw("The archive timer as the archive grows", panels)


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
                    f"{row['title'].partition(', then proved')[0]}, at {row['killed_at_percent']} %",
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
