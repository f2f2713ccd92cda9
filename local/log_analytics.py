"""A stand-in for the query endpoint of a Log Analytics workspace, `POST /v1/workspaces/{id}/query`.

Its tables are real: `ACSCallRecordingSummary` is what the emulator has recorded, `AppTraces` are the lines in the logs
of the app's hosts. It doesn't run Kusto queries. It takes the simple ones that this project sends (a table, messages
by their beginnings, a projection), and answers 400 to any other, so that a changed query can't be misunderstood here.

The shape of answers and errors: https://learn.microsoft.com/azure/azure-monitor/logs/api/response-format
"""

import asyncio
import contextlib
import re
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import web

WORKSPACE = "00000000-0000-4000-8000-000000000001"
SUMMARIES = "/emulator/logs/ACSCallRecordingSummary"
_SHUTDOWN_SECONDS = 1.0
_TYPES = {"TimeGenerated": "datetime", "RecordingStartTime": "datetime", "ChunkCount": "int", "RecordingLength": "real"}
# What a worker prints: time, level, function, and the message up to the end of the line (local/functions/worker.py).
_LINE = re.compile(r"(?P<time>\d{4}-\d\d-\d\dT[\d:.]+Z) (?P<level>[A-Z]+) (?P<function>[\w.]+): (?P<message>.*)")
_QUERY = re.compile(
    r"""\s*(?P<table>ACSCallRecordingSummary|AppTraces)\s*
    (?:\|\s*where\s+(?P<where>Message\ startswith\ "[^"]+"(?:\s+or\s+Message\ startswith\ "[^"]+")*)\s*)?
    \|\s*project\s+(?P<columns>\w+(?:\s*,\s*\w+)*)\s*""",
    re.VERBOSE,
)
Row = dict[str, Any]


class LogAnalytics:
    """Serve the endpoint in the current event loop; an async context manager.

    `logs` gives the files with the lines of the app's hosts, whenever it is asked.
    """

    def __init__(self, acs_url: str, logs: Callable[[], Iterable[Path]], *, token: str | None = None) -> None:
        self._acs_url = acs_url
        self._logs = logs
        # The bearer token that may read the workspace; None: nobody is asked for one.
        self._token = token
        self._exits = contextlib.AsyncExitStack()
        self._port = 0

    @property
    def endpoint(self) -> str:
        """Return the address, in place of https://api.loganalytics.io."""
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as exits:
            self._http = await exits.enter_async_context(aiohttp.ClientSession())
            application = web.Application()
            application.router.add_post("/v1/workspaces/{workspace}/query", self._query)
            runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
            exits.push_async_callback(runner.cleanup)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self._port = runner.addresses[0][1]
            self._exits = exits.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._exits.aclose()

    async def _query(self, request: web.Request) -> web.Response:
        if self._token is not None and request.headers.get("Authorization") != f"Bearer {self._token}":
            said = "The provided credentials have insufficient access to perform the requested operation"
            return _error(403, "InsufficientAccessError", said)
        if request.match_info["workspace"] != WORKSPACE:
            return _error(404, "WorkspaceNotFoundError", "The workspace could not be found")
        body = await request.json()
        asked = _QUERY.fullmatch(body["query"])
        if asked is None:
            return _error(400, "BadArgumentError", "The request had some invalid properties")
        rows = await self._summaries() if asked["table"] != "AppTraces" else await asyncio.to_thread(self._lines)
        beginnings = tuple(re.findall(r'"([^"]+)"', asked["where"] or ""))
        begin, end = _timespan(body.get("timespan"))
        kept = [
            row
            for row in rows
            if begin <= datetime.fromisoformat(row["TimeGenerated"]) < end
            and (not beginnings or row["Message"].startswith(beginnings))
        ]
        columns = re.split(r"\s*,\s*", asked["columns"])
        table = {
            "name": "PrimaryResult",
            "columns": [{"name": name, "type": _TYPES.get(name, "string")} for name in columns],
            "rows": [[row[name] for name in columns] for row in kept],
        }
        return web.json_response({"tables": [table]})

    async def _summaries(self) -> list[Row]:
        async with self._http.get(self._acs_url + SUMMARIES) as answer:
            answer.raise_for_status()
            rows: list[Row] = (await answer.json())["rows"]
            return rows

    def _lines(self) -> list[Row]:
        return [
            {"TimeGenerated": line["time"], "Message": line["message"]}
            for log in self._logs()
            for text in log.read_text(errors="replace").splitlines()
            if (line := _LINE.fullmatch(text))
        ]


def _timespan(text: str | None) -> tuple[datetime, datetime]:
    """Read `begin/end`; what has no timespan has no limits."""
    if not text:
        ever = datetime.fromisoformat("2000-01-01T00:00:00Z")
        return ever, ever + timedelta(days=100 * 365)
    begin, _, end = text.partition("/")
    return datetime.fromisoformat(begin), datetime.fromisoformat(end)


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "code": code}}, status=status)
