"""docs/scale.md: its counts are those of the app, and what is calculated from them is right."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from recording.config.settings import Settings
from tests.support.facts import MIB, receive, run_timer
from tests.support.requests import Counted
from tests.support.source import mp4, storage_host, today

ROOT = Path(__file__).parents[1]
DOCS = (ROOT / "docs" / "scale.md").read_text()
SIZES = (1_000_000, 75_000_000)
READ = 2 * MIB
# The busiest hour of a day has four times its average.
PEAK = 4 / 86_400
DAYS = (10_000, 1_000_000)


def rows(head: str) -> dict[str, list[str]]:
    """Return the cells of the table whose head begins like this, by their first one."""
    lines = DOCS.partition(f"\n| {head}")[2].splitlines()[2:]
    table = lines[: next((number for number, line in enumerate(lines) if not line.startswith("|")), len(lines))]
    cells = [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in table]
    return {first: rest for first, *rest in cells}


def numbers(text: str) -> list[float]:
    """Return the numbers in a text."""
    return [float(one.replace(",", "")) for one in re.findall(r"\d[\d,]*(?:\.\d+)?", text)]


COUNTS = rows("one recording")
LOADS = rows("busiest hour")


@pytest.mark.parametrize("size", SIZES)
async def test_a_recording_costs_what_is_written(
    size: int, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From its event until staging is empty: requests, messages and bytes, by the queue's function."""
    async with storage_host(environment) as (app, host):
        counted = Counted(monkeypatch)
        jobs = await receive(app, today(host.add(mp4(size))))
        for job in jobs:
            await app.ingest.run(job)
        await run_timer(app, now=app.timer.clock(), archives_all=False)
        await app.archive.run(jobs[0].recording_key)
        asked = counted.take()
        containers, moved = Counter(counted.containers), Counter(counted.bytes)
        await run_timer(app, now=app.timer.clock(), archives_all=False)
        idle = counted.take()
    asked.subtract(idle)
    staging, archive = (getattr(app.settings, f"{name}_container") for name in ("staging", "archive"))
    containers.subtract(counted.containers - containers)
    # Between two accounts each block of a copy reads its source.
    proof, copied = -(-size // READ), 1
    found = {
        "requests to ACS": asked["source"],
        "writes": asked["write"],
        "reads of facts, and of what is copied": asked["read"] - proof + copied,
        "reads of the archive copy, 2 MiB each": proof,
        "other requests": asked["other"] + asked["batch"],
        "lists": asked["list"],
        "deletions": asked["delete"],
        "messages": len(jobs) + asked["message"],
        "MB into staging": round(moved[staging, "to"] / 1e6, 1),
        "MB copied into the archive": round(moved[archive, "copied"] / 1e6, 1),
        "MB read in the archive": round(moved[archive, "from"] / 1e6, 1),
        "requests to the account of staging": sum(n for (where, _), n in containers.items() if where == staging)
        + copied,
        "requests to that of the archive": sum(n for (where, _), n in containers.items() if where == archive),
    }
    column = SIZES.index(size)
    assert {name: numbers(cells[column])[0] for name, cells in COUNTS.items()} == found
