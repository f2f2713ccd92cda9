"""`python -m recording reconcile`: compare what ACS reports that it recorded with what was archived.

Both are read from the Log Analytics workspace, where the app's lines are in `AppTraces` (Application Insights shows the
same rows as `traces`). Queries only fetch rows; archive/completeness.py compares them.
"""

import argparse
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError, HttpResponseError
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.identity.aio import DefaultAzureCredential
from azure.monitor.query import LogsQueryPartialResult
from azure.monitor.query.aio import LogsQueryClient

from recording.archive.completeness import Archived, Compared, Recorded, compare
from recording.commands.arguments import add_settings, utc_time
from recording.config.settings import Settings, read_from
from recording.errors import RecordingError
from recording.model import layout
from recording.urls import is_loopback, require_https

ENDPOINT = "https://api.loganalytics.io"
RECORDED = """ACSCallRecordingSummary
| project TimeGenerated, RecordingId, RecordingStartTime, RecordingLength, ChunkCount, RecordingEndReason"""
ARCHIVED = """AppTraces
| where Message startswith "recording.archived " or Message startswith "recording.exported "
| project TimeGenerated, Message"""
# ACS's rows can be late (Azure Monitor promises no time), so lines are looked for from before the first row.
MARGIN = timedelta(days=1)
_RETRIES = 3


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = commands.add_parser("reconcile", help="compare what ACS reports that it recorded with what was archived")
    parser.add_argument("--workspace", required=True, metavar="ID", help="of Log Analytics (LOG_WORKSPACE_ID)")
    parser.add_argument("--from", dest="since", type=utc_time, help="reported since (ISO 8601; default: a week ago)")
    parser.add_argument("--to", dest="until", type=utc_time, help="reported before (ISO 8601; default: now)")
    parser.add_argument("--endpoint", type=_endpoint, default=ENDPOINT, help="of Log Analytics, in another cloud")
    parser.set_defaults(command=run)
    add_settings(parser)


async def run(arguments: argparse.Namespace) -> int:
    """Print what is not archived, the least time left first; 1 if something is missing that is due."""
    settings, now = read_from(arguments.settings), datetime.now(UTC)
    end = min(arguments.until or now, now)
    begin = arguments.since or end - timedelta(days=7)
    async with DefaultAzureCredential() as credential:
        workspace = Workspace(arguments.workspace, credential, endpoint=arguments.endpoint)
        try:
            found = await _compare(workspace, settings, begin=begin, end=end, now=now)
        finally:
            await workspace.aclose()
    for line in table(found, now=now):
        print("".join(letter if letter.isprintable() else "\ufffd" for letter in line))
    bad, early = (sum(one.state in states for one in found) for states in (("missing", "incomplete"), ("not due",)))
    print(f"{len(found)} recordings at ACS, {bad} not archived or not all of it, {early} not archived yet and not due")
    return 1 if bad else 0


class Workspace:
    """A Log Analytics workspace, by the official client."""

    def __init__(self, workspace_id: str, credential: AsyncTokenCredential, *, endpoint: str = ENDPOINT) -> None:
        """Raise ValueError for an endpoint that a token must not be sent to."""
        self._id = workspace_id
        parts = urlsplit(require_https(endpoint))
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


async def _compare(
    workspace: Workspace, settings: Settings, *, begin: datetime, end: datetime, now: datetime
) -> list[Compared]:
    """Compare the recordings that ACS has reported between two times with all that was archived since.

    Raises RecordingError if the workspace gives no answer.
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
    return compare(recorded, archived, now=now, retention=settings.retention, margin=settings.risk_margin)


def table(found: Sequence[Compared], *, now: datetime) -> list[str]:
    """Write what isn't fully archived as the lines of a table, the least time left first; none if there is nothing."""
    rows = sorted((one for one in found if one.state not in ("archived", "no files")), key=lambda one: one.deadline)
    if not rows:
        return []
    cells = [["state", "chunks at ACS", "archived", "deadline (UTC)", "time left", "ended by", "recording id"]]
    for one in rows:
        deadline, left = f"{one.deadline.astimezone(UTC):%Y-%m-%d %H:%M}", _left(one.deadline - now)
        known = one.recorded
        chunks = [str(known.chunks), str(one.archived)]
        cells.append([one.state, *chunks, deadline, left, known.end_reason, known.recording_id])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


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
            # A very long line has the beginning of the list as a text: that proves nothing.
            documents = fields["documentIds"] if isinstance(fields["documentIds"], list) else []
            return Archived(key, recording_id, exported=frozenset(documents))
        return Archived(key, recording_id, chunks=int(fields["chunks"]) - int(fields.get("missing") or 0))
    except (ValueError, LookupError, TypeError):
        return None


def _left(left: timedelta) -> str:
    minutes = round(abs(left).total_seconds() / 60)
    spelled = f"{minutes // 60} h {minutes % 60:02} min"
    return spelled if left > timedelta(0) else f"over for {spelled}"


def _refusal(refused: HttpResponseError) -> str:
    match refused.status_code:
        case None:
            return "the workspace could not be asked: there is no login on this machine (az login)"
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


def _endpoint(text: str) -> str:
    try:
        return require_https(text)
    except ValueError as wrong:
        raise argparse.ArgumentTypeError(str(wrong)) from None
