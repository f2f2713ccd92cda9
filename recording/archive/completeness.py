"""Pure: compare what ACS reports that it recorded with what was archived.

ACS reports each recording that it made to Azure Monitor, in the table `ACSCallRecordingSummary`, once its files are
ready, whether a file event arrives or not. Each archived recording has a log line `recording.archived`. A
recording that ACS reports and no line names is missing, for whatever reason: the app's own state is not used. An alert
makes the same comparison in Kusto (infra/alerts.bicep, recording-missing).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from recording.model import layout

# A line of the 2021 preview API has no recording id, only the start, which ACS may give in whole seconds.
_SAME_START = timedelta(seconds=1)

State = Literal["archived", "incomplete", "missing", "not due", "no files"]


@dataclass(frozen=True)
class Recorded:
    """A row of ACSCallRecordingSummary: a recording that ACS made."""

    recording_id: str
    start: datetime | None
    ready_at: datetime
    chunks: int
    end_reason: str


@dataclass(frozen=True)
class Archived:
    """A line of this app: chunks in the archive, or documents that ACS has put into the team's own storage."""

    recording_key: str
    recording_id: str | None
    chunks: int = 0
    exported: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Compared:
    """A recording that ACS made, and how many of its chunks are archived."""

    recorded: Recorded
    archived: int
    deadline: datetime
    state: State


def compare(
    recorded: Sequence[Recorded],
    archived: Iterable[Archived],
    *,
    now: datetime,
    retention: timedelta,
    margin: timedelta,
) -> list[Compared]:
    """Return for each recording that ACS made how much of it is archived; it is due `margin` before its deadline."""
    by_id: dict[str, list[Archived]] = {}
    nameless: list[Archived] = []
    for line in archived:
        if line.recording_id:
            by_id.setdefault(_plain(line.recording_id), []).append(line)
        elif not line.exported:
            # An event of exported files settles only a recording that it names.
            nameless.append(line)
    by_start = _by_start([row for row in recorded if _plain(row.recording_id) not in by_id], nameless)
    return [
        _compared(
            row,
            by_id.get(_plain(row.recording_id), by_start.get(row.recording_id, [])),
            now=now,
            retention=retention,
            margin=margin,
        )
        for row in recorded
    ]


def _compared(
    row: Recorded, lines: Sequence[Archived], *, now: datetime, retention: timedelta, margin: timedelta
) -> Compared:
    deadline = row.ready_at + retention
    # A manifest that supersedes another lists everything again: the largest count is the last.
    count = max((line.chunks for line in lines), default=0) + len(frozenset().union(*(line.exported for line in lines)))
    state: State
    if count >= row.chunks:
        state = "archived" if row.chunks else "no files"
    elif deadline - now > margin:
        state = "not due"
    else:
        state = "incomplete" if count else "missing"
    return Compared(row, count, deadline, state)


def _by_start(rows: Iterable[Recorded], nameless: Iterable[Archived]) -> dict[str, list[Archived]]:
    """Find the recordings that started with a row's, the closest first: each matches one row only."""
    lines: dict[str, list[Archived]] = {}
    by_second: dict[int, set[str]] = {}
    for line in nameless:
        lines.setdefault(line.recording_key, []).append(line)
        by_second.setdefault(_second(layout.recording_start(line.recording_key)), set()).add(line.recording_key)
    near = [
        (abs(layout.recording_start(key) - row.start), row, key)
        for row in rows
        if row.start
        for second in range(_second(row.start) - 1, _second(row.start) + 2)
        for key in by_second.get(second, ())
    ]
    found: dict[str, list[Archived]] = {}
    for apart, row, key in sorted(near, key=lambda pair: pair[0]):
        if apart <= _SAME_START and key in lines and row.recording_id not in found:
            found[row.recording_id] = lines.pop(key)
    return found


def _second(time: datetime) -> int:
    return int(time.timestamp())


def _plain(recording_id: str) -> str:
    # It may come with or without padding (docs/acs-contract.md#2021-recording-id).
    return recording_id.rstrip("=")
