"""Storage keeps other bytes than it says, and answers with another CRC64, where a rule says so."""

import os
from collections.abc import AsyncIterator
from typing import Any

import pytest

from local.azurite import Azurite
from recording import crc64

from .storage_rig import Rig, open_rig, outcome

DATA = os.urandom(100_000)
CHANGED = DATA[:50_000] + bytes([DATA[50_000] ^ 1]) + DATA[50_001:]
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
    await blob.commit_block_list(["00000"])
    return answer


@pytest.mark.parametrize("operation", ["PutBlock", "PutBlockFromURL"])
@pytest.mark.parametrize(
    ("kind", "answered"), [(None, CRC), ("noCrc", None), ("wrongCrc", bytes([CRC[0] ^ 1]) + CRC[1:])]
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
        answer = await blob.commit_block_list(["00000"], metadata={"proof": "yes"})
    found = await rig.direct.get_blob_client("thing").get_blob_properties()

    assert await rig.stored("thing") == CHANGED
    assert (found.etag, found.metadata) == (answer["etag"], {"proof": "yes"})


@pytest.mark.parametrize("kind", ["wrongCrc", "noCrc", "otherBytes", "repeat", "visible", "poison"])
async def test_a_kind_does_not_apply_to_an_operation_for_which_it_means_nothing(rig: Rig, kind: str) -> None:
    """A rule for every operation lets it through."""
    await rig.blocks("thing", DATA)
    await rig.fault(kind, times=None)

    assert await outcome(rig.container.get_blob_client("thing").get_blob_properties) == 200
    assert (await rig.control("GET", "faults"))["faults"][0]["applied"] == 0


async def test_random_other_bytes_are_in_content_only(rig: Rig) -> None:
    """Nothing can find another byte in a fact, which has no checksum beside it."""
    await rig.control("POST", "chaos", {"seed": 1, "routes": {"PutBlob": {"otherBytes": 0.5, "changedCopy": 0.5}}})
    names = ("key/events/a.json", "key/chunks/00000-a.json", "key/chunks/00000-a.media", "key/chunks/00000-a.mp4")
    for name in names:
        for where in ("x-staging", "x-archive"):
            await rig.container.upload_blob(f"{where}/{name}", DATA)
    await rig.control("DELETE", "chaos")
    changed = [
        f"{where}/{name}"
        for name in names
        for where in ("x-staging", "x-archive")
        if await rig.stored(f"{where}/{name}") != DATA
    ]

    assert set(changed) <= {"x-staging/key/chunks/00000-a.media", "x-archive/key/chunks/00000-a.mp4"}
    assert changed
