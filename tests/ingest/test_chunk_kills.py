"""recording/intake/receive.py, recording/ingest/chunk.py: killed between any two writes, the next makes the same."""

import asyncio
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime

import pytest

from recording import app
from recording.app import App, assemble
from recording.config.settings import read_settings
from recording.ingest.chunk import ChunkIngest
from recording.model.job import ChunkJob
from recording.model.stored import Container
from tests.support.emulator import Control, file_event
from tests.support.facts import MIB, announce, bytes_with_receipt, listing, proved, receive, stored_sha256, with_blobs
from tests.support.faults import FaultyBlobs, Killed

WHERE: tuple[Container, ...] = ("staging", "quarantine", "archive")
BLOCKS = 3
# That it began, the metadata file, the blocks, all but the last with a receipt, the commit, that it has ended.
WRITES = 2 + 2 * BLOCKS - 1 + 2


async def cut_in_three(environment: dict[str, str]) -> App:
    """Build the app with blocks so small, sent one by one, that a kill can come between any two."""
    return await app.open_app(read_settings(environment | {"INGEST_BLOCK_MIB": "4", "INGEST_PARALLELISM": "1"}))


def dying(app: App, *, after: int) -> tuple[ChunkIngest, FaultyBlobs]:
    """Return an ingest that is killed after so many writes."""
    storage = FaultyBlobs(app.settings, kill_after=after)
    return with_blobs(app, storage).ingest, storage


@pytest.mark.parametrize("after", range(1, WRITES + 1))
async def test_an_ingest_that_is_killed_after_any_write_is_gone_on_with(
    environment: dict[str, str], control: Control, after: int
) -> None:
    """The next try fetches what isn't staged, nothing twice, and proves the whole; the kill is on record."""
    recording = await control.recording(BLOCKS * 4 * MIB - 1000)
    app = await cut_in_three(environment)
    [job] = await announce(app, recording)
    killed, storage = dying(app, after=after)
    others = asyncio.all_tasks()
    with pytest.raises((Killed, BaseExceptionGroup)):
        await killed.run(job)
    # A write that was under way arrives.
    if on_their_way := asyncio.all_tasks() - others:
        # Connections that the emulator keeps open are among these tasks: they end after 15 s.
        await asyncio.wait(on_their_way, timeout=0.5)
    await storage.aclose()

    killed_ones, size = await unfinished(app, job), recording["chunks"][0]["bytes"]
    is_committed = await app.clients.blobs.stat("staging", job.content_blob) is not None
    left = 0 if is_committed else size - await bytes_with_receipt(app.clients.blobs, job)
    was_staged = (await app.recordings.load(job.recording_key)).is_staged
    before = len(await control.downloads())
    await app.ingest.run(job)
    fetched = sum(r["bytesSent"] for r in (await control.downloads())[before:])

    # The first response ends early if its block is staged; the boxes of the document are some KiB more.
    assert left <= fetched <= left + 4 * MIB + 8192
    await proved(app, job)
    assert recording["chunks"][0]["sha256"] == await stored_sha256(app, job)
    assert await app.clients.blobs.stat("staging", job.metadata_blob) is not None
    # What had made both last writes had done all that an attempt is for.
    assert [0 if was_staged else 1] == [len(killed_ones)]
    assert killed_ones == await unfinished(app, job)
    await app.aclose()


async def test_an_ingest_makes_no_write_that_is_not_tried_above(environment: dict[str, str], control: Control) -> None:
    """With one more write to its life it isn't killed."""
    app = await cut_in_three(environment)
    [job] = await announce(app, await control.recording(BLOCKS * 4 * MIB - 1000))
    living, storage = dying(app, after=WRITES + 1)

    await living.run(job)

    await storage.aclose()
    await app.aclose()


# That it began, its failure, that it has ended.
FAILING = 3


@pytest.mark.parametrize("after", range(1, FAILING + 1))
async def test_an_attempt_that_is_killed_while_it_fails_is_counted_once(app: App, control: Control, after: int) -> None:
    """As one that failed, where that is on record, else as one that didn't end."""
    [job] = await announce(app, await control.recording(1000))
    await control.fault("expired", "/recording/download/*", times=None)
    killed, storage = dying(app, after=after)
    with pytest.raises(Killed):
        await killed.run(job)
    await storage.aclose()

    [chunk] = (await app.recordings.load(job.recording_key)).chunks
    assert ((1, 1, 0) if after == 1 else (1, 0, 1)) == (
        chunk.tries,
        len(chunk.unfinished),
        chunk.attempts.count if chunk.attempts else 0,
    )


async def unfinished(app: App, job: ChunkJob) -> tuple[datetime, ...]:
    """Return when the unfinished attempts at a chunk began."""
    [chunk] = (await app.recordings.load(job.recording_key)).chunks
    return chunk.unfinished


# The event, what of it can't be understood, that the recording ended.
FACTS = 3


@pytest.mark.parametrize("after", range(1, FACTS + 2))
async def test_an_intake_that_is_killed_after_any_fact_is_repeated(app: App, control: Control, after: int) -> None:
    """The event is delivered again; each fact is there once, and the jobs are the same."""
    event = file_event(await control.recording(1000, 2000))
    event["subject"] += "/serverCallId/c2Nh/recordingId/cmlk"
    event["data"]["recordingStorageInfo"]["recordingChunks"].append({"documentId": "../../x", "index": 2})
    storage = FaultyBlobs(app.settings, kill_after=after)
    with pytest.raises(Killed) if after <= FACTS else nullcontext():
        await receive(assemble(app.settings, replace(app.clients, blobs=storage)), event)
    await storage.aclose()

    jobs = await receive(app, event)

    assert [0, 1] == [job.index for job in jobs]
    staged, kept, archived = [await listing(app.settings, where) for where in WHERE]
    assert [1, 1, 1] == [len(found) for found in (staged, kept, archived)]
    assert ["events", "endings"] == [next(iter(staged)).split("/")[1], next(iter(archived)).split("/")[0]]
