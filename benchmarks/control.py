"""Benchmark: what it costs to ask for a recording's state through us, beside asking ACS directly.

The whole stack runs, with the Call Automation API. These send requests in turn: our `get_recording_state`, the official
client, and a bare request with only the signature; the last two go straight to the emulator. The app uses the official
client too, so the difference from its figures is the share of the host and the app. The host is local/functions: in
Azure its share is another. Client, host and emulator share the machine's cores, which limits many connections at once.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import aiohttp
from azure.communication.callautomation._api_versions import DEFAULT_VERSION
from azure.communication.callautomation.aio import CallAutomationClient
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import AzureError

from benchmarks.burst import NEVER, percentile
from local.loopback import http
from local.stack import Stack, StackOptions
from recording.acs import auth
from recording.config.resource import parse_connection_string

REQUESTS = 5000
QUICK_REQUESTS = 80
CONNECTIONS = (1, 8)
# Of each connection, before it's another's turn: what else the machine does hits all alike.
_AT_A_STRETCH = 10
_WARM_UP = 20
# Each way by either number of connections, for the estimate of the time and for nothing else.
_EXPECTED_PER_SECOND = 100

Row = dict[str, Any]
Ask = Callable[[], Awaitable[str]]


class ControlFailed(RuntimeError):
    """A state was refused, or isn't what it must be."""


@dataclass(frozen=True)
class Way:
    """A way to ask: its name in the results, what it is, and one request, which answers with the state."""

    name: str
    title: str
    ask: Ask


async def run(requests: int, *, folder: Path, say: Callable[[str], None]) -> list[Row]:
    """Ask `requests` times each way, one after the other, then by a few connections; a row each."""
    say(f"control: {requests} requests each way, twice, about {10 + requests // _EXPECTED_PER_SECOND} s")
    rows: list[Row] = []
    async with Stack(StackOptions(logs=folder, archive_schedule=NEVER)) as stack, _ways(stack) as ways:
        for connections in CONNECTIONS:
            seconds = await _measure(ways, requests, connections)
            fresh = [row(way, connections, seconds[way.name]) for way in ways]
            rows += with_overhead(fresh)
            for one in fresh:
                figures = f"p50 {one['p50_milliseconds']:7.2f} ms   p99 {one['p99_milliseconds']:7.2f} ms"
                say(f"    {one['title']:<40} {connections} at once   {figures}")
    return rows


@asynccontextmanager
async def _ways(stack: Stack) -> AsyncIterator[list[Way]]:
    """Start a recording through the app, and give the ways to ask for its state."""
    resource = parse_connection_string(stack.acs_connection_string)
    key = resource.access_key or ""
    async with AsyncExitStack() as exits:
        session = await exits.enter_async_context(http())
        client = CallAutomationClient(resource.endpoint, AzureKeyCredential(key))
        exits.push_async_callback(client.close)
        call = await _post(session, f"{stack.acs_url}/emulator/calls", {"participants": ["Ada", "Grace"]})
        recordings = f"{stack.app_url}/conversations/{call['conversationId']}/recordings"
        recording = (await _post(session, recordings, {}))["recordingId"]
        direct = f"{resource.endpoint}/calling/recordings/{recording}?api-version={DEFAULT_VERSION}"

        async def ours() -> str:
            return await _get(session, f"{recordings}/{recording}", {})

        async def sdk() -> str:
            return str((await client.get_recording_properties(recording)).recording_state)

        async def signed() -> str:
            date = format_datetime(datetime.now(UTC), usegmt=True)
            headers = auth.sign("GET", direct, b"", host=resource.authority, key=key, date=date)
            return await _get(session, direct, headers)

        yield [
            Way("ours", "ours: get_recording_state", ours),
            Way("sdk", "direct, the official client", sdk),
            Way("signed", "direct, HTTP with the signature alone", signed),
        ]


async def _post(session: aiohttp.ClientSession, url: str, body: Row) -> Any:
    async with session.post(url, json=body) as response:
        if response.status // 100 != 2:
            raise ControlFailed(f"{url} was answered with {response.status}: {await response.text()}")
        return await response.json()


async def _get(session: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> str:
    async with session.get(url, headers=headers) as response:
        return str((await response.json()).get("recordingState", response.status))


async def _measure(ways: list[Way], requests: int, connections: int) -> dict[str, list[float]]:
    """Ask each way in turn, `connections` at once, and return how long each request took."""
    found: dict[str, list[float]] = {way.name: [] for way in ways}
    for way in ways:
        await _stretch(way, connections, _WARM_UP)
    while len(found[ways[0].name]) < requests:
        for way in ways:
            found[way.name] += await _stretch(way, connections, _AT_A_STRETCH)
    return found


async def _stretch(way: Way, connections: int, each: int) -> list[float]:
    async def ask() -> list[float]:
        return [await _timed(way) for _ in range(each)]

    return [one for several in await asyncio.gather(*(ask() for _ in range(connections))) for one in several]


async def _timed(way: Way) -> float:
    began = time.perf_counter()
    try:
        state = await way.ask()
    except (AzureError, aiohttp.ClientError, TimeoutError) as failed:
        raise ControlFailed(f"{way.title}: {type(failed).__name__}") from failed
    seconds = time.perf_counter() - began
    if state.lower() != "active":
        raise ControlFailed(f"{way.title}: the recording is {state}")
    return seconds


def row(way: Way, connections: int, seconds: list[float]) -> Row:
    """Make the row of one way to ask."""
    return {
        "benchmark": "control",
        "contender": way.name,
        "title": way.title,
        "connections": connections,
        "requests": len(seconds),
        "p50_milliseconds": round(1000 * percentile(seconds, 50), 2),
        "p99_milliseconds": round(1000 * percentile(seconds, 99), 2),
        "slowest_milliseconds": round(1000 * max(seconds), 2),
        "requests_per_second": round(connections * len(seconds) / sum(seconds), 1),
    }


def with_overhead(rows: list[Row]) -> list[Row]:
    """Add to our row what is above the official client's."""
    sdk = next(one for one in rows if one["contender"] == "sdk")
    for one in rows:
        if one["contender"] == "ours":
            for name in ("p50", "p99"):
                above = one[f"{name}_milliseconds"] - sdk[f"{name}_milliseconds"]
                one[f"{name}_milliseconds_above_sdk"] = round(above, 2)
    return rows
