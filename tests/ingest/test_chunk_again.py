"""recording/ingest/chunk.py: a chunk that may be there is looked for first, and fetched once."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

import pytest

from local.azurite import Azurite
from recording.app import App
from recording.errors import SourceGone
from recording.ingest.streams import Pace
from recording.model import layout
from recording.model.job import ChunkJob
from tests.support.big import counted
from tests.support.emulator import Control, file_event
from tests.support.facts import (
    MIB,
    announce,
    harmed,
    killed_after,
    listing,
    proved,
    receive,
    stage,
    stored_sha256,
    sweep,
    with_blobs,
    with_limits,
    worker,
)
from tests.support.faults import FaultyBlobs
from tests.support.logs import logged

DOWNLOAD = "/recording/download/*"


async def asked(control: Control) -> list[tuple[str, str]]:
    """List what the source was asked for: path and range."""
    requests = (await control.call("GET", "requests"))["requests"]
    return [(one["path"], str(one["range"])) for one in requests if "/download/" in one["path"]]


async def test_the_job_of_an_event_that_comes_again_asks_the_source_for_nothing(
    azurite: Azurite, environment: dict[str, str], control: Control
) -> None:
    """All is there: three requests to storage say so, one looks for its tombstone, and none of them is a write."""
    async with harmed(azurite, environment) as (app, proxy):
        event = file_event(await control.recording(20 * MIB))
        [job] = await receive(app, event)
        await app.ingest.run(job)
        [again] = await receive(app, event)
        await control.call("DELETE", "requests")
        before = counted(proxy)

        await app.ingest.run(again)

        assert ([], 4) == (await asked(control), counted(proxy) - before)
        assert again == job.again()


async def test_a_metadata_file_that_was_brought_before_is_enough_where_the_source_has_none_left(
    app: App, control: Control
) -> None:
    """Another process has brought it, and this one's job doesn't say that there was one before."""
    [job] = await announce(app, await control.recording(MIB))
    await app.clients.blobs.create("staging", job.metadata_blob, b'{"of": "an attempt before"}')
    await control.fault("expired", f"*{job.document_id}/metadata", times=1)

    await app.ingest.run(job)

    assert (await proved(app, job)).blocks == 1
    assert await app.clients.blobs.read("staging", job.metadata_blob) == b'{"of": "an attempt before"}'
    assert {"events", "chunks"} == {name.split("/")[1] for name in await listing(app.settings, "staging")}


@pytest.mark.parametrize("is_again", [True, False])
async def test_a_message_that_comes_again_asks_for_what_is_missing_only(
    app: App, control: Control, is_again: bool
) -> None:
    """Here for the metadata file, which was not to be had at first; whatever the job says of itself."""
    recording = await control.recording(20 * MIB)
    [job] = await announce(app, recording)
    await control.fault("expired", f"*{job.document_id}/metadata", times=1)
    with pytest.raises(SourceGone):
        await app.ingest.run(job)
    await control.call("DELETE", "requests")

    await app.ingest.run(job.again() if is_again else job, is_redelivered=True)

    assert [True] == [path.endswith("/metadata") for path, _ in await asked(control)]
    assert (await app.recordings.load(job.recording_key)).is_staged


async def test_what_is_archived_is_not_fetched_again(app: App, control: Control) -> None:
    """By the job of an event that comes again, or a message that does."""
    recording = await control.recording(1000)
    [job] = await stage(app, recording)
    await sweep(app)
    await control.call("DELETE", "requests")

    await worker(app).ingest.run(job.again())
    await worker(app).ingest.run(job, is_redelivered=True)
    # One that the queue has twice is not known by its count.
    await app.ingest.run(job)

    assert ([], {}) == (await asked(control), await listing(app.settings, "staging"))


async def test_jobs_for_one_chunk_at_once_fetch_it_once(app: App, control: Control) -> None:
    """In one process, whatever they say of themselves; the one that comes first may be any of them."""
    recording = await control.recording(3 * MIB)
    [job] = await announce(app, recording)

    await asyncio.gather(*(app.ingest.run(one) for one in [job, *[job.again()] * 4, *[job] * 4]))

    assert 2 == len(await asked(control))
    assert recording["chunks"][0]["sha256"] == await stored_sha256(app, job)


async def test_one_that_fails_leaves_it_to_the_next(app: App, control: Control) -> None:
    """They don't end because another was at it, but because the chunk is there."""
    [job] = await announce(app, await control.recording(1000))
    await control.fault("expired", f"*{job.document_id}", times=1)

    ended = await asyncio.gather(*(app.ingest.run(job) for _ in range(3)), return_exceptions=True)

    assert [SourceGone, type(None), type(None)] == [type(one) for one in ended]
    await proved(app, job)


