"""recording/archive/erased.py: nothing brings an erased recording back, whichever way it comes."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from recording.app import App
from recording.errors import Conflict
from recording.intake.replay import EventFile
from recording.model import layout
from recording.model.job import ChunkJob
from recording.model.recording import InFlightRecording
from recording.model.tombstone import Tombstone
from recording.storage.blobs import Blobs
from recording.storage.endings import Ending
from tests.keeping.worlds import lift, place
from tests.support.archives import HOUR, manifest_of, outcomes, rows_of
from tests.support.emulator import Control, file_event
from tests.support.facts import announce, listing, put, receive, run_timer, stage, sweep, to_archive, with_blobs, worker

OTHER = "2026-03-01T11:00:00.0000000Z"


async def bury(app: App, jobs: list[ChunkJob]) -> Tombstone:
    """Write the tombstone of a recording, as its erasure does."""
    stone = Tombstone(
        erasure=layout.key_digest(jobs[0].recording_key),
        at=datetime.now(UTC),
        by="oid-1",
        reason="objection",
        documents=tuple(layout.document_digest(job.document_id) for job in jobs),
    )
    await app.tombstones.write(stone)
    return stone


async def left(app: App) -> set[str]:
    """List what there is, without tombstones."""
    archive, staging = await listing(app.settings, "archive"), await listing(app.settings, "staging")
    return {name for name in (*archive, *staging) if not name.startswith(f"{layout.TOMBSTONES}/")}


@pytest.fixture
def jobs_of() -> Any:
    """Make the jobs of a recording without announcing it."""

    def make(recording: Any) -> list[ChunkJob]:
        start = datetime.fromisoformat(recording["startTime"])
        key = layout.recording_key(start, recording["callId"])
        now = datetime.now(UTC)
        return [
            ChunkJob(recording_key=key, document_id=c["documentId"], index=c["index"], announced_at=now)
            for c in recording["chunks"]
        ]

    return make


async def test_a_late_event_leaves_nothing(app: App, control: Control, jobs_of: Any) -> None:
    """Repeated, under another id, with another key about the same documents, with one more document."""
    cases: list[dict[str, str]] = [{}, {"event_id": "late"}, {"key": "other"}, {"document": "new"}]
    for more in cases:
        recording = await control.recording(1000, 2000)
        await bury(app, jobs_of(recording))
        event = file_event(recording, event_id=more.get("event_id", "e1"))
        if "key" in more:
            event["data"]["recordingStartTime"] = OTHER
        if "document" in more:
            for chunk in event["data"]["recordingStorageInfo"]["recordingChunks"]:
                chunk["documentId"] += "9"

        assert [] == await receive(app, event), more
        assert set() == await left(app), more


async def test_a_replayed_or_dead_lettered_event_leaves_nothing(app: App, control: Control, jobs_of: Any) -> None:
    """Event Grid adds members to the event that it gave up."""
    recording = await control.recording(1000)
    await bury(app, jobs_of(recording))
    dead = file_event(recording) | {"deadLetterReason": "MaxDeliveryAttemptsExceeded", "deliveryAttempts": 30}

    [done] = await app.replay.run(EventFile("x.json", json.dumps([dead]).encode()))

    assert ("ignored", True) == (done.outcome, "erased" in done.detail)
    assert set() == await left(app)


async def test_a_redelivered_job_fetches_nothing(app: App, control: Control, jobs_of: Any) -> None:
    """Whatever it was for."""
    cases: list[dict[str, Any]] = [{}, {"is_again": True}, {"recheck": "read"}, {"recheck": "probe"}]
    for more in cases:
        [job] = jobs_of(await control.recording(1000))
        await bury(app, [job])

        await worker(app).ingest.run(job.model_copy(update=more), is_redelivered=bool(more))

        assert set() == await left(app), more


async def test_a_chunk_in_flight_is_not_committed(app: App, control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its blocks are staged when the lookup, which began beside the first request, says that it was erased."""
    [job] = await announce(app, await control.recording(9_000_000))
    await bury(app, [job])

    await app.ingest.run(job)

    assert {"events"} == {name.split("/")[1] for name in await left(app)}


@pytest.mark.parametrize("by_hand", [True, False])
async def test_the_timer_empties_staging_under_a_tombstone(app: App, control: Control, by_hand: bool) -> None:
    """By the job that it queues for a recording that is due, or itself in a run by hand: no lookup of its own."""
    jobs = await stage(app, await control.recording(1000, 2000))
    await bury(app, jobs)

    await run_timer(app, now=datetime.now(UTC), archives_all=by_hand)
    if not by_hand:
        assert jobs[0].recording_key in await to_archive(app)
        await app.archive.run(jobs[0].recording_key)

    assert set() == await left(app)


async def test_what_an_attempt_writes_behind_an_erasure_is_removed(app: App, control: Control, jobs_of: Any) -> None:
    """No event describes it any more: it would stay for ever."""
    [job] = jobs_of(await control.recording(1000))
    await bury(app, [job])
    await put(app.settings, "staging", job.content_blob, b"x")

    await run_timer(app, now=datetime.now(UTC), archives_all=False)

    assert set() == await left(app)


