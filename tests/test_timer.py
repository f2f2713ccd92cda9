"""recording/timer.py: runs that are killed, that run out of time, and that meet what they can't work on."""

import itertools
from datetime import UTC, datetime, timedelta

import hypothesis
import pytest
from hypothesis import HealthCheck, given

from recording import app as bootstrap
from recording.app import App
from recording.config.settings import read_settings
from recording.errors import SourceGone
from recording.model import layout
from recording.model.attempts import Attempts
from tests.support.archives import give_up
from tests.support.emulator import Control
from tests.support.facts import announce, container, listing, put, run_timer, stage, sweep, with_blobs
from tests.support.faults import FaultyBlobs
from tests.support.killed import KILLS_IN_TURN, WRITES, assert_kills_do_no_harm, assert_kills_in_turn_do_no_harm

MINUTE = timedelta(minutes=1)
KEY = "20260301T100000000000Z-3f2b0e4c-0000-4000-8000-000000000001"


async def test_a_run_that_is_killed_does_no_harm(environment: dict[str, str], control: Control) -> None:
    """Killed at the first copy, at what comes right before the manifest, at the manifest, amid the deletions, nowhere.

    tests/acceptance/test_timer.py kills a run at every write.
    """
    last = await assert_kills_do_no_harm(environment, control, (1, 7, 8, 12, WRITES + 1))

    # What comes right before the manifest is a proof or a copy: they are made side by side.
    assert last.pop(7) in ("create", "copy_to_archive")
    assert {1: "copy_to_archive", 8: "create", 12: "delete", WRITES + 1: "delete"} == last