async def test_a_slow_chunk_is_not_waited_for(app: App, control: Control) -> None:
    """Else its other jobs would take the places of other chunks' messages."""
    [job] = await announce(app, await control.recording(1000))
    await control.fault("hang", f"*{job.document_id}", seconds=20, times=1)
    impatient = with_limits(app, pace=Pace(floor=0.0, seconds=0.3))
    slow = asyncio.ensure_future(impatient.ingest.run(job))
    await asyncio.sleep(0.2)

    async with asyncio.timeout(10):
        await impatient.ingest.run(job)

    await proved(app, job)
    slow.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await slow


@pytest.mark.parametrize(
    ("minutes", "is_redelivered", "fetched"),
    [(1, False, False), (14, False, False), (16, False, True), (1, True, True)],
)
async def test_while_another_process_is_at_a_chunk_its_repeated_job_does_nothing(
    app: App, control: Control, caplog: pytest.LogCaptureFixture, minutes: int, is_redelivered: bool, fetched: bool
) -> None:
    """For as long as the timer queues no other. A message that comes again may be that of the process that died."""
    caplog.set_level("INFO")
    [job] = await announce(app, await control.recording(1000))
    began = layout.attempt_id(datetime.now(UTC) - timedelta(minutes=minutes), "0a")
    await app.clients.blobs.create("staging", layout.began_blob(job.recording_key, job.document_id, began), b"{}")

    await app.ingest.run(job.again(), is_redelivered=is_redelivered)

    assert fetched == (await stored_sha256(app, job) is not None)
    assert fetched == bool(await asked(control))
    assert (0 if fetched else 1) == len(logged(caplog, "chunk.at_work"))


async def test_the_timer_s_jobs_look_first(app: App, control: Control) -> None:
    """The first may be on the queue still, or the chunk be there but for its metadata file."""
    [job] = await announce(app, await control.recording(1000))

    report = await sweep(app, now=datetime.now(UTC) + timedelta(minutes=16))

    assert [job.again()] == report.jobs == [ChunkJob.from_message(message) for message in report.messages]


async def test_a_commit_whose_answer_was_lost_is_not_fetched_again(app: App, control: Control) -> None:
    """The blob that is there is looked at before the source is asked once more."""
    recording = await control.recording(1000)
    [job] = await announce(app, recording)

    async def commit() -> None:
        await worker(app).ingest.run(job)
        await control.call("DELETE", "requests")

    late = FaultyBlobs(app.settings).on("put_chunk", before=commit, times=1)
    await with_blobs(app, late).ingest.run(job)
    await late.aclose()

    assert [] == await asked(control)
    await proved(app, job)


async def test_where_blocks_are_staged_the_first_request_asks_for_the_version_only(app: App, control: Control) -> None:
    """The message of a killed process comes again: nothing is fetched that was staged with its receipt."""
    recording = await control.recording(20 * MIB)
    [job] = await announce(app, recording)
    small = with_limits(app, parallelism=2, largest_block=4 * MIB, block_pause_seconds=0.01)
    await control.fault("hang", f"*{job.document_id}", seconds=30, skip=2, times=None)
    await killed_after(small, job, blocks=2)
    await control.call("DELETE", "requests")
    await control.call("DELETE", "faults")

    await worker(small).ingest.run(job, is_redelivered=True)

    sent = sum(one["bytesSent"] for one in await control.downloads())
    assert sent <= 12 * MIB + 64 * 1024
    assert recording["chunks"][0]["sha256"] == await stored_sha256(app, job)
    assert 5 == (await proved(app, job)).blocks
