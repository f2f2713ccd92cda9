"""recording/catalogue/trail.py: the trail of a recording and of a day, and rows that follow from its facts."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

import pytest
import pytest_asyncio
from azure.core.exceptions import ServiceResponseError
from azure.data.tables.aio import TableClient

from local.azurite import Azurite
from local.storage_proxy import StorageProxy
from recording import app as bootstrap
from recording.app import App, assemble
from recording.catalogue.browse import PageQuery
from recording.catalogue.trail import DayTrailQuery, TrailPage
from recording.config.settings import read_settings
from recording.control.bodies import Operation, StartRecording
from recording.errors import BadRequest, IndexUnavailable, NotFound, TrailUnavailable
from recording.model import layout
from recording.model.caller import Caller
from recording.model.trail import TrailEntry
from recording.storage.index import table_name
from tests.support.archives import manifest_of
from tests.support.emulator import Control, file_event
from tests.support.facts import add_fault, archived, container, listing, put, receive, stage, sweep, with_blobs
from tests.support.faults import FaultyBlobs

UNKNOWN = "20260301T100000000000Z-3f2b0e4c-0000-4000-8000-00000000000f"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
ADA = Caller("Ada Lovelace")
URL = "https://app.example/v1/recordings/x/trail?code=secret"
STORED = Path(__file__).parents[1] / "data/stored"


@pytest_asyncio.fixture
async def table(app: App) -> AsyncIterator[TableClient]:
    """The app's table, opened by a client of the test's own."""
    connection = app.settings.host_storage.connection_string
    assert connection is not None
    name = table_name(app.settings.archive_container)
    async with TableClient.from_connection_string(connection.get_secret_value(), name) as opened:
        yield opened


async def rows(table: TableClient) -> set[tuple[str, str]]:
    """List the rows of the trail: partition and fact."""
    listed = [entity async for entity in table.list_entities() if entity["PartitionKey"].startswith("trail:")]
    return {(one["PartitionKey"], one["RowKey"]) for one in listed}


def later(app: App, minutes: int) -> App:
    """Wire the app with a clock that stands still, so many minutes after noon."""
    return assemble(app.settings, app.clients, clock=lambda: NOON + minutes * MINUTE)


async def do(app: App, minutes: int, action: Any = "play", key: str = UNKNOWN, **more: Any) -> None:
    """Put something on record."""
    await later(app, minutes).trail.write(ADA, action=action, recording=key, **more)


def of(day: str, **more: Any) -> DayTrailQuery:
    """Ask for a day, as the query parameter does."""
    return DayTrailQuery.model_validate({"day": day, **more})


def said(page: TrailPage) -> list[tuple[str, str]]:
    """List what a page shows: when and what."""
    return [(f"{one.at:%H:%M}", one.action) for one in page.entries]


async def test_the_trail_of_a_recording_begins_with_its_start(app: App, control: Control) -> None:
    """What was done while it ran is under its recording id, everything else under its key; newest first."""
    call = (await control.call("POST", "calls", {"participants": ["Ada"]}))["conversationId"]
    started = await app.control.start(ADA, call, StartRecording())
    await app.control.pause(ADA, call, started.recording_id, Operation())
    await app.control.stop(ADA, call, started.recording_id, Operation())
    other = await app.control.start(ADA, call, StartRecording())
    event = file_event(await control.recording(1000))
    event["data"]["recordingId"] = started.recording_id
    [job] = await receive(app, event)
    await app.ingest.run(job)
    await app.handout.content(ADA, job.recording_key, "0")
    await sweep(app)
    await app.handout.view(ADA, job.recording_key)
    await app.verifier.verify_in_request(ADA, job.recording_key)

    page = await app.trail_view.of_recording(job.recording_key, PageQuery(), url=URL)

    assert ["verify", "view", "play", "stop", "pause", "start"] == [one.action for one in page.entries]
    assert {started.recording_id, None} == {one.recording_id for one in page.entries}
    assert other.recording_id not in page.model_dump_json()
    assert {"ok": True, "complete": True} == page.entries[0].details
    assert (None, None) == (page.cursor, page.next_link)


async def test_a_recording_of_the_2021_preview_api_has_the_trail_of_its_stop(app: App, control: Control) -> None:
    """Its events name no recording: the timer assigns a stop to it."""
    call = (await control.call("POST", "calls", {"participants": ["Ada"]}))["conversationId"]
    started = await app.control.start(ADA, call, StartRecording())
    await app.control.stop(ADA, call, started.recording_id, Operation())
    [job] = await stage(app, await control.recording(1000))
    await sweep(app)
    assert started.recording_id == await app.endings.assigned(job.recording_key)

    page = await app.trail_view.of_recording(job.recording_key, PageQuery(), url=URL)

    assert ["stop", "start"] == [one.action for one in page.entries]


async def test_pages_of_a_trail_join_without_a_gap(app: App) -> None:
    """Over both partitions, in which times mix; each entry once, and the address of the next page has no key in it."""
    for minutes in range(0, 20, 2):
        await do(app, minutes, recording_id="cmVjb3JkaW5n")
        async with later(app, minutes + 1).trail.record(
            TrailEntry(at=NOON + (minutes + 1) * MINUTE, action="stop", recording_id="cmVjb3JkaW5n")
        ):
            pass
    found: list[tuple[str, str]] = []
    query = PageQuery(limit=3)
    for _ in range(10):
        page = await app.trail_view.of_recording(UNKNOWN, query, url=URL)
        found += said(page)
        if page.cursor is None:
            break
        assert f"https://app.example/v1/recordings/x/trail?limit=3&cursor={page.cursor}" == page.next_link
        query = PageQuery(limit=3, cursor=page.cursor)

    assert [(f"12:{minute:02}", "stop" if minute % 2 else "play") for minute in reversed(range(20))] == found


async def test_a_trail_outlives_its_recording(app: App, control: Control) -> None:
    """When nothing of the recording is left, neither in staging nor in the archive."""
    [job] = await archived(app, control, 1000)
    await app.handout.content(ADA, job.recording_key, "0")
    async with container(app.settings, "archive") as blobs:
        for name in await listing(app.settings, "archive"):
            if job.recording_key in name:
                await blobs.delete_blob(name)

    page = await app.trail_view.of_recording(job.recording_key, PageQuery(), url=URL)

    assert ["play"] == [one.action for one in page.entries]


async def test_a_manifest_that_cannot_be_read_hides_no_trail(app: App, control: Control) -> None:
    """`verify` reports the manifest; what was done with the recording stays readable."""
    [job] = await archived(app, control, 1000)
    await app.handout.content(ADA, job.recording_key, "0")
    await put(app.settings, "archive", layout.manifest_blob(job.recording_key), b"{")

    assert ["play"] == [
        one.action for one in (await app.trail_view.of_recording(job.recording_key, PageQuery(), url=URL)).entries
    ]


async def test_a_recording_that_nobody_touched_has_an_empty_trail_and_an_unknown_one_none(
    app: App, control: Control
) -> None:
    """200 with nothing, 404, and 400 for a key that is none or a cursor of another recording."""
    [job] = await archived(app, control, 1000)
    for minutes in range(2):
        await do(app, minutes, key=job.recording_key)
    cursor = (await app.trail_view.of_recording(job.recording_key, PageQuery(limit=1), url=URL)).cursor
    [other] = await receive(app, file_event(await control.recording(1000)))

    assert [] == (await app.trail_view.of_recording(other.recording_key, PageQuery(), url=URL)).entries
    with pytest.raises(NotFound):
        await app.trail_view.of_recording(UNKNOWN, PageQuery(), url=URL)
    for key, text in (("none", None), (other.recording_key, cursor), (job.recording_key, "x")):
        with pytest.raises(BadRequest):
            await app.trail_view.of_recording(key, PageQuery(cursor=text), url=URL)


async def test_the_trail_of_a_day_has_everything_newest_first(app: App) -> None:
    """Facts of any recording and of none, of that day in UTC only; pages join without a gap."""
    for minutes in (-13 * 60, 0, 1, 2, 3, 11 * 60 + 59, 12 * 60):
        await do(app, minutes)
    async with app.trail.record(TrailEntry(at=NOON + 5 * MINUTE, action="start", outcome="Conflict")):
        pass
    found: list[tuple[str, str]] = []
    query = of("2026-03-01", limit=2)
    for _ in range(10):
        page = await later(app, 0).trail_view.of_day(query, url=URL)
        found += said(page)
        if page.cursor is None:
            break
        asked = dict(parse_qsl(urlsplit(str(page.next_link)).query))
        assert {"day": "2026-03-01", "limit": "2", "cursor": page.cursor} == asked
        query = of("2026-03-01", limit=2, cursor=page.cursor)

    expected = ["23:59 play", "12:05 start", "12:03 play", "12:02 play", "12:01 play", "12:00 play"]
    assert expected == [" ".join(one) for one in found]
    today = await later(app, 0).trail_view.of_day(DayTrailQuery(limit=2), url=URL)
    assert ["23:59 play", "12:05 start"] == [" ".join(one) for one in said(today)]
    with pytest.raises(BadRequest):
        await app.trail_view.of_day(of("2026-03-02", cursor=today.cursor), url=URL)


async def test_a_look_stands_at_its_time_in_the_trail_of_a_day(app: App) -> None:
    """Its fact is named by the beginning of the quarter of an hour."""
    await do(app, 5)
    await later(app, 12).trail.write_once(ADA, action="view", recording=UNKNOWN)
    await do(app, 14)

    page = await app.trail_view.of_day(of("2026-03-01"), url=URL)

    assert [("12:14", "play"), ("12:12", "view"), ("12:05", "play")] == said(page)


async def test_facts_of_the_version_before_are_in_the_trail(app: App, table: TableClient) -> None:
    """They have the same form and place; one that is damaged costs no other, and `reindex` makes their rows."""
    text = (STORED / "audit.json").read_bytes()
    entry = TrailEntry.model_validate_json(text)
    await put(app.settings, "archive", "audit/2026/11/03/091244120300-start-0a0b0c0d.json", text)
    await put(app.settings, "archive", "audit/2026/11/03/091244120301-stop-0a0b0c0e.json", b"{")

    page = await app.trail_view.of_day(of("2026-11-03"), url=URL)
    assert [("2026-11-03", 2)] == [one async for one in app.trail_rows.rebuild(None, None)]

    assert [entry] == page.entries
    assert (None, "supervisor@example.com", "start") == (entry.kind, entry.who, entry.action)
    digest = layout.recording_digest(str(entry.recording_id))
    assert {f"trail:{digest}"} == {partition for partition, _ in await rows(table)}


async def test_a_row_that_could_not_be_written_is_made_within_hours(
    azurite: Azurite, environment: dict[str, str], app: App, table: TableClient, caplog: pytest.LogCaptureFixture
) -> None:
    """A table that is out of reach hinders nobody: the fact counts, and the timer writes its row."""
    await app.trail_rows.catch_up(NOON)
    async with StorageProxy(azurite.blob_url, azurite.queue_url, azurite.table_url) as proxy:
        there = {"AzureWebJobsStorage": proxy.connection_string}
        behind = await bootstrap.open_app(read_settings(environment | there))
        await behind.clients.index.digests()
        add_fault(proxy, kind="status", status=403, operation="*Entit*", times=None)
        await do(behind, 1)
        with pytest.raises(IndexUnavailable):
            await behind.trail_view.of_recording(UNKNOWN, PageQuery(), url=URL)
        await behind.aclose()
    await do(app, 2)
    assert 1 == len(await rows(table))
    assert "index.not_written" in caplog.text

    for minutes in (30, 69):
        await app.trail_rows.catch_up(NOON + minutes * MINUTE)
        assert 1 == len(await rows(table))
    await app.trail_rows.catch_up(NOON + 70 * MINUTE)

    assert [("12:02", "play"), ("12:01", "play")] == said(
        await app.trail_view.of_recording(UNKNOWN, PageQuery(), url=URL)
    )


async def test_rows_are_looked_after_once_an_hour(azurite: Azurite, environment: dict[str, str]) -> None:
    """One list of an hour's facts, by one process of many; a run in between asks nothing."""
    async with StorageProxy(azurite.blob_url, azurite.queue_url, azurite.table_url) as proxy:
        there = {"AzureWebJobsStorage": proxy.connection_string, "ARCHIVE_STORAGE": proxy.connection_string}
        app = await bootstrap.open_app(read_settings(environment | there))
        await do(app, 1)
        await app.trail_rows.catch_up(NOON + 10 * MINUTE)
        asked: list[dict[str, int]] = []
        for process, minutes in ((app, 15), (app, 71), (app, 75), (assemble(app.settings, app.clients), 80)):
            proxy.log.clear()
            await process.trail_rows.catch_up(NOON + minutes * MINUTE)
            asked.append({name: one["requests"] for name, one in proxy.log.view(0)["totals"].items()})
        await app.aclose()

    listed = {"ListBlobs": 1, "GetBlob": 1, "InsertOrReplaceEntity": 2}
    # A process that begins reads both marks.
    assert [{}, listed, {}, {"GetEntity": 2}] == asked


