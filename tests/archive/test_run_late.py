"""recording/archive/run.py: what arrives after a recording was archived is added to it, and removes nothing."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from recording.app import App, assemble
from recording.errors import SourceGone
from recording.notices import Topic
from tests.support.archives import HOUR, LATE, errors, lose, manifest_of, outcomes
from tests.support.emulator import Control, file_event
from tests.support.facts import TOPIC_KEY, announce, listing, put, receive, stage, sweep, told, topic


@pytest.mark.parametrize("repeats_the_first", [True, False])
async def test_a_late_event_with_one_more_chunk_makes_a_second_manifest(
    app: App, control: Control, repeats_the_first: bool
) -> None:
    """The newest manifest lists all chunks at once; the first is left as it was."""
    recording = await control.recording(1000, 2000)
    chunks = recording["chunks"]
    [job] = await stage(app, recording | {"chunks": chunks[:1]})
    await sweep(app)
    first = await listing(app.settings, "archive")

    late = recording | {"chunks": chunks if repeats_the_first else chunks[1:]}
    event = file_event(late, event_id="late")
    del event["data"]["recordingDurationMs"]
    for one in await receive(app, event):
        await app.ingest.run(one)
    report = await sweep(app)

    second = await manifest_of(app, job.recording_key, 2)
    assert [job.recording_key] == report.archived
    assert (2, True, 6620) == (second.revision, second.complete, second.recording_duration_ms)
    assert [c["sha256"] for c in chunks] == [e.content.sha256 for e in second.chunks if e.content]
    assert {} == await listing(app.settings, "staging")
    assert first.items() <= (await listing(app.settings, "archive")).items()


async def test_chunks_that_are_archived_are_neither_rescued_nor_at_risk(
    app: App, control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    """A late event that names an archived chunk and one that is missing brings a job for the missing one alone."""
    recording = await control.recording(1000, 2000)
    await stage(app, recording | {"chunks": recording["chunks"][:1]})
    await sweep(app)
    jobs = await announce(app, recording, event_id="late")

    report = await sweep(app, now=datetime.now(UTC) + 44 * HOUR)

    assert jobs[1:] == report.jobs
    assert 1 == caplog.text.count("chunk.at_risk")


async def test_an_ingest_that_ends_after_the_deadline_is_not_thrown_away(app: App, control: Control) -> None:
    """A chunk that arrives when the manifest calls it lost, and staging is empty, makes a manifest that has it."""
    recording = await control.recording(1000, 2000)
    first, second = await announce(app, recording)
    await app.ingest.run(first)
    late = datetime.now(UTC) + LATE
    await sweep(app, now=late)
    assert ["archived", "lost"] == outcomes(await manifest_of(app, first.recording_key))

    await app.ingest.run(second)
    await sweep(app, now=late)
    await sweep(app, now=late)

    written = await manifest_of(app, first.recording_key, 2)
    assert (["archived", "archived"], True) == (outcomes(written), written.complete)
    assert recording["chunks"][1]["sha256"] in (await listing(app.settings, "archive")).values()
    assert {} == await listing(app.settings, "staging")


async def test_what_came_late_is_told_though_the_topic_was_down(app: App, control: Control) -> None:
    """By the run after it, though staging has no event of it any more."""
    [job] = await announce(app, await control.recording(1000))
    late = datetime.now(UTC) + LATE
    await sweep(app, now=late)
    await app.ingest.run(job)
    notices = Topic("http://127.0.0.1:9/api/events", TOPIC_KEY, None)
    await sweep(assemble(app.settings, replace(app.clients, topic=notices)), now=late)
    await notices.aclose()
    assert ["archived"] == outcomes(await manifest_of(app, job.recording_key, 2))

    async with topic(app, control) as there:
        await sweep(there, now=late)

    assert ["Recording.Archived"] == [notice["type"] for notice in await told(control)]
    assert {} == await listing(app.settings, "staging")


async def test_a_failure_that_comes_late_is_no_news(
    app: App, control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    """A loss is reported once, though an attempt that was under way still writes its record."""
    [job] = await announce(app, await control.recording(1000))
    late = datetime.now(UTC) + LATE
    await sweep(app, now=late)
    assert ["chunk.lost", "recording.archived"] == errors(caplog)
    before = await listing(app.settings, "archive")

    caplog.clear()
    await lose(app, control, job)
    assert [job.attempts_blob] == list(await listing(app.settings, "staging"))
    async with topic(app, control) as there:
        report = await sweep(there, now=late)

    assert ([], [], [], []) == (errors(caplog), await told(control), report.incomplete, report.failed)
    assert ({}, before) == (await listing(app.settings, "staging"), await listing(app.settings, "archive"))


async def test_a_metadata_file_that_comes_late_is_not_thrown_away(app: App, control: Control) -> None:
    """It is added in a second manifest, and the content stays in it."""
    [job] = await announce(app, await control.recording(1000))
    await control.fault("expired", "*/metadata", times=1)
    with pytest.raises(SourceGone):
        await app.ingest.run(job)
    late = datetime.now(UTC) + LATE
    await sweep(app, now=late)

    await app.clients.blobs.create("staging", job.metadata_blob, await app.clients.content.metadata(job))
    await sweep(app, now=late)

    written = await manifest_of(app, job.recording_key, 2)
    [entry] = written.chunks
    assert entry.content is not None
    assert entry.metadata is not None
    assert (True, None) == (written.complete, entry.reason)
    assert {} == await listing(app.settings, "staging")


async def test_a_proof_that_comes_late_is_told(app: App, control: Control) -> None:
    """Content that was archived unproved, and proved after that, is reported as archived."""
    [job] = await stage(app, await control.recording(1000))
    body = await app.clients.blobs.read("staging", job.content_blob)
    proved = await app.clients.blobs.stat("staging", job.content_blob)
    assert body is not None
    assert proved is not None
    await put(app.settings, "staging", job.content_blob, body)
    late = datetime.now(UTC) + LATE
    await sweep(app, now=late)
    assert ["unproved"] == outcomes(await manifest_of(app, job.recording_key))

    await put(app.settings, "staging", job.content_blob, body, **proved.metadata)
    await sweep(app, now=late)

    assert ["archived"] == outcomes(await manifest_of(app, job.recording_key, 2))
    assert {} == await listing(app.settings, "staging")


async def test_a_lost_chunk_that_is_announced_again_is_fetched(app: App, control: Control) -> None:
    """A new event sets a new deadline: the chunk is rescued, and a second manifest has it."""
    recording = await control.recording(1000)
    [job] = await announce(app, recording)
    late = datetime.now(UTC) + LATE
    await sweep(app, now=late)
    assert ["lost"] == outcomes(await manifest_of(app, job.recording_key))

    await announce(app, recording, event_id="again", eventTime=late.isoformat())
    assert [] == (await sweep(app, now=late)).jobs
    [rescued] = (await sweep(app, now=late + HOUR)).jobs
    await app.ingest.run(rescued)
    await sweep(app, now=late + HOUR)

    assert ["archived"] == outcomes(await manifest_of(app, job.recording_key, 2))
    assert {} == await listing(app.settings, "staging")
