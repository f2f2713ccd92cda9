"""recording/storage/index.py: the search index in real tables, and what a page costs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from azure.data.tables.aio import TableClient

from local.azurite import Azurite
from local.storage_proxy import StorageProxy
from recording import app as bootstrap
from recording.app import App
from recording.catalogue.browse import ListQuery, RecordingList
from recording.config.settings import Settings, read_settings
from recording.errors import BadRequest, IndexUnavailable
from recording.model import layout
from recording.model.manifest import Manifest
from recording.model.started import Started
from recording.storage.index import Index, table_name
from tests.support.emulator import Control
from tests.support.facts import add_fault, announce, body_of, listing, stage, sweep
from tests.support.manifests import finished, person

ADA, PHONE = "8:acs:29bd5ea9-e0fc-4d00-8f6f-339b1f0ee2e2_0000000a-1111", "4:+14255550123"


@pytest_asyncio.fixture
async def proxy(azurite: Azurite) -> AsyncIterator[StorageProxy]:
    """The storage between that counts requests and makes them go wrong."""
    async with StorageProxy(azurite.blob_url, azurite.queue_url, azurite.table_url) as running:
        yield running


@pytest_asyncio.fixture
async def counted(environment: dict[str, str], proxy: StorageProxy) -> AsyncIterator[App]:
    """The app, whose every request is counted; it has asked before for what it asks once."""
    opened = await bootstrap.open_app(read_settings(environment | {"AzureWebJobsStorage": proxy.connection_string}))
    index = Index(opened.settings, opened.clients.blobs, retries={"retry_total": 0})
    app = bootstrap.assemble(opened.settings, replace(opened.clients, index=index))
    await index.has_other_key()
    yield app
    await app.aclose()
    await opened.clients.index.aclose()


def requests(proxy: StorageProxy) -> dict[str, int]:
    """Count the requests since the last time, by operation."""
    found = {name: one["requests"] for name, one in proxy.log.view(0)["totals"].items()}
    proxy.log.clear()
    return found


async def rows(settings: Settings) -> list[dict[str, Any]]:
    """Read every row of a recording with a client of the test's own."""
    connection = settings.host_storage.connection_string
    assert connection is not None
    name = table_name(settings.archive_container)
    async with TableClient.from_connection_string(connection.get_secret_value(), name) as table:
        return [dict(entity) async for entity in table.list_entities() if "revision" in entity]


async def find(app: App, **query: Any) -> list[str]:
    """Return the keys on the first page of a search."""
    return [one.recording_key for one in (await page(app, **query)).recordings]


async def page(app: App, **query: Any) -> RecordingList:
    """Ask for a page."""
    return await app.catalogue.page(ListQuery.model_validate(query), url="https://app.example/recordings?code=secret")


def many(count: int) -> Iterable[Manifest]:
    """Make recordings over three months: every tenth with Ada, every hundredth incomplete."""
    for number in range(count):
        minutes = number * 120
        made = finished(minutes, call_id="one-call", participants=(person(ADA),) if number % 10 == 0 else ())
        yield made.model_copy(update={"state": "incomplete"}) if number % 100 == 0 else made


async def test_a_page_is_one_request_with_any_number_of_recordings(counted: App, proxy: StorageProxy) -> None:
    """Newest, later, of a participant, of a time: each is one request to the table, and none to the blobs."""
    for held in (100, 1000):
        await counted.clients.index.write_all(many(held))
        requests(proxy)
        cursor = (await page(counted, limit=20)).cursor
        queries: list[dict[str, Any]] = [
            *({}, {"cursor": cursor}, {"participant": ADA}),
            *({"from": "2026-03-02T00:00:00Z"}, {"state": "archived"}),
        ]
        for query in queries:
            requests(proxy)
            assert await find(counted, limit=10 if "participant" in query else 20, **query)
            assert {"QueryEntities": 1} == requests(proxy), query


