"""local/log_analytics.py and local/acs/summary.py: the rows that ACS and the app send to Azure Monitor."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from local.acs.server import Emulator
from local.log_analytics import WORKSPACE, LogAnalytics
from tests.support.emulator import Control

# https://learn.microsoft.com/azure/azure-monitor/reference/tables/acscallrecordingsummary, but for the common ones.
COLUMNS = {
    *("AudioChannelsCount", "ChannelType", "ChunkCount", "ContentType", "CorrelationId", "FormatType", "Level"),
    *("OperationName", "RecordingEndReason", "RecordingId", "RecordingLength", "RecordingStartTime", "ResultType"),
    "TimeGenerated",
}
LOG = """\
2026-11-24T10:00:00.000Z INFO host: listening port=7071
2026-11-24T10:00:01.000Z INFO archive_recordings: recording.archived {"recordingKey": "k"}
2026-11-24T10:00:02.000Z ERROR archive_recordings: chunk.lost {"recordingKey": "k"}
2026-11-24T10:00:03.000Z INFO receive_event: span {"name": "recording.event"}
Traceback (most recent call last):
"""


@pytest_asyncio.fixture
async def workspace(acs: Emulator, tmp_path: Path) -> AsyncIterator[LogAnalytics]:
    """The stand-in, with a log of the app's host."""
    (tmp_path / "functions.log").write_text(LOG)
    async with LogAnalytics(acs.endpoint, lambda: tmp_path.glob("*.log")) as running:
        yield running


async def ask(workspace: LogAnalytics, query: str, timespan: str | None = None) -> tuple[int, Any]:
    """Send a query as the client does; the status and the body of the answer."""
    url, body = f"{workspace.endpoint}/v1/workspaces/{WORKSPACE}/query", {"query": query, "timespan": timespan}
    async with aiohttp.ClientSession() as http, http.post(url, json=body) as answer:
        return answer.status, await answer.json()


async def test_a_summary_has_the_columns_of_the_table(control: Control) -> None:
    """A row is there as soon as the files are, and needs no event."""
    media = {"kind": "filler", "chunkBytes": [1000, 2000]}
    made = await control.call("POST", "recordings", {"media": media, "announce": False, "generation": "today"})
    await control.call("POST", "calls", {"participants": ["Ada"]})

    [row] = (await control.call("GET", "logs/ACSCallRecordingSummary"))["rows"]
    assert row.keys() == COLUMNS
    assert (row["RecordingId"], row["ChunkCount"]) == (made["recordingId"], 2)
    assert (row["RecordingStartTime"], row["RecordingEndReason"]) == (made["startTime"], "CallEnded")


async def test_lines_are_rows(workspace: LogAnalytics) -> None:
    """What a worker has printed is a message; a query chooses by its beginning, columns and time."""
    status, body = await ask(workspace, 'AppTraces\n| where Message startswith "chunk.lost "\n| project Message')
    assert (status, body["tables"][0]["rows"]) == (200, [['chunk.lost {"recordingKey": "k"}']])
    _, body = await ask(
        workspace, "AppTraces | project TimeGenerated", "2026-11-24T10:00:01.000Z/2026-11-24T10:00:03.000Z"
    )
    assert body["tables"][0]["rows"] == [["2026-11-24T10:00:01.000Z"], ["2026-11-24T10:00:02.000Z"]]


@pytest.mark.parametrize(
    "query",
    [
        "AppRequests | project TimeGenerated",
        "AppTraces | where SeverityLevel > 2 | project Message",
        "AppTraces | summarize count()",
        'AppTraces | where Message startswith "a" | take 5 | project Message',
    ],
)
async def test_a_query_that_it_cannot_run_is_refused(workspace: LogAnalytics, query: str) -> None:
    """It answers no other question than the one that was asked."""
    status, body = await ask(workspace, query)
    assert (status, body["error"]["code"]) == (400, "BadArgumentError")
