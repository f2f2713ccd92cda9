"""recording/joining/make.py: storage makes the joined file, once, whatever happens to the workers."""

import asyncio
import contextlib
import json
from datetime import UTC, datetime

import pytest

from local.azurite import Azurite
from recording.app import App
from recording.errors import NotFound
from recording.joining import fact
from recording.joining.file import FileQuery
from recording.joining.proof import verify
from recording.model import layout
from recording.model.caller import Caller
from recording.model.job import JoinJob
from recording.model.tombstone import Tombstone
from recording.storage.blobs import CopyDiffers, CopyFailed
from tests.joining.kills import CHUNKS, SAMPLES, WRITES, kill_and_deliver_again, made
from tests.support.facts import body_of, harmed, listing, put, receive, sweep, with_blobs
from tests.support.faults import FaultyBlobs, Killed
from tests.support.joined import BLOCK, JOB, archived, joined, joining
from tests.support.manifests import KEY
from tests.support.source import storage_host, today

pytestmark = pytest.mark.derived


async def test_storage_joins_the_chunks_and_the_fact_says_what_is_where(app: App) -> None:
    """The app sends the head alone; each copied range has the CRC64 that ingest recorded, and the file is proved."""
    await archived(app.settings, CHUNKS)

    await app.joining.run(JOB)

    file, body = await made(app)
    [part] = file.parts
    assert body[-len(SAMPLES) :] == SAMPLES
    assert (part.bytes, part.where, part.content_type) == (len(body), "derived", "audio/wav")
    assert [(c.index, round(c.begins_at, 3)) for c in part.chunks] == [(0, 0.0), (1, 1.25), (2, 2.0)]
    assert all(piece.compared for piece in part.pieces)
    assert sum(piece.bytes for piece in part.pieces if piece.place is None) < 0.01 * len(body)
    proof = await app.joining.verify(KEY)
    assert (proof.ok, proof.parts[0].chunks, proof.parts[0].problems) == (True, [0, 1, 2], [])


async def test_what_ingest_and_archive_have_written_is_what_joining_needs(environment: dict[str, str]) -> None:
    """From the file event to the joined file: the copies in the archive have the CRC64 of each range."""
    async with storage_host(environment) as (app, host):
        for job in await receive(app, today(*(host.add(chunk) for chunk in CHUNKS))):
            await app.ingest.run(job)
            key = job.recording_key
        await sweep(app)

        await app.joining.run(JoinJob(recording_key=key))

        found = await app.joining.verify(key)
        [part] = (await app.joining.file(Caller(), key, FileQuery())).parts or ()
        assert (found.ok, found.parts[0].chunks) == (True, [0, 1, 2])
        assert part.bytes == len(SAMPLES) + 80
        [fact_blob] = [name for name in await listing(app.settings, "derived") if name.endswith("file.json")]
        pieces = (await body_of(app.settings, "derived", fact_blob))["parts"][0]["pieces"]
        assert {piece["compared"] for piece in pieces} == {True}


@pytest.mark.parametrize("writes", [1, 3, 5, 6, WRITES - 1])
async def test_a_kill_at_any_write_and_a_second_delivery_make_one_file(app: App, writes: int) -> None:
    """What was staged before is not staged again, and what is left is the same file.

    Here before the head, between the ranges, before the commit, before the fact, and never; `make acceptance` has all.
    """
    await kill_and_deliver_again(app, writes)


async def test_two_workers_at_once_make_one_file(app: App) -> None:
    """Both stage the same bytes under the same ids; the second commit finds the file of the first."""
    await archived(app.settings, CHUNKS)

    await asyncio.gather(joining(app).run(JOB), joining(app).run(JOB))

    _, body = await made(app)
    assert body[-len(SAMPLES) :] == SAMPLES
    assert (await app.joining.verify(KEY)).ok


