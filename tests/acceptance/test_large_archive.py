"""With 100,000 archived recordings the timer and the lists cost what they cost with few."""

import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from benchmarks import blobs, burst, sweep, timer
from benchmarks.sweep import Bench
from benchmarks.timer import Timer
from local.azurite import Azurite, connection_string
from local.functions.host import Host
from local.loopback import http
from local.process import Process
from local.stack import ROOT, child_environment
from tests.acceptance.conftest import Say

FEW, MANY = 1000, 100_000
# Of the same request: a page may begin on a day that has fewer recordings.
MOST_TIMES = 1.2
# The archive spans two years. A page of long ago costs a list for each month since then, and some for its day.
MONTHS = 24
LONG_AGO = "2024-01-08T00:00:00Z"
TO_DO = "something lists or reads what it needn't: the totals by operation, printed above, say what"


@dataclass
class Lists:
    """The app's lists over HTTP, and what they ask of storage."""

    session: aiohttp.ClientSession
    app_url: str
    control_url: str
    say: Say

    async def page(self, **query: str) -> int:
        """Ask for a page of 50; return how many requests storage got for it."""
        async with self.session.delete(f"{self.control_url}/requests") as answer:
            assert answer.status < 300
        async with self.session.get(f"{self.app_url}/recordings", params={"limit": "50", **query}) as answer:
            listed = await answer.json()
            assert answer.status == 200, listed
        assert len(listed["recordings"]) == 50
        async with self.session.get(f"{self.control_url}/requests", params={"limit": "0"}) as answer:
            totals = {name: one["requests"] for name, one in (await answer.json())["totals"].items()}
        self.say(f"page {query or 'newest'}: {totals}")
        return sum(totals.values())


@asynccontextmanager
async def lists(azurite: Azurite, environment: dict[str, str], folder: Path, say: Say) -> AsyncIterator[Lists]:
    """Run the app behind a proxy that counts what it asks of storage."""
    command = [sys.executable, "-m", "local.storage_proxy"]
    command += ["--blob-url", azurite.blob_url, "--queue-url", azurite.queue_url]
    command += ["--table-url", azurite.table_url]
    async with Process("The storage proxy", command, log=folder / "proxy.log", folder=ROOT) as proxy, http() as session:
        ready = r"blob endpoint (\S+)\n.* queue endpoint (\S+)\n.* table endpoint (\S+)\n.* control plane (\S+)"
        said: re.Match[str] = await proxy.wait_for(ready, seconds=30)
        counted = {"AzureWebJobsStorage": connection_string(said[1], said[2], said[3]), "ARCHIVE_SCHEDULE": burst.NEVER}
        # Its queues are polled through Azurite, not through the proxy: only the lists are counted.
        settings = child_environment({**environment, "ARCHIVE_SCHEDULE": burst.NEVER})
        stores = {name: counted["AzureWebJobsStorage"] for name in ("STAGING_STORAGE", "ARCHIVE_STORAGE")}
        async with Host(app_dir=ROOT, environ={**settings, **stores}) as host:
            yield Lists(session, host.url, said[4], say)


@pytest.mark.timeout(3600)
async def test_the_timer_and_the_lists_cost_the_same_with_100_000_recordings(tmp_path: Path, say: Say) -> None:
    """Requests of a run and of a page don't grow with the archive."""
    async with Azurite(tmp_path / "data", log=tmp_path / "azurite.log") as azurite:
        bench = Bench(azurite, say)
        async with (
            timer.running(bench.environment, log=tmp_path / "timer.log") as running,
            lists(azurite, bench.environment, tmp_path, say) as listing,
        ):
            costs = []
            for before, held in ((0, FEW), (FEW, MANY)):
                await bench.put(blobs.archived(range(before, held)), held - before, "into the archive")
                costs.append(await _costs(bench, running, listing, held))
            old = await listing.page(to=LONG_AGO)
    few, many = costs
    grown = {name: f"{few[name]} to {many[name]}" for name in few if many[name] > MOST_TIMES * few[name]}
    assert grown == {}, TO_DO
    assert old <= few["page of the newest"] + MONTHS + 4, TO_DO


async def _costs(bench: Bench, running: Timer, listing: Lists, held: int) -> dict[str, int]:
    row = await sweep.flat(bench, running, held, 1)
    # Uncounted: the first request of all builds the app's clients.
    await listing.page()
    return {
        "timer, ten recordings waiting": row["waiting_requests"],
        "timer, ten recordings archived": row["archiving_requests"],
        "page of the newest": await listing.page(),
    }
