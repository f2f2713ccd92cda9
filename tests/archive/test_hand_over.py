"""recording/archive/hand_over.py: the timer plans, a queue archives, and whatever the queue does, nothing is lost."""

import asyncio
import contextlib
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.azurite import Azurite
from recording.app import App
from recording.archive import finish
from recording.archive.hand_over import next_step
from recording.model import job, layout
from recording.model.recording import assemble
from recording.model.stored import StoredBlob
from recording.notices import Topic
from recording.storage.blobs import CopyFailed
from recording.storage.endings import Ending
from recording.timer import in_order
from tests.archive.kills import JOB_WRITES, kill_job
from tests.support.archives import HOUR, at, errors, manifest_of
from tests.support.big import counted
from tests.support.emulator import Control, file_event
from tests.support.facts import (
    TOPIC_KEY,
    add_fault,
    faults_met,
    harmed,
    listing,
    put,
    raw_queue,
    receive,
    run_timer,
    sweep,
    to_archive,
    told,
    topic,
    with_blobs,
    worker,
)
from tests.support.faults import FaultyBlobs, Killed
from tests.support.manifests import KEY as OTHER
from tests.support.manifests import RETENTION, START, event, recording
from tests.support.proved import KEY, announce_files, commit, facts_of, stage_files
from tests.support.source import mp3, recording_of, wav

MINUTE = timedelta(minutes=1)
# Storage says in seconds when a blob was written.
A_SECOND = 1.05
CALL = "3f2b0e4c-0000-4000-8000-000000000001"


@pytest.fixture(autouse=True)
async def empty(app: App) -> None:
    """The queue of every test begins with nothing on it."""
    async with raw_queue(app.settings, job.ARCHIVE_QUEUE) as queue:
        await queue.clear_messages()


async def plan(app: App, minutes: float = 0, **more: Any) -> Any:
    """Run the timer as the function does: it queues what is due."""
    return await run_timer(app, now=datetime.now(UTC) + minutes * MINUTE, archives_all=False, **more)


async def notes(app: App) -> int:
    """Count the notes of hand-overs."""
    return len([name for name in await listing(app.settings, "staging") if "/hand-overs/" in name])


def handed_over(*minutes: float) -> list[StoredBlob]:
    """Return the notes of hand-overs, in minutes after the announcement."""
    return [
        StoredBlob(layout.hand_over_blob(OTHER, layout.attempt_id(START + m * MINUTE, "0a")), 2, "e") for m in minutes
    ]


@pytest.mark.parametrize(
    ("handed", "now", "step"),
    [
        ((), 1, "queue"),
        ((), 47 * 60, "queue"),
        ((1,), 2, "wait"),
        ((1,), 30, "wait"),
        ((1,), 31, "queue"),
        ((1, 31), 90, "wait"),
        ((1, 31), 91, "queue"),
        ((1, 31, 91, 211, 451, 811), 811 + 359, "wait"),
        ((1, 31, 91, 211, 451, 811), 811 + 360, "queue"),
        ((1, 31, 91), 36 * 60, "queue"),
        ((1, 31, 91, 36 * 60), 36 * 60 + 9, "wait"),
        ((1, 31, 91, 36 * 60), 36 * 60 + 10, "archive"),
        ((1, 31, 91, 36 * 60), 40 * 60, "queue"),
        ((1,), 36 * 60 - 1, "queue"),
        ((36 * 60,), 36 * 60 + 9, "wait"),
        ((36 * 60,), 36 * 60 + 10, "archive"),
        ((60 * 60,), 60 * 60 + 10, "archive"),
        ((60 * 60,), 60 * 60 + 30, "queue"),
    ],
)
def test_a_recording_is_handed_over_once_and_again_with_growing_pauses(
    handed: tuple[int, ...], now: int, step: str
) -> None:
    """In the last quarter of its time the timer archives it, too, ten minutes after the queue got it last."""
    found = recording([event("a-0")], handed_over(*handed))

    assert timedelta(hours=48) == RETENTION
    assert step == next_step(found, START + now * MINUTE)


def test_however_many_messages_get_lost_the_queue_is_asked_again_within_an_eighth_of_the_time() -> None:
    """By then six hours: the pause stops growing, and the timer's own turn comes after nine messages."""
    asked: list[int] = []
    for now in range(0, 36 * 60, 5):
        if next_step(recording([event("a-0")], handed_over(*asked)), START + now * MINUTE) == "queue":
            asked.append(now)

    assert [0, 30, 90, 210, 450, 810, 1170, 1530, 1890] == asked


