"""recording/ingest/attempt.py: an attempt that is killed is on record, and distinguished from none."""

import asyncio
from datetime import timedelta

import pytest
from azure.core.exceptions import HttpResponseError

from recording.app import App
from recording.errors import SourceGone
from recording.model import layout
from recording.model.job import ChunkJob
from recording.model.recording import InFlightChunk
from tests.support.archives import give_up
from tests.support.emulator import Control
from tests.support.facts import (
    MIB,
    announce,
    body_of,
    killed_after,
    listing,
    stored_sha256,
    sweep,
    told,
    topic,
    with_blobs,
    with_limits,
)
from tests.support.faults import FaultyBlobs
from tests.support.logs import logged

DOWNLOAD = "/recording/download/*"


async def chunk(app: App, job: ChunkJob) -> InFlightChunk:
    """Return the one chunk of a recording, as staging has it."""
    [found] = (await app.recordings.load(job.recording_key)).chunks
    return found


async def killed(app: App, control: Control, job: ChunkJob, *, times: int) -> None:
    """Kill attempts at a chunk, each while it waits for its first bytes."""
    await control.fault("hang", DOWNLOAD, seconds=20, times=None)
    for number in range(1, times + 1):
        running = asyncio.ensure_future(app.ingest.run(job))
        async with asyncio.timeout(20):
            while len((await chunk(app, job)).unfinished) < number:
                await asyncio.sleep(0.02)
        running.cancel()
        await asyncio.wait([running])
    await control.call("DELETE", "faults")


async def test_killed_attempts_are_no_zero(app: App, control: Control, caplog: pytest.LogCaptureFixture) -> None:
    """Five of them poison the message: who is warned reads that they began, in the log and in the notice."""
    [job] = await announce(app, await control.recording(1000))
    deadline = job.announced_at + app.settings.retention
    none = await chunk(app, job)
    await killed(app, control, job, times=5)

    async with topic(app, control) as there:
        await sweep(there, now=deadline - timedelta(hours=1))
    [warned] = logged(caplog, "chunk.at_risk")
    [requeued] = logged(caplog, "chunk.queued_again")
    [notice] = await told(control)
    late = deadline + timedelta(minutes=1)
    assert [] == (await sweep(app, now=late)).incomplete
    await sweep(app, now=await give_up(app, job, now=late))
    manifest = await body_of(app.settings, "archive", layout.manifest_blob(job.recording_key))
    [entry] = manifest["chunks"]

    why = "5 attempts began and did not end"
    assert (0, None) == (none.tries, none.reason)
    assert [(5, 5)] * 3 == [(one["attempts"], one["unfinished"]) for one in (warned, requeued, notice["data"])]
    assert [why, why] == [warned["reason"], notice["data"]["reason"]]
    assert (6, 5) == (entry["attempts"], len(entry["unfinished"]))
    assert [entry["evidence"]] == entry["failures"]
    assert entry["reason"].endswith(f"; {why}")
    assert {} == await listing(app.settings, "staging")


async def test_failed_and_killed_attempts_are_told_apart(app: App, control: Control) -> None:
    """Each counts once; one that succeeds counts as neither."""
    recording = await control.recording(12 * MIB)
    [job] = await announce(app, recording)
    await killed(app, control, job, times=1)
    await control.fault("expired", f"*{job.document_id}", times=2)
    for _ in range(2):
        with pytest.raises(SourceGone):
            await app.ingest.run(job)
    failing = await chunk(app, job)
    await app.ingest.run(job)
    done = await chunk(app, job)

    for found in (failing, done):
        assert (3, 1) == (found.tries, len(found.unfinished))
        assert found.reason is not None
        assert ["SourceGone", "1 attempt began and did not end"] == [
            part.partition(":")[0] for part in found.reason.split("; ")
        ]
    assert recording["chunks"][0]["sha256"] == await stored_sha256(app, job)
    await sweep(app)
    manifest = await body_of(app.settings, "archive", layout.manifest_blob(job.recording_key))
    assert [(3, 1, 2, None)] == [
        (e["attempts"], len(e["unfinished"]), len(e["failures"]), e["reason"]) for e in manifest["chunks"]
    ]


async def test_what_succeeds_leaves_no_trace_of_having_begun(app: App, control: Control) -> None:
    """Not of one that did the work, nor of two that were at it together, nor of one that found all done."""
    [job] = await announce(app, await control.recording(12 * MIB))

    await asyncio.gather(app.ingest.run(job), app.ingest.run(job))
    await app.ingest.run(job)

    assert {"events", "chunks"} == {name.split("/")[1] for name in await listing(app.settings, "staging")}
    assert 0 == (await chunk(app, job)).tries


async def test_an_attempt_that_was_killed_in_the_middle_of_a_chunk(app: App, control: Control) -> None:
    """It says when it began, and its blocks are used."""
    [job] = await announce(app, await control.recording(40 * MIB))
    await control.fault("slow", DOWNLOAD, bytesPerSecond=6 * MIB, times=None)
    await killed_after(with_limits(app, parallelism=2, largest_block=4 * MIB), job, blocks=1)
    await control.call("DELETE", "faults")

    await app.ingest.run(job)

    [began] = (await chunk(app, job)).unfinished
    assert timedelta(0) <= began - job.announced_at < timedelta(minutes=2)


async def test_no_byte_waits_for_the_record_and_the_commit_does(app: App, control: Control) -> None:
    """It costs a chunk of one block no round trip."""
    [job] = await announce(app, await control.recording(5 * MIB))
    steps: list[str] = []
    is_staged = asyncio.Event()

    async def begin() -> None:
        await asyncio.wait_for(is_staged.wait(), 10)
        steps.append("began")

    async def staged() -> None:
        steps.append("staged")
        is_staged.set()

    async def commit() -> None:
        steps.append("committed")

    slow = FaultyBlobs(app.settings).on("create", name="/began/", before=begin)
    slow.on("stage_block", after=staged).on("commit_blocks", before=commit)

    await with_blobs(app, slow).ingest.run(job)

    await slow.aclose()
    assert ["staged", "began", "committed"] == steps


async def test_a_record_that_cannot_be_written_costs_no_chunk(
    app: App, control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    """The chunk is staged, and the log says why the attempt isn't recorded."""
    recording = await control.recording(1000)
    [job] = await announce(app, recording)
    refusing = FaultyBlobs(app.settings)
    for method in ("create", "delete"):
        refusing.on(method, name="/began/", raises=HttpResponseError("refused"))

    await with_blobs(app, refusing).ingest.run(job)

    await refusing.aclose()
    assert recording["chunks"][0]["sha256"] == await stored_sha256(app, job)
    assert 2 == len(logged(caplog, "attempt.not_noted"))