async def test_what_is_staged_is_continued(app: App) -> None:
    """A worker that was killed before its commit leaves blocks, of which none is copied again."""
    await archived(app.settings, CHUNKS)
    dying = FaultyBlobs(app.settings).on("commit_blocks", raises=Killed)
    with contextlib.suppress(Killed):
        await with_blobs(app, dying).joining.run(JOB)
    await dying.aclose()
    idle = FaultyBlobs(app.settings).on("stage_range", raises=AssertionError).on("stage_bytes", raises=AssertionError)

    await with_blobs(app, idle).joining.run(JOB)

    await idle.aclose()
    assert (await app.joining.verify(KEY)).ok


async def test_a_source_that_changes_meanwhile_is_refused(app: App) -> None:
    """Its ETag is that of the version whose head was read: no block of another one gets into the file."""
    manifest = await archived(app.settings, CHUNKS)
    content = manifest.chunks[1].content
    assert content is not None

    async def change() -> None:
        await put(app.settings, "archive", content.blob, CHUNKS[1])

    changing = FaultyBlobs(app.settings).on("create", name="making", after=change)
    with pytest.raises(CopyFailed, match="has changed"):
        await with_blobs(app, changing).joining.run(JOB)

    await changing.aclose()
    assert [name for name in await joined(app) if name.endswith(".wav")] == []


@pytest.mark.parametrize("kind", ["wrongCrc", "noCrc"])
async def test_an_answer_with_another_crc_is_not_believed(
    app: App, azurite: Azurite, environment: dict[str, str], kind: str
) -> None:
    """One is tried again, and found right; without one the service itself has compared the CRC64 that was sent."""
    await archived(app.settings, CHUNKS)
    rule = {"kind": kind, "operation": "PutBlockFromURL", "times": 1}
    async with harmed(azurite, environment, rule) as (there, _):
        if kind == "wrongCrc":
            with pytest.raises(CopyDiffers):
                await there.joining.run(JOB)
            assert [name for name in await joined(app) if name.endswith(".wav")] == []
        await there.joining.run(JOB)

    assert (await app.joining.verify(KEY)).ok


async def test_bytes_that_were_damaged_in_the_archive_are_refused(app: App) -> None:
    """Storage compares what it copies with the CRC64 that was recorded when the chunk came."""
    manifest = await archived(app.settings, CHUNKS)
    content = manifest.chunks[2].content
    assert content is not None
    found = await app.clients.blobs.stat("archive", content.blob)
    assert found is not None
    damaged = bytearray(CHUNKS[2])
    damaged[12_000] ^= 1
    for metadata in (found.metadata, {}):
        await put(app.settings, "archive", content.blob, bytes(damaged), **metadata)

        with pytest.raises(CopyDiffers):
            await app.joining.run(JOB)


async def test_a_copy_that_was_put_back_without_its_metadata_is_compared_as_a_whole(app: App) -> None:
    """The manifest has the CRC64 of all its bytes."""
    manifest = await archived(app.settings, CHUNKS)
    content = manifest.chunks[1].content
    assert content is not None
    await put(app.settings, "archive", content.blob, CHUNKS[1])

    await joining(app, largest_block=BLOCK).run(JOB)

    file, body = await made(app)
    assert body[-len(SAMPLES) :] == SAMPLES
    assert all(piece.compared for piece in file.parts[0].pieces)


async def test_chunks_of_an_older_version_are_joined_and_proved_by_reading(app: App) -> None:
    """No CRC64 of their ranges is known: the fact says so, and the proof is by their SHA-256."""
    await archived(app.settings, CHUNKS, block=None)

    await joining(app, largest_block=BLOCK).run(JOB)

    file, body = await made(app)
    assert body[-len(SAMPLES) :] == SAMPLES
    assert {piece.compared for piece in file.parts[0].pieces if piece.place is not None} == {False}
    assert (await app.joining.verify(KEY)).parts[0].chunks == [0, 1, 2]


async def test_a_range_that_is_longer_than_a_block_is_compared_as_a_whole(app: App) -> None:
    """Storage copies it in parts, whose CRC64s together are the recorded one."""
    await archived(app.settings, CHUNKS, block=4 * BLOCK)

    await joining(app, largest_block=BLOCK).run(JOB)

    file, _ = await made(app)
    assert all(piece.compared for piece in file.parts[0].pieces)
    assert (await app.joining.verify(KEY)).ok


