"""Benchmark: a page of the list of recordings, as there are more of them.

Each page is asked of the catalogue, as `GET /recordings` does, with 50 recordings on it. Azurite compares a filter with
every row of its table, and sorts what fits, so its milliseconds grow where those of Azure don't; the requests are ours.
It keeps its tables in memory.
"""

import itertools
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import batched
from typing import Any

from local.azurite import Azurite
from local.storage_proxy import StorageProxy
from recording.app import App, open_app
from recording.catalogue.browse import ListQuery
from recording.config.settings import read_settings
from recording.model import layout
from recording.model.manifest import Manifest, Participant

HELD = (1_000, 100_000)
QUICK_HELD = (1_000, 5_000)
PEOPLE = 1_000
LIMIT = 50
_ROUNDS = 20
_AT_ONCE = 500
_FIRST, _BETWEEN = datetime(2024, 1, 1, tzinfo=UTC), timedelta(minutes=10)
# No request goes to the service.
_ACS = "endpoint=http://127.0.0.1:9;accesskey=YmVuY2htYXJr"

Row = dict[str, Any]


async def run(sizes: tuple[int, ...], *, say: Callable[[str], None]) -> list[Row]:
    """Measure each search at each number of recordings; a row each."""
    rows: list[Row] = []
    async with (
        Azurite() as azurite,
        StorageProxy(azurite.blob_url, azurite.queue_url, azurite.table_url) as proxy,
        _opened(azurite.connection_string) as app,
        _opened(proxy.connection_string) as counted,
    ):
        for before, held in itertools.pairwise((0, *sizes)):
            began = time.monotonic()
            for some in batched(made(range(before, held)), _AT_ONCE, strict=False):
                await app.clients.index.write_all(some)
            say(f"find: {held - before:,} recordings written in {time.monotonic() - began:.0f} s")
            for name, query in await _searches(app):
                proxy.log.clear()
                found = await counted.catalogue.page(query)
                requests = sum(one["requests"] for one in proxy.log.view(0)["totals"].values())
                times = [await _seconds(app, query) for _ in range(_ROUNDS)]
                rows.append(
                    {
                        "benchmark": "find",
                        "contender": name,
                        "recordings_in_archive": held,
                        "recordings_on_page": len(found.recordings),
                        "requests": requests,
                        "p50_milliseconds": round(statistics.median(times) * 1000, 1),
                        "worst_milliseconds": round(max(times) * 1000, 1),
                    }
                )
    return rows


def made(numbers: range) -> Iterator[Manifest]:
    """Make the manifests of archived recordings, a day's worth in each day; every thousandth with the same person."""
    for number in numbers:
        start = _FIRST + number * _BETWEEN
        call_id = f"00000000-0000-0000-0000-{number:012}"
        yield Manifest(
            recording_key=layout.recording_key(start, call_id),
            call_id=call_id,
            recording_id=f"recording-{number}",
            server_call_id=None,
            reference=f"case {number}",
            recording_start_time=start,
            recording_duration_ms=60_000,
            session_end_reason="CallEnded",
            complete=True,
            state="archived",
            archived_at=start,
            events=[],
            participants=(Participant(id=_person(number), kind="acs", chunks=(0,)),),
            chunks=[],
        )


def _person(number: int) -> str:
    return f"8:acs:00000000-0000-0000-0000-000000000000_{number % PEOPLE:08}"


async def _searches(app: App) -> list[tuple[str, ListQuery]]:
    newest = ListQuery(limit=LIMIT)
    later = ListQuery(limit=LIMIT, cursor=(await app.catalogue.page(newest)).cursor)
    asked = [("participant", _person(7)), ("reference", "case 7"), ("call", f"00000000-0000-0000-0000-{7:012}")]
    return [
        ("newest", newest),
        ("next page", later),
        ("a time long ago", ListQuery.model_validate({"limit": LIMIT, "to": (_FIRST + 60 * _BETWEEN).isoformat()})),
        *((name, ListQuery.model_validate({"limit": LIMIT, name: value})) for name, value in asked),
    ]


async def _seconds(app: App, query: ListQuery) -> float:
    began = time.monotonic()
    await app.catalogue.page(query)
    return time.monotonic() - began


@asynccontextmanager
async def _opened(connection: str) -> AsyncIterator[App]:
    """Open the app, which has asked for the key of the digests already, and whether the rows have it."""
    app = await open_app(read_settings({"AzureWebJobsStorage": connection, "ACS_CONNECTION_STRING": _ACS}))
    try:
        await app.clients.index.has_other_key()
        yield app
    finally:
        await app.aclose()
