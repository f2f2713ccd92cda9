"""docs/scale.md: its counts are those of the app, and what is calculated from them is right."""

import re
from collections import Counter
from pathlib import Path

import pytest

from recording import timer
from recording.app import App
from recording.config.settings import Settings
from recording.ingest import blocks
from recording.ingest.transfer import FIRST_BYTES
from recording.joining.file import FileQuery
from recording.model.caller import Caller
from tests.support.facts import MIB, receive, run_timer, to_archive
from tests.support.joined import JOB, archived, wav
from tests.support.manifests import KEY, finished
from tests.support.requests import Counted
from tests.support.source import mp4, storage_host, today

ROOT = Path(__file__).parents[1]
DOCS = (ROOT / "docs" / "scale.md").read_text()
SIZES = (1_000_000, 75_000_000)
# Of more than one block, and quick to store.
MEASURED = 12_000_000
READ = 4 * MIB
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
    """From its event until staging is empty: requests, messages and bytes; a large chunk is calculated."""
    measured = min(size, MEASURED)
    async with storage_host(environment) as (app, host):
        # Once for all recordings: the index and its key are made.
        await app.clients.index.write(finished(1))
        # Once an hour.
        await app.trail_rows.catch_up(app.timer.clock())
        counted = Counted(monkeypatch)
        jobs = await receive(app, today(host.add(mp4(measured), people=("8:acs:ada", "8:acs:grace"))))
        for job in jobs:
            await app.ingest.run(job)
        await run_timer(app, now=app.timer.clock(), archives_all=False)
        assert jobs[0].recording_key in await to_archive(app)
        await app.archive.run(jobs[0].recording_key)
        asked = counted.take()
        containers, moved = Counter(counted.containers), counted.bytes.copy()
        await run_timer(app, now=app.timer.clock(), archives_all=False)
        idle = counted.take()
    # What a run of the timer costs without any recording.
    assert +idle == {"other": 1, "list": 2, "table": 5}
    asked.subtract(idle)
    staging, archive = (getattr(app.settings, f"{name}_container") for name in ("staging", "archive"))
    containers.subtract(counted.containers - containers)
    # Each further block is a request to ACS and a write; each further 4 MiB of the copy are a read.
    blocks_more, reads_more = len(plan(size)) - len(plan(measured)), -(-size // READ) - -(-measured // READ)
    # Between two accounts the block of a copy reads its source.
    copied = 1
    found = {
        "requests to ACS": asked["source"] + blocks_more,
        "writes": asked["write"] + blocks_more,
        "reads of facts, and of what is copied": asked["read"] - -(-measured // READ) + copied,
        "reads of the archive copy, 4 MiB each": -(-size // READ),
        "other requests": asked["other"] + asked["batch"],
        "lists": asked["list"],
        "deletions": asked["delete"],
        "messages": len(jobs) + asked["message"],
        "requests to the search index": asked["table"],
        "MB into staging": round((moved[staging, "to"] + size - measured) / 1e6, 1),
        "MB copied into the archive": round((moved[archive, "copied"] + size - measured) / 1e6, 1),
        "MB read in the archive": round((moved[archive, "from"] + size - measured) / 1e6, 1),
        "requests to the account of staging": _of(containers, staging) + blocks_more + copied,
        "requests to that of the archive": _of(containers, archive) + reads_more,
    }
    column = SIZES.index(size)
    assert {name: numbers(cells[column])[0] for name, cells in COUNTS.items()} == found


def plan(size: int) -> tuple[blocks.Block, ...]:
    """Cut a chunk as the app does by default."""
    fields = Settings.model_fields
    largest, streams = fields["ingest_block_mib"].default * MIB, fields["ingest_parallelism"].default
    return blocks.plan_ranges(size, first=min(FIRST_BYTES, largest), largest=largest, streams=streams)


def _of(containers: Counter[tuple[str, str]], wanted: str) -> int:
    return sum(count for (container, _), count in containers.items() if container == wanted)


@pytest.mark.derived
async def test_a_joined_file_costs_what_is_written(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job, and the link to what it has made; what it sends is the head of the file."""
    chunks = [wav(30_000, first=30_000 * number) for number in range(6)]
    await archived(app.settings, chunks)
    await app.clients.index.digests()
    counted = Counted(monkeypatch)
    await app.joining.run(JOB)
    # Between two accounts a copy reads its source.
    made, sent = counted.take() + Counter(read=len(chunks)), counted.bytes[app.settings.derived_container, "to"]
    await app.joining.file(Caller(), KEY, FileQuery())
    handed_out = counted.take()

    told = rows("one joined file")
    names = {"writes": "write", "reads of facts, tombstones, heads, and of what is copied": "read"}
    names |= {"other requests": "other", "lists": "list"}
    assert {name: [int(cell) for cell in told[name]] for name in names} == {
        name: [made[kind], handed_out[kind]] for name, kind in names.items()
    }
    # The head, and two facts of some kilobytes.
    assert sent < 0.03 * sum(map(len, chunks))


@pytest.mark.parametrize("day", DAYS)
def test_loads_are_those_of_the_counts(day: int) -> None:
    """What is set against a limit is a count times the recordings of a second in the busiest hour."""
    rate, second = day * PEAK, {name: numbers(cells[1])[0] for name, cells in COUNTS.items()}
    gigabits = 8 * second["MB into staging"] / 1000
    [fetched] = [numbers(name)[0] for name in LOADS if name.startswith("instances that fetch")]
    [cpu] = [numbers(name)[0] for name in LOADS if name.startswith("cores that are busy")]
    runs = 300
    wanted = {
        "recordings a second": 1,
        "requests a second, account of staging": second["requests to the account of staging"],
        "requests a second, account of the archive": second["requests to that of the archive"],
        "Gbit/s into either account": gigabits,
        "Gbit/s out of either account": gigabits,
        "messages a second on a queue": 1,
        "requests a second, search index": second["requests to the search index"],
        f"instances that fetch, at {fetched:g} MB/s each": second["MB into staging"] / fetched,
        f"cores that are busy, at {cpu:g} CPU-seconds per GiB": cpu * second["MB into staging"] * 1e6 / 2**30,
        "recordings between two runs of the timer": runs,
        "requests a second to ACS": second["requests to ACS"],
        "events a second": 1,
    }

    found = {name: numbers(cells[1 + DAYS.index(day)])[0] for name, cells in LOADS.items()}

    assert found == {name: pytest.approx(each * rate, rel=0.05, abs=0.01) for name, each in wanted.items()}


def test_what_the_text_says_of_the_app_is_so() -> None:
    """The speed of an instance is that of docs/capacity-cost.md; the timer's limit is its rate times its budget."""
    [fetched] = [numbers(name)[0] for name in LOADS if name.startswith("instances that fetch")]
    capacity = (ROOT / "docs" / "capacity-cost.md").read_text()
    assert f"one process fetches {fetched:g} MB/s" in " ".join(capacity.split())
    assert f"{fetched / 1000:g} GB are what an instance of 2 GB fetches in a second" in " ".join(DOCS.split())
    most, rate, minutes = numbers(LOADS["recordings between two runs of the timer"][0])
    assert minutes * 60 == timer.BUDGET_SECONDS
    assert most == pytest.approx(rate * minutes * 60, rel=0.01)
    assert Settings.model_fields["archive_schedule"].default == "0 */5 * * * *"
