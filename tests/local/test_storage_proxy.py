"""Storage through the proxy: unharmed without rules, and harmed at random in the same way for a seed."""

import asyncio
import hashlib
import io
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from azure.core.exceptions import ResourceExistsError, ServiceRequestError
from azure.storage.blob import BlobBlock
from azure.storage.blob.aio import BlobClient, BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient
from yarl import URL

from local.azurite import ACCOUNT, KEY, Azurite
from local.process import Process
from local.storage_faults import operation
from local.storage_proxy import StorageProxy

from .storage_rig import MIB, Rig, new_name, open_rig, outcome

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def rig(azurite: Azurite) -> AsyncIterator[Rig]:
    """Run a proxy, with a container of the test's own and clients that don't retry."""
    async with open_rig(azurite) as opened:
        yield opened


# Without rules


async def test_blocks(rig: Rig) -> None:
    """Blocks are staged, listed, committed and read back as they were; signatures verify."""
    first, second = os.urandom(3 * MIB + 1), os.urandom(2 * MIB)
    blob = await rig.blocks("folder/a b+ü%2F.mp4", first, second)
    read = await (await blob.download_blob()).readall()
    committed, _ = await blob.get_block_list("all")

    assert (read, await rig.stored("folder/a b+ü%2F.mp4")) == (first + second, first + second)
    assert [(block.id, block.size) for block in committed] == [("00000", len(first)), ("00001", len(second))]
    assert (await blob.get_blob_properties()).metadata == {"proof": "yes"}
    assert [found.name async for found in rig.container.list_blobs()] == ["folder/a b+ü%2F.mp4"]


async def test_ranges_and_conditions(rig: Rig) -> None:
    """Ranges, metadata, conditions and deletion are Azurite's own."""
    blob = await rig.blocks("thing", b"0123456789")
    await blob.set_blob_metadata({"sha256": "x"})
    with pytest.raises(ResourceExistsError):
        await blob.upload_blob(b"other", overwrite=False)

    assert await (await blob.download_blob(offset=2, length=3)).readall() == b"234"
    assert (await blob.get_blob_properties()).metadata == {"sha256": "x"}
    await blob.delete_blob()
    assert not await blob.exists()


async def test_copy(rig: Rig) -> None:
    """A copy from a signed link is made and has succeeded at once."""
    source = await rig.blocks("source", b"content")
    target = rig.container.get_blob_client("target")
    started = await target.start_copy_from_url(rig.link(source))

    assert started["copy_status"] == "success"
    assert (await target.get_blob_properties()).copy.status == "success"
    assert await rig.stored("target") == b"content"


async def test_queue(rig: Rig) -> None:
    """Messages are sent, received, updated and deleted."""
    async with QueueServiceClient.from_connection_string(rig.proxy.connection_string) as service:
        queue = await service.create_queue(new_name())
        await queue.send_message("hello")
        message = await queue.receive_message()
        assert message is not None
        changed = await queue.update_message(message, content="again", visibility_timeout=0)
        peeked = await queue.peek_messages()
        await queue.delete_message(changed)

    assert (message.content, [one.content for one in peeked]) == ("hello", ["again"])
    assert [entry["operation"] for entry in await rig.log()] == [
        *("CreateQueue", "PutMessage", "GetMessages", "UpdateMessage", "PeekMessages", "DeleteMessage")
    ]


async def test_log(rig: Rig) -> None:
    """The log shows each request and its bytes in both directions, but no signature."""
    blob = await rig.blocks("thing", b"0123456789")
    async with rig.http.get(rig.link(blob), headers={"Range": "bytes=0-3"}) as response:
        await response.read()
    entries = await rig.log()

    seen = [(entry["operation"], entry["status"], entry["bytesReceived"], entry["bytesSent"]) for entry in entries]
    assert [entry["service"] for entry in entries] == ["blob"] * 3
    assert (seen[0], seen[2]) == (("PutBlock", 201, 10, 0), ("GetBlob", 206, 0, 4))
    assert (entries[2]["range"], entries[2]["path"]) == ("bytes=0-3", f"/{ACCOUNT}/{blob.container_name}/thing")
    assert "sig" not in entries[2]["query"]