async def test_a_job_that_archives_finds_it_by_its_documents(app: App, control: Control, jobs_of: Any) -> None:
    """Two events gave one recording two keys; one of them was erased, when the other had its chunks already."""
    recording = await control.recording(1000)
    jobs = await stage(app, recording | {"startTime": OTHER})
    await bury(app, jobs_of(recording))

    await app.archive.run(jobs[0].recording_key)

    assert set() == await left(app)
    assert layout.key_digest(jobs[0].recording_key) in await app.tombstones.all()


async def test_a_tombstone_that_is_being_written_keeps_its_digests(app: App, control: Control) -> None:
    """That of a document is there, and the job that archives the recording finds it before that of the key is."""
    jobs = await stage(app, await control.recording(1000))
    stone = await bury(app, jobs)
    own = layout.tombstone_blob(stone.erasure)
    await app.clients.blobs.delete("archive", own)

    await app.archive.run(jobs[0].recording_key)
    await app.tombstones.write(stone)

    assert set() == await left(app)
    assert stone == await app.tombstones.read(stone.erasure)


async def test_a_chunk_that_is_missing_is_not_queued_again(app: App, control: Control, jobs_of: Any) -> None:
    """It was announced under another key while the archive was down; ingest has refused it."""
    recording = await control.recording(1000)
    await announce(app, recording | {"startTime": OTHER})
    await bury(app, jobs_of(recording))

    report = await sweep(app, now=datetime.now(UTC) + HOUR)

    assert [] == report.jobs
    assert set() == await left(app)


async def test_an_erased_document_among_others_costs_these_nothing(app: App, control: Control, jobs_of: Any) -> None:
    """An event that is wrong about one of its documents: the others are archived, and that one counts as lost."""
    recording = await control.recording(1000, 2000)
    jobs = await stage(app, recording)
    other = jobs_of(recording | {"startTime": OTHER})
    await bury(app, other[:1])

    await sweep(app)
    late = datetime.now(UTC) + timedelta(days=3)
    for _ in range(2):
        assert [] == (await sweep(app, now=late)).jobs

    written = await manifest_of(app, jobs[0].recording_key)
    assert ["lost", "archived"] == outcomes(written)
    assert written.chunks[0].evidence
    assert written.chunks[0].evidence.code == "Erased"
    assert not any(f"{jobs[0].document_id}.mp4" in name for name in await left(app))


async def test_reindex_makes_no_rows(app: App, control: Control) -> None:
    """Somebody may have restored deleted blobs."""
    jobs = await stage(app, await control.recording(1000))
    await sweep(app)
    await bury(app, jobs)

    done = [one async for one in app.reindex.run(None, None)]

    assert [] == done


async def test_an_event_of_an_erased_recording_settles_its_stop(app: App, control: Control, jobs_of: Any) -> None:
    """Nothing waits for it any more."""
    recording = await control.recording(1000)
    await bury(app, jobs_of(recording))
    await app.endings.note(Ending(recording_id="cmlk", at=datetime.now(UTC), evidence="stopped through us"))
    event = file_event(recording)
    event["subject"] += "/serverCallId/c2Nh/recordingId/cmlk"

    await receive(app, event)

    assert [] == await app.endings.pending()


async def test_an_archive_that_is_down_keeps_no_chunk_from_staging(app: App, control: Control) -> None:
    """What is accepted meanwhile is found by the next place that looks."""
    silent = replace(app, tombstones=app.tombstones)
    app.tombstones._silent_until = float("inf")
    try:
        jobs = await stage(silent, await control.recording(1000))
        assert jobs
        assert jobs[0].content_blob in await listing(app.settings, "staging")
    finally:
        app.tombstones._silent_until = 0.0
    await bury(app, jobs)
    await put(app.settings, "staging", f"{jobs[0].recording_key}/attempts/{jobs[0].document_id}.json", b"{}")

    await sweep(app)

    assert set() == await left(app)


@pytest.mark.parametrize("is_missing", [False, True])
async def test_its_ending_goes_with_what_is_in_staging(
    app: App, control: Control, jobs_of: Any, is_missing: bool
) -> None:
    """It was noted while its tombstone could not be read. That of another recording, which an event claims, stays."""
    recording = await control.recording(1000)
    event = file_event(recording)
    event["subject"] += "/serverCallId/c2Nh/recordingId/cmlk"
    claims = file_event(recording, event_id="e2")
    claims["subject"] += "/serverCallId/c2Nh/recordingId/b3RoZXI"
    await app.endings.note(Ending(recording_id="b3RoZXI", at=datetime.now(UTC), evidence="announced"))
    await bury(app, jobs_of(recording))
    app.tombstones._silent_until = float("inf")
    for one in (event, claims):
        [job] = await receive(app, one)
    app.tombstones._silent_until = 0.0
    if not is_missing:
        await put(app.settings, "staging", job.content_blob, b"x")
    assert layout.ending_blob("cmlk") in await left(app)

    await run_timer(app, now=datetime.now(UTC) + 3 * 24 * HOUR)

    assert {layout.ending_blob("b3RoZXI")} == await left(app)