async def test_rows_of_a_lost_table_are_made_again_and_a_killed_run_continues(app: App, table: TableClient) -> None:
    """Row for row, of whichever day it dies after."""
    for day in range(4):
        for minutes in range(3):
            await do(app, day * 24 * 60 + minutes)
    before = await rows(table)
    await table.delete_table()
    for day in (1, 2):
        running = cast(Any, app.trail_rows.rebuild(None, None))
        assert (f"2026-03-0{day}", 3) == await anext(running)
        await running.aclose()

    assert ["2026-03-03", "2026-03-04"] == [day async for day, _ in app.trail_rows.rebuild(None, None)]

    assert (12, before) == (len(before), await rows(table))
    since, until = NOON + 24 * HOUR, NOON + 47 * HOUR
    assert ["2026-03-02", "2026-03-03"] == [day async for day, _ in app.trail_rows.rebuild(since, until)]


async def test_a_day_that_cannot_be_read_is_a_503(app: App) -> None:
    """Not an empty page."""
    storage = FaultyBlobs(app.settings).on("list_blobs", raises=ServiceResponseError("down"))

    with pytest.raises(TrailUnavailable):
        await with_blobs(app, storage).trail_view.of_day(DayTrailQuery(), url=URL)
    await storage.aclose()


async def test_the_absent_have_a_trail_too(app: App, control: Control) -> None:
    """A recording that was stopped and never announced: its manifest names its recording id."""
    call = (await control.call("POST", "calls", {"participants": ["Ada"]}))["conversationId"]
    started = await app.control.start(ADA, call, StartRecording())
    await app.control.stop(ADA, call, started.recording_id, Operation())
    await sweep(app, now=datetime.now(UTC) + timedelta(hours=50))
    [key] = [name.split("/")[3] for name in await listing(app.settings, "archive") if name.endswith("recording.json")]

    page = await app.trail_view.of_recording(key, PageQuery(), url=URL)

    assert "absent" == (await manifest_of(app, key)).state
    assert ["stop", "start"] == [one.action for one in page.entries]