@given(**KILLS_IN_TURN)
@hypothesis.settings(
    max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
async def test_runs_that_are_killed_one_after_the_other_do_no_harm(
    environment: dict[str, str], control: Control, is_there: list[bool], kills: list[int]
) -> None:
    """Three examples, others each time; tests/acceptance/test_timer.py has thirty."""
    await assert_kills_in_turn_do_no_harm(environment, control, is_there, kills)


async def test_a_chunk_is_rescued_when_it_is_due_and_not_twice(app: App, control: Control) -> None:
    """The timer gives the queue its quarter of an hour; then it queues the chunk again, and again only later."""
    [job] = await announce(app, await control.recording(1000))
    begun = datetime.now(UTC)

    queued = {m: len((await sweep(app, now=begun + m * MINUTE)).jobs) for m in (0, 10, 14, 16, 20, 30, 32, 46, 48)}

    assert {0: 0, 10: 0, 14: 0, 16: 1, 20: 0, 30: 0, 32: 1, 46: 0, 48: 1} == queued
    assert {} == await listing(app.settings, "archive")
    assert job.recording_key in next(iter(await listing(app.settings, "staging")))


async def test_rescue_minutes_say_when_the_timer_steps_in(environment: dict[str, str], control: Control) -> None:
    """With three minutes instead of fifteen the timer does all of it in a fifth of the time."""
    app = await bootstrap.open_app(read_settings(environment | {"RESCUE_MINUTES": "3"}))
    [job] = await announce(app, await control.recording(1000))
    begun = datetime.now(UTC)

    queued = {m: len((await sweep(app, now=begun + m * MINUTE)).jobs) for m in (0, 2, 4, 6, 8)}
    await control.fault("expired", "/recording/download/*", times=None)
    await app.clients.blobs.delete("staging", job.attempts_blob)
    with pytest.raises(SourceGone):
        await app.ingest.run(job)
    note = Attempts.parse(await app.clients.blobs.read("staging", job.attempts_blob))

    await app.aclose()
    assert {0: 0, 2: 0, 4: 1, 6: 0, 8: 1} == queued
    assert note is not None
    assert note.last is not None
    assert MINUTE == note.next_at - note.last.at


async def test_a_chunk_that_keeps_failing_is_tried_until_its_deadline(app: App, control: Control) -> None:
    """The pause has grown to an hour after nine failures, but not beyond the deadline.

    Then it is queued until an attempt that began after it has failed.
    """
    [job] = await announce(app, await control.recording(1000))
    await control.fault("expired", "/recording/download/*", times=None)
    for _ in range(9):
        with pytest.raises(SourceGone):
            await app.ingest.run(job)
    begun = datetime.now(UTC)

    tried = (30, 59, 61, 119, 122, 47 * 60, 48 * 60 - 1, 48 * 60 + 1, 48 * 60 + 15, 50 * 60)
    queued = [m for m in tried if (await sweep(app, now=begun + m * MINUTE)).jobs]

    assert [61, 122, 47 * 60, 48 * 60 - 1, 48 * 60 + 15, 50 * 60] == queued
    assert {} == await listing(app.settings, "archive")
    late = await give_up(app, job, now=begun + 51 * 60 * MINUTE)
    assert [] == (await sweep(app, now=late + 15 * MINUTE)).jobs
    assert 2 == len(await listing(app.settings, "archive"))


async def test_close_to_the_deadline_the_queue_still_has_its_turn(app: App, control: Control) -> None:
    """A quarter of an hour between two tries by the timer: more copies of one chunk at once would slow each other.

    For a chunk that wasn't tried and one that has failed once.
    """
    [untried] = await announce(app, await control.recording(1000), event_id="untried")
    [failed] = await announce(app, await control.recording(1000), event_id="failed")
    await control.fault("expired", "/recording/download/*", times=None)
    with pytest.raises(SourceGone):
        await app.ingest.run(failed)
    begun = datetime.now(UTC)

    runs = range(47 * 60, 48 * 60, 5)
    queued = {m: [job.document_id for job in (await sweep(app, now=begun + m * MINUTE)).jobs] for m in runs}

    for chunk in (untried, failed):
        times = [m for m in runs if chunk.document_id in queued[m]]
        assert {15} == {later - sooner for sooner, later in itertools.pairwise(times)}
        assert times[-1] >= runs[-1] - 15


async def test_the_oldest_deadline_comes_first(app: App, control: Control) -> None:
    """Recordings are worked on in the order in which the service will delete them."""
    now, keys = datetime.now(UTC), []
    for hours in (5, 9, 1, 7):
        when = (now - timedelta(hours=hours)).isoformat()
        jobs = await stage(app, await control.recording(500), event_id=f"e{hours}", eventTime=when)
        keys.append((when, jobs[0].recording_key))

    assert [key for _, key in sorted(keys)] == (await sweep(app, parallelism=1)).archived


async def test_a_run_ends_in_time_and_the_next_goes_on(app: App, control: Control) -> None:
    """What isn't reached within the time budget is counted, and left for the next run."""
    for number in range(3):
        await stage(app, await control.recording(500), event_id=f"e{number}")

    none = await sweep(app, budget_seconds=0, parallelism=1)
    told = await app.clients.index.last_run()
    rest = await sweep(app)

    assert (3, [], 3, 0) == (none.not_reached, none.archived, len(rest.archived), rest.not_reached)
    assert told is not None
    assert 3 == told.not_reached


async def test_a_recording_that_takes_too_long_is_left_for_the_next_run(app: App, control: Control) -> None:
    """A copy that hangs ends with the budget, and does no harm."""
    [job] = await stage(app, await control.recording(500))

    hanging = FaultyBlobs(app.settings).on("copy_to_archive", hangs=30)
    report = await run_timer(with_blobs(app, hanging), now=datetime.now(UTC), budget_seconds=0.5)
    await hanging.aclose()

    assert [job.recording_key] == report.failed
    assert [job.recording_key] == (await sweep(app)).archived


async def test_what_is_poisoned_does_not_stop_the_others(
    app: App, control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    """Orphans, unreadable events, notes and manifests, and unknown folders cost nothing but a line in the log."""
    settings = app.settings
    await put(settings, "staging", f"{KEY[:-1]}2/chunks/00000-0-a-b.media", b"orphan")
    await put(settings, "staging", f"{KEY[:-1]}3/events/e.json", b"\xff not an event")
    await put(settings, "staging", f"{KEY[:-1]}4/events/e.json", b'{"eventType": "other"}')
    await put(settings, "staging", "unknown/file.txt", b"whose?")
    await put(settings, "staging", "file.txt", b"whose?")
    [bad] = await stage(app, await control.recording(500), event_id="bad")
    folder = f"{bad.recording_key[:4]}/{bad.recording_key[4:6]}/{bad.recording_key[6:8]}/{bad.recording_key}"
    await put(settings, "archive", f"{folder}/recording.json", b"{")
    [noted] = await stage(app, await control.recording(600), event_id="noted")
    await put(settings, "staging", noted.attempts_blob, b"not a note")
    [good] = await stage(app, await control.recording(700), event_id="good")
    before = await listing(settings, "staging")

    report = await sweep(app)

    left = await listing(settings, "staging")
    assert ({good.recording_key, noted.recording_key}, [bad.recording_key]) == (set(report.archived), report.failed)
    gone = (good.recording_key, noted.recording_key)
    assert {name: sha256 for name, sha256 in before.items() if not name.startswith(gone)} == left
    for line in ("staging.orphan", "staging.bad_event", "staging.unknown", "recording.not_archived"):
        assert line in caplog.text


async def test_a_manifest_comes_after_every_blob_it_names(app: App, control: Control) -> None:
    """Of all blobs of a recording the manifest is the youngest."""
    [job, _] = await stage(app, await control.recording(500, 600))
    await sweep(app)

    async with container(app.settings, "archive") as blobs:
        listed = blobs.list_blobs(name_starts_with=layout.archive_folder(job.recording_key))
        found = [(blob.creation_time, blob.name) async for blob in listed]
    manifest = next(time for time, name in found if name.endswith("recording.json"))
    assert manifest == max(time for time, _ in found)


async def test_directories_are_no_blobs(app: App, control: Control) -> None:
    """An account with a hierarchical namespace lists them beside their content, and keeps them when they are empty."""
    [job] = await stage(app, await control.recording(1000))
    directories = [job.recording_key, f"{job.recording_key}/chunks", f"{job.recording_key}/events"]
    for name in directories:
        await put(app.settings, "staging", name, b"", hdi_isfolder="true")

    first, second = await sweep(app), await sweep(app)

    assert ([job.recording_key], []) == (first.archived, first.failed)
    assert ([], [], []) == (second.archived, second.failed, second.waiting)
    assert set(directories) == set(await listing(app.settings, "staging"))
