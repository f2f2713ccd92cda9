"""recording/catalogue/indexing.py: the search index keeps step with what is in flight, and with what is live."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from azure.core.exceptions import ServiceRequestError

from local.acs.server import Emulator
from local.azurite import Azurite
from local.storage_proxy import StorageProxy
from recording import app as bootstrap
from recording.app import App
from recording.catalogue import indexing
from recording.catalogue.browse import ListQuery
from recording.config.settings import read_settings
from recording.control.bodies import Operation, RecordingStarted, StartRecordingByUrl
from recording.model import layout
from recording.model.caller import Caller
from recording.model.index import RecordingSummary
from recording.model.manifest import Manifest, write_manifest
from recording.model.recording import InFlightRecording
from recording.model.started import Started
from recording.storage.index import Index
from tests.support.archives import manifest_of
from tests.support.emulator import Control, file_event
from tests.support.facts import add_fault, announce, listing, put, receive, run_timer, stage, sweep, told, topic, until
from tests.support.faults import FaultyBlobs
from tests.support.logs import logged

REFERENCE = "case 118, Grace Hopper"


@pytest.fixture
def environment(environment: dict[str, str], acs: Emulator) -> dict[str, str]:
    """Settings for the Call Automation API, whose events name their recording."""
    hosts = ",".join(url.removeprefix("http://") for url in (acs.storage_url, acs.region_url))
    return environment | {"ACS_API_VERSION": "", "CONTENT_HOSTS": hosts}


async def start(app: App, control: Control) -> tuple[RecordingStarted, Any]:
    """Place a call and start recording it through the app, with a reference."""
    media = {"kind": "filler", "chunkBytes": [1000, 2000]}
    placed = await control.call("POST", "calls", {"participants": ["Ada", "Grace"], "media": media})
    asked = StartRecordingByUrl(server_call_id=placed["serverCallId"], operation_context=REFERENCE)
    return await app.control.start_by_url(Caller(), asked), placed


async def ended(app: App, control: Control) -> tuple[RecordingStarted, Any]:
    """Start a recording through the app, and stop it; return its event, too, which is not delivered."""
    started, placed = await start(app, control)
    await app.control.stop(Caller(), started.conversation_id or "", started.recording_id, Operation())
    made: dict[str, Any] = {}

    async def is_made() -> bool:
        made.update(await control.call("GET", f"recordings/{started.recording_id}"))
        return bool(made["chunks"])

    await until(is_made)
    event = file_event(made)
    event["data"] |= {
        "recordingId": started.recording_id,
        "serverCallId": placed["serverCallId"],
        "recordingStorageInfo": {"recordingChunks": made["chunks"]},
    }
    return started, event


async def found(app: App, **query: Any) -> list[RecordingSummary]:
    """Search."""
    return (await app.catalogue.page(ListQuery.model_validate(query))).recordings


async def live(app: App) -> list[str]:
    """List the ids of live recordings."""
    return [one.recording_id for one in await app.clients.index.live()]


async def test_a_recording_is_live_from_its_start_until_it_is_announced(app: App, control: Control) -> None:
    """With what its calling app knows of it; also after its stop, for its files are not there yet."""
    started, event = await ended(app, control)
    [one] = await app.clients.index.live()
    assert (started.recording_id, started.conversation_id, REFERENCE) == (
        one.recording_id,
        one.conversation_id,
        one.reference,
    )

    await receive(app, event)

    assert [] == await live(app)


async def test_what_a_start_answered_finds_its_recording(app: App, control: Control) -> None:
    """By conversation, recording id and reference, in flight and archived; its ids stand beside its key everywhere."""
    started, event = await ended(app, control)
    jobs = await receive(app, event)
    for job in jobs:
        await app.ingest.run(job)
    await app.timer.indexing.run([await app.recordings.load(jobs[0].recording_key)], datetime.now(UTC))

    for state in ("staged", "archived"):
        for query in (
            {"conversation": started.conversation_id},
            {"recordingId": started.recording_id},
            {"reference": REFERENCE},
        ):
            [one] = await found(app, **query)
            assert (jobs[0].recording_key, state, started.recording_id, REFERENCE) == (
                one.recording_key,
                one.state,
                one.recording_id,
                one.reference,
            )
            assert one.server_call_id
            assert {"acs": 2} == one.participants.kinds
        await sweep(app)
    written = await manifest_of(app, jobs[0].recording_key)
    assert (REFERENCE, started.conversation_id) == (written.reference, written.conversation_id)
    assert [one] == await found(app, participant=written.participants[0].id)


async def test_the_timer_removes_what_intake_left(app: App, control: Control) -> None:
    """The table was out of reach when the event came: from what is in flight, or from the fact of the ending."""
    started, event = await ended(app, control)
    await receive(app, event)
    await app.clients.index.note_live(Started(recording_id=started.recording_id, conversation_id="c"))

    await app.timer.indexing.run([], datetime.now(UTC))

    assert [] == await live(app)


@pytest_asyncio.fixture
async def far(azurite: Azurite, environment: dict[str, str]) -> AsyncIterator[tuple[App, StorageProxy]]:
    """The app whose table is behind a storage between, which makes requests go wrong."""
    async with StorageProxy(azurite.blob_url, azurite.queue_url, azurite.table_url) as proxy:
        opened = await bootstrap.open_app(read_settings(environment | {"AzureWebJobsStorage": proxy.connection_string}))
        index = Index(opened.settings, opened.clients.blobs, retries={"retry_total": 0}, beside_seconds=0.5)
        yield bootstrap.assemble(opened.settings, replace(opened.clients, index=index)), proxy
        await index.aclose()
        await opened.aclose()


async def markers(app: App) -> list[str]:
    """List the markers of rows that are missing."""
    return [name for name in await listing(app.settings, "staging") if name.startswith(layout.PENDING_LIVE)]


async def test_what_starts_while_the_table_is_out_of_reach_is_live_after_the_next_run(
    far: tuple[App, StorageProxy], app: App, control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    """One whose row had no answer, and one whose row was not tried; any process writes them, once the table is back."""
    behind, proxy = far
    add_fault(proxy, kind="hang", operation="*Entit*", seconds=30, times=None)
    ids = {(await start(behind, control))[0].recording_id for _ in range(2)}
    assert [] == await live(app)
    assert ["TimeoutError", "the table was silent a moment ago"] == [
        line["reason"] for line in logged(caplog, "index.not_written") if line.get("recordingId") in ids
    ]
    proxy.faults.clear()
    add_fault(proxy, kind="status", operation="*Entit*", status=503, times=None)
    await sweep(behind)
    assert 2 == len(await markers(app))

    await sweep(app)

    assert ids == set(await live(app))
    assert [] == await markers(app)


async def test_what_has_ended_before_its_row_could_be_written_gets_none(
    far: tuple[App, StorageProxy], app: App, control: Control
) -> None:
    """Its start left a marker, and its event came."""
    behind, proxy = far
    add_fault(proxy, kind="status", operation="*Entit*", status=503, times=None)
    _, event = await ended(behind, control)
    await receive(behind, event)
    assert await markers(app)

    await sweep(app)

    assert [] == await live(app)
    assert [] == await markers(app)


async def test_a_row_that_is_there_keeps_what_it_knows(app: App, control: Control) -> None:
    """The answer to its write was lost, so there is a marker, too; meanwhile it was paused. So does a reindex."""
    started, _ = await start(app, control)
    await app.control.pause(Caller(), started.conversation_id or "", started.recording_id, Operation())
    fact = Started(recording_id=started.recording_id, conversation_id="c")
    marker = layout.pending_live_blob(started.recording_id)
    await put(app.settings, "staging", marker, fact.model_dump_json(by_alias=True).encode())

    await sweep(app)
    async for _ in app.reindex.run(None, None):
        pass

    [one], _ = await app.clients.index.live_page(limit=10)
    assert "paused" == one.state


async def test_a_marker_that_cannot_be_read_costs_no_other_row(
    app: App, control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    """It stays, and is in the log."""
    fact = Started(recording_id="r", conversation_id="c", at=datetime.now(UTC))
    for recording_id, text in (("q", b"{"), ("r", fact.model_dump_json(by_alias=True).encode())):
        await put(app.settings, "staging", layout.pending_live_blob(recording_id), text)

    await sweep(app)

    assert ["r"] == await live(app)
    assert [layout.pending_live_blob("q")] == await markers(app)
    assert logged(caplog, "start.unreadable")


async def test_a_start_whose_marker_cannot_be_written_either_is_in_the_log(
    far: tuple[App, StorageProxy], control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    """It was made and is answered; only a list lacks it."""
    behind, proxy = far
    add_fault(proxy, kind="status", operation="*Entit*", status=503, times=None)
    broken = FaultyBlobs(behind.settings).on("create", name="staging/pending-live/", raises=ServiceRequestError("down"))
    index = Index(behind.settings, broken, retries={"retry_total": 0})
    away = bootstrap.assemble(behind.settings, replace(behind.clients, index=index))

    started, _ = await start(away, control)
    await index.aclose()
    await broken.aclose()

    assert [started.recording_id] == [line["recordingId"] for line in logged(caplog, "index.not_marked")]


async def test_a_stop_that_was_matched_is_live_no_more(app: App, control: Control) -> None:
    """Its marker is gone, and its fact says that it was stopped."""
    started, _ = await ended(app, control)
    await app.timer.indexing.run([], datetime.now(UTC))
    assert [started.recording_id] == await live(app)
    [one] = await app.endings.pending()
    await app.endings.clear(one)

    await app.timer.indexing.run([], datetime.now(UTC))

    assert [] == await live(app)


async def test_a_recording_that_nobody_hears_of_expires(app: App, control: Control) -> None:
    """After the longest call, and the time for which the service keeps its files."""
    started, _ = await start(app, control)
    now = datetime.now(UTC)

    await app.timer.indexing.run([], now + timedelta(hours=71))
    assert [started.recording_id] == await live(app)
    await app.timer.indexing.run([], now + timedelta(hours=73))

    assert [] == await live(app)


async def test_a_run_of_the_timer_brings_the_rows_up_to_date(app: App, control: Control) -> None:
    """A recording of which one chunk is missing is found by those who were in it."""
    [job, _] = await announce(app, await control.recording(1000, 2000))
    await app.ingest.run(job)
    people = (await app.catalogue.get(job.recording_key)).participants

    await sweep(app)

    [one] = await found(app, participant=people[0].id)
    assert ("ingesting", 1000, "some") == (one.state, one.bytes, one.proof)


async def test_a_recording_that_cannot_be_described_costs_no_other_row(
    app: App, control: Control, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever its events and files say."""
    [odd], [good] = [await announce(app, await control.recording(500), event_id=name) for name in ("odd", "good")]
    written: list[str] = []

    def write(recording: InFlightRecording, **more: Any) -> Manifest:
        if recording.key == odd.recording_key:
            raise OverflowError("on purpose")
        written.append(recording.key)
        return write_manifest(recording, **more)

    monkeypatch.setattr(indexing, "write_manifest", write)
    await sweep(app)

    assert [good.recording_key] == written
    assert [odd.recording_key] == [line["recordingKey"] for line in logged(caplog, "recording.not_indexed")]
    assert [] == logged(caplog, "index.not_in_step")


