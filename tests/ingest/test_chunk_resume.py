"""recording/ingest/chunk.py: what a killed ingest leaves behind is used, and never mixed with anything else."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from recording.app import App
from recording.errors import NotProved
from recording.ingest import blocks
from recording.model.job import ChunkJob
from recording.storage.blobs import Blobs
from tests.support.emulator import Control
from tests.support.facts import (
    MIB,
    announce,
    killed_after,
    proved,
    put,
    staged_receipts,
    stored_sha256,
    until,
    with_blobs,
    with_limits,
)
from tests.support.faults import FaultyBlobs, Killed
from tests.support.source import app_with_source, mp4, part, recording_of

DOCUMENT = "0-eus-d12-801b3f3fc462fe8a01e6810cbff729b8"
SMALL_BYTES = 64 * 1024


def in_fours(app: App, **more: Any) -> App:
    """Wire the app with blocks of 4 MiB and two streams: a receipt is written as long as blocks are waiting."""
    return with_limits(app, parallelism=2, largest_block=4 * MIB, block_pause_seconds=0.01, **more)


async def blocks_fetched(control: Control) -> set[str]:
    """Return the ranges of blocks that were fetched, but the first: its request is sent before anything is known."""
    return {str(r["range"]) for r in await control.downloads() if r["bytesSent"] > SMALL_BYTES} - {"bytes=0-4194303"}


async def killed_with_two(app: App, control: Control, job: ChunkJob) -> None:
    """Run an ingest, and kill it when two blocks have their receipts."""
    await control.fault("hang", f"*{job.document_id}", seconds=30, skip=2, times=None)
    await killed_after(app, job, blocks=2)
    await control.call("DELETE", "requests")
    await control.call("DELETE", "faults")


async def test_only_what_is_missing_is_fetched(app: App, control: Control) -> None:
    """The next ingest fetches only the blocks that aren't staged, and all of them are proved."""
    recording = await control.recording(20 * MIB)
    [job] = await announce(app, recording)
    await killed_with_two(in_fours(app), control, job)

    await in_fours(app).ingest.run(job)

    facts = await proved(app, job)
    assert 3 == len(await blocks_fetched(control))
    assert (5, 5) == (facts.blocks, facts.blocks_compared)
    assert recording["chunks"][0]["sha256"] == await stored_sha256(app, job)


async def test_a_block_that_was_damaged_on_its_way_is_staged_again(app: App, control: Control) -> None:
    """The answer shows that storage received other bytes than were sent: nothing else is fetched again."""
    recording = await control.recording(12 * MIB)
    [job] = await announce(app, recording)
    storage = FaultyBlobs(app.settings).on("stage_block", changes=damaged, times=2)

    await in_fours(with_blobs(app, storage)).ingest.run(job)

    await storage.aclose()
    facts = await proved(app, job)
    assert (3, 3) == (facts.blocks, facts.blocks_compared)
    assert 3 + 2 == len(await control.downloads())
    assert recording["chunks"][0]["sha256"] == await stored_sha256(app, job)


