"""recording/archive/unannounced.py: that a recording ended, and those that are never announced."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.exceptions import ServiceResponseError

from local.azurite import Azurite
from recording.app import App, assemble
from recording.archive.run import Run
from recording.catalogue.browse import ListQuery
from recording.config.account import StorageAccount
from recording.model import layout
from recording.model.manifest import Manifest
from recording.model.recording import InFlightRecording
from recording.model.started import Started
from recording.model.trail import TrailEntry
from recording.notices import RunNotices, Topic
from recording.storage.blobs import Blobs
from recording.storage.endings import Ending, Endings
from recording.storage.index import Index
from tests.support.archives import give_up
from tests.support.emulator import Control, file_event
from tests.support.facts import body_of, harmed, listing, put, receive, run_timer, sweep, told, topic, with_blobs
from tests.support.faults import FaultyBlobs
from tests.support.manifests import finished
from tests.support.source import recording_of

DOCUMENT = "0-eus-d12-801b3f3fc462fe8a01e6810cbff729b8"
ID = "eyJQbGF0Zm9ybUVuZHBvaW50SWQiOiI3ZjQy"
OTHER = "eyJQbGF0Zm9ybUVuZHBvaW50SWQiOiI4ZjQy"
CONVERSATION = "3f2b0e4c-1111-4000-8000-000000000001"
# recording_of() starts at 10:00 on 1 March 2026, and file_event() says that it played 6.62 s.
STOPPED = datetime(2026, 3, 1, 10, 0, 7, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
ABSENT = f"20260301T100007000000Z-absent-{layout.recording_digest(ID)[:16]}"


def stop(recording_id: str = ID, *, at: datetime = STOPPED) -> Ending:
    """Return the ending of a recording that was stopped through this app."""
    return Ending(
        recording_id=recording_id, conversation_id=CONVERSATION, at=at, evidence="stopped through us", who="Ada"
    )


def announced(recording_id: str = ID) -> Ending:
    """Return the ending of an announced recording."""
    return Ending(recording_id=recording_id, at=STOPPED, evidence="announced")


def event_of(recording_id: str | None = ID, *, minutes: int = 2, **data: Any) -> dict[str, Any]:
    """Write a file event of the Call Automation API, or of the 2021 preview API, without a recording id."""
    when = (STOPPED + minutes * MINUTE).isoformat()
    event = file_event(recording_of(DOCUMENT), event_id=f"event-{recording_id}-{minutes}", eventTime=when)
    event["subject"] += f"/recordingId/{recording_id}" if recording_id else ""
    event["data"] |= data
    return event


async def begin(app: App, recording_id: str = ID, *, at: datetime) -> None:
    """Record that a recording was started through this app."""
    await app.starts.note_started(Started(recording_id=recording_id, conversation_id=CONVERSATION, at=at))


async def run(app: App, *, now: datetime) -> None:
    """Sweep once, with all that is in flight, as the timer does."""
    found = await app.recordings.in_flight()
    in_flight = [await app.recordings.load(key, blobs) for key, blobs in found.items()]
    await check(app, in_flight, now=now)


async def check(app: App, in_flight: list[InFlightRecording], *, now: datetime) -> None:
    """Check the pending endings."""
    run = Run(now, RunNotices(app.clients.topic), seconds=60, seen=in_flight)
    await app.timer.unannounced.sweep(run)


async def pending(app: App) -> list[str]:
    """List the markers."""
    return [name for name in await listing(app.settings, "staging") if name.startswith("pending-endings/")]


async def absent(app: App) -> list[Any]:
    """Read the manifests that state an absence."""
    names = [name for name in await listing(app.settings, "archive") if name.endswith("/recording.json")]
    return [one for name in names if (one := await body_of(app.settings, "archive", name))["state"] == "absent"]


def reported(caplog: pytest.LogCaptureFixture) -> list[str]:
    """List the recordings that the log says aren't announced."""
    lines = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    return [
        json.loads(one.partition(" ")[2])["recordingId"] for one in lines if one.startswith("recording.not_announced ")
    ]


