"""With 100,000 archived recordings the timer and the lists cost what they cost with few."""

import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from benchmarks import blobs, burst, sweep, worker
from benchmarks.sweep import Bench
from local.azurite import Azurite, connection_string
from local.entra.directory import PEOPLE
from local.entra.server import Entra
from local.functions.host import Host
from local.loopback import http
from local.process import Process
from local.stack import ROOT, child_environment
from tests.acceptance.conftest import Say

FEW, MANY = 1000, 100_000
# Of the same request: a page may begin on a day that has fewer recordings.
MOST_TIMES = 1.2
# The archive spans two years.
LONG_AGO = "2024-01-08T00:00:00Z"
PERSON = blobs.participant(0)
TO_DO = "something lists or reads what it needn't: the totals by operation, printed above, say what"


@dataclass
class Lists:
    """The app's lists over HTTP, and what they ask of the table and of the blobs."""

    session: aiohttp.ClientSession
    app_url: str
    control_url: str
    entra: Entra
    say: Say

    async def begin(self) -> None:
        """Have the app do what it does once: make its clients, and ask with which key the rows were made."""
        await self._count("first request", "v1/operations", {})
        await self._count("first search", "recordings", {"reference": "none"})

    async def page(self, **query: str) -> int:
        """Ask for a page of 50; return how many requests storage got for it."""
        listed, count = await self._count(f"page {query or 'newest'}", "recordings", {"limit": "50", **query})
        assert len(listed["recordings"]) == 50
        return count

    async def operations(self) -> int:
        """Ask for what needs an operator, as one; return how many requests storage got for it."""
        found, count = await self._count("operations", "v1/operations", {"days": "31"})
        assert found["unread"] == []
        return count

    async def _count(self, what: str, path: str, query: dict[str, str]) -> tuple[dict[str, Any], int]:
        async with self.session.delete(f"{self.control_url}/requests") as answer:
            assert answer.status < 300
        bearer = {"Authorization": f"Bearer {self.entra.tokens.access(PEOPLE['edsger'])}"}
        began = time.monotonic()
        async with self.session.get(f"{self.app_url}/{path}", params=query, headers=bearer) as answer:
            found = await answer.json()
            assert answer.status == 200, found
        milliseconds = (time.monotonic() - began) * 1000
        async with self.session.get(f"{self.control_url}/requests", params={"limit": "0"}) as answer:
            totals = {name: one["requests"] for name, one in (await answer.json())["totals"].items()}
        self.say(f"{what}: {totals}, {milliseconds:.0f} ms")
        return found, sum(totals.values())


@asynccontextmanager
async def lists(azurite: Azurite, environment: dict[str, str], folder: Path, say: Say) -> AsyncIterator[Lists]:
    """Run the app behind a proxy that counts what it asks of storage."""
    command = [sys.executable, "-m", "local.storage_proxy"]
    command += ["--blob-url", azurite.blob_url, "--queue-url", azurite.queue_url]
    command += ["--table-url", azurite.table_url]
    async with (
        Process("The storage proxy", command, log=folder / "proxy.log", folder=ROOT) as proxy,
        http() as session,
        Entra() as entra,
    ):
        ready = r"blob endpoint (\S+)\n.* queue endpoint (\S+)\n.* table endpoint (\S+)\n.* control plane (\S+)"
        said: re.Match[str] = await proxy.wait_for(ready, seconds=30)
        counted = connection_string(said[1], said[2], said[3])
        # Its queues are polled through Azurite, not through the proxy: only the lists are counted.
        own = connection_string(azurite.blob_url, azurite.queue_url, said[3])
        stores = {"AzureWebJobsStorage": own, "STAGING_STORAGE": counted, "ARCHIVE_STORAGE": counted}
        settings = child_environment({**environment, **stores, **entra.settings(), "ARCHIVE_SCHEDULE": burst.NEVER})
        async with Host(app_dir=ROOT, environ=settings) as host:
            yield Lists(session, host.url, said[4], entra, say)


@pytest.mark.timeout(3600)
async def test_the_timer_and_the_lists_cost_the_same_with_100_000_recordings(tmp_path: Path, say: Say) -> None:
    """Requests of a run and of a page don't grow with the archive."""
    async with Azurite(tmp_path / "data", log=tmp_path / "azurite.log") as azurite:
        bench = Bench(azurite, say)
        costs = []
        async with worker.running(bench.environment, log=tmp_path / "worker.log") as running:
            for before, held in ((0, FEW), (FEW, MANY)):
                await bench.put(blobs.archived(range(before, held)), held - before, "into the archive")
                await _reindex(bench, tmp_path, held, say)
                row = await sweep.flat(bench, running, held, 1)
                # Only now: the app's host would take messages from the worker's queue.
                async with lists(azurite, bench.environment, tmp_path, say) as listing:
                    costs.append(await _costs(row, listing))
        async with lists(azurite, bench.environment, tmp_path, say) as listing:
            await listing.begin()
            pages = [await listing.page(**query) for query in ({"to": LONG_AGO}, {"participant": PERSON})]
    few, many = costs
    grown = {name: f"{few[name]} to {many[name]}" for name in few if many[name] > MOST_TIMES * few[name]}
    assert grown == {}, TO_DO
    # That somebody was searched for is a fact on the trail.
    assert [1, 2] == pages, TO_DO
    assert 1 == many["page of the newest"], TO_DO


async def _reindex(bench: Bench, folder: Path, held: int, say: Say) -> None:
    """Make the search index of all recordings: killed in the middle, and run again."""
    command = [sys.executable, "-m", "recording", "reindex"]
    environment = child_environment(bench.environment)
    began = time.monotonic()
    async with Process("reindex", command, log=folder / "reindex-1.log", folder=ROOT, environment=environment) as first:
        said = await first.wait_for(rf"\b({held // 2}|{held // 2 + 500}) recordings, up to", seconds=3600)
        say(f"reindex: killed after {said[1]} recordings, {time.monotonic() - began:.0f} s")
        os.kill(first.pid, signal.SIGKILL)
    began = time.monotonic()
    async with Process(
        "reindex", command, log=folder / "reindex-2.log", folder=ROOT, environment=environment
    ) as second:
        done = await second.wait_for(r"(\d+) archived recordings and \d+ in flight", seconds=3600)
        text = (folder / "reindex-2.log").read_text()
        assert "continuing an interrupted run after" in text, text
        assert int(done[1]) < held, "the second run began again"
        say(f"reindex: the other {done[1]} of {held:,} in {time.monotonic() - began:.0f} s")


async def _costs(row: dict[str, Any], listing: Lists) -> dict[str, int]:
    await listing.begin()
    return {
        "timer, ten recordings waiting": row["waiting_requests"],
        "timer, ten recordings queued": row["handing_over_requests"],
        "worker, ten recordings archived": row["archiving_requests"],
        "page of the newest": await listing.page(),
        "operations": await listing.operations(),
    }