async def test_a_late_event_of_an_archived_recording_changes_no_row(app: App, control: Control) -> None:
    """The archive shows it until the next revision of its manifest does."""
    recording = await control.recording(1000, 2000)
    await stage(app, recording)
    await sweep(app)
    before = await found(app)
    recording["chunks"][1]["endReason"] = "another"
    recording["chunks"] = recording["chunks"][1:]
    await announce(app, recording, event_id="late")

    await sweep(app)

    [after] = await found(app)
    assert [after] == before
    assert "archived" == after.state


async def test_notices_name_the_start_of_their_recording(app: App, control: Control) -> None:
    """At risk, archived, or never announced: whoever subscribes finds the appointment that it belongs to."""
    async with topic(app, control) as telling:
        started, event = await ended(telling, control)
        await run_timer(telling, now=datetime.now(UTC) + timedelta(hours=2))
        jobs = await receive(telling, event)
        await run_timer(telling, now=datetime.now(UTC) + timedelta(hours=20))
        for job in jobs:
            await telling.ingest.run(job)
        await sweep(telling)

        notices = [(one["type"], one["data"]) for one in await told(control)]

    assert ["Recording.AtRisk"] * 3 + ["Recording.Archived"] == [kind for kind, _ in notices]
    for _, data in notices:
        assert (started.recording_id, REFERENCE) == (data["recordingId"], data["reference"])
    assert all(data["serverCallId"] for _, data in notices)


async def test_a_recording_that_never_came_is_found_by_its_reference(app: App, control: Control) -> None:
    """Its absence is on record, with what its calling app knows of it; it is live no more."""
    started, _ = await ended(app, control)

    await run_timer(app, now=datetime.now(UTC) + timedelta(hours=25))
    await app.timer.indexing.run([], datetime.now(UTC))

    for query in ({"reference": REFERENCE}, {"conversation": started.conversation_id}, {"missing": "true"}):
        [one] = await found(app, **query)
        assert ("absent", started.recording_id, REFERENCE) == (one.state, one.recording_id, one.reference)
    assert [] == await live(app)