@pytest.mark.parametrize("by", ["its job", "a run by hand", "the timer, since chunks are missing"])
async def test_what_empties_staging_deletes_the_rows(app: App, control: Control, by: str) -> None:
    """They were written while its tombstone could not be read: nobody finds it by its call any more."""
    recording = await control.recording(1000, 2000)
    is_missing = by.startswith("the timer")
    [job, _] = await (announce if is_missing else stage)(app, recording)
    await app.timer.indexing.run([await app.recordings.load(job.recording_key)], datetime.now(UTC))
    assert await rows_of(app, job.recording_key)
    await bury(app, [job])

    if by == "its job":
        await app.archive.run(job.recording_key)
    else:
        await run_timer(app, now=datetime.now(UTC) + HOUR, archives_all=not is_missing)

    assert [] == await rows_of(app, job.recording_key)
    assert set() == await left(app)


async def test_a_timer_that_saw_it_before_leaves_no_rows(app: App, control: Control) -> None:
    """The job that the run has queued empties staging before the run writes its rows."""
    [job] = await stage(app, await control.recording(1000))
    seen = await app.recordings.load(job.recording_key)
    await bury(app, [job])
    await app.archive.run(job.recording_key)

    await app.timer.indexing.run([seen], datetime.now(UTC))

    assert [] == await rows_of(app, job.recording_key)


async def test_a_timer_that_saw_another_before_leaves_its_rows(app: App, control: Control) -> None:
    """It was archived meanwhile, as most are, or waits in staging: no tombstone names it."""
    [job] = await stage(app, await control.recording(1000))
    seen = await app.recordings.load(job.recording_key)
    await app.timer.indexing.run([seen], datetime.now(UTC))
    before = await rows_of(app, job.recording_key)
    assert before

    await app.archive.run(job.recording_key)
    await app.timer.indexing.run([seen], datetime.now(UTC))

    assert set(before) <= set(await rows_of(app, job.recording_key))


async def test_what_is_on_hold_stays_when_it_was_erased_under_another_key(
    app: App, control: Control, jobs_of: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Its hold says nothing of the other key: by its job, by the timer, and a part of it; until the hold is lifted."""
    recordings = [await control.recording(1000, 2000), await control.recording(1000, 2000)]
    keys = []
    for number, recording in enumerate(recordings):
        jobs = await stage(app, recording | {"startTime": OTHER}, event_id=f"event-{number}")
        await place(app, jobs[0].recording_key, "case 1")
        await bury(app, jobs_of(recording)[: 2 - number])
        keys.append(jobs[0].recording_key)
    before = await left(app)

    for key in keys:
        await app.archive.run(key)
    await run_timer(app, now=datetime.now(UTC) + HOUR, archives_all=True)

    assert {name for name in before if "/chunks/" in name} <= await left(app)
    assert {f'recording.held_and_erased {{"recordingKey": "{key}"' in caplog.text for key in keys} == {True}
    assert not {layout.key_digest(key) for key in keys} & await app.tombstones.all()
    for key in keys:
        await lift(app, key, "case 1")
        await sweep(app)
    for _ in range(2):
        await sweep(app, now=datetime.now(UTC) + timedelta(days=3))
    assert not any(keys[0] in name and "/chunks/" in name for name in await left(app))
    assert ["lost", "archived"] == outcomes(await manifest_of(app, keys[1]))


async def test_no_hold_is_placed_on_what_is_emptied(app: App, control: Control, jobs_of: Any) -> None:
    """The tombstone is found by its key before staging is emptied; who places a hold looks after his fact."""
    recording = await control.recording(1000)
    jobs = await stage(app, recording | {"startTime": OTHER})
    stone = await bury(app, jobs_of(recording))
    await app.tombstones.add(stone, jobs[0].recording_key)

    with pytest.raises(Conflict, match="was erased"):
        await place(app, jobs[0].recording_key, "case 1")

    assert not (await app.keeping.keeping.find(jobs[0].recording_key)).holds


class SlowBlobs(Blobs):
    """One that deletes a blob when the timer has written the rows of a recording."""

    def __init__(self, app: App, seen: InFlightRecording) -> None:
        super().__init__(app.settings)
        self.app, self.seen = app, seen

    async def delete_wholly(self, *arguments: Any) -> bool:
        """Write the rows, then delete."""
        await self.app.timer.indexing.run([self.seen], datetime.now(UTC))
        return await super().delete_wholly(*arguments)


async def test_rows_that_a_timer_writes_while_staging_is_emptied_are_gone(
    app: App, control: Control, jobs_of: Any
) -> None:
    """It saw the recording, and staging still has it when it is done."""
    [job] = await stage(app, await control.recording(1000))
    seen = await app.recordings.load(job.recording_key)
    await bury(app, [job])
    slow = SlowBlobs(app, seen)

    await with_blobs(app, slow).archive.run(job.recording_key)
    await slow.aclose()

    assert [] == await rows_of(app, job.recording_key)
