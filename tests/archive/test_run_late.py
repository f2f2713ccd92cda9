"""recording/archive/run.py: what arrives after a recording was archived is added to it, and removes nothing."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from recording.app import App, assemble
from recording.errors import SourceGone
from recording.model.caller import Caller
from recording.notices import Topic
from tests.support.archives import HOUR, LATE, errors, give_up, lose, manifest_of, outcomes
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

    assert [job.again() for job in jobs[1:]] == report.jobs
    assert 1 == caplog.text.count("chunk.at_risk")


async def test_an_ingest_that_ends_after_the_deadline_is_not_thrown_away(app: App, control: Control) -> None:
    """A chunk that arrives when the manifest calls it lost, and staging is empty, makes a manifest that has it."""
    recording = await control.recording(1000, 2000)
    first, second = await announce(app, recording)
    await app.ingest.run(first)
    late = await give_up(app, second)
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
    late = await give_up(app, job)
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
    late = await give_up(app, job)
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
    late = await give_up(app, job)
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
    late = await give_up(app, job)
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
    late = await give_up(app, job)
    await sweep(app, now=late)
    assert ["lost"] == outcomes(await manifest_of(app, job.recording_key))

    await receive(app, file_event(recording, event_id="again", eventTime=late.isoformat()), now=late)
    assert [] == (await sweep(app, now=late)).jobs
    [rescued] = (await sweep(app, now=late + HOUR)).jobs
    await app.ingest.run(rescued)
    await sweep(app, now=late + HOUR)

    assert ["archived"] == outcomes(await manifest_of(app, job.recording_key, 2))
    assert {} == await listing(app.settings, "staging")


async def _late(app: App, recording: Any, number: int, **data: Any) -> None:
    """Receive a later event of an archived recording, and run whatever it asks for."""
    event = file_event(recording, event_id=f"late-{number}")
    event["data"] |= data
    for job in await receive(app, event):
        await app.ingest.run(job)
    await sweep(app)


async def test_a_contradicting_claim_changes_nothing_and_is_kept_beside_the_settled_one(
    app: App, control: Control
) -> None:
    """Another recording id, duration, index or address: in a later manifest, with the event; each claim once."""
    recording = await control.recording(1000)
    [job] = await stage(app, recording, subject=f"/recording/call/{recording['callId']}/recordingId/settled")
    await sweep(app)
    first = await manifest_of(app, job.recording_key)

    for number in (2, 3):
        await _late(app, recording, number, recordingId="other", recordingDurationMs=1)
    document = {"documentId": job.document_id, "index": 7, "endReason": "SessionEnded"}
    elsewhere = document | {"contentLocation": "https://elsewhere.example/x?key=s3cret"}
    await _late(app, recording, 4, recordingStorageInfo={"recordingChunks": [elsewhere]})

    second, third = [await manifest_of(app, job.recording_key, revision) for revision in (2, 3)]
    assert ("settled", 6620, True) == (second.recording_id, second.recording_duration_ms, second.complete)
    assert [("late-2", "recordingId", "other"), ("late-2", "recordingDurationMs", 1)] == [
        (claim.event, claim.member, claim.value) for claim in second.claims
    ]
    assert [(0, (7,))] == [(entry.index, entry.other_indices) for entry in third.chunks]
    settled = {"revision", "claims", "events", "archived_at", "chunks"}
    assert first.model_dump(exclude=settled) == third.model_dump(exclude=settled)
    assert [entry.content for entry in first.chunks] == [entry.content for entry in third.chunks]
    names = [name.rpartition("/")[2] for name in await listing(app.settings, "archive") if "/events/" in name]
    assert {"late-2.json", "late-4.json"} < set(names)
    assert "late-3.json" not in names
    assert "s3cret" not in third.model_dump_json()
    assert {} == await listing(app.settings, "staging")


async def test_a_chunk_announced_late_and_lost_makes_it_incomplete(app: App, control: Control) -> None:
    """The first manifest stays, the second says what is missing."""
    recording = await control.recording(1000, 1000)
    await stage(app, recording | {"chunks": recording["chunks"][:1]})
    await sweep(app)
    late, lost = await announce(app, recording, event_id="late")
    await lose(app, control, lost)
    await sweep(app, now=datetime.now(UTC) + LATE)

    first, second = [await manifest_of(app, late.recording_key, revision) for revision in (1, 2)]
    assert ([True, False], ["archived", "lost"]) == ([first.complete, second.complete], outcomes(second))


async def test_one_document_announced_at_two_indices_is_kept_once_and_listed_at_both(
    app: App, control: Control
) -> None:
    """In one event or in two; whichever was fetched."""
    made = await control.recording(1000)
    [chunk] = made["chunks"]
    twice = [
        await stage(app, made | {"chunks": [chunk | {"index": index}]}, event_id=f"at-{index}") for index in (3, 1)
    ]
    assert 1 == len(await announce(app, made | {"chunks": [chunk, chunk | {"index": 5}]}, event_id="at-both"))

    await sweep(app)

    written = await manifest_of(app, twice[0][0].recording_key)
    archived = await listing(app.settings, "archive")
    assert [(3, (0, 1, 5), True)] == [(e.index, e.other_indices, e.is_safe) for e in written.chunks]
    assert 1 == list(archived.values()).count(chunk["sha256"])
    assert {} == await listing(app.settings, "staging")
    links = {(await app.handout.content(Caller(), written.recording_key, index)).partition("?")[0] for index in "0135"}
    assert 1 == len(links)
    assert (await app.verifier.verify(written.recording_key)).ok


async def test_the_same_bytes_at_another_index_that_come_after_the_archive_are_no_version(
    app: App, control: Control
) -> None:
    """A manifest lists no file that isn't in the archive: the attempt at the other index was still under way."""
    made = await control.recording(1000)
    [chunk] = made["chunks"]
    [first] = await stage(app, made | {"chunks": [chunk]}, event_id="first")
    [other] = await announce(app, made | {"chunks": [chunk | {"index": 4}]}, event_id="other")
    body = await app.clients.blobs.read("staging", first.content_blob)
    proved = await app.clients.blobs.stat("staging", first.content_blob)
    assert body is not None
    assert proved is not None
    assert [first.recording_key] == (await sweep(app)).archived

    await put(app.settings, "staging", other.content_blob, body, **proved.metadata)
    report = await sweep(app)

    newest = await app.recordings.newest_manifest(first.recording_key)
    assert newest is not None
    assert ([], 1, ()) == (report.archived, newest.revision, newest.chunks[0].versions)
    assert {} == await listing(app.settings, "staging")
    assert (await app.verifier.verify(first.recording_key)).ok
