"""Storage keeps other bytes than it says, and answers with another CRC64, where a rule says so."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobBlock

from local.azurite import Azurite
from local.faults.body import other_byte
from local.storage_proxy import StorageProxy
from recording import crc64
from tests.support.facts import add_fault, faults_met, until

from .storage_rig import Rig, open_rig, outcome

DATA = bytes(range(256)) * 400
MIDDLE = len(DATA) // 2
CHANGED = DATA[:MIDDLE] + bytes([other_byte(DATA[MIDDLE])]) + DATA[MIDDLE + 1 :]
CRC, CHANGED_CRC = (crc64.to_bytes(crc64.crc64(data)) for data in (DATA, CHANGED))


@pytest.fixture
async def rig(azurite: Azurite) -> AsyncIterator[Rig]:
    """Run a proxy, with a container of the test's own and clients that don't retry."""
    async with open_rig(azurite) as opened:
        yield opened


async def _stage(rig: Rig, operation: str) -> dict[str, Any]:
    """Stage a block of DATA and commit it as `thing`; return the answer to the block."""
    blob = rig.container.get_blob_client("thing")
    if operation == "PutBlock":
        answer = await blob.stage_block("00000", DATA)
    else:
        source = await rig.blocks("folder/the source+ü", b"before" + DATA + b"after")
        answer = await blob.stage_block_from_url("00000", rig.link(source), source_offset=6, source_length=len(DATA))
    await blob.commit_block_list([BlobBlock("00000")])
    return answer


@pytest.mark.parametrize("operation", ["PutBlock", "PutBlockFromURL"])
@pytest.mark.parametrize(
    ("kind", "answered"),
    [(None, CRC), ("noCrc", None), ("wrongCrc", bytes([other_byte(CRC[0])]) + CRC[1:])],
    ids=["right", "none", "wrong"],
)
async def test_a_block_is_answered_with_its_crc64_or_another_or_none(
    rig: Rig, operation: str, kind: str | None, answered: bytes | None
) -> None:
    """The block itself is what was sent."""
    if kind is not None:
        await rig.fault(kind, operation=operation, path="*/thing")
    answer = await _stage(rig, operation)

    assert answer["content_crc64"] == answered
    assert await rig.stored("thing") == DATA


@pytest.mark.parametrize("operation", ["PutBlock", "PutBlockFromURL"])
async def test_a_block_that_changes_on_its_way_is_answered_with_the_crc64_of_what_arrived(
    rig: Rig, operation: str
) -> None:
    """The service counts the bytes that it received, from the client or from the source."""
    await rig.fault("corrupt", operation=operation, path="*/thing")
    answer = await _stage(rig, operation)

    assert answer["content_crc64"] == CHANGED_CRC
    assert await rig.stored("thing") == CHANGED


@pytest.mark.parametrize("operation", ["PutBlob", "PutBlockList"])
async def test_a_blob_keeps_another_byte_than_was_sent_and_its_answer_does_not_show_it(
    rig: Rig, operation: str
) -> None:
    """Whoever reads the version of the answer's ETag gets the wrong byte."""
    blob = rig.container.get_blob_client("thing")
    await rig.fault("otherBytes", operation=operation)
    if operation == "PutBlob":
        answer = await blob.upload_blob(DATA, metadata={"proof": "yes"})
    else:
        await blob.stage_block("00000", DATA)
        answer = await blob.commit_block_list([BlobBlock("00000")], metadata={"proof": "yes"})
    found = await rig.direct.get_blob_client("thing").get_blob_properties()

    assert await rig.stored("thing") == CHANGED
    assert (found.etag, found.metadata) == (answer["etag"], {"proof": "yes"})


