"""Timers run one at a time, make up a missed run at the start, and run on one host only."""

import asyncio
import json
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob.aio import BlobServiceClient

from local.functions import schedule
from local.functions.host import Host
from local.functions.timer_trigger import Status

from .messages import count, receive

YEARLY = "0 0 0 1 1 *"


def host(apps: Path, storage: str, name: str, *, first_tick_seconds: float = 0) -> Host:
    environ = {
        "AzureWebJobsStorage": storage,
        "AzureFunctionsWebHost__hostid": name,
        "TICKS": f"{name}-ticks",
        "MISSED": f"{name}-missed",
        "YEARLY": YEARLY,
        "FIRST_TICK_SECONDS": str(first_tick_seconds),
    }
    return Host(app_dir=apps / "timer", environ=environ)


async def write_status(storage: str, name: str, status: Status) -> None:
    async with BlobServiceClient.from_connection_string(storage) as service:
        container = service.get_container_client("azure-webjobs-hosts")
        if not await container.exists():
            await container.create_container()
        await container.upload_blob(f"timers/{name}/yearly/status", json.dumps(status.to_json()), overwrite=True)


async def read_status(storage: str, name: str) -> Status:
    async with BlobServiceClient.from_connection_string(storage) as service:
        blob = service.get_blob_client("azure-webjobs-hosts", f"timers/{name}/yearly/status")
        for _ in range(100):
            if await blob.exists():
                break
            await asyncio.sleep(0.05)
        return Status.from_json(await (await blob.download_blob()).readall())


async def runs(storage: str, queue: str, number: int, *, seconds: float = 8.0) -> list[dict[str, Any]]:
    return [json.loads(body) for body in await receive(storage, queue, count=number, seconds=seconds)]


async def test_no_overlap(apps: Path, storage: str) -> None:
    """A function that runs into its next occurrence skips it, and a frequent timer has no status."""
    async with host(apps, storage, "overlap", first_tick_seconds=1.1):
        first, second = await runs(storage, "overlap-ticks", 2)

    assert second["started"] - first["started"] > 1.5
    assert (first["past_due"], first["schedule_status"], first["schedule"]) == (False, {}, {"AdjustForDST": True})


async def test_past_due(apps: Path, storage: str) -> None:
    """Occurrences missed while no host ran are made up by one run at the start, and the status moves on."""
    updated = datetime.now(UTC) - timedelta(days=1000)
    status = Status(last=updated, next=schedule.parse(YEARLY).after(updated.astimezone()), last_updated=updated)
    await write_status(storage, "late", status)
    async with host(apps, storage, "late"):
        [run] = await runs(storage, "late-missed", 1)

    assert run["past_due"] is True
    assert status.next.isoformat() == run["schedule_status"]["Next"]
    now = datetime.now(UTC)
    written = await read_status(storage, "late")
    assert now - timedelta(seconds=10) < written.last <= now
    assert schedule.parse(YEARLY).after(now.astimezone()) == written.next
    assert await count(storage, "late-missed") == 0


async def test_changed_schedule(apps: Path, storage: str) -> None:
    """A stored time that is past but was made by another schedule starts no run."""
    updated = datetime.now(UTC) - timedelta(days=1000)
    await write_status(storage, "changed", Status(last=updated, next=updated + timedelta(days=1), last_updated=updated))
    expected = schedule.parse(YEARLY).after(datetime.now(UTC).astimezone())
    async with host(apps, storage, "changed"):
        for _ in range(100):
            if expected == (await read_status(storage, "changed")).next:
                break
            await asyncio.sleep(0.05)

    assert expected == (await read_status(storage, "changed")).next
    assert await count(storage, "changed-missed") == 0


async def test_one_host(apps: Path, storage: str) -> None:
    """Of two hosts with one id only one runs the timer; the other takes over when it stops."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(host(apps, storage, "both"))
        async with host(apps, storage, "both") as second:
            pids = [first.worker_pid, first.worker_pid, second.worker_pid]
            seen = [run["pid"] for run in await runs(storage, "both-ticks", 2)]
            await stack.aclose()
            seen += [run["pid"] for run in await runs(storage, "both-ticks", 1)]

    assert pids == seen


@pytest.mark.parametrize("text", [b"{}", b"[]", b"nonsense", b'{"Last": 1}'])
def test_bad_status(text: bytes) -> None:
    """A status blob that can't be read is distinguished from one that can."""

    with pytest.raises(ValueError, match=r".+"):
        Status.from_json(text)
