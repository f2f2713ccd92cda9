"""recording/storage/recordings.py: what staging lists, and what the archive's manifests say."""

import asyncio
import json
from collections.abc import Callable

import pytest

from local.azurite import Azurite
from recording.app import App
from recording.model import layout
from recording.model.attempts import Attempts, Failure
from recording.storage.recordings import LARGE_TEXT
from tests.support import big
from tests.support.archives import LATE, lose
from tests.support.big import counted
from tests.support.emulator import Control
from tests.support.facts import add_fault, announce, faults_met, harmed, listing, put, receive, stage, sweep
from tests.support.proved import KEY, announce_files


async def test_a_chunk_is_archived_when_the_manifest_says_so(app: App, control: Control) -> None:
    """Not before, whatever blob has its name; and of no other recording."""
    [job] = await stage(app, await control.recording(1000))
    await put(app.settings, "archive", layout.archived(job.content_blob, "mp4"), b"half")
    assert not await app.recordings.is_archived(job)
    await app.clients.blobs.delete("archive", layout.archived(job.content_blob, "mp4"))

    await sweep(app)

    assert await app.recordings.is_archived(job)
    others = {"document_id": "0-a-b"}, {"recording_key": f"{job.recording_key[:-1]}x"}
    assert [False, False] == [await app.recordings.is_archived(job.model_copy(update=o)) for o in others]


async def test_a_lost_chunk_is_not_archived(app: App, control: Control) -> None:
    """Should the service have it after all, it is fetched."""
    [job] = await announce(app, await control.recording(1000))
    await lose(app, control, job)
    await sweep(app, now=job.announced_at + LATE)

    written = await app.recordings.newest_manifest(job.recording_key)
    assert written is not None
    assert ["lost"] == [entry.outcome for entry in written.chunks]
    assert not await app.recordings.is_archived(job)


async def test_a_large_event_is_read_once(azurite: Azurite, environment: dict[str, str]) -> None:
    """Each batch of its chunks needs it again, and so does each review; under another ETag it is another event."""
    async with harmed(azurite, environment) as (app, proxy):
        event = big.big_event(700)
        assert len(json.dumps(event)) > LARGE_TEXT
        await receive(app, event)

        first, requests = await app.recordings.load(big.KEY), counted(proxy)
        second = await app.recordings.load(big.KEY)

        assert (1, first) == (counted(proxy) - requests, second)
        [name] = await listing(app.settings, "staging")
        await put(app.settings, "staging", name, json.dumps(big.big_event(701)).encode())
        assert 701 == len((await app.recordings.load(big.KEY)).chunks)


async def test_failures_at_the_same_moment_are_all_on_record(app: App, control: Control) -> None:
    """Whoever finds the note changed reads it again; the timer's change of it costs none either."""
    [job] = await announce(app, await control.recording(1000))
    failures = [Failure(at=job.announced_at, code="SourceGone", message=f"attempt {n}") for n in range(5)]

    blank = Attempts(next_at=job.announced_at)

    def fail(failure: Failure) -> Callable[[Attempts | None], Attempts]:
        return lambda before: (before or blank).with_failure(failure)

    def queue(before: Attempts | None) -> Attempts:
        return (before or blank).with_requeue(job.announced_at)

    await asyncio.gather(*(app.recordings.update_attempts(job, change) for change in (*map(fail, failures), queue)))

    noted = Attempts.parse(await app.clients.blobs.read("staging", job.attempts_blob))
    assert noted is not None
    assert (5, {*failures}, job.announced_at) == (noted.count, {*noted.failures}, noted.queued_at)


@pytest.mark.parametrize("text", [b"", b"{", b"{}", b"[]"])
async def test_a_manifest_that_cannot_be_read_costs_no_chunk(app: App, control: Control, text: bytes) -> None:
    """It is fetched, and the timer reports the manifest."""
    [job] = await stage(app, await control.recording(1000))
    await put(app.settings, "archive", layout.manifest_blob(job.recording_key), text)

    assert not await app.recordings.is_archived(job)
    await app.ingest.run(job)


async def test_a_metadata_file_that_is_read_wrongly_once_is_read_again(
    azurite: Azurite, environment: dict[str, str]
) -> None:
    """Of a file whose contents don't fit on its blob the manifest has what is read then, and staging is emptied."""
    async with harmed(azurite, environment) as (app, proxy):
        [job] = await announce_files(app, 1)
        body = json.dumps({"participants": [{"participantId": "8:acs:ada"}]}).encode()
        await app.clients.blobs.create("staging", job.metadata_blob, body)
        [chunk] = (await app.recordings.load(KEY)).chunks
        assert chunk.said is None
        add_fault(proxy, kind="corrupt", operation="GetBlob", path=f"*/{job.metadata_blob}", times=1)

        read = await app.recordings.with_metadata_files(await app.recordings.load(KEY))

        assert 1 == faults_met(proxy)
        assert read.chunks[0].said is not None
        assert ["8:acs:ada"] == [one.id for one in read.chunks[0].said.speakers]
