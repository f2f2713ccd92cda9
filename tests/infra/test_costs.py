"""docs/capacity-cost.md, *What it costs* and *Limits and scale*: the numbers are those of the app."""

import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest

from recording import timer
from recording.acs import content
from recording.api.request import LARGEST_BODY
from recording.archive import finish
from recording.archive.copies import COPIES, COPY_BLOCK, PASSES
from recording.archive.run import PARALLELISM
from recording.catalogue.browse import ListQuery
from recording.config.settings import Settings
from recording.control.bodies import Operation, StartRecording
from recording.ingest import blocks, chunk, transfer
from recording.model.caller import Caller
from recording.storage.endings import Ending
from tests.infra.snapshots import ROOT, Resource, resource, resources
from tests.support.emulator import Control
from tests.support.events import call_event
from tests.support.facts import MIB, receive, sweep
from tests.support.manifests import finished
from tests.support.requests import Counted
from tests.support.source import mp4, storage_host, today

DOCS = (ROOT / "docs" / "capacity-cost.md").read_text()
HOURS = 1000
CHUNK = 450_000_000
SMALL = 5_000_000
READ = 4 * MIB
TIMES = "\N{MULTIPLICATION SIGN}"


def charged(asked: Counter[str]) -> Counter[str]:
    """Return the requests to Blob Storage that are charged: of what a batch deletes nothing is."""
    others = ("source", "message", "table", "batch")
    found = Counter({kind: count for kind, count in asked.items() if kind not in others})
    return +(found + Counter(other=asked["batch"]))


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    """The Call Automation API."""
    return environment | {"ACS_API_VERSION": ""}


def row(beginning: str) -> list[str]:
    """Return the cells of a row of the tables."""
    line = next(line for line in DOCS.splitlines() if line.startswith(f"| {beginning}"))
    return [cell.strip(" *") for cell in line.strip("|").split("|")]