@asynccontextmanager
async def down(app: App) -> AsyncIterator[App]:
    """Set a topic that accepts nothing."""
    notices = Topic("http://127.0.0.1:9/", "key", None)
    yield assemble(app.settings, replace(app.clients, topic=notices))
    await notices.aclose()


async def test_what_was_noted_first_stays(app: App) -> None:
    """A stop, and the announcement that follows it, are one ending."""
    await app.endings.note(stop())
    await app.endings.note(announced())
    await app.endings.note(stop(at=STOPPED + HOUR))
    await app.endings.clear_announced(ID)

    assert stop() == await app.endings.find(ID)
    assert [] == await pending(app)


async def test_nothing_is_known_of_what_was_never_noted(app: App) -> None:
    """None, not an error."""
    assert await app.endings.find(ID) is None


@pytest.mark.parametrize(("noted", "asked"), [("abc", "abc=="), ("abc=", "abc"), ("../../x", "../../x")])
async def test_an_id_is_known_with_and_without_padding(app: App, noted: str, asked: str) -> None:
    """Live ids have none, those of some examples do; and whatever an id holds, it is no path."""
    await app.endings.note(announced(noted))

    assert announced(noted) == await app.endings.find(asked)
    assert all(name.startswith("endings/") and name.count("/") == 1 for name in await listing(app.settings, "archive"))


async def test_a_stop_after_the_announcement_waits_for_nothing(app: App) -> None:
    """The call ended at the same moment, and the event was quicker."""
    await app.endings.note(announced())
    await app.endings.note(stop())

    assert ([], announced()) == (await pending(app), await app.endings.find(ID))


@pytest.mark.parametrize(
    ("mine", "other", "markers"),
    [
        (stop(), announced(), 0),
        (announced(), stop(), 0),
        (stop(), stop(at=STOPPED + MINUTE), 1),
        (stop(), stop(), 1),
    ],
    ids=["stop overtaken", "announcement overtaken", "two stops", "the same"],
)
async def test_two_that_note_at_once(app: App, mine: Ending, other: Ending, markers: int) -> None:
    """The first one's fact stays, and exactly what isn't announced has a marker."""
    # Somebody else notes the ending between our look and our writing.
    overtaken = FaultyBlobs(app.settings).on("read", after=lambda: app.endings.note(other), times=1)
    await Endings(overtaken).note(mine)
    await overtaken.aclose()

    assert (other, markers) == (await app.endings.find(ID), len(await pending(app)))


async def test_an_event_of_today_ends_the_wait(app: App) -> None:
    """It names the recording: the timer deletes the marker, and the fact records the stop."""
    await app.endings.note(stop())
    await receive(app, event_of(ID))
    await run(app, now=STOPPED + MINUTE)

    assert ([], stop()) == (await pending(app), await app.endings.find(ID))