async def test_memory(azurite: Azurite, tmp_path: Path) -> None:
    """64 MiB pass both ways in one request each, while the proxy's memory stays where it was."""
    command = [sys.executable, "-m", "local.storage_proxy"]
    command += ["--blob-url", azurite.blob_url, "--queue-url", azurite.queue_url]
    command += ["--table-url", azurite.table_url]
    data = os.urandom(64 * MIB)
    async with Process("The storage proxy", command, log=tmp_path / "proxy.log", folder=ROOT) as process:
        found = await process.wait_for(r"blob endpoint (\S+)[^$]*ready, control plane", seconds=20)
        memory = psutil.Process(process.pid)
        text = f"BlobEndpoint={found[1]};AccountName={ACCOUNT};AccountKey={KEY};"
        async with BlobServiceClient.from_connection_string(
            text, retry_total=0, max_single_get_size=64 * MIB
        ) as service:
            container = await service.create_container(new_name())
            blob = container.get_blob_client("large")
            idle = peak = memory.memory_info().rss
            transfer = asyncio.create_task(_there_and_back(blob, data))
            while not transfer.done():
                peak = max(peak, memory.memory_info().rss)
                await asyncio.sleep(0.01)
            read = await transfer
        os.kill(process.pid, signal.SIGTERM)

    assert hashlib.sha256(read).digest() == hashlib.sha256(data).digest()
    assert peak - idle < 24 * MIB


async def _there_and_back(blob: BlobClient, data: bytes) -> bytes:
    await blob.stage_block("0", io.BytesIO(data), length=len(data))
    await blob.commit_block_list([BlobBlock("0")])
    return await (await blob.download_blob()).readall()


async def test_totals(rig: Rig) -> None:
    """The totals by operation count every request, however few of the latest are asked for."""
    await rig.fault("status", status=503, operation="PutBlob", times=None)
    for _ in range(3):
        await outcome(lambda: rig.container.upload_blob("thing", b"12345"))
    await rig.blocks("thing", b"0123456789")
    log = await rig.control("GET", "requests?limit=1")
    await rig.control("DELETE", "requests")

    assert [entry["operation"] for entry in log["requests"]] == ["PutBlockList"]
    assert log["totals"]["PutBlob"] == {"requests": 3, "faults": 3, "bytesReceived": 15, "bytesSent": 3 * 173}
    assert log["totals"]["PutBlock"] == {"requests": 1, "faults": 0, "bytesReceived": 10, "bytesSent": 0}
    assert await rig.control("GET", "requests?limit=0") == {"requests": [], "totals": {}, "forNone": 0}


async def test_requests_are_counted_by_recording(rig: Rig) -> None:
    """A recording's key is in the names of its blobs and in the prefix of their list; other requests name none."""
    key = "20260301T120000000000Z-7f3e1b52"
    await rig.blocks(f"{key}/chunks/00000-a.media", b"0123456789")
    await rig.container.upload_blob(f"2026/03/01/{key}/recording.json", b"{}")
    _ = [found async for found in rig.container.list_blobs(name_starts_with=f"{key}/")]
    _ = [found async for found in rig.container.list_blobs()]

    assert await rig.control("GET", "recordings") == {key: 4}
    assert (await rig.control("GET", "requests?limit=0"))["forNone"] == 1


