"""docs/operations.md, *What it costs* and *Limits and scale*: the numbers are those of the app."""

import json
import re
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.core.pipeline.transport import AioHttpTransport

from recording import timer
from recording.acs import content
from recording.api.request import LARGEST_BODY
from recording.archive.run import COPIES, PARALLELISM
from recording.catalogue.browse import ListQuery
from recording.config.settings import Settings
from recording.control.bodies import Caller, Operation, StartRecording
from recording.ingest import blocks, chunk
from recording.storage.endings import Ending
from tests.infra.snapshots import ROOT, Resource, resource, resources
from tests.support.emulator import Control
from tests.support.events import call_event
from tests.support.facts import MIB, receive, sweep
from tests.support.source import mp4, storage_host, today

DOCS = (ROOT / "docs" / "operations.md").read_text()
HOURS = 1000
CHUNK = 450_000_000
SMALL = 5_000_000
READ = 2 * MIB
TIMES = "\N{MULTIPLICATION SIGN}"
# Classes of https://learn.microsoft.com/azure/storage/blobs/map-rest-apis-transaction-categories; deletions are free.
CLASSES = {
    ("DELETE", ""): "delete",
    ("PUT", ""): "write",
    ("PUT", "block"): "write",
    ("PUT", "blocklist"): "write",
    ("GET", ""): "read",
    ("GET", "list"): "list",
    ("GET", "container"): "other",
    ("GET", "blocklist"): "other",
    ("HEAD", ""): "other",
    ("PUT", "metadata"): "other",
}


class Counted:
    """What was asked of Blob Storage, by class of operation."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: Counter[str] = Counter()
        send = AioHttpTransport.send

        async def counting(transport: Any, request: Any, **options: Any) -> Any:
            # Messages are operations of a queue, and have a price of their own.
            if "/devstoreaccount1/" in request.url and "/messages" not in request.url:
                part = re.search(r"[?&]comp=(\w+)", request.url) or re.search(r"[?&]restype=(\w+)", request.url)
                self.asked[CLASSES[request.method, part[1] if part else ""]] += 1
            return await send(transport, request, **options)

        monkeypatch.setattr(AioHttpTransport, "send", counting)

    def take(self) -> Counter[str]:
        """Return what was asked since the last time."""
        asked, self.asked = self.asked, Counter()
        return asked


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    """Today's API."""
    return environment | {"ACS_API_VERSION": ""}


def row(beginning: str) -> list[str]:
    """Return the cells of a row of the tables."""
    line = next(line for line in DOCS.splitlines() if line.startswith(f"| {beginning}"))
    return [cell.strip(" *") for cell in line.strip("|").split("|")]