async def test_pages_join_without_a_gap_over_months(app: App) -> None:
    """Newest first, each once, and the last page names no next one."""
    written = list(many(600))
    await app.clients.index.write_all(written)
    found: list[str] = []
    query: dict[str, Any] = {"limit": 190}

    for _ in range(10):
        one = await page(app, **query)
        found += [recording.recording_key for recording in one.recordings]
        assert (one.cursor is None) == (one.next_link is None)
        if one.cursor is None:
            break
        assert one.next_link == f"https://app.example/recordings?limit=190&cursor={one.cursor}"
        query["cursor"] = one.cursor

    assert found == sorted((one.recording_key for one in written), reverse=True)


async def test_what_arrives_between_two_pages_changes_neither(app: App) -> None:
    """A later recording is on no page behind the first."""
    await app.clients.index.write_all(many(30))
    first = await page(app, limit=10)
    await app.clients.index.write(finished(1_000_000))

    second = await page(app, limit=30, cursor=first.cursor)

    keys = [one.recording_key for one in (*first.recordings, *second.recordings)]
    assert keys == sorted((one.recording_key for one in many(30)), reverse=True)


async def test_a_filter_that_finds_little_is_bounded(counted: App, proxy: StorageProxy) -> None:
    """The service is asked a few times at most, however many rows the filter leaves out."""
    await counted.clients.index.write_all(many(500))
    requests(proxy)

    found = await page(counted, state="incomplete", limit=5)

    assert 5 == len(found.recordings)
    assert 4 >= requests(proxy)["QueryEntities"]


async def test_a_recording_is_found_by_all_that_is_known_of_it(app: App) -> None:
    """And by two things at once, but not by what it isn't."""
    conversation = "aHR0cHM6Ly9jb252LXRlc3QvY29udi94P2k9MSZlPTI"
    mine = finished(
        1,
        participants=(person(ADA), person(PHONE)),
        recording_id="eyJ_mine",
        server_call_id=conversation + "=",
        reference="case/118 #?\\",
    )
    await app.clients.index.write_all([mine, *many(20)])
    key = [mine.recording_key]

    assert key == await find(app, participant=PHONE)
    assert key == await find(app, participant="+1 425 555 0123")
    assert key == await find(app, conversation=conversation)
    assert key == await find(app, conversation=conversation, participant=PHONE, state="archived", missing="false")
    assert key == await find(app, reference="case/118 #?\\", call=mine.call_id, hold="false")
    assert key == await find(app, call=mine.call_id.upper())
    assert key == await find(app, recordingId="eyJ_mine==", participant=PHONE)
    assert [] == await find(app, recordingId="eyJ_other", participant=PHONE)
    assert [] == await find(app, participant=PHONE, reference="case 119")
    assert [] == await find(app, participant=PHONE, state="incomplete")
    assert [] == await find(app, participant=PHONE, **{"from": "2026-04-01T00:00:00Z"})
    assert [] == await find(app, hold="true")
    [row] = (await page(app, participant=PHONE)).recordings
    assert (mine.recording_id, mine.server_call_id, mine.reference) == (
        row.recording_id,
        row.server_call_id,
        row.reference,
    )
    assert {"acs": 1, "phone": 1} == row.participants.kinds


async def test_what_is_missing_something_is_found_until_it_is_there(app: App) -> None:
    """A later revision that is complete takes the row away."""
    lost = finished(1).chunks[0].model_copy(update={"outcome": "lost", "content": None, "metadata": None})
    before = finished(1, chunks=[lost], complete=False, state="incomplete")
    await app.clients.index.write(before)
    assert [before.recording_key] == await find(app, missing="true")

    await app.clients.index.write(finished(1, revision=2))

    assert [] == await find(app, missing="true")
    assert [before.recording_key] == await find(app, missing="false")


async def test_rows_written_again_are_the_same(app: App) -> None:
    """A job that is retried, or a rebuild, changes nothing."""
    await app.clients.index.write(finished(1, participants=(person(ADA),)))
    before = await rows(app.settings)

    await app.clients.index.write(finished(1, participants=(person(ADA),)))

    assert before == await rows(app.settings)
    assert 4 == len(before)


