"""recording/ingest/chunk.py: what a killed ingest leaves behind is used, and never mixed with anything else."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from recording.acs.content import Probe
from recording.app import App
from recording.errors import NotProved, SourceChanged
from recording.ingest.blocks import Block
from recording.ingest.chunk import ChunkIngest
from recording.model.job import ChunkJob
from tests.support.emulator import Control
from tests.support.facts import (
    MIB,
    announce,
    killed_after,
    put,
    staged_receipts,
    stored_sha256,
    until,
    with_blobs,
    with_limits,
)
from tests.support.faults import FaultyBlobs
from tests.support.source import app_with_source, mp4, part, recording_of

DOWNLOAD = "/recording/download/*"
DOCUMENT = "0-eus-d12-801b3f3fc462fe8a01e6810cbff729b8"
# What a probe asks for, the headers of a filler's boxes with it: so many requests, each below this size.
SMALL, SMALL_BYTES = 1, 64 * 1024


async def blocks_fetched(control: Control) -> list[str]:
    """List the ranges of blocks that were fetched."""
    return [str(r["range"]) for r in await control.downloads() if r["bytesSent"] > SMALL_BYTES]


async def test_only_what_is_missing_is_fetched(app: App, control: Control) -> None:
    """The next ingest fetches only the blocks that aren't staged, and compares all of them."""
    recording = await control.recording(12 * MIB)
    [job] = await announce(app, recording)
    await control.fault("hang", DOWNLOAD, seconds=30, skip=SMALL + 2)
    await killed_after(app, job, blocks=2)
    await control.call("DELETE", "requests")
    await control.call("DELETE", "faults")

    await app.ingest.run(job)

    found = await app.clients.blobs.stat("staging", job.content_blob)
    assert found is not None
    assert 1 == len(await blocks_fetched(control))
    assert ("3", "3") == (found.metadata["blocks"], found.metadata["blocks_compared"])
    assert found.sha256 == recording["chunks"][0]["sha256"] == await stored_sha256(app, job)