async def test_a_stop_through_us_is_no_unknown_folder(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """The timer knows what the markers are."""
    await app.endings.note(stop())

    assert {} == await app.recordings.in_flight()
    assert [] == [r for r in caplog.records if "staging.unknown" in r.getMessage()]


async def test_an_event_of_2021_is_known_by_its_end(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """It names only the call; the ending says from then on whose it was."""
    await app.endings.note(stop())
    await receive(app, event_of(None))
    await run(app, now=STOPPED + 5 * MINUTE)
    await run(app, now=STOPPED + 90 * MINUTE)

    key = "20260301T100000000000Z-3f2b0e4c-0000-4000-8000-000000000001"
    assert ([], []) == (await pending(app), reported(caplog))
    assert ID == (await body_of(app.settings, "archive", layout.assigned_ending_blob(key)))["recordingId"]


async def test_an_event_of_2021_is_one_recording(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """Two were stopped in one moment and one is announced: the other is reported, in whichever run it is met."""
    await app.endings.note(stop())
    await receive(app, event_of(None))
    await run(app, now=STOPPED + 5 * MINUTE)
    await app.endings.note(stop(OTHER, at=STOPPED + timedelta(seconds=2)))
    for minutes in (10, 70, 80):
        await run(app, now=STOPPED + minutes * MINUTE)

    assert [OTHER, OTHER] == reported(caplog)
    assert 2 == len(await pending(app))  # the marker, and that it was reported


async def test_a_run_that_was_killed_before_the_marker_was_gone_goes_on(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    """Whose event it is, is on record before the marker goes."""
    await app.endings.note(stop())
    [marker] = await pending(app)
    await receive(app, event_of(None))
    await run(app, now=STOPPED + 5 * MINUTE)
    await put(app.settings, "staging", marker, stop().model_dump_json(by_alias=True).encode())
    await run(app, now=STOPPED + 90 * MINUTE)

    assert ([], []) == (await pending(app), reported(caplog))


async def test_an_event_that_came_and_went_before_the_marker_is_found(
    app: App, control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    """The call ended at the same moment; the recording is archived, and nothing of it is left in staging."""
    [job] = await receive(app, event_of(None), now=STOPPED + 3 * MINUTE)
    late = await give_up(app, job, now=STOPPED + 3 * 24 * HOUR)
    assert job.recording_key in (await sweep(app, now=late)).incomplete
    await app.endings.note(stop())
    await run(app, now=STOPPED + 90 * MINUTE)

    assert ([], []) == (await pending(app), reported(caplog))


async def test_a_paused_recording_of_2021_is_known_by_its_start(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """It took an hour and plays seven seconds: the fact of its start shows whose event it is."""
    await begin(app, at=STOPPED - timedelta(seconds=8))
    await app.endings.note(stop(at=STOPPED + HOUR))
    await receive(app, event_of(None, minutes=62))
    await run(app, now=STOPPED + HOUR + 90 * MINUTE)

    assert ([], []) == (await pending(app), reported(caplog))


async def test_a_marker_that_outlived_its_announcement_is_no_alarm(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """A process that died between marker and fact: the fact, which the event then wrote, shows it."""
    name = layout.pending_blob(STOPPED, ID)
    await put(app.settings, "staging", name, stop().model_dump_json(by_alias=True).encode())
    await app.endings.note(announced())
    await run(app, now=STOPPED + 90 * MINUTE)

    assert ([], []) == (await pending(app), reported(caplog))


async def test_a_recording_in_flight_ends_the_wait(app: App) -> None:
    """Where intake couldn't reach the archive, the timer meets the event in staging."""
    await receive(app, event_of(ID))
    await put(app.settings, "staging", layout.pending_blob(STOPPED, ID), stop().model_dump_json(by_alias=True).encode())
    await run(app, now=STOPPED + 5 * MINUTE)

    assert [] == await pending(app)


@pytest.mark.parametrize("reads_endings", [True, False])
async def test_what_was_archived_is_never_absent_though_every_look_at_its_marker_failed(
    app: App, caplog: pytest.LogCaptureFixture, reads_endings: bool
) -> None:
    """Intake and the timer could not take the marker away: the recording doesn't leave staging before it is gone."""
    await app.endings.note(stop())
    failure = ServiceResponseError("on purpose")
    intake_fails = FaultyBlobs(app.settings).on("read", name="/endings/", raises=failure)
    at = STOPPED + 3 * 24 * HOUR
    [job] = await receive(with_blobs(app, intake_fails), event_of(ID), now=STOPPED + 3 * MINUTE)
    await intake_fails.aclose()
    await give_up(app, job, now=at)
    timer_fails = FaultyBlobs(app.settings).on("list_blobs", name="/.", raises=failure)
    if not reads_endings:
        timer_fails.on("read", name="/endings/", raises=failure)
    report = await run_timer(with_blobs(app, timer_fails), now=at)
    await timer_fails.aclose()
    assert [job.recording_key] == (report.incomplete if reads_endings else report.failed)
    await sweep(app, now=at)
    await sweep(app, now=at)

    assert ([], [], []) == (await pending(app), await absent(app), reported(caplog))


async def test_a_finding_of_2021_that_cannot_be_read_costs_no_other(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """Whose event it is, is not known then: the stopped one is reported, and so is every other."""
    await receive(app, event_of(None))
    key = "20260301T100000000000Z-3f2b0e4c-0000-4000-8000-000000000001"
    await put(app.settings, "archive", layout.assigned_ending_blob(key), b"{")
    await app.endings.note(stop())
    await app.endings.note(stop(OTHER, at=STOPPED + MINUTE))
    await run(app, now=STOPPED + 90 * MINUTE)

    assert {ID, OTHER} == set(reported(caplog))


async def test_one_that_is_overdue_is_reported(app: App, control: Control, caplog: pytest.LogCaptureFixture) -> None:
    """In the log on every run, to other systems once."""
    await app.endings.note(stop())
    async with topic(app, control) as telling:
        for minutes in (59, 60, 65, 70):
            await run(telling, now=STOPPED + minutes * MINUTE)

    [notice] = await told(control)
    assert [ID, ID, ID] == reported(caplog)
    assert ("Recording.AtRisk", ABSENT, ID) == (notice["type"], notice["subject"], notice["data"]["recordingId"])
    assert [] == await absent(app)


async def test_how_long_is_too_long_can_be_set(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """UNANNOUNCED_MINUTES."""
    patient = assemble(app.settings.model_copy(update={"unannounced_minutes": 120.0}), app.clients)
    await app.endings.note(stop())
    await run(patient, now=STOPPED + 119 * MINUTE)
    assert [] == reported(caplog)
    await run(patient, now=STOPPED + 120 * MINUTE)

    assert [ID] == reported(caplog)


async def test_a_topic_that_is_down_is_told_later(app: App, control: Control) -> None:
    """At risk is published until it arrives; the absence is recorded nevertheless, and published until it arrives."""
    await app.endings.note(stop())
    async with down(app) as mute:
        await run(mute, now=STOPPED + 60 * MINUTE)
        await run(mute, now=STOPPED + 49 * HOUR)
        await run(mute, now=STOPPED + 50 * HOUR)
    assert (1, 1) == (len(await pending(app)), len(await absent(app)))
    async with topic(app, control) as telling:
        await run(telling, now=STOPPED + 51 * HOUR)
        await run(telling, now=STOPPED + 52 * HOUR)

    assert [("Recording.Lost", ABSENT)] == [(one["type"], one["subject"]) for one in await told(control)]
    assert ([], 1) == (await pending(app), len(await absent(app)))


async def test_absence_is_stated_when_the_retention_is_over(
    app: App, control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    """A manifest without chunks that says how we know, a notice, and the wait is over."""
    await app.endings.note(stop())
    async with topic(app, control) as telling:
        await run(telling, now=STOPPED + 47 * HOUR)
        await run(telling, now=STOPPED + 48 * HOUR)
        await run(telling, now=STOPPED + 49 * HOUR)

    [stated] = await absent(app)
    written = Manifest.model_validate(stated)
    assert written.absent is not None
    assert (ABSENT, ID, STOPPED, False, [], []) == (
        written.recording_key,
        written.recording_id,
        written.recording_start_time,
        written.complete,
        written.chunks,
        written.events,
    )
    assert (STOPPED, "Ada", CONVERSATION) == (
        written.absent.stopped_at,
        written.absent.stopped_by,
        written.absent.conversation_id,
    )
    assert "within 48 hours" in written.absent.evidence
    assert ["Recording.AtRisk", "Recording.Lost"] == [one["type"] for one in await told(control)]
    assert ([ID, ID], []) == (reported(caplog), await pending(app))


async def test_an_absent_recording_is_found_like_any(app: App) -> None:
    """It is listed and can be asked for, has no content, and counts as what it is: not whole."""
    await app.endings.note(stop())
    await run(app, now=STOPPED + 48 * HOUR)

    [listed] = (await app.catalogue.page(ListQuery())).recordings
    found = await app.catalogue.get(ABSENT)
    checked = await app.verifier.verify(ABSENT)

    assert (ABSENT, "absent", 0) == (listed.recording_key, listed.state, listed.chunks)
    assert ("absent", ID) == (found.state, found.recording_id)
    assert not checked.complete


async def test_an_absent_recording_stands_among_those_of_its_start(app: App) -> None:
    """Where it was started through us, that is known."""
    await begin(app, at=STOPPED - 20 * HOUR)
    await app.endings.note(stop())
    await run(app, now=STOPPED + 48 * HOUR)

    [stated] = await absent(app)
    assert stated["recordingKey"].startswith("20260228T140007000000Z-absent-")
    assert layout.is_recording_key(stated["recordingKey"])


async def test_a_run_that_is_killed_states_the_absence_once(app: App, control: Control) -> None:
    """Manifest, notice, marker: whatever was done already is done again without harm."""
    await app.endings.note(stop())
    [marker] = await pending(app)
    async with topic(app, control) as telling:
        await run(telling, now=STOPPED + 48 * HOUR)
        first = await listing(app.settings, "archive")
        await put(app.settings, "staging", marker, stop().model_dump_json(by_alias=True).encode())
        await run(telling, now=STOPPED + 49 * HOUR)

    assert first == await listing(app.settings, "archive")
    assert 1 == len({one["id"] for one in await told(control)})
    assert [] == await pending(app)


@pytest.mark.parametrize("body", [b"", b"{}", b"not JSON", b"\xff"])
async def test_a_marker_that_cannot_be_read_costs_no_other(
    app: App, caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    """It is left alone and logged; what isn't a marker at all is, too."""
    await put(app.settings, "staging", layout.pending_blob(STOPPED, OTHER), body)
    await put(app.settings, "staging", "pending-endings/what is this", b"")
    await app.endings.note(stop())
    await run(app, now=STOPPED + 48 * HOUR)

    assert 1 == len(await absent(app))
    assert 2 == len(await pending(app))


async def test_damage_in_the_archive_keeps_nobody_from_looking(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """A manifest or a record of a start that can't be read doesn't hide an absence."""
    key = "20260301T090000000000Z-3f2b0e4c"
    await put(app.settings, "archive", layout.manifest_blob(key), b"{")
    await put(app.settings, "archive", layout.started_blob(ID), b"{")
    await app.endings.note(stop())
    await run(app, now=STOPPED + 60 * MINUTE)

    assert [ID] == reported(caplog)


async def test_a_storage_that_fails_ends_nothing_but_the_sweep(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """The archive's run goes on, and the next run looks again."""
    await app.endings.note(stop())
    settings = app.settings.model_copy(update={"staging_container": "gone"})
    storage = Blobs(settings)
    await check(with_blobs(app, storage), [], now=STOPPED + HOUR)
    await storage.aclose()

    assert any("endings.not_swept" in r.getMessage() for r in caplog.records)


async def test_the_watch_reads_what_is_pending_and_not_all_that_was_recorded(
    azurite: Azurite, environment: dict[str, str]
) -> None:
    """A day may have tens of thousands of starts and archived recordings: they cost no request each."""
    counts = []
    async with harmed(azurite, environment) as (app, proxy):
        await app.clients.index.digests()
        for number, others in enumerate((0, 40)):
            for other in range(others):
                await begin(app, f"other-{other}", at=STOPPED - MINUTE)
                entry = TrailEntry(at=STOPPED - MINUTE, operation="start", recording_id=f"other-{other}")
                name = layout.trail_blob(entry.at, "start", f"{other:02}")
                await app.clients.blobs.create("archive", name, entry.model_dump_json(by_alias=True).encode())
                made = finished(other, recording_id=None)
                await app.recordings.write_manifest(made)
                await app.clients.index.write(made)
            await app.endings.note(stop(f"stopped-{number}"))
            proxy.log.clear()
            await run(app, now=STOPPED + 90 * MINUTE)
            counts.append(proxy.log.view(0)["totals"]["GetBlob"]["requests"])
            await app.endings.clear_announced(f"stopped-{number}")

    assert [counts[0], counts[0]] == counts


@pytest.mark.parametrize("row", ["there", "missing", "out of reach"])
async def test_an_archived_recording_of_2021_is_known_by_its_row_or_its_manifest(
    app: App, caplog: pytest.LogCaptureFixture, row: str
) -> None:
    """The row has the times; without it the manifest says them."""
    made = finished(0, recording_id=None, recording_duration_ms=6620)
    await app.recordings.write_manifest(made)
    if row == "there":
        await app.clients.index.write(made)
    lost = app.settings.model_copy(update={"host_storage": StorageAccount()})
    index = Index(lost if row == "out of reach" else app.settings, app.clients.blobs)
    await app.endings.note(stop())
    await run(assemble(app.settings, replace(app.clients, index=index)), now=STOPPED + 90 * MINUTE)
    await index.aclose()

    assert ([], []) == (await pending(app), reported(caplog))


async def test_what_is_new_is_reported_before_what_was_reported_already(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    """With thousands that are overdue, a run may only have time for some."""
    for number in range(20):
        await app.endings.note(stop(f"old-{number}", at=STOPPED - HOUR))
    await run(app, now=STOPPED)
    caplog.clear()
    await app.endings.note(stop())
    slow = FaultyBlobs(app.settings)
    for number in range(20):
        slow.on("read", name=layout.recording_digest(f"old-{number}"), hangs=30)
    late = with_blobs(app, slow)
    await replace(late.timer.unannounced, timeout=2.0).sweep(
        Run(STOPPED + HOUR, RunNotices(app.clients.topic), seconds=60, seen=[])
    )
    await slow.aclose()

    assert [ID] == reported(caplog)
    assert any("endings.not_swept" in r.getMessage() for r in caplog.records)


@pytest.mark.parametrize("is_stopped_first", [True, False])
async def test_a_contradicting_recording_id_settles_no_other_recording(
    app: App, caplog: pytest.LogCaptureFixture, is_stopped_first: bool
) -> None:
    """A later event of an announced recording claims the id of one that was stopped: that one is still waited for."""
    if is_stopped_first:
        await app.endings.note(stop(OTHER))
    await receive(app, event_of(ID))
    await receive(app, event_of(OTHER, minutes=3))
    if not is_stopped_first:
        await app.endings.note(stop(OTHER))
    await app.endings.note(stop(ID))

    report = await run_timer(app, now=STOPPED + 90 * MINUTE)

    assert ([], [OTHER]) == (report.failed, reported(caplog))
    assert 1 == len([name for name in await pending(app) if name.endswith(".json")])


@pytest.mark.parametrize("recording_id", [ID, None])
async def test_an_event_that_says_a_recording_was_exported_settles_only_a_recording_that_it_names(
    app: App, caplog: pytest.LogCaptureFixture, recording_id: str | None
) -> None:
    """By its id: one without it, which ended when a recording was stopped, settles none."""
    await app.endings.note(stop())
    event = event_of(recording_id, storageType="AzureBlob")
    [document] = event["data"]["recordingStorageInfo"]["recordingChunks"]
    document["contentLocation"] = "https://st.blob.core.windows.net/recordings/a.mp4"
    more = {**document, "documentId": f"{DOCUMENT}0", "contentLocation": "https://storage.asm.skype.com/x"}
    await receive(app, event)
    event["data"]["recordingStorageInfo"]["recordingChunks"] = [document, more]
    await receive(app, event | {"id": "partly"})
    await run(app, now=STOPPED + 90 * MINUTE)

    assert ([ID] if recording_id is None else []) == reported(caplog)