async def damaged(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Change a bit of each piece."""
    async for piece in body:
        yield bytes([piece[0] ^ 1]) + piece[1:]


async def test_blocks_that_always_arrive_damaged_are_never_committed(app: App, control: Control) -> None:
    """After a few tries it is the queue's turn, and the reason is on record."""
    [job] = await announce(app, await control.recording(5 * MIB))
    storage = FaultyBlobs(app.settings).on("stage_block", changes=damaged)

    with pytest.raises(NotProved, match="other bytes"):
        await in_fours(with_blobs(app, storage)).ingest.run(job)

    await storage.aclose()
    assert await app.clients.blobs.stat("staging", job.content_blob) is None


@pytest.mark.parametrize("size", [5 * MIB, 20 * MIB])
async def test_a_block_whose_answer_has_no_checksum_is_kept_and_counts_as_not_compared(
    app: App, control: Control, size: int
) -> None:
    """The commit has what was counted, with which the archive copy is compared; it gets no receipt."""
    recording = await control.recording(size)
    [job] = await announce(app, recording)

    class Silent(FaultyBlobs):
        async def stage_block(self, name: str, block_id: str, body: AsyncIterator[bytes], *, length: int) -> None:
            assert blocks.is_block(block_id)
            await Blobs.stage_block(self, name, block_id, body, length=length)

    silent = Silent(app.settings)
    await in_fours(with_blobs(app, silent)).ingest.run(job)

    await silent.aclose()
    facts = await proved(app, job)
    assert (-(-size // (4 * MIB)), 0) == (facts.blocks, facts.blocks_compared)
    assert recording["chunks"][0]["sha256"] == await stored_sha256(app, job)


async def test_no_request_replaces_what_another_has_staged(app: App, control: Control) -> None:
    """A worker that is killed while its damaged block arrives doesn't spoil the block that has a receipt."""
    recording = await control.recording(20 * MIB)
    [job] = await announce(app, recording)
    await killed_with_two(in_fours(app), control, job)
    storage = FaultyBlobs(app.settings, kill_after=3).on("stage_block", changes=damaged)
    with pytest.raises((Killed, BaseExceptionGroup)):
        await in_fours(with_blobs(app, storage)).ingest.run(job.model_copy(update={"recheck": None}))
    await storage.aclose()

    await in_fours(app).ingest.run(job)

    await proved(app, job)
    assert recording["chunks"][0]["sha256"] == await stored_sha256(app, job)


async def test_a_block_without_a_receipt_is_fetched_again(app: App, control: Control) -> None:
    """Between a block and its receipt a process dies: nobody can say what was sent, so the block isn't used."""
    recording = await control.recording(12 * MIB)
    [job] = await announce(app, recording)
    # That it began, the metadata file and a block.
    dying = FaultyBlobs(app.settings, kill_after=3)
    with pytest.raises((Killed, BaseExceptionGroup)):
        await with_limits(in_fours(with_blobs(app, dying)), parallelism=1).ingest.run(job)
    await dying.aclose()
    await control.call("DELETE", "requests")

    await in_fours(app).ingest.run(job)

    assert 2 == len(await blocks_fetched(control))
    await proved(app, job)
    assert recording["chunks"][0]["sha256"] == await stored_sha256(app, job)


@pytest.mark.parametrize("largest", [8 * MIB, 5 * MIB])
async def test_blocks_of_another_plan_are_used_where_they_fit(app: App, control: Control, largest: int) -> None:
    """An app with other settings has cut other blocks: each says which bytes it has, and the ranges still add up."""
    recording = await control.recording(40 * MIB)
    [job] = await announce(app, recording)
    await killed_with_two(in_fours(app), control, job)

    await with_limits(app, parallelism=4, largest_block=largest).ingest.run(job)

    await proved(app, job)
    assert recording["chunks"][0]["sha256"] == await stored_sha256(app, job)


OLD_BLOCKS = {"0123456789abcdef-000000-" + "0" * 40: 4 * MIB, "0123456789abcdef-000000-" + "ab" * 20: 1}


async def test_blocks_of_the_version_before_do_no_harm(app: App, control: Control) -> None:
    """Their ids are as long, so both can be staged; they are dropped by the commit."""
    recording = await control.recording(12 * MIB)
    [job] = await announce(app, recording)
    for name, length in OLD_BLOCKS.items():
        await app.clients.blobs.stage_block(job.content_blob, name, zeros(length), length=length)

    await in_fours(app).ingest.run(job)

    assert {} == await app.clients.blobs.staged_blocks(job.content_blob)
    await proved(app, job)
    assert recording["chunks"][0]["sha256"] == await stored_sha256(app, job)


async def zeros(length: int) -> AsyncIterator[bytes]:
    """Yield so many bytes."""
    yield bytes(length)


async def test_a_committed_chunk_needs_nothing_more(app: App, control: Control) -> None:
    """An ingest that was killed after its commit has left a chunk that is proved."""
    recording = await control.recording(12 * MIB)
    [job] = await announce(app, recording)
    await killed_after_the_commit(app, job)
    before = await app.clients.blobs.stat("staging", job.content_blob)
    await control.call("DELETE", "requests")

    await in_fours(app).ingest.run(job)

    assert set() == await blocks_fetched(control)
    await proved(app, job)
    assert before == await app.clients.blobs.stat("staging", job.content_blob)
    assert recording["chunks"][0]["sha256"] == await stored_sha256(app, job)


async def killed_after_the_commit(app: App, job: ChunkJob) -> None:
    """Run an ingest whose process dies when the chunk is committed."""

    async def die() -> None:
        raise Killed

    storage = FaultyBlobs(app.settings).on("commit_blocks", after=die)
    with pytest.raises((Killed, BaseExceptionGroup)):
        await in_fours(with_blobs(app, storage)).ingest.run(job)
    await storage.aclose()


@pytest.mark.parametrize("fault", [{"kind": "etag", "etag": '"x"', "length": 9}, {"kind": "expired"}, {"kind": "html"}])
async def test_a_committed_chunk_is_kept_whatever_the_source_has_become(
    app: App, control: Control, fault: dict[str, Any]
) -> None:
    """What is committed is proved; whatever the source answers then means nothing."""
    recording = await control.recording(12 * MIB)
    [job] = await announce(app, recording)
    await killed_after_the_commit(app, job)
    before = await app.clients.blobs.stat("staging", job.content_blob)
    assert before is not None
    await control.fault(**fault, path=f"*{job.document_id}", times=None)

    await app.ingest.run(job)

    assert before == await app.clients.blobs.stat("staging", job.content_blob)
    assert (await app.recordings.load(job.recording_key)).is_staged


async def test_another_etag_in_the_middle_starts_over(app: App, control: Control) -> None:
    """One range with another ETag fails the version: its bytes aren't used, and what was in flight is fetched again."""
    recording = await control.recording(12 * MIB)
    [job] = await announce(app, recording)
    await control.fault("etag", f"*{job.document_id}", skip=2, times=1)

    await in_fours(app).ingest.run(job)

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
        await in_fours(app).ingest.run(job)

        found = await app.clients.blobs.stat("staging", job.content_blob)
        assert found is not None
        assert "b" == found.metadata["source_etag"]
        assert hashlib.sha256(versions[1][0]).hexdigest() == await stored_sha256(app, job)


@pytest.mark.parametrize("size", [9 * MIB, 75 * MIB])
async def test_equal_bytes_with_another_label_in_each_response_are_kept(environment: dict[str, str], size: int) -> None:
    """An ETag that never repeats says nothing about the bytes: the last try takes them from one response."""
    body, asked = mp4(size), 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return await asyncio.to_thread(part, request, body, f'"{asked}"')

    async with app_with_source(environment, answer) as app:
        [job] = await announce(app, recording_of(DOCUMENT))
        await app.ingest.run(job)

        await proved(app, job)
        assert hashlib.sha256(body).hexdigest() == await stored_sha256(app, job)


async def test_a_document_that_keeps_changing_is_kept_as_one_response_had_it(environment: dict[str, str]) -> None:
    """Other bytes each time, and another ETag: any version is better than none, and no mixture is."""
    asked = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal asked
        asked += not request.path.endswith("/metadata")
        return part(request, mp4(9 * MIB, bytes([asked])), f'"{asked}"')

    async with app_with_source(environment, answer) as app:
        [job] = await announce(app, recording_of(DOCUMENT))
        await app.ingest.run(job)

        versions = {hashlib.sha256(mp4(9 * MIB, bytes([number]))).hexdigest() for number in range(1, asked + 1)}
        assert await stored_sha256(app, job) in versions


async def test_a_wrong_blob_that_comes_and_goes_is_no_harm(app: App, control: Control) -> None:
    """A blob of another length that appears in the middle is removed, and the chunk fetched in the same attempt."""
    recording = await control.recording(20 * MIB)
    [job] = await announce(app, recording)
    await control.fault("hang", f"*{job.document_id}", seconds=1, skip=2)
    running = asyncio.ensure_future(in_fours(app).ingest.run(job))

    async def staged() -> bool:
        return await staged_receipts(app.clients.blobs, job) >= 1

    await until(staged)
    await put(app.settings, "staging", job.content_blob, mp4(1000))
    await running

    await proved(app, job)
    assert recording["chunks"][0]["sha256"] == await stored_sha256(app, job)