async def test_requests_are_those_of_the_app(
    app: Any, control: Control, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recording from start to archive is counted, and a chunk of an hour is calculated from a small one."""
    call = (await control.call("POST", "calls", {"participants": ["Ada"]}))["conversationId"]
    async with storage_host(environment) as (here, host):
        stopped = Ending(recording_id="cmlk", at=datetime.now(UTC), evidence="stopped through us")
        await here.endings.note(stopped)
        # Once for all recordings: the index and its key are made.
        await here.clients.index.write(finished(1))
        # Once an hour. Each of these times ends exactly one more hour, whatever minute it is now.
        ten_past = here.timer.clock().replace(minute=10)
        await here.trail_rows.catch_up(ten_past)
        counted = Counted(monkeypatch)
        await receive(here, call_event("CallStarted"))
        started = await app.control.start(Caller(), call, StartRecording())
        await app.control.stop(Caller(), call, started.recording_id, Operation())
        await receive(here, call_event("CallEnded"))
        [job] = await receive(here, today(host.add(mp4(SMALL), people=("8:acs:ada", "8:acs:grace"))))
        facts = counted.take()
        await here.ingest.run(job)
        ingested = counted.take()
        # The event announces another recording than the one that was started; its own would delete this row.
        await here.clients.index.forget_live(started.recording_id)
        counted.asked["table"] -= 1
        await sweep(here, archives_all=False)
        await here.archive.run(job.recording_key)
        archived = counted.take()
        await sweep(here, archives_all=False)
        idle = counted.take()
        await here.trail_rows.catch_up(ten_past + timedelta(hours=1))
        later = counted.take()
        await here.trail_rows.catch_up(ten_past + timedelta(hours=2))
        facts += later - counted.take()
    of_index = facts["table"] + ingested["table"] + archived["table"] - idle["table"]
    facts, ingested, archived, idle = (charged(asked) for asked in (facts, ingested, archived, idle))
    # Between two accounts a copy by the service reads its source: that is the chunk's.
    archived["read"] += 1
    # The pass over the copy.
    archived["read"] += -(-CHUNK // READ) - -(-SMALL // READ)
    archived["write"] += -(-CHUNK // COPY_BLOCK) - -(-SMALL // COPY_BLOCK)
    # More blocks, and a receipt of each while others wait for its stream.
    blocks_of_chunk, streams = len(plan(CHUNK)), Settings.model_fields["ingest_parallelism"].default
    ingested["write"] += blocks_of_chunk - len(plan(SMALL)) + blocks_of_chunk - streams

    assert row("requests to the search index")[0].endswith(f" {of_index}")
    assert row("requests to the search index")[1] == f"{of_index * HOURS:,}"
    told = [row("start, stop, events"), row("ingest:"), row("archive:"), row("**sum**")]
    found = [facts, ingested, archived - idle, facts + ingested + (archived - idle)]
    assert [[int(cell) for cell in cells[1:6]] for cells in told] == [
        [one["write"], one["read"], one["other"], one["delete"], one["list"]] for one in found
    ]
    other, lists = (int(row("a run of the timer (")[column]) for column in (3, 5))
    assert {"other": other, "list": lists} == dict(idle)


def plan(size: int) -> tuple[blocks.Block, ...]:
    """Cut a chunk as the app does by default."""
    fields = Settings.model_fields
    return blocks.plan_ranges(
        size,
        first=transfer.FIRST_BYTES,
        largest=fields["ingest_block_mib"].default * MIB,
        streams=fields["ingest_parallelism"].default,
    )


def test_sums_are_right() -> None:
    """What is multiplied in the table of costs is what the table above it counts."""
    write, read, other, _, lists = (int(cell) for cell in row("**sum**")[1:6])
    runs = 30 * 24 * 12
    assert row("Storage, writes")[1] == f"{write * HOURS:,}"
    sum_of_reads = f"{(read + other) * HOURS + runs:,}"
    assert row("Storage, reads and other")[1] == f"{read * HOURS:,} + {other * HOURS:,} + {runs:,} = {sum_of_reads}"
    sum_of_lists = f"{lists * HOURS + runs * 2:,}"
    assert row("Storage, lists")[1].split() == [f"{lists * HOURS:,}", "+", f"{runs:,}", TIMES, "2", "=", sum_of_lists]
    assert f"(450 MB: {len(plan(CHUNK))})" in DOCS
    assert f"(450 MB: {-(-CHUNK // READ)})" in DOCS
    assert CHUNK == 60 * 7_500_000


def test_the_scaler_is_that_of_the_queues() -> None:
    """Instances are added by how many messages one handles at a time (docs/functions-host.md#queue)."""
    queues = json.loads((ROOT / "host.json").read_text())["extensions"]["queues"]
    assert queues["batchSize"] + queues["newBatchThreshold"] == 12
    assert "one for twelve messages (`batchSize` + `newBatchThreshold` of `host.json`)" in " ".join(DOCS.split())


def test_quantities_are_those_of_the_templates() -> None:
    """Rules on logs by how often they run, and rules on metrics, whatever is turned on; a price is a letter."""
    for variant in ("default", "existing-topic"):
        rules = resources("Microsoft.Insights/scheduledQueryRules", variant)
        frequencies = Counter(one.properties["evaluationFrequency"] for one in rules)
        assert {f"PT{minutes}M" for minutes in (5, 15, 30)} == set(frequencies)
        for minutes in (5, 15, 30):
            assert row(f"alert rules on logs, every {minutes} minutes")[1] == str(frequencies[f"PT{minutes}M"])
        metrics = resources("Microsoft.Insights/metricAlerts", variant)
        series = [one.properties["criteria"]["allOf"][0]["dimensions"] for one in metrics]
        assert all(len(dimensions) == 1 == len(dimensions[0]["values"]) for dimensions in series)
        assert row("alert rules on metrics")[1] == str(len(series))


def test_networks_and_instances_are_those_of_the_templates() -> None:
    """What is billed all month: none of it by default, and these numbers with private networking."""
    config = resource("Microsoft.Web/sites").properties["functionAppConfig"]["scaleAndConcurrency"]
    ready = sum(group["instanceCount"] for group in config.get("alwaysReady", []))
    seconds = 730 * 3600
    gigabytes = config["instanceMemoryMB"] // 1024
    told = row("always-ready instances")
    assert told[0] == f"always-ready instances, {ready} by default; each: {gigabytes} GB {TIMES} {seconds:,} s"
    assert told[1] == f"{gigabytes * seconds:,} GB-s"
    count = {
        name: len(resources(f"Microsoft.Network/{name}", "private-networking"))
        for name in ("privateEndpoints", "privateDnsZones", "natGateways", "publicIPAddresses")
    }
    assert [one.type for one in resources() if one.type.startswith("Microsoft.Network/")] == []
    assert row("private endpoints (")[0].endswith(f"{count['privateEndpoints']} {TIMES} 730 h")
    assert row("private endpoints (")[1] == f"{count['privateEndpoints'] * 730:,} h"
    assert row("private DNS zones")[1] == str(count["privateDnsZones"])
    assert (count["natGateways"], count["publicIPAddresses"], row("NAT gateway")[1]) == (1, 1, "730 h")
    stored = HOURS * CHUNK // 10**9
    assert row("GB through private endpoints")[1] == f"{2 * stored} GB"
    assert row("GB through the NAT gateway")[1] == f"{stored} GB"


def test_rows_of_logs_are_the_requests_that_are_counted() -> None:
    """Each request to storage is a row, the free ones too; ACS reports a recording once, and each operation."""
    write, read, other, delete, lists = (int(cell) for cell in row("**sum**")[1:6])
    sent = {category for one in resources("Microsoft.Insights/diagnosticSettings") for category in _categories(one)}
    assert sent == {"StorageRead", "StorageWrite", "StorageDelete", "CallRecordingSummary", "CallRecordingOperational"}
    sum_of_rows = f"1,000 {TIMES} ({write} + {read} + {other} + {delete} + {lists})"
    assert row("rows of `StorageBlobLogs`")[0].endswith(sum_of_rows)
    assert row("rows of `StorageBlobLogs`")[1] == f"{(write + read + other + delete + lists) * HOURS:,}"
    assert row("rows of `ACSCallRecordingSummary`")[1] == f"{(1 + 2) * HOURS:,}"
    of_timer = sum(int(row("a run of the timer (")[column]) for column in (3, 5))
    assert row("rows of the timer's own requests")[0].endswith(f"8,640 {TIMES} {of_timer}")
    assert row("rows of the timer's own requests")[1] == f"{8640 * of_timer:,}"


def _categories(setting: Resource) -> list[str]:
    return [log["category"] for log in setting.properties["logs"]]


STORED = HOURS * CHUNK // 10**9
# Each row of the table of prices with a number: its beginning, and the amounts that its price is multiplied by.
PRICED = {
    "Functions, ingest": ["4,688", "18,000"],
    "Functions, timer": ["17,280"],
    "Functions, executions": ["15,640"],
    "Storage, writes": ["43,000"],
    "Storage, reads and other": ["144,640"],
    "Storage, lists": ["25,280"],
    "Staging, kept after deletion": ["225"],
    "Archive, first month": ["`B`"],
    "Archive, second and third": ["`B`"],
    "Archive, from then on": ["`B`"],
    "Changing the tier": ["4,000"],
}


def costs() -> str:
    """Return the section on costs."""
    return DOCS.partition("\n## What it costs\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("beginning", PRICED)
def test_prices_times_amounts(beginning: str) -> None:
    """Each sum of money is its amount times the price beside it; the price is 1 where it is a letter."""
    _, amount, price, total = row(beginning)
    amounts = [Decimal(STORED) if one == "`B`" else Decimal(one.replace(",", "")) for one in PRICED[beginning]]
    assert [one for one in PRICED[beginning] if one not in amount] == []
    prices, _, unit = price.partition(" per ")
    each = sum((Decimal(one) for one in re.findall(r"[\d.]+", prices)), Decimal(0)) or Decimal(1)
    per = re.match(r"[\d,]+|million", unit)
    divisor = Decimal(1) if per is None else Decimal(per[0].replace(",", "").replace("million", "1000000"))
    said = re.findall(r"[\d.]+", total)
    assert len(said) == len(amounts)
    for one, money in zip(amounts, said, strict=True):
        digits = Decimal(money)
        assert (one * each / divisor).quantize(digits, ROUND_HALF_UP) == digits


def test_sums_of_money_are_those_of_the_table() -> None:
    """Those of the sentence below the table: the first month, its stored bytes, a month without a recording."""
    cells = {beginning: Decimal(re.findall(r"[\d.]+", row(beginning)[3])[-1]) for beginning in PRICED}
    later = {"Functions, executions", "Changing the tier", "Archive, second and third", "Archive, from then on"}
    stored = cells["Staging, kept after deletion"] + cells["Archive, first month"]
    runs = int(row("Functions, timer")[1].split()[0].replace(",", ""))
    other, lists = (int(row("a run of the timer (")[column]) * runs for column in (3, 5))
    priced = ((other, "Storage, reads and other"), (lists, "Storage, lists"))
    idle = round(
        cells["Functions, timer"] + sum(count * Decimal(row(one)[2].split()[0]) / 10_000 for count, one in priced), 2
    )
    said = re.search(
        r"about USD (\d+) in the first month, of which (\d+) .+? about USD ([\d.]+) a month", flat(costs())
    )
    assert said is not None
    assert [round(sum(cells[one] for one in PRICED if one not in later)), round(stored), idle] == [
        Decimal(one) for one in said.groups()
    ]


def test_a_letter_stands_for_one_thing() -> None:
    """A letter for a price is in one row or paragraph only; `B`, `k` and `l` are defined once and used in several."""
    places = re.split(r"\n\n|\n(?=\|)", costs())
    letters = Counter(letter for place in places for letter in set(re.findall(r"`([A-Za-z])`", place)))
    assert {letter for letter, count in letters.items() if count > 1} == {"B", "k", "l"}
    for definition in ("`B` = 1,000", "`l` is the price of", "`k` the size of"):
        assert flat(costs()).count(definition) == 1


def flat(text: str) -> str:
    """Return a text without its line breaks."""
    return " ".join(text.split())


def test_measurements_are_those_of_the_benchmarks() -> None:
    """Throughput, processor and memory are about those of results.json; what is calculated from them is right."""
    rows = json.loads((ROOT / "benchmarks" / "results.json").read_text())["rows"]
    ours = next(
        one
        for one in rows
        if (one["benchmark"], one.get("contender"), one.get("bytes")) == ("pump", "ours", 1_500_000_000)
        and one["shaping"] == "30 ms, 25 MB/s per connection"
    )
    text = flat(DOCS)
    said = re.search(r"fetches (\d+) MB/s .+? at ([\d.]+) CPU-seconds per GiB and (\d+) MiB", text)
    assert said is not None
    speed = int(said[1])
    assert [float(one) for one in said.groups()] == [
        pytest.approx(ours[name], rel=0.25)
        for name in ("megabytes_per_second", "cpu_seconds_per_gib", "peak_mib_above_idle")
    ]
    seconds = HOURS * CHUNK / 10**6 / speed
    assert f"`B` / {speed} MB/s {TIMES} 2 GB = {seconds * 2:,.0f} GB-s" in text
    assert f"So {60_000 / 8 / speed:.0f} such instances" in text


def test_limits_are_those_of_the_code() -> None:
    """A limit that the app sets is in the table."""
    assert row("an attempt at a chunk")[1].startswith(f"{chunk.BUDGET_SECONDS / 60:.0f} minutes")
    assert row("a chunk that this app accepts")[1].startswith(f"{blocks.MOST_BLOCKS:,} blocks of 4,000")
    assert row("metadata file")[1] == f"{content.LARGEST_METADATA // MIB} MiB"
    assert row("body of a control")[1] == f"{LARGEST_BODY // 1024} KiB"
    assert row("a page of")[1] == str(next(m.le for m in ListQuery.model_fields["limit"].metadata if hasattr(m, "le")))
    told = f"{timer.BUDGET_SECONDS / 60:.0f} minutes, {PARALLELISM} recordings at a time"
    assert row("a run of the timer | 4")[1].startswith(told)
    archives = f"{finish.BUDGET_SECONDS / 60:.0f} minutes; in an instance {COPIES} copies and {PASSES} passes"
    assert row("the archive of a recording")[1].startswith(archives)
