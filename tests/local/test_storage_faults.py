"""Storage through the proxy is harmed just as the rules say."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from azure.core import MatchConditions
from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ServiceRequestError
from azure.storage.blob import BlobBlock
from azure.storage.queue.aio import QueueServiceClient
from yarl import URL

from local.azurite import Azurite
from local.faults.body import other_byte

from .storage_rig import MIB, Rig, new_name, open_rig, outcome


@pytest.fixture
async def rig(azurite: Azurite) -> AsyncIterator[Rig]:
    """Run a proxy, with a container of the test's own and clients that don't retry."""
    async with open_rig(azurite) as opened:
        yield opened


@pytest.mark.parametrize(("status", "code"), [(503, "ServerBusy"), (500, "InternalError")])
@pytest.mark.parametrize("retry_after", [None, 3])
async def test_outcome(rig: Rig, status: int, code: str, retry_after: int | None) -> None:
    """A status has the code that the client library expects, Retry-After if wanted, and nothing is done."""
    await rig.fault("status", status=status, retryAfter=retry_after, operation="PutBlob")
    with pytest.raises(HttpResponseError) as raised:
        await rig.container.upload_blob("thing", b"1")

    response: Any = raised.value.response
    assert (raised.value.status_code, raised.value.error_code) == (status, code)  # type: ignore[attr-defined]
    assert response.headers.get("Retry-After") == (None if retry_after is None else str(retry_after))
    assert [blob.name async for blob in rig.direct.list_blobs()] == []


async def test_status_of_queue(rig: Rig) -> None:
    """The queue service has faults of its own."""
    await rig.fault("status", status=503, operation="PutMessage")
    async with QueueServiceClient.from_connection_string(rig.proxy.connection_string, retry_total=0) as service:
        queue = await service.create_queue(new_name())
        with pytest.raises(HttpResponseError, match="ServerBusy"):
            await queue.send_message("hello")

        assert await queue.receive_message() is None


@pytest.mark.parametrize("kind", ["refuse", "reset"])
async def test_no_answer(rig: Rig, kind: str) -> None:
    """A refused or reset connection gives no answer, and nothing is done."""
    await rig.fault(kind, method="PUT", times=None)
    with pytest.raises(AzureError):
        await rig.container.upload_blob("thing", b"1" * MIB)
    entry = (await rig.log())[-1]

    assert (entry["fault"], entry["status"], entry["upstreamStatus"]) == (kind, None, None)
    assert entry["bytesReceived"] == (0 if kind == "refuse" else MIB)
    assert [blob.name async for blob in rig.direct.list_blobs()] == []


async def test_outage(rig: Rig) -> None:
    """For a while both ports refuse connections, those that are open are closed, and then all is well."""
    await rig.control("POST", "outage", {"seconds": 0.5})
    await asyncio.sleep(0.2)
    url = URL(rig.proxy.blob_url)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(url.host, url.port)
    with pytest.raises(ServiceRequestError):
        await rig.container.upload_blob("thing", b"1")
    await asyncio.sleep(0.5)

    await rig.container.upload_blob("thing", b"1")
    assert await rig.stored("thing") == b"1"


async def test_lost_commit(rig: Rig) -> None:
    """A commit whose answer is lost has taken effect, so that the same commit meets what it made."""
    blob = rig.container.get_blob_client("thing")
    await blob.stage_block("0", b"content")
    await rig.fault("lostAnswer", operation="PutBlockList", times=2)
    with pytest.raises(ServiceRequestError):
        await blob.commit_block_list([BlobBlock("0")], match_condition=MatchConditions.IfMissing)

    assert await rig.stored("thing") == b"content"
    with pytest.raises(ResourceExistsError):
        await blob.commit_block_list([BlobBlock("0")], match_condition=MatchConditions.IfMissing)


@pytest.mark.parametrize("after", [None, 0, 100_000])
async def test_cut(rig: Rig, after: int | None) -> None:
    """A cut answer declares its length and ends at the byte that was said, or in the middle."""
    blob = await rig.blocks("thing", os.urandom(MIB))
    await rig.fault("cutBody", afterBytes=after, operation="GetBlob")
    async with rig.http.get(rig.link(blob)) as response:
        received, error = await _received(response)

    assert (response.content_length, received) == (MIB, MIB // 2 if after is None else after)
    assert error
    assert (await rig.log())[-1]["bytesSent"] == received


async def _received(response: aiohttp.ClientResponse) -> tuple[int, str]:
    received = 0
    try:
        async for piece in response.content.iter_any():
            received += len(piece)
    except (aiohttp.ClientError, OSError) as error:
        return received, type(error).__name__
    return received, ""


async def test_cut_list(rig: Rig) -> None:
    """An answer without a declared length can be cut too."""
    await rig.fault("cutBody", afterBytes=50, operation="ListBlobs")
    with pytest.raises(AzureError):
        _ = [blob.name async for blob in rig.container.list_blobs()]


async def test_slow(rig: Rig) -> None:
    """Bodies trickle, both ways, and for no longer than was said."""
    await rig.fault("slow", operation="Put*", bytesPerSecond=100_000)
    began = time.perf_counter()
    await rig.container.upload_blob("thing", b"1" * 40_000)
    there = time.perf_counter() - began
    await rig.fault("slow", operation="GetBlob", bytesPerSecond=1000, seconds=0.3)
    began = time.perf_counter()
    read = await (await rig.container.download_blob("thing")).readall()

    assert read == b"1" * 40_000
    assert 0.35 < there < 3
    assert 0.25 < time.perf_counter() - began < 3


@pytest.mark.parametrize("kind", ["hang", "lateAnswer"])
async def test_late(rig: Rig, kind: str) -> None:
    """A hanging request is done late, a late answer comes late to what is done at once."""
    await rig.fault(kind, operation="PutBlob", seconds=0.6)
    late = asyncio.create_task(outcome(lambda: rig.container.upload_blob("thing", b"1")))
    await asyncio.sleep(0.3)

    assert await rig.direct.get_blob_client("thing").exists() == (kind == "lateAnswer")
    assert not late.done()
    assert await late == 200
    assert await rig.stored("thing") == b"1"


@pytest.mark.parametrize(("offset", "place"), [(None, 50_000), (0, 0), (99_999, 99_999)])
async def test_corrupt(rig: Rig, offset: int | None, place: int) -> None:
    """One byte of a written or of a read body is another, in silence."""
    data = os.urandom(100_000)
    harmed = data[:place] + bytes([other_byte(data[place])]) + data[place + 1 :]
    await rig.fault("corrupt", operation="PutBlock", offset=offset)
    await rig.blocks("written", data)
    await rig.blocks("read", data)
    await rig.fault("corrupt", operation="GetBlob", offset=offset)
    read = await (await rig.container.download_blob("read")).readall()

    assert await rig.stored("written") == harmed
    assert (read, await rig.stored("read")) == (harmed, data)


async def test_choice(rig: Rig) -> None:
    """Rules choose by operation, query and path, let some requests through, and end."""
    await rig.fault("status", status=503, query={"comp": "block", "blockid": "*"}, path="*/B", skip=1, times=2)
    await rig.fault("status", status=500, method="put", query={"comp": None}, times=None)
    blob = rig.container.get_blob_client("b")
    outcomes = [await outcome(lambda: blob.stage_block("0", b"1")) for _ in range(4)]
    others = [
        await outcome(lambda: rig.container.get_blob_client("c").stage_block("0", b"1")),
        await outcome(lambda: rig.container.upload_blob("d", b"1")),
        await outcome(blob.exists),
    ]
    counted = (await rig.control("GET", "faults"))["faults"]
    await rig.control("DELETE", "faults")

    assert (outcomes, others) == ([200, 503, 503, 200], [200, 500, 200])
    assert [(rule["skipped"], rule["applied"]) for rule in counted] == [(1, 2), (0, 1)]
    assert await outcome(lambda: rig.container.upload_blob("d", b"1")) == 200


@pytest.mark.parametrize(
    ("path", "body", "target"),
    [
        ("faults", {"kind": "nonsense"}, "kind"),
        ("faults", {"kind": "status"}, None),
        ("faults", {"kind": "hang"}, None),
        ("faults", [{"kind": "reset"}, {"kind": "reset", "unknown": 1}], "1.unknown"),
        ("chaos", {"rates": {}}, "seed"),
        ("chaos", {"seed": 1, "rates": {"nonsense": 0.1}}, "rates"),
        ("chaos", {"seed": 1, "rates": {"reset": 1.1}}, "rates.reset"),
        ("chaos", {"seed": 1, "rates": {"reset": 0.6, "refuse": 0.6}}, "rates"),
        ("chaos", {"seed": 1, "routes": {"nonsense": {"reset": 0.1}}}, "routes"),
        ("chaos", {"seed": 1, "routes": {"PutBlock": {"cutBody": 0.1}}}, "routes.PutBlock"),
    ],
)
async def test_refused_rules(rig: Rig, path: str, body: Any, target: str | None) -> None:
    """What makes no sense is a 400 that names the field, and changes nothing."""
    async with rig.http.post(f"{rig.proxy.control_url}/{path}", json=body) as response:
        answer = await response.json()

    assert (response.status, answer["target"]) == (400, target)
    assert (await rig.control("GET", "faults"))["faults"] == []
    assert (await rig.control("GET", "chaos"))["running"] is False