async def test_client_gone(rig: Rig) -> None:
    """A client that goes away in the middle of a body leaves nothing behind, and harms nobody."""
    address = URL(rig.proxy.blob_url)
    _, writer = await asyncio.open_connection(address.host, address.port)
    path = f"{address.path}/{rig.container.container_name}/thing?comp=block&blockid=MA=="
    writer.write(f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc".encode())
    await writer.drain()
    writer.close()

    await rig.blocks("thing", b"0123456789")
    assert await rig.stored("thing") == b"0123456789"


@pytest.mark.parametrize(
    ("service", "line", "expected"),
    [
        ("blob", "PUT /a/c/b?comp=block&blockid=x", "PutBlock"),
        ("blob", "PUT /a/c/b", "PutBlob"),
        ("blob", "PUT /a/c?restype=container", "CreateContainer"),
        ("blob", "GET /a/c?restype=container&comp=list", "ListBlobs"),
        ("blob", "GET /a/c/b/c/d", "GetBlob"),
        ("blob", "HEAD /a/c/b", "GetBlobProperties"),
        ("blob", "GET /a?comp=list", "ListContainers"),
        ("blob", "POST /a/c?restype=container&comp=batch", "BlobBatch"),
        ("blob", "PATCH /a/c/b", "Other"),
        ("queue", "GET /a/q/messages", "GetMessages"),
        ("queue", "PUT /a/q/messages/id", "UpdateMessage"),
    ],
)
def test_operation(service: Any, line: str, expected: str) -> None:
    """Operations have the names of the service's reference."""
    method, _, target = line.partition(" ")
    path, _, query = target.partition("?")
    parameters = dict(part.split("=") for part in query.split("&") if part)

    assert operation(service, method, path, query=parameters, headers={}) == expected


# At random

RATES = {"status503": 0.2, "status500": 0.1, "reset": 0.1, "lostAnswer": 0.1}


async def _storm(rig: Rig, seed: int, *, at_once: bool) -> tuple[list[list[int]], Any]:
    """Write ten blobs six times each under random faults; return the results and the counters."""
    await rig.control("POST", "chaos", {"seed": seed, "rates": RATES})

    async def write(number: int) -> list[int]:
        upload = rig.container.upload_blob
        return [await outcome(lambda: upload(f"thing-{number}", b"1", overwrite=True)) for _ in range(6)]

    if at_once:
        outcomes = await asyncio.gather(*(write(number) for number in range(10)))
    else:
        outcomes = [await write(number) for number in reversed(range(10))][::-1]
    return list(outcomes), await rig.control("DELETE", "chaos")


async def test_chaos(rig: Rig) -> None:
    """Random faults are the same for a seed, whatever the order of requests, and others for another one."""
    first, counted = await _storm(rig, 1, at_once=False)
    again, counted_again = await _storm(rig, 1, at_once=True)
    other, _ = await _storm(rig, 2, at_once=True)
    failures = sum(status != 200 for statuses in first for status in statuses)

    assert (first, counted["injected"]) == (again, counted_again["injected"])
    assert first != other
    assert 10 <= failures <= 45
    assert sum(counted["injected"].values()) >= failures
    assert counted["running"] is False


async def test_chaos_stops(rig: Rig) -> None:
    """Once stopped nothing goes wrong, and the counters stay."""
    await rig.control("POST", "chaos", {"seed": 1, "routes": {"PutBlob": {"status503": 1.0}}})
    refused = await outcome(lambda: rig.container.upload_blob("thing", b"1"))
    await rig.control("DELETE", "chaos")
    taken = await outcome(lambda: rig.container.upload_blob("thing", b"1"))
    counted = await rig.control("GET", "chaos")

    assert (refused, taken) == (503, 200)
    assert (counted["injected"], counted["injectedByRoute"]) == ({"status503": 1}, {"PutBlob": {"status503": 1}})


@pytest.mark.parametrize("kind", ["status503RetryAfter", "refuse", "slow", "hang", "lateAnswer", "corrupt"])
async def test_chaos_kinds(rig: Rig, kind: str) -> None:
    """Each random kind is one of the scripted ones, and is bounded."""
    settings = {"seed": 1, "rates": {kind: 1.0}, "hangSeconds": 0.1, "slowSeconds": 0.1, "retryAfterSeconds": 0}
    await rig.control("POST", "chaos", settings)
    expected = {"status503RetryAfter": 503, "refuse": 0}.get(kind, 200)

    assert await outcome(lambda: rig.container.upload_blob("thing", b"11")) == expected
    counted = await rig.control("DELETE", "chaos")
    assert counted["injected"] == {kind: counted["requests"]}


async def test_azurite_gone() -> None:
    """Without an Azurite behind it a client sees a closed connection."""
    async with (
        StorageProxy(*[f"http://127.0.0.1:1/{ACCOUNT}"] * 3) as proxy,
        BlobServiceClient.from_connection_string(proxy.connection_string, retry_total=0) as service,
    ):
        with pytest.raises(ServiceRequestError):
            await service.get_account_information()