@pytest.mark.parametrize(
    "query",
    [
        {"cursor": "20260301T100000000000Z-3f2b0e4c"},
        {"cursor": "bm8"},
        {"conversation": "no base64 of a URL"},
    ],
)
async def test_a_wrong_cursor_or_conversation_is_refused(app: App, query: dict[str, str]) -> None:
    """By name."""
    await app.clients.index.write_all(many(3))

    with pytest.raises(BadRequest) as refused:
        await page(app, **query)

    assert [refused.value.target] == list(query)


async def test_a_cursor_with_other_filters_is_refused(app: App) -> None:
    """It would skip recordings; another limit is not another filter."""
    await app.clients.index.write_all(many(30))
    cursor = (await page(app, participant=ADA, limit=1)).cursor
    assert cursor is not None

    assert await page(app, participant=ADA, limit=2, cursor=cursor)
    for other in (
        {},
        {"participant": PHONE},
        {"participant": ADA, "state": "archived"},
        {"from": "2026-01-01T00:00:00Z"},
    ):
        with pytest.raises(BadRequest):
            await page(app, cursor=cursor, **other)


async def test_the_key_of_the_digests_is_made_once(app: App, settings: Settings) -> None:
    """By whichever process needs it first; all of them find each other's rows."""
    others = [Index(settings, app.clients.blobs) for _ in range(4)]

    made = await asyncio.gather(*(one.digests() for one in others))

    assert 1 == len({one.key for one in made})
    assert await body_of(settings, "archive", layout.INDEX_KEY)
    for one in others:
        await one.aclose()


async def test_a_row_never_goes_back_to_in_flight(app: App, control: Control) -> None:
    """The timer may write from a list of staging that is older than the archive."""
    [job] = await stage(app, await control.recording(1000))
    in_flight = await app.catalogue.get(job.recording_key)
    await sweep(app)

    assert [] == await app.clients.index.write_in_flight([in_flight])

    assert ["archived"] == [one.state for one in (await page(app)).recordings]
    assert {"archived"} == {row["state"] for row in await rows(app.settings)}


async def test_a_row_that_the_archive_writes_in_between_stays(counted: App, proxy: StorageProxy) -> None:
    """The timer has read its row, and the archive job is faster than its write."""
    recording = finished(1, archived_at=None, state="staged", participants=(person(ADA),))
    await counted.clients.index.write_in_flight([recording.model_copy(update={"state": "ingesting"})])
    add_fault(proxy, kind="hang", operation="UpdateEntity", seconds=0.5)
    late = asyncio.create_task(counted.clients.index.write_in_flight([recording]))
    await asyncio.sleep(0.2)

    await counted.clients.index.write(finished(1, participants=(person(ADA),)))
    await late

    assert {"archived"} == {row["state"] for row in await rows(counted.settings)}


async def test_what_is_in_flight_is_written_when_it_changes(counted: App, proxy: StorageProxy) -> None:
    """In batches by partition; a run in which nothing has changed asks nothing of the table."""
    await counted.clients.index.write(finished(1000))
    requests(proxy)
    going = [finished(number, archived_at=None, state="ingesting") for number in range(50)]
    assert 150 == len(await counted.clients.index.write_in_flight(going))
    assert 1 == requests(proxy)["EntityGroupTransaction"]

    assert [] == await counted.clients.index.write_in_flight(going)
    assert {} == requests(proxy)

    changed = [one.model_copy(update={"state": "staged"}) for one in going[:10]]
    assert 30 == len(await counted.clients.index.write_in_flight(changed))
    assert 10 == len((await page(counted, state="staged")).recordings)


async def test_a_recording_is_listed_as_soon_as_it_is_announced(app: App, control: Control) -> None:
    """With what its event says, before any chunk is there."""
    [job, _] = await announce(app, await control.recording(1000, 2000))

    [row] = (await page(app)).recordings

    assert (job.recording_key, "ingesting", 2, 0) == (row.recording_key, row.state, row.chunks, row.bytes)


