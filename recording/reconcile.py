"""Compare what ACS says that it recorded with what was archived.

ACS reports each recording that it made to Azure Monitor, in the table `ACSCallRecordingSummary`, once its files are
ready, whether a file event arrives or not. Each archived recording has a line `recording.archived`. What stands in the
one and not in the other is missing, however it went missing: this proof uses nothing of the app's own state.

Both are read from the workspace, where the lines are in `AppTraces` (Application Insights shows the same rows as
`traces`). The comparison is made here: an alert makes the same one in Kusto (infra/alerts.bicep, recording-missing).
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlsplit

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError, HttpResponseError
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.monitor.query import LogsQueryPartialResult
from azure.monitor.query.aio import LogsQueryClient

from recording import layout
from recording.address import check, is_loopback
from recording.errors import RecordingError

ENDPOINT = "https://api.loganalytics.io"
RECORDED = """ACSCallRecordingSummary
| project TimeGenerated, RecordingId, RecordingStartTime, RecordingLength, ChunkCount, RecordingEndReason"""
ARCHIVED = """AppTraces
| where Message startswith "recording.archived " or Message startswith "recording.exported "
| project TimeGenerated, Message"""
# ACS's rows can be late (Azure Monitor promises no time), so lines are looked for from before the first row.
MARGIN = timedelta(days=1)
_RETRIES = 3
# A line of the 2021 API has no recording id, only the start, which ACS may give in whole seconds.
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


class Workspace:
    """A Log Analytics workspace, by the official client."""

    def __init__(self, workspace_id: str, credential: AsyncTokenCredential, *, endpoint: str = ENDPOINT) -> None:
        """Raise ValueError for an endpoint that a token must not be sent to."""
        self._id = workspace_id
        parts = urlsplit(check(endpoint))
        # By http on this machine's loopback no token is sent; azure-core sends none in the clear.
        is_open = parts.scheme == "http" and is_loopback(parts.hostname or "")
        options: dict[str, Any] = {"authentication_policy": SansIOHTTPPolicy()} if is_open else {}
        # The client's own ten tries take minutes.
        self._client = LogsQueryClient(credential, endpoint=endpoint, retry_total=_RETRIES, **options)

    async def recorded(self, begin: datetime, end: datetime) -> list[Recorded]:
        """List the recordings that ACS has reported in a time, the oldest first, each once."""
        rows = [_recorded(row) for row in await self._query(RECORDED, begin, end)]
        # Two rows of one recording would be a surprise; that with more chunks asks for more.
        once = {one.recording_id: one for one in sorted(rows, key=lambda one: one.chunks)}
        return sorted(once.values(), key=lambda one: one.ready_at)

    async def archived(self, begin: datetime, end: datetime) -> list[Archived]:
        """List the lines of recordings that were archived in a time."""
        return [found for row in await self._query(ARCHIVED, begin, end) if (found := _archived(row["Message"]))]

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _query(self, query: str, begin: datetime, end: datetime) -> list[dict[str, Any]]:
        """Raise RecordingError that says what a person can do about it."""
        try:
            result = await self._client.query_workspace(self._id, query, timespan=(begin, end))
        except HttpResponseError as refused:
            raise RecordingError(_refusal(refused)) from None
        except AzureError as failed:
            raise RecordingError(f"the workspace could not be reached ({type(failed).__name__})") from None
        if isinstance(result, LogsQueryPartialResult):
            raise RecordingError("the workspace gave only a part of its rows: ask for a shorter time")
        return [dict(zip(table.columns, row, strict=True)) for table in result.tables for row in table.rows]


async def run(
    workspace: Workspace,
    *,
    begin: datetime,
    end: datetime,
    now: datetime,
    retention: timedelta,
    margin: timedelta,
) -> list[Compared]:
    """Compare the recordings that ACS has reported between two times with all that was archived since.

    Raises RecordingError where the workspace can't tell.
    """
    recorded = await workspace.recorded(begin, end)
    archived = await workspace.archived(begin - MARGIN, now)
    started = [one for one in archived if begin <= layout.recording_start(one.recording_key) < end]
    if started and not recorded:
        # Silence must not look like completeness.
        raise RecordingError(
            "ACS has reported no recording in this time, and at least one of it is archived: "
            "is the diagnostic setting of the ACS resource there?"
        )
    return compare(recorded, archived, now=now, retention=retention, margin=margin)


def compare(
    recorded: Sequence[Recorded],
    archived: Iterable[Archived],
    *,
    now: datetime,
    retention: timedelta,
    margin: timedelta,
) -> list[Compared]:
    """Say of each recording that ACS made how much of it is archived; `margin` before its deadline it is due."""
    by_id: dict[str, list[Archived]] = {}
    nameless: list[Archived] = []
    for line in archived:
        if line.recording_id:
            by_id.setdefault(_plain(line.recording_id), []).append(line)
        else:
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


def table(found: Sequence[Compared], *, now: datetime) -> str:
    """Write what isn't fully archived as a table, the least time left first; "" if there is nothing."""
    rows = sorted((one for one in found if one.state not in ("archived", "no files")), key=lambda one: one.deadline)
    if not rows:
        return ""
    cells = [["state", "chunks at ACS", "archived", "deadline (UTC)", "time left", "ended by", "recording id"]]
    for one in rows:
        deadline, left = f"{one.deadline.astimezone(UTC):%Y-%m-%d %H:%M}", _left(one.deadline - now)
        row = one.recorded
        cells.append([one.state, str(row.chunks), str(one.archived), deadline, left, row.end_reason, row.recording_id])
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(r, widths, strict=True)).rstrip() for r in cells
    )