async def test_a_block_that_was_damaged_on_its_way_before_a_kill_is_found_out(app: App, control: Control) -> None:
    """What storage kept of a block isn't what was sent, and the sender is gone: its receipt shows that."""
    recording = await control.recording(12 * MIB)
    [job] = await announce(app, recording)

    async def damaged(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for piece in body:
            yield bytes([piece[0] ^ 1]) + piece[1:]

    storage = FaultyBlobs(app.settings).on("stage_block", changes=damaged)
    await control.fault("hang", DOWNLOAD, seconds=30, skip=SMALL + 2)
    await killed_after(with_blobs(app, storage), job, blocks=2)
    await storage.aclose()

    with pytest.raises(NotProved):
        await app.ingest.run(job)
    assert await app.clients.blobs.stat("staging", job.content_blob) is None

    await app.ingest.run(job)
    assert recording["chunks"][0]["sha256"] == await stored_sha256(app, job)


async def test_a_block_without_a_receipt_is_fetched_again(app: App, control: Control) -> None:
    """Between a block and its receipt a process dies: nobody can say what was sent, so the block isn't used."""
    recording = await control.recording(12 * MIB)
    [job] = await announce(app, recording)
    dying = FaultyBlobs(app.settings, kill_after=1)
    with pytest.raises(BaseExceptionGroup):
        await with_limits(with_blobs(app, dying), parallelism=1).ingest.run(job)
    await dying.aclose()
    await control.call("DELETE", "requests")

    await app.ingest.run(job)

    assert 3 == len(await blocks_fetched(control))
    assert recording["chunks"][0]["sha256"] == await stored_sha256(app, job)


async def test_blocks_of_another_plan_are_not_used(app: App, control: Control) -> None:
    """Blocks that an older app or setting cut lie elsewhere, even where index and length are the same."""
    recording = await control.recording(20 * MIB)
    [job] = await announce(app, recording)

    class Older(ChunkIngest):
        def _plan(self, probe: Probe) -> tuple[Block, ...]:
            return Block(0, 0, 8 * MIB), Block(1, 8 * MIB, 8 * MIB), Block(2, 16 * MIB, 4 * MIB)

    limits = replace(app.ingest.limits, parallelism=2)
    before = Older(app.clients.blobs, app.recordings, app.clients.content, limits=limits)
    # Five blocks of 4 MiB, of which the third is as long as the third of before.
    after = with_limits(app, parallelism=5)
    await control.fault("hang", DOWNLOAD, seconds=30, skip=SMALL)
    await killed_after(replace(app, ingest=before), job, blocks=2)

    await after.ingest.run(job)

    assert await stored_sha256(app, job) == recording["chunks"][0]["sha256"]


async def test_a_committed_chunk_is_proved_without_fetching(app: App, control: Control) -> None:
    """An ingest that was killed between commit and proof has left nothing to do but the proof, and what it compares."""
    recording = await control.recording(12 * MIB)
    [job] = await announce(app, recording)
    await killed_before_the_proof(app, job)
    await control.call("DELETE", "requests")

    await app.ingest.run(job)

    found = await app.clients.blobs.stat("staging", job.content_blob)
    assert found is not None
    assert [] == await blocks_fetched(control)
    assert found.sha256 == recording["chunks"][0]["sha256"]
    assert ("3", "3") == (found.metadata["blocks"], found.metadata["blocks_compared"])


async def killed_before_the_proof(app: App, job: ChunkJob) -> None:
    """Run an ingest whose process dies when it begins to read back."""
    storage = FaultyBlobs(app.settings).on("read_ranges", raises=asyncio.CancelledError)
    with pytest.raises(asyncio.CancelledError):
        await with_blobs(app, storage).ingest.run(job)
    await storage.aclose()


@pytest.mark.parametrize("fault", [{"kind": "etag", "etag": '"x"', "length": 9}, {"kind": "expired"}, {"kind": "html"}])
async def test_a_committed_chunk_is_kept_whatever_the_source_has_become(
    app: App, control: Control, fault: dict[str, Any]
) -> None:
    """Complete content is proved as committed, and identified by its own ETag: the source may have nothing better."""
    recording = await control.recording(12 * MIB)
    [job] = await announce(app, recording)
    await killed_before_the_proof(app, job)
    before = await app.clients.blobs.stat("staging", job.content_blob)
    assert before is not None
    await control.fault(**fault, path=f"*{job.document_id}", times=None)

    await app.ingest.run(job)

    found = await app.clients.blobs.stat("staging", job.content_blob)
    assert found is not None
    assert found.sha256 == recording["chunks"][0]["sha256"]
    assert before.metadata["source_etag"] == found.metadata["source_etag"]


async def test_another_etag_in_the_middle_starts_over(app: App, control: Control) -> None:
    """One range with another ETag fails the version: its bytes aren't used, and what was in flight is fetched again."""
    recording = await control.recording(12 * MIB)
    [job] = await announce(app, recording)
    await control.fault("etag", DOWNLOAD, skip=SMALL + 2, times=1)

    await app.ingest.run(job)

    odd = [r["range"] for r in await control.downloads() if r["fault"]]
    fetched = [r["range"] for r in await control.downloads() if r["bytesSent"] > SMALL_BYTES and not r["fault"]]
    assert (1, 3) == (len(odd), len(set(fetched)))
    assert odd[0] in fetched
    assert all(fetched.count(block) <= 2 for block in fetched)
    assert await stored_sha256(app, job) == recording["chunks"][0]["sha256"]


@pytest.mark.parametrize("after", [1, 2, 3])
async def test_two_versions_are_never_mixed(environment: dict[str, str], after: int) -> None:
    """When the document is replaced after some ranges, the chunk is the new one from the first byte to the last."""
    versions = [(mp4(12 * MIB, b"a"), '"a"'), (mp4(12 * MIB, b"b"), '"b"')]
    asked = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return await asyncio.to_thread(part, request, *versions[asked > after])

    async with app_with_source(environment, answer) as app:
        [job] = await announce(app, recording_of(DOCUMENT))
        await app.ingest.run(job)

        found = await app.clients.blobs.stat("staging", job.content_blob)
        assert found is not None
        assert "b" == found.metadata["source_etag"]
        assert hashlib.sha256(versions[1][0]).hexdigest() == await stored_sha256(app, job)


async def test_a_document_that_keeps_changing_is_given_up_for_now(environment: dict[str, str]) -> None:
    """Three versions in one attempt are enough; the queue tries again."""
    asked = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return part(request, mp4(5 * MIB), f'"{asked}"')

    async with app_with_source(environment, answer) as app:
        [job] = await announce(app, recording_of(DOCUMENT))
        with pytest.raises(SourceChanged):
            await app.ingest.run(job)

        assert await stored_sha256(app, job) is None


async def test_a_wrong_blob_that_comes_and_goes_is_no_harm(app: App, control: Control) -> None:
    """A blob of another length that appears in the middle is removed, and the chunk fetched in the same attempt."""
    recording = await control.recording(12 * MIB)
    [job] = await announce(app, recording)
    await control.fault("hang", DOWNLOAD, seconds=1, skip=SMALL + 2)
    running = asyncio.ensure_future(app.ingest.run(job))

    async def staged() -> bool:
        return await staged_receipts(app.clients.blobs, job) == 2

    await until(staged)
    await put(app.settings, "staging", job.content_blob, mp4(1000))
    await running

    assert await stored_sha256(app, job) == recording["chunks"][0]["sha256"]