async def test_requests_are_those_of_the_app(
    app: Any, control: Control, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recording from start to archive is counted, and a chunk of an hour reckoned from a small one."""
    call = (await control.call("POST", "calls", {"participants": ["Ada"]}))["conversationId"]
    async with storage_host(environment) as (here, host):
        stopped = Ending(recording_id="cmlk", at=datetime.now(UTC), evidence="stopped through us")
        await here.endings.note(stopped)
        counted = Counted(monkeypatch)
        await receive(here, call_event("CallStarted"))
        started = await app.control.start(Caller(), call, StartRecording())
        await app.control.stop(Caller(), call, started.recording_id, Operation())
        await receive(here, call_event("CallEnded"))
        [job] = await receive(here, today(host.add(mp4(SMALL))))
        facts = counted.take()
        await here.ingest.run(job)
        ingested = counted.take()
        await sweep(here)
        archived = counted.take()
        await sweep(here)
        idle = counted.take()
    # Between two accounts each copy reads its source; one is of a chunk, one of its metadata, one of the event.
    archived["read"] += 3
    ingested["write"] += 2 * (len(plan(CHUNK)) - len(plan(SMALL)))
    ingested["read"] += -(-CHUNK // READ) - -(-SMALL // READ)

    told = [row("start, stop, events"), row("ingest:"), row("archive:"), row("**sum**")]
    found = [facts, ingested, archived - idle, facts + ingested + (archived - idle)]
    assert [[int(cell) for cell in cells[1:5]] for cells in told] == [
        [one["write"], one["read"], one["other"], one["delete"]] for one in found
    ]
    other, lists = (int(row("a run of the timer (")[column]) for column in (3, 5))
    assert ({"other": other, "list": lists}, archived["list"]) == (dict(idle), idle["list"])


def plan(size: int) -> tuple[blocks.Block, ...]:
    """Cut a chunk as the app does by default."""
    fields = Settings.model_fields
    return blocks.plan_blocks(
        size, largest=fields["ingest_block_mib"].default * MIB, streams=fields["ingest_parallelism"].default
    )


def test_sums_are_right() -> None:
    """What is multiplied in the table of costs is what the table above it counts."""
    write, read, other = (int(cell) for cell in row("**sum**")[1:4])
    runs = 30 * 24 * 12
    assert row("Storage, writes")[1] == f"{write * HOURS:,}"
    sum_of_reads = f"{(read + other) * HOURS + runs:,}"
    assert row("Storage, reads and other")[1] == f"{read * HOURS:,} + {other * HOURS:,} + {runs:,} = {sum_of_reads}"
    assert row("Storage, lists")[1].split() == [f"{runs:,}", TIMES, "2", "=", f"{runs * 2:,}"]
    assert f"(450 MB: {len(plan(CHUNK))})" in DOCS
    assert f"(450 MB: {-(-CHUNK // READ)})" in DOCS
    assert CHUNK == 60 * 7_500_000


def test_the_scaler_is_that_of_the_queues() -> None:
    """Instances come by what one of them takes at a time (docs/functions-host.md#queue)."""
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
    """What stands there all month: none of it by default, and so many of each with private networking."""
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
    write, read, other, delete = (int(cell) for cell in row("**sum**")[1:5])
    sent = {category for one in resources("Microsoft.Insights/diagnosticSettings") for category in _categories(one)}
    assert sent == {"StorageRead", "StorageWrite", "StorageDelete", "CallRecordingSummary", "CallRecordingOperational"}
    sum_of_rows = f"1,000 {TIMES} ({write} + {read} + {other} + {delete})"
    assert row("rows of `StorageBlobLogs`")[0].endswith(sum_of_rows)
    assert row("rows of `StorageBlobLogs`")[1] == f"{(write + read + other + delete) * HOURS:,}"
    assert row("rows of `ACSCallRecordingSummary`")[1] == f"{(1 + 2) * HOURS:,}"
    of_timer = sum(int(row("a run of the timer (")[column]) for column in (3, 5))
    assert row("rows of the timer's own requests")[0].endswith(f"8,640 {TIMES} {of_timer}")
    assert row("rows of the timer's own requests")[1] == f"{8640 * of_timer:,}"


def _categories(setting: Resource) -> list[str]:
    return [log["category"] for log in setting.properties["logs"]]


def test_prices_times_amounts() -> None:
    """Each sum of money is its amount times the price beside it, as far as both are one number."""
    checked = 0
    for line in DOCS.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        price = re.match(r"([\d.]+) per ([\d,]+)? ?\S* \[\d\]$", cells[2]) if len(cells) == 4 else None
        amounts = re.findall(r"([\d,]+)(?: GB-s| GB-months|$)", cells[1].replace(" + 8,000", "")) if price else []
        if price and amounts and re.fullmatch(r"[\d.]+", cells[3]):
            amount = int(amounts[-1].replace(",", "")) + (8_000 if "+ 8,000" in cells[1] else 0)
            per = int((price[2] or "1").replace(",", ""))
            assert f"{amount * float(price[1]) / per:.2f}" == cells[3], cells[0]
            checked += 1
    assert checked >= 5


def test_measurements_are_those_of_the_benchmarks() -> None:
    """Throughput, processor and memory are about those of results.json; what follows from them is reckoned right."""
    rows = json.loads((ROOT / "benchmarks" / "results.json").read_text())["rows"]
    ours = next(
        one
        for one in rows
        if (one["benchmark"], one.get("contender"), one.get("bytes")) == ("pump", "ours_with_proof", 1_500_000_000)
        and one["shaping"] == "30 ms, 25 MB/s per connection"
    )
    flat = " ".join(DOCS.split())
    said = re.search(r"fetches (\d+) MB/s .+? at ([\d.]+) CPU-seconds per GiB and (\d+) MiB", flat)
    assert said is not None
    speed = int(said[1])
    assert [float(one) for one in said.groups()] == [
        pytest.approx(ours[name], rel=0.25)
        for name in ("megabytes_per_second", "cpu_seconds_per_gib", "peak_mib_above_idle")
    ]
    seconds = HOURS * CHUNK / 10**6 / speed
    assert f"`B` / {speed} MB/s {TIMES} 2 GB = {seconds * 2:,.0f} GB-s" in flat
    assert f"So {60_000 / 8 / speed:.0f} such instances" in flat


def test_limits_are_those_of_the_code() -> None:
    """A limit that the app sets stands in the table as it is."""
    assert row("an attempt at a chunk")[1].startswith(f"{chunk.BUDGET_SECONDS / 60:.0f} minutes")
    assert row("a chunk that this app accepts")[1].startswith(
        f"{blocks.MOST_BLOCKS:,} blocks of {blocks.LARGEST_BLOCK // MIB:,}"
    )
    assert row("metadata file")[1] == f"{content.LARGEST_METADATA // MIB} MiB"
    assert row("body of a control")[1] == f"{LARGEST_BODY // 1024} KiB"
    assert row("a page of")[1] == str(next(m.le for m in ListQuery.model_fields["limit"].metadata if hasattr(m, "le")))
    told = f"{timer.BUDGET_SECONDS / 60:.0f} minutes, {PARALLELISM} recordings and {COPIES} copies"
    assert row("a run of the timer | 4")[1].startswith(told)