def _compared(
    row: Recorded, lines: Sequence[Archived], *, now: datetime, retention: timedelta, margin: timedelta
) -> Compared:
    deadline = row.ready_at + retention
    # A manifest that overtakes another tells the whole story again: the largest count is the last.
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
    """Find the recordings that started with a row's, the closest first: each stands for one row only."""
    lines: dict[str, list[Archived]] = {}
    for line in nameless:
        lines.setdefault(line.recording_key, []).append(line)
    starts = [(abs(layout.recording_start(key) - row.start), row, key) for row in rows if row.start for key in lines]
    found: dict[str, list[Archived]] = {}
    for apart, row, key in sorted(starts, key=lambda pair: pair[0]):
        if apart <= _SAME_START and key in lines and row.recording_id not in found:
            found[row.recording_id] = lines.pop(key)
    return found


def _recorded(row: dict[str, Any]) -> Recorded:
    ready, start = row["TimeGenerated"], row["RecordingStartTime"]
    if isinstance(start, datetime):
        # Pauses aren't in the length, so this may be early, and never late.
        ready = min(ready, start + timedelta(seconds=float(row["RecordingLength"] or 0)))
    return Recorded(
        recording_id=str(row["RecordingId"]),
        start=start if isinstance(start, datetime) else None,
        ready_at=ready,
        chunks=int(row["ChunkCount"] or 0),
        end_reason=str(row["RecordingEndReason"] or ""),
    )


def _archived(message: str) -> Archived | None:
    """Read a line's fields, as the queries of the alerts do; None for a line that isn't one."""
    event, _, text = message.partition(" ")
    try:
        fields = json.loads(text)
        key, recording_id = fields["recordingKey"], fields.get("recordingId")
        if not layout.is_recording_key(key):
            return None
        if event == "recording.exported":
            return Archived(key, recording_id, exported=frozenset(fields["documentIds"]))
        return Archived(key, recording_id, chunks=int(fields["chunks"]) - int(fields.get("missing") or 0))
    except (ValueError, LookupError, TypeError):
        return None


def _plain(recording_id: str) -> str:
    # It may come with or without padding (acs-contract 2.4).
    return recording_id.rstrip("=")


def _left(left: timedelta) -> str:
    minutes = round(abs(left).total_seconds() / 60)
    spelled = f"{minutes // 60} h {minutes % 60:02} min"
    return spelled if left > timedelta(0) else f"over for {spelled}"


def _refusal(refused: HttpResponseError) -> str:
    match refused.status_code:
        case None:
            return "the workspace could not be asked: there is no login here (az login)"
        case 401 | 403:
            return (
                f"your login may not read the workspace ({refused.status_code}): "
                "it needs the role Log Analytics Reader or Monitoring Reader there"
            )
        case 404:
            return "there is no such workspace: give its workspace id (a GUID, LOG_WORKSPACE_ID of the deployment)"
        case 400:
            return "the workspace does not know the tables: is the diagnostic setting of the ACS resource there?"
        case status:
            return f"the workspace answered {status}: try again later"