@pytest.mark.parametrize(
    ("handed", "seconds", "step"),
    [
        ((0,), 59, "wait"),
        ((0,), 60, "queue"),
        ((0, 60), 180, "queue"),
        ((0, 60, 180), 299, "wait"),
        ((0, 60, 180), 300, "queue"),
        ((12 * 60,), 12 * 60 + 20, "archive"),
    ],
)
def test_the_pauses_are_shorter_where_the_source_keeps_its_files_for_minutes(
    handed: tuple[int, ...], seconds: int, step: str
) -> None:
    """Of sixteen minutes a lost message costs one, not all: a retention of hours, or the soak's."""
    blobs = handed_over(*(moment / 60 for moment in handed))
    found = assemble(OTHER, events=[event("a-0")], blobs=blobs, attempts={}, retention=16 * MINUTE)

    assert step == next_step(found, START + timedelta(seconds=seconds))


async def test_what_is_due_is_queued_once_and_the_function_archives_it(app: App) -> None:
    """The timer itself copies nothing; the job of the message does all the rest."""
    await stage_files(app, wav(500), mp3(9))

    reports = [await plan(app, minutes) for minutes in (0, 5, 29)]

    assert [[KEY], [], []] == [report.handed_over for report in reports]
    assert ([], {}) == (reports[0].archived, await listing(app.settings, "archive"))
    assert ([KEY], 1) == (await to_archive(app), await notes(app))
    assert [KEY] == (await app.archive.run(KEY)).archived
    assert {} == await listing(app.settings, "staging")
    assert (await app.verifier.verify(KEY)).ok
    assert [] == (await plan(app, 60)).handed_over


async def test_a_message_that_got_lost_is_queued_again(app: App) -> None:
    """After half an hour, then an hour, two: a queue that is only behind doesn't grow without end."""
    await stage_files(app, wav(500))

    queued = {m: len((await plan(app, m)).handed_over) for m in (0, 25, 31, 60, 90, 95, 200, 215)}

    assert {0: 1, 25: 0, 31: 1, 60: 0, 90: 0, 95: 1, 200: 0, 215: 1} == queued
    assert [KEY] * 4 == await to_archive(app)


async def test_what_the_queue_has_not_archived_the_timer_archives_itself(app: App) -> None:
    """Well within the deadline, however often the queue was asked."""
    await stage_files(app, wav(500))
    assert [KEY] == (await plan(app)).handed_over

    reports = [await plan(app, minutes) for minutes in (35 * 60, 36 * 60 - 1, 36 * 60 + 5, 36 * 60 + 15)]

    assert [[], [], [], [KEY]] == [report.archived for report in reports]
    assert [[KEY], [], [KEY], []] == [report.handed_over for report in reports]
    assert {} == await listing(app.settings, "staging")
    assert (await manifest_of(app, KEY)).complete


async def test_a_queue_that_takes_nothing_stops_no_run_and_the_timer_archives_in_the_end(
    azurite: Azurite, environment: dict[str, str], app: App
) -> None:
    """It is the host's, and may be down alone."""
    await stage_files(app, wav(500))
    broken = await _app_with_broken_queue(app)

    report = await plan(broken)
    assert ([KEY], [], 1) == (report.failed, report.handed_over, await notes(app))

    assert [[], [KEY]] == [(await plan(broken, minutes)).archived for minutes in (37 * 60, 37 * 60 + 10)]


async def test_what_takes_longer_than_the_timer_has_goes_back_to_the_queue(app: App) -> None:
    """Its job has many times the time of a run, whose own attempts end in nothing."""
    await stage_files(app, wav(500))
    await plan(app)
    slow = FaultyBlobs(app.settings).on("copy_to_archive", raises=TimeoutError)
    late = [36 * 60, 36 * 60 + 10, 36 * 60 + 55, 36 * 60 + 65]

    reports = [await plan(with_blobs(app, slow), minutes) for minutes in late]
    await slow.aclose()

    assert [([KEY], []), ([], [KEY]), ([], [KEY]), ([KEY], [])] == [(one.handed_over, one.failed) for one in reports]
    assert [KEY] * 3 == await to_archive(app)
    assert [KEY] == (await app.archive.run(KEY)).archived
    assert {} == await listing(app.settings, "staging")


async def _app_with_broken_queue(app: App) -> App:
    class Broken(type(app.clients.archive_queue)):  # type: ignore[misc]
        async def send(self, text: str) -> None:
            raise TimeoutError

    broken = Broken(app.clients.queue_account, job.ARCHIVE_QUEUE)
    return replace(app, timer=replace(app.timer, hand_over=replace(app.timer.hand_over, queue=broken)))