async def test_an_event_that_comes_again_changes_no_row(app: App, control: Control) -> None:
    """Event Grid repeats events, also those of what is archived."""
    recording = await control.recording(1000)
    await stage(app, recording)
    await sweep(app)
    before = await rows(app.settings)

    await announce(app, recording)

    assert before == await rows(app.settings)


async def test_a_table_out_of_reach_costs_no_recording(
    counted: App, proxy: StorageProxy, control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    """The event is accepted, its chunks are fetched and archived; staging is emptied once the rows are written."""
    add_fault(proxy, kind="status", operation="*Entit*", status=503, times=None)
    [job] = await stage(counted, await control.recording(1000))

    report = await sweep(counted)

    assert layout.manifest_blob(job.recording_key) in await listing(counted.settings, "archive")
    assert [job.recording_key] == report.failed
    assert await listing(counted.settings, "staging")
    assert "index.not_written" in caplog.text
    with pytest.raises(IndexUnavailable):
        await page(counted)

    proxy.faults.clear()
    await sweep(counted)

    assert {} == await listing(counted.settings, "staging")
    assert [job.recording_key] == await find(counted, call=job.recording_key[23:])


async def test_no_failure_of_a_row_costs_an_event(
    app: App, control: Control, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Not one that nobody has thought of, either."""

    async def broken(_: object) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr(app.clients.index, "_insert", broken)

    assert await announce(app, await control.recording(1000))
    assert "index.not_written" in caplog.text


async def test_a_table_that_hangs_delays_one_event_by_two_seconds(
    counted: App, proxy: StorageProxy, control: Control
) -> None:
    """Event Grid waits for 30 s; the row can wait, and the next events don't wait at all."""
    add_fault(proxy, kind="hang", operation="*Entit*", seconds=30, times=None)
    recording = await control.recording(1000)

    async with asyncio.timeout(4):
        assert await announce(counted, recording)
    async with asyncio.timeout(1.5):
        assert await announce(counted, recording, event_id="again")


async def test_a_table_that_is_gone_is_made_again(app: App) -> None:
    """By the next write, of any kind."""
    connection = app.settings.host_storage.connection_string
    assert connection is not None
    name = table_name(app.settings.archive_container)
    writes: list[Callable[[], Awaitable[object]]] = [
        lambda: app.clients.index.write(finished(1)),
        lambda: app.clients.index.write_all(many(3)),
        lambda: app.clients.index.write_in_flight([finished(2, archived_at=None, state="staged")]),
        lambda: app.clients.index.note_live(Started(recording_id="r", conversation_id="c")),
    ]
    async with TableClient.from_connection_string(connection.get_secret_value(), name) as table:
        for write in writes:
            await table.delete_table()
            assert [] == await find(app)
            assert [] == await app.clients.index.live()
            await write()
            assert [entity async for entity in table.list_entities()]


async def test_a_row_that_cannot_be_read_is_left_out(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """It costs its own line, and is in the log."""
    await app.clients.index.write_all([finished(1), finished(2)])
    connection = app.settings.host_storage.connection_string
    assert connection is not None
    name = table_name(app.settings.archive_container)
    async with TableClient.from_connection_string(connection.get_secret_value(), name) as table:
        [bad, *_] = [entity async for entity in table.query_entities("PartitionKey ge 'month:'")]
        await table.update_entity(bad | {"summary": "{"})

    assert 1 == len(await find(app))
    assert "index.unreadable" in caplog.text


@pytest.mark.parametrize("one", ["recordings-archive", "0-archive", "a" * 63, "a-b", "ab"])
def test_a_table_is_named_after_its_archive(one: str) -> None:
    """3 to 63 letters and digits, the first a letter; another name for another archive."""
    name = table_name(one)

    assert name.isalnum()
    assert name.isascii()
    assert name[0].isalpha()
    assert 3 <= len(name) <= 63
    assert table_name("a-b") != table_name("ab")