async def test_a_late_chunk_makes_another_file(app: App) -> None:
    """The name has the revision and a digest of what it is made from; the old one is deleted by its age."""
    before = fact.folder(await archived(app.settings, CHUNKS[:2]))
    await app.joining.run(JOB)

    after = fact.folder(await archived(app.settings, CHUNKS, revision=2))
    await app.joining.run(JOB)

    assert before != after
    assert {name.rpartition("/")[0] for name in await listing(app.settings, "derived")} == {before, after}


async def test_what_takes_too_long_is_queued_again(app: App) -> None:
    """The next job continues from the blocks that are staged."""
    await archived(app.settings, CHUNKS)
    slow = FaultyBlobs(app.settings).on("commit_blocks", hangs=30)

    await joining(with_blobs(app, slow), budget_seconds=0.5).run(JOB)

    await slow.aclose()
    [message] = [one async for one in app.clients.join_queue.receive(limit=1, hidden_seconds=1)]
    assert json.loads(message.text) == {"join": {"recordingKey": KEY}}
    await app.clients.join_queue.delete(message)
    await app.joining.run(JOB)
    assert (await app.joining.verify(KEY)).ok


async def test_nothing_is_left_of_an_erased_recording(app: App) -> None:
    """Neither files nor staged blocks; and what a worker makes meanwhile it removes itself."""
    await archived(app.settings, CHUNKS)
    await app.joining.run(JOB)
    await app.clients.blobs.stage_bytes(f"{layout.joined_prefix(KEY)}1-x/left.wav", "000000", b"of a killed worker")

    await app.joining.erase(KEY)

    assert await listing(app.settings, "derived") == {}
    assert not await app.clients.blobs.staged_blocks(f"{layout.joined_prefix(KEY)}1-x/left.wav", where="derived")

    async def erased() -> None:
        await app.joining.erase(KEY)
        await app.clients.blobs.delete("archive", layout.manifest_blob(KEY))

    late = FaultyBlobs(app.settings).on("commit_blocks", before=erased)
    await with_blobs(app, late).joining.run(JOB)
    await late.aclose()
    assert await listing(app.settings, "derived") == {}


async def test_nothing_is_made_of_an_erased_recording_whose_manifest_is_still_there(app: App) -> None:
    """Its manifest may be protected, or was restored: the tombstone counts, before the work and after it."""
    await archived(app.settings, CHUNKS)

    async def erased() -> None:
        stone = Tombstone(erasure=layout.key_digest(KEY), at=datetime.now(UTC), reason="objection")
        await app.tombstones.write(stone)

    late = FaultyBlobs(app.settings).on("commit_blocks", before=erased)
    await with_blobs(app, late).joining.run(JOB)
    await late.aclose()
    assert await listing(app.settings, "derived") == {}

    await app.joining.run(JOB)
    with pytest.raises(NotFound, match="was erased"):
        await app.joining.file(Caller(), KEY, FileQuery())
    assert await listing(app.settings, "derived") == {}


async def test_a_file_without_the_bytes_of_a_chunk_is_not_proved(app: App) -> None:
    """What stands beside it must account for each byte, and each chunk that has a digest must be read."""
    manifest = await archived(app.settings, CHUNKS)
    await app.joining.run(JOB)
    file, _ = await made(app)
    [part] = file.parts
    head, *ranges, last = part.pieces
    short = part.model_copy(update={"pieces": (head, *ranges)})
    unnamed = part.model_copy(update={"pieces": (head, *ranges, last.model_copy(update={"place": None}))})

    for wrong, problem in ((short, "lists other bytes"), (unnamed, "chunk 2: none of its bytes is in the file")):
        found = await verify(app.clients.blobs, manifest, file.model_copy(update={"parts": (wrong,)}))

        assert not found.ok
        assert problem in found.parts[0].problems[-1]