async def test_a_message_that_comes_again_for_hours_does_nothing_more(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    """Before, while and after the recording is archived; also one for a recording that is unknown."""
    [one] = await announce_files(app, 1)
    before = await listing(app.settings, "staging")
    assert [] == (await app.archive.run(KEY)).archived
    assert before == await listing(app.settings, "staging")
    await commit(app, one, wav(500))

    reports = await asyncio.gather(*(worker(app).archive.run(KEY) for _ in range(4)), return_exceptions=True)
    for hours in range(3):
        await at(app, datetime.now(UTC) + hours * HOUR).archive.run(KEY)
        await app.archive.run(OTHER)

    assert 1 <= len([one for one in reports if not isinstance(one, BaseException)])
    assert ({}, 4) == (await listing(app.settings, "staging"), len(await listing(app.settings, "archive")))
    assert ([], True) == (errors(caplog), (await app.verifier.verify(KEY)).ok)


async def test_messages_for_one_recording_take_turns_and_no_places(
    app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The second one of a process has nothing to do; while the first takes its time, the others end."""
    caplog.set_level("INFO")
    await stage_files(app, wav(500))
    busy = FaultyBlobs(app.settings).on("copy_to_archive", hangs=1, times=1)
    slow = with_blobs(app, busy)
    reports = await asyncio.gather(*(slow.archive.run(KEY) for _ in range(2)))
    assert [[KEY], []] == [report.archived for report in reports]

    monkeypatch.setattr(finish, "_TURN_SECONDS", 0.1)
    async with slow.archive.turns.take(KEY, seconds=1):
        assert [[]] * 4 == [one.archived for one in await asyncio.gather(*(slow.archive.run(KEY) for _ in range(4)))]
    await busy.aclose()

    assert 4 == caplog.text.count("recording.at_work")
    assert [] == errors(caplog)


async def test_a_job_that_fails_says_so_and_the_queue_tries_again(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """The alert counts the line, whoever archives; the note stays, so that the timer doesn't queue it meanwhile."""
    await stage_files(app, wav(500))
    await plan(app)
    failing = FaultyBlobs(app.settings).on("copy_to_archive", raises=CopyFailed("on purpose"))

    with pytest.raises(CopyFailed):
        await with_blobs(app, failing).archive.run(KEY)
    await failing.aclose()

    assert f'recording.not_archived {{"recordingKey": "{KEY}", "reason": "on purpose"' in caplog.text
    assert ([], 1) == ((await plan(app, 5)).handed_over, await notes(app))
    assert [KEY] == (await app.archive.run(KEY)).archived


async def test_two_timers_and_two_workers_at_once_make_one_archive(app: App) -> None:
    """Each may queue it, and each message may find the other's work half done."""
    await stage_files(app, wav(500), wav(600))
    await asyncio.gather(*(plan(app) for _ in range(2)))
    found = await to_archive(app)

    await asyncio.gather(
        *(worker(app).archive.run(key) for key in (*found, *found)), sweep(app), sweep(app), return_exceptions=True
    )
    await app.archive.run(KEY)

    assert 1 <= len(found) <= 2
    assert ({}, 6) == (await listing(app.settings, "staging"), len(await listing(app.settings, "archive")))
    assert (await app.verifier.verify(KEY)).ok


@pytest.mark.parametrize("after", [2, 3, 4, 8, JOB_WRITES + 1])
async def test_a_job_that_is_killed_at_any_write_is_ended_by_the_next(app: App, after: int) -> None:
    """Between the copies, before the proof, before the manifest, between the deletions, never.

    `make acceptance` has every write.
    """
    await kill_job(app, after)


async def test_a_hand_over_that_is_killed_is_made_up_for(app: App) -> None:
    """Before the note there is none, and the next run queues it; after it the message counts as lost."""
    await stage_files(app, wav(500))
    for kill, minutes in ((0, 0), (1, 1), (None, 5), (None, 32)):
        dying = FaultyBlobs(app.settings, kill_after=kill)
        with contextlib.suppress(BaseExceptionGroup):
            await plan(with_blobs(app, dying), minutes)
        await dying.aclose()

    assert [KEY] == await to_archive(app)


async def test_a_chunk_that_only_its_copy_shows_to_be_cut_is_re_checked_before_the_manifest(app: App) -> None:
    """The early look was undecided: the re-check begins when all bytes were read, and the manifest waits for it."""
    [one] = await announce_files(app, 1)
    cut = mp3(40)[:-100]
    facts = facts_of(cut, looked=False)
    assert "undecided" in str(facts.verdict)
    await commit(app, one, cut, facts)
    assert [KEY] == (await plan(app)).handed_over

    await app.archive.run(KEY)

    staged = await listing(app.settings, "staging")
    assert (0, 1) == (await notes(app), len([name for name in staged if "/proofs/" in name]))
    assert layout.manifest_blob(KEY) not in await listing(app.settings, "archive")
    reports = {minutes: await plan(app, minutes) for minutes in (0, 2, 6, 20, 31, 62, 68)}
    assert [m for m, report in reports.items() if report.rechecks] == [2, 6, 20, 31, 62]
    assert [m for m, report in reports.items() if report.handed_over] == [68]
    await at(app, datetime.now(UTC) + 68 * MINUTE).archive.run(KEY)

    [entry] = (await manifest_of(app, KEY)).chunks
    assert ("archived", "truncated", "crc64") == (entry.outcome, entry.verdict, entry.copy_compared)
    assert {} == await listing(app.settings, "staging")


async def test_a_better_version_that_the_re_check_brings_counts(app: App) -> None:
    """Both are archived and proved, and the manifest lists both."""
    [one] = await announce_files(app, 1)
    whole = mp3(40)
    await commit(app, one, whole[:-100], facts_of(whole[:-100], looked=False))
    await app.archive.run(KEY)
    better = one.model_copy(update={"version": "a" * 16})
    await put(app.settings, "staging", better.content_blob, whole, **facts_of(whole).to_metadata())

    await app.archive.run(KEY)

    [entry] = (await manifest_of(app, KEY)).chunks
    assert entry.content is not None
    assert (len(whole), "complete") == (entry.content.bytes, entry.verdict)
    assert ["truncated"] == [version.verdict for version in entry.versions]
    assert all(file.sha256 for file in entry.files)
    assert (await app.verifier.verify(KEY)).ok


async def test_a_topic_that_takes_nothing_has_it_handed_over_again_by_the_next_run(
    app: App, control: Control, unused_tcp_port: int
) -> None:
    """The manifest is there; the notice follows as soon as the topic answers, and is published once."""
    deaf = Topic(f"http://127.0.0.1:{unused_tcp_port}/api/events", TOPIC_KEY, None)
    await stage_files(app, wav(500))
    await plan(app)
    assert [KEY] == (await replace(app.archive, topic=deaf).run(KEY)).archived
    await deaf.aclose()

    assert [KEY] == (await plan(app, 5)).handed_over
    async with topic(app, control) as there:
        await there.archive.run(KEY)

    assert (["Recording.Archived"], {}) == (
        [one["type"] for one in await told(control)],
        await listing(app.settings, "staging"),
    )


async def test_a_late_note_of_a_recording_that_is_archived_is_removed(app: App) -> None:
    """The timer may queue it from an old list: its message finds only the note."""
    await stage_files(app, wav(500))
    await sweep(app)
    note = layout.hand_over_blob(KEY, layout.attempt_id(datetime.now(UTC), "0a"))
    await app.clients.blobs.create("staging", note, b"{}")

    await app.archive.run(KEY)

    assert {} == await listing(app.settings, "staging")


async def test_a_recording_that_is_archived_while_the_timer_looks_is_no_orphan(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    """Its events are gone when they are read, and so is the rest of it."""
    await stage_files(app, wav(500))

    async def archive() -> None:
        await app.archive.run(KEY)

    meanwhile = FaultyBlobs(app.settings).on("read", name="staging/.*/events/", before=archive, times=1)
    report = await plan(with_blobs(app, meanwhile))
    await meanwhile.aclose()

    assert ([], []) == (report.failed, errors(caplog))


@pytest.mark.parametrize("chunks", [1, 8])
async def test_a_recording_of_one_chunk_takes_twenty_one_requests_to_archive_it(
    azurite: Azurite, environment: dict[str, str], chunks: int
) -> None:
    """List, event, no manifest; two copies of two requests and one of one; proof, manifest, and all is deleted by two.

    And a list of stops, and the one that was assigned to it, since events of the 2021 preview API name no recording;
    tombstones of key and document, and of the key once more; holds and retention class by two lists, before its rows
    are written and after that. Each chunk more takes six. Not counted: the pass over its copy, in ranges of 4 MiB.
    """
    async with harmed(azurite, environment) as (app, proxy):
        await app.clients.index.digests()
        await stage_files(app, *[wav(500)] * chunks)
        await plan(app)
        before = counted(proxy)

        await app.archive.run(KEY)

        assert 21 + 6 * (chunks - 1) == counted(proxy) - before - chunks
        assert {} == await listing(app.settings, "staging")


async def test_the_share_of_the_timer_is_three_requests_and_a_message_for_each_recording(
    azurite: Azurite, environment: dict[str, str]
) -> None:
    """What is queued costs the next runs none: they list the stops that are pending once more, for all of them.

    Manifest, event, and the note. Once for all recordings of a day its holds are listed, and once for all of a run the
    folders in staging, after the rows are written.
    """
    async with harmed(azurite, environment) as (app, proxy):
        await app.clients.index.digests()
        await plan(app)
        before = counted(proxy)
        await plan(app)
        idle = counted(proxy) - before
        await stage_files(app, wav(500))
        await asyncio.sleep(A_SECOND)

        seen: Counter[str] = Counter()
        for name in ("first", "second"):
            before = counted(proxy)
            await plan(app, 1)
            seen[name] = counted(proxy) - before - idle

        assert {"first": 3 + 1 + 1, "second": 1} == dict(seen)


async def test_what_comes_after_the_hand_over_is_seen_by_the_next_run(app: App) -> None:
    """A chunk that an event announces while the recording waits for the queue is not left to the queue."""
    made = recording_of(*(f"0-eus-d12-{number:032x}" for number in range(2)))
    [one] = await receive(app, file_event(made | {"chunks": made["chunks"][:1]}, event_id="e0"))
    await commit(app, one, wav(500))
    await asyncio.sleep(A_SECOND)
    assert [KEY] == (await plan(app)).handed_over
    await asyncio.sleep(A_SECOND)

    [other] = await receive(app, file_event(made | {"chunks": made["chunks"][1:]}, event_id="e1"))

    assert [KEY] == (await plan(app, 1)).waiting
    assert [other.again()] == (await plan(app, 16)).jobs


async def test_what_waits_for_the_queue_is_no_stop_without_an_event(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """The run that queued it may have died before it cleared the marker: once one is overdue, all are looked at."""
    now = datetime.now(UTC)
    await app.endings.note(Ending(recording_id="cmlk", at=now, evidence="stopped through us"))
    await stage_files(app, wav(500), subject=f"/recording/call/{CALL}/recordingId/cmlk")
    await asyncio.sleep(A_SECOND)
    late = now + app.timer.unannounced.overdue + MINUTE
    await app.clients.blobs.create("staging", layout.hand_over_blob(KEY, layout.attempt_id(late, "0a")), b"{}")

    report = await run_timer(app, now=late + MINUTE, archives_all=False)

    assert ([], []) == (report.handed_over, errors(caplog))


async def test_a_run_that_is_killed_has_queued_what_it_has_seen(app: App) -> None:
    """And the next one goes on behind it: the oldest first, large ones last."""
    for number in range(3):
        when = (datetime.now(UTC) - (3 - number) * HOUR).isoformat()
        await stage_files(app, wav(500), eventTime=when, subject=f"/recording/call/c-{number}")
    keys = sorted(await app.recordings.in_flight())
    await asyncio.sleep(A_SECOND)
    dying = FaultyBlobs(app.settings).on("create", name=f"{keys[1]}/hand-overs", raises=Killed)

    with pytest.raises(BaseExceptionGroup):
        await plan(with_blobs(app, dying), parallelism=1)
    await dying.aclose()

    assert keys[:1] == await to_archive(app)
    assert keys[1:] == (await plan(app, 1, parallelism=1)).handed_over


def test_a_large_recording_comes_last_unless_its_time_is_short() -> None:
    """Whether its blobs are many or its event is long; those of one kind come by their deadline."""
    at = {name: START + hours * HOUR for name, hours in (("old", 1), ("long", 2), ("many", 3), ("new", 40))}

    def blobs(name: str, size: int = 500) -> list[StoredBlob]:
        return [StoredBlob(f"{name}/events/e.json", size, "", {"announced": at[name].isoformat()})]

    found = {"many": blobs("many") * 300, "long": blobs("long", 70_000), "new": blobs("new"), "old": blobs("old")}

    assert ["old", "new", "long", "many"] == list(in_order(found, late=START))
    assert ["old", "long", "new", "many"] == list(in_order(found, late=at["long"]))


async def test_a_busy_storage_delays_a_job_and_fails_none(azurite: Azurite, environment: dict[str, str]) -> None:
    """Each kind of request is asked again."""
    async with harmed(azurite, environment) as (app, proxy):
        await stage_files(app, wav(500))
        add_fault(proxy, kind="status", status=503, times=4, operation="Put*")
        add_fault(proxy, kind="status", status=503, times=2, operation="GetBlob")

        await app.archive.run(KEY)

        assert 6 == faults_met(proxy)
        assert (await app.verifier.verify(KEY)).ok