async def test_what_is_changed_where_it_lies_is_not_right_again_in_a_copy_or_a_read(rig: Rig) -> None:
    """A soak would say of bytes that are listed as not proved, or of a copy found right, what isn't true."""
    container = rig.container.container_name
    await rig.fault("otherBytes", operation="PutBlob", path=f"*/{container}/folder/*")
    source = await rig.container.upload_blob("folder/source", DATA)
    await rig.fault("corrupt", operation="PutBlockFromURL", path="*/thing")
    await rig.fault("otherBytes", operation="PutBlockList", path="*/thing")
    copy = rig.container.get_blob_client("thing")
    await copy.stage_block_from_url("00000", rig.link(source), source_offset=0, source_length=len(DATA))
    await copy.commit_block_list([BlobBlock("00000")])
    kept = await rig.stored("thing")
    await rig.fault("corrupt", operation="GetBlob", path="*/thing")
    read = await (await copy.download_blob()).readall()

    assert [DATA[MIDDLE] + times for times in (3, 4)] == [kept[MIDDLE], read[MIDDLE]]


async def test_a_blob_that_is_to_keep_another_byte_is_seen_right_by_nobody(rig: Rig) -> None:
    """Not even in the moment in which Azurite has it so."""
    for number in range(10):
        blob = rig.container.get_blob_client(f"thing-{number}")
        await rig.fault("otherBytes", operation="PutBlob")
        putting = asyncio.ensure_future(blob.upload_blob(DATA))
        seen = []
        while not putting.done():
            await asyncio.sleep(0)
            with contextlib.suppress(ResourceNotFoundError):
                seen.append(await (await blob.download_blob()).readall())

        assert DATA not in seen


async def test_a_blob_that_is_to_keep_another_byte_waits_for_who_asked_before(azurite: Azurite) -> None:
    """A request that was on its way already sees no blob at all, or the changed one."""
    async with (
        StorageProxy(azurite.blob_url, azurite.queue_url, azurite.table_url) as slow,
        open_rig(azurite, blob_url=slow.blob_url) as rig,
    ):
        blob = rig.container.get_blob_client("thing")
        add_fault(slow, kind="hang", seconds=0.5, method="HEAD", path="*/thing", times=1)
        await rig.fault("otherBytes", operation="PutBlob")
        asking = asyncio.ensure_future(blob.get_blob_properties())

        async def is_met() -> bool:
            return faults_met(slow) > 0

        await until(is_met)
        await blob.upload_blob(DATA)

        with pytest.raises(ResourceNotFoundError):
            await asking
        assert await rig.stored("thing") == CHANGED


@pytest.mark.parametrize("kind", ["wrongCrc", "noCrc", "otherBytes", "repeat", "visible", "poison"])
async def test_a_kind_does_not_apply_to_an_operation_for_which_it_means_nothing(rig: Rig, kind: str) -> None:
    """A rule for every operation lets it through."""
    await rig.blocks("thing", DATA)
    await rig.fault(kind, times=None)

    assert await outcome(rig.container.get_blob_client("thing").get_blob_properties) == 200
    assert (await rig.control("GET", "faults"))["faults"][0]["applied"] == 0


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("otherBytes", {"x-staging/key/chunks/00000-a.media"}),
        ("changedCopy", {"x-archive/key/chunks/00000-a.media", "x-archive/key/chunks/00000-a.mp4"}),
    ],
)
async def test_random_other_bytes_are_in_content_only(rig: Rig, kind: str, changed: set[str]) -> None:
    """Nothing can find another byte in a fact, which has no checksum beside it."""
    names = [
        f"{where}/key/{name}"
        for where in ("x-staging", "x-archive")
        for name in ("events/a.json", "chunks/00000-a.json", "chunks/00000-a.media", "chunks/00000-a.mp4")
    ]
    await rig.control("POST", "chaos", {"seed": 1, "routes": {"PutBlob": {kind: 1.0}}})
    for name in names:
        await rig.container.upload_blob(name, DATA)

    assert (await rig.control("DELETE", "chaos"))["injected"] == {kind: len(changed)}
    assert {name for name in names if await rig.stored(name) != DATA} == changed
