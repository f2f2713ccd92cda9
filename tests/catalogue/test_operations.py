"""recording/catalogue/operations.py: what an operator looks at, whatever else is there, and whatever can't be read."""

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from azure.core.exceptions import ResourceExistsError

from local.azurite import Azurite
from local.storage_proxy import StorageProxy
from recording import app as bootstrap
from recording.app import App
from recording.catalogue.browse import PageQuery
from recording.catalogue.operations_view import DaysQuery, OperationsQuery, OperationsView, WaitingChunk
from recording.config.settings import read_settings
from recording.errors import BadRequest, NotFound, RecordingError, StorageUnavailable
from recording.model import job, layout
from recording.model.job import ChunkJob
from recording.model.started import Started
from recording.storage.endings import Ending
from recording.storage.index import Index
from tests.support.archives import at, give_up
from tests.support.emulator import Control, file_event
from tests.support.facts import add_fault, announce, container, put, raw_queue, receive, run_timer, stage, sweep
from tests.support.manifests import finished

NOW = datetime.now(UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
URL = "https://app.example/v1/operations"


@pytest_asyncio.fixture
async def proxy(azurite: Azurite) -> AsyncIterator[StorageProxy]:
    """The storage between that counts requests and makes them go wrong."""
    async with StorageProxy(azurite.blob_url, azurite.queue_url, azurite.table_url) as running:
        yield running


@pytest_asyncio.fixture
async def counted(environment: dict[str, str], proxy: StorageProxy) -> AsyncIterator[App]:
    """The app, whose every request is counted and none repeated."""
    settings = read_settings(environment | {"AzureWebJobsStorage": proxy.connection_string})
    opened = await bootstrap.open_app(settings, retries={"retry_total": 0})
    index = Index(settings, opened.clients.blobs, retries={"retry_total": 0})
    yield bootstrap.assemble(settings, replace(opened.clients, index=index))
    await index.aclose()
    await opened.aclose()


async def waiting(app: App, **query: Any) -> list[WaitingChunk]:
    """List the chunks that need attention, on the first page."""
    return (await app.operations.waiting(PageQuery.model_validate(query))).chunks


async def failing(app: App, control: Control, *, ago: timedelta = HOUR, event_id: str = "one") -> ChunkJob:
    """Announce a recording of one chunk, at which an attempt has failed."""
    [one] = await announce(app, await control.recording(1000), event_id=event_id)
    await give_up(app, one, now=NOW - ago)
    return one


async def test_the_recording_says_when_each_of_its_chunks_is_tried_again(app: App, control: Control) -> None:
    """Of those that aren't safe, as the list of what waits does."""
    bad, good = await announce(app, await control.recording(1000, 2000))
    await app.ingest.run(good)
    await give_up(app, bad, now=datetime.now(UTC))
    await sweep(app)

    [one] = await waiting(app)
    assert {0: one.next_try} == (await app.catalogue.detail(bad.recording_key)).next_tries


async def test_a_chunk_that_failed_is_listed_with_what_an_operator_needs(app: App, control: Control) -> None:
    """Time left, attempts, last error and next try; a chunk beside it that is safe isn't."""
    [bad, good] = await announce(app, await control.recording(1000, 2000))
    await app.ingest.run(good)
    await give_up(app, bad, now=NOW - HOUR)

    await sweep(app)

    [one] = await waiting(app)
    assert (bad.recording_key, 0, bad.document_id, 1) == (one.recording_key, one.index, one.document_id, one.attempts)
    assert ("SourceGone", "SourceGone: ACS has no such document") == (one.code, one.reason)
    assert 47 < one.hours_left <= 48
    assert not one.at_risk
    assert one.failed_at == NOW - HOUR
    assert one.queued_at is not None
    assert one.next_try > datetime.now(UTC)


async def test_a_chunk_close_to_its_deadline_is_at_risk_without_any_failure(app: App, control: Control) -> None:
    """Nothing has ever tried it: the queue has lost its message."""
    [one] = await announce(app, await control.recording(1000))
    late = NOW + timedelta(hours=41)
    await run_timer(app, now=late)

    [found] = await waiting(at(app, late))

    assert (one.document_id, True, 0) == (found.document_id, found.at_risk, found.attempts)
    assert 6 < found.hours_left < 8


async def test_a_chunk_that_is_on_its_way_needs_nobody(app: App, control: Control) -> None:
    """Neither a first attempt nor one that has just been announced is trouble."""
    [one] = await announce(app, await control.recording(1000))
    began = layout.began_blob(one.recording_key, one.document_id, layout.attempt_id(NOW, "0a0b0c0d"))
    await app.clients.blobs.create("staging", began, b"{}")

    await sweep(app)

    assert [] == await waiting(app)


async def test_the_least_time_left_comes_first_and_pages_join(app: App, control: Control) -> None:
    """However the recordings are named."""
    for number in (2, 0, 1):
        event = file_event(await control.recording(1000), event_id=f"e{number}")
        [one] = await receive(app, event | {"eventTime": (NOW - number * HOUR).isoformat()})
        await give_up(app, one, now=NOW)
    await sweep(app)

    first = await app.operations.waiting(PageQuery(limit=2), url=f"{URL}/waiting?limit=2")
    second = await app.operations.waiting(PageQuery(limit=2, cursor=first.cursor), url=URL)

    listed = [round(one.hours_left) for one in (*first.chunks, *second.chunks)]
    assert [46, 47, 48] == listed
    assert (2, 1, None) == (len(first.chunks), len(second.chunks), second.cursor)
    assert first.next_link == f"{URL}/waiting?limit=2&cursor={first.cursor}"


async def test_what_is_safe_by_now_is_left_out_before_the_timer_runs(app: App, control: Control) -> None:
    """Staging says how a chunk is; the rows say only which chunks to look at."""
    one = await failing(app, control)
    await sweep(app)
    assert 1 == len(await waiting(app))

    await app.ingest.run(one)

    assert [] == await waiting(app)


async def test_the_timer_removes_what_waits_no_more(app: App, control: Control) -> None:
    """Once it is staged, and also when its recording is in flight no more."""
    staged, gone = await failing(app, control), await failing(app, control, event_id="two")
    await sweep(app)
    assert 2 == len((await app.clients.index.waiting(limit=10))[0])

    await app.ingest.run(staged)
    async with container(app.settings, "staging") as blobs:
        for name in [name async for name in blobs.list_blob_names(name_starts_with=gone.recording_key)]:
            await blobs.delete_blob(name)
    await sweep(app)

    assert [] == (await app.clients.index.waiting(limit=10))[0]


async def test_a_recording_that_a_run_had_no_time_for_stays_listed(app: App, control: Control) -> None:
    """Nobody has looked at it."""
    one = await failing(app, control)
    await sweep(app)

    await app.timer.indexing.run([], NOW, in_flight={one.recording_key})

    assert 1 == len(await waiting(app))


async def test_hundreds_that_fail_are_listed_and_removed_in_batches(counted: App, proxy: StorageProxy) -> None:
    """An outage of ACS is when an operator looks: a run writes what is new, and nothing of what is known."""
    rows = {layout.recording_key(NOW, f"{number:03}"): ("key", f"a-{number}") for number in range(250)}
    index = counted.clients.index
    await index.write_waiting(rows, is_settled=lambda key: True)
    assert (250, None) == (len((await index.waiting(limit=1000))[0]), (await index.waiting(limit=1000))[1])

    proxy.log.clear()
    await index.write_waiting(rows, is_settled=lambda key: True)
    assert {"QueryEntities": 1} == requests(proxy)

    await index.write_waiting({}, is_settled=lambda key: True)
    assert {"QueryEntities": 1, "EntityGroupTransaction": 3} == requests(proxy)
    assert [] == (await index.waiting(limit=1000))[0]


def requests(proxy: StorageProxy) -> dict[str, int]:
    """Count the requests since the last time, by operation."""
    found = {name: one["requests"] for name, one in proxy.log.view(0)["totals"].items()}
    proxy.log.clear()
    return found


async def stopped(app: App, number: int, ago: timedelta) -> str:
    """Record that a recording with a reference was stopped some time ago, and was not announced."""
    recording_id = f"cmVj{number:04}"
    await app.starts.note_started(
        Started(recording_id=recording_id, conversation_id="c", reference=f"case {number}", at=NOW)
    )
    ending = Ending(
        recording_id=recording_id, conversation_id="c", at=NOW - ago, evidence="stopped through us", who="Barbara"
    )
    await app.endings.note(ending)
    return recording_id


async def test_a_stop_that_nobody_announces_is_listed_once_it_is_overdue(app: App) -> None:
    """Who stopped it, by which reference it is known, and how long ACS has it."""
    await stopped(app, 1, timedelta(minutes=10))
    late = await stopped(app, 2, 2 * HOUR)

    found = await app.operations.not_announced(PageQuery())

    [one] = found.recordings
    assert (late, "c", "case 2", "Barbara") == (one.recording_id, one.conversation_id, one.reference, one.stopped_by)
    assert 45 < one.hours_left <= 46
    assert found.cursor is None


async def test_stops_are_listed_oldest_first_page_by_page(app: App) -> None:
    """A reported one is marked by a blob beside it, which is none itself."""
    expected = [await stopped(app, number, (9 - number) * HOUR) for number in range(5)]
    for one in await app.endings.pending():
        await app.endings.mark_reported(one)
    found: list[str] = []
    query: dict[str, Any] = {"limit": 2}

    for _ in range(10):
        page = await app.operations.not_announced(PageQuery.model_validate(query))
        found += [one.recording_id for one in page.recordings]
        if page.cursor is None:
            break
        query["cursor"] = page.cursor

    assert expected == found


async def quarantine(app: App, number: int, *, at: datetime = NOW) -> str:
    """Quarantine an event; return its key."""
    text = json.dumps({"number": number, "startedBy": "8:acs:grace"})
    await app.quarantine.keep(text, [f"reason {number}"], received_at=at)
    return str(layout.quarantine_key(layout.quarantine_blob(at, layout.event_id(None, text))))


async def test_quarantined_events_are_listed_by_day_with_their_reasons(app: App) -> None:
    """The newest day first, as far back as was asked, over pages that join."""
    keys = [await quarantine(app, number, at=NOW - number * DAY) for number in range(4)]
    found: list[str] = []
    query: dict[str, Any] = {"limit": 1, "days": 3}

    for _ in range(10):
        page = await app.operations.quarantined(DaysQuery.model_validate(query))
        found += [one.event_key for one in page.events]
        assert all(one.reasons and one.bytes for one in page.events)
        if page.cursor is None:
            break
        query["cursor"] = page.cursor

    assert keys[:3] == found


async def test_an_event_that_was_accepted_since_is_quarantined_no_more(app: App) -> None:
    """Its blob stays as it is; one of the same day that was not accepted is still listed."""
    accepted, other = await quarantine(app, 1), await quarantine(app, 2)
    await app.quarantine.mark_replayed(str(layout.quarantined_blob(accepted)))

    assert [other] == [one.event_key for one in (await app.operations.quarantined(DaysQuery())).events]
    assert (await app.operations.quarantined_event(accepted, people=False)).replayed_at is not None
    assert (await app.operations.quarantined_event(other, people=False)).replayed_at is None


async def test_an_event_is_shown_without_its_text_to_whoever_must_not_know_people(app: App) -> None:
    """It may name some; the reasons quote no value of it."""
    key = await quarantine(app, 1)

    shown, hidden = [await app.operations.quarantined_event(key, people=people) for people in (True, False)]

    assert "8:acs:grace" in str(shown.event)
    assert (None, ["reason 1"]) == (hidden.event, hidden.reasons)


async def test_a_blob_of_the_quarantine_that_is_spoilt_is_listed_all_the_same(app: App) -> None:
    """It may be all that is left of an event."""
    key = await quarantine(app, 1)
    await put(app.settings, "quarantine", str(layout.quarantined_blob(key)), b"\xff")

    [one] = (await app.operations.quarantined(DaysQuery())).events

    assert ["the blob can't be read"] == one.reasons


async def test_an_event_that_is_not_there_is_refused_by_name(app: App) -> None:
    """Whatever stands in the path."""
    wrong: list[tuple[str, type[RecordingError]]] = [
        ("x", BadRequest),
        ("20260301-sha256-../../x", BadRequest),
        ("20260301-sha256-0123456789abcdef0123456789abcde", BadRequest),
        ("20260301-sha256-0123456789abcdef0123456789abcdef", NotFound),
        ("99999999-sha256-0123456789abcdef0123456789abcdef", NotFound),
    ]

    for key, error in wrong:
        with pytest.raises(error) as refused:
            await app.operations.quarantined_event(key, people=True)
        assert "eventKey" == refused.value.target


async def test_a_cursor_of_another_list_is_refused(app: App) -> None:
    """It would skip what is most urgent."""
    for number in range(2):
        await quarantine(app, number)
        await stopped(app, number, 2 * HOUR)
    foreign = (await app.operations.quarantined(DaysQuery(limit=1))).cursor
    assert foreign is not None

    for cursor in (foreign, "bm8", "x"):
        with pytest.raises(BadRequest) as refused:
            await app.operations.not_announced(PageQuery(cursor=cursor))
        assert "cursor" == refused.value.target


@pytest.mark.settings(DEAD_LETTER_CONTAINER="dead-letters-of-a-test")
async def test_dead_letters_are_listed_with_what_event_grid_says(app: App) -> None:
    """Under the name of its subscription, with dates that aren't padded; other days are not read."""
    assert [] == (await app.operations.dead_letters(DaysQuery())).blobs
    body = json.dumps([{"id": "1", "deadLetterReason": "MaxDeliveryAttemptsExceeded"}]).encode()
    names = [f"RECORDINGS/{day.year}/{day.month}/{day.day}/5/a.json" for day in (NOW, NOW - DAY, NOW - 40 * DAY)]
    async with container(app.settings, "dead_letter") as blobs:
        await blobs.create_container()
        for name in names:
            await blobs.upload_blob(name, body)
        await blobs.upload_blob(names[0].replace("a.json", "b.json"), b"spoilt")

    found = await app.operations.dead_letters(DaysQuery())

    assert [names[0], names[0].replace("a.json", "b.json"), names[1]] == [one.blob for one in found.blobs]
    assert [(1, "MaxDeliveryAttemptsExceeded"), (0, None)] == [(one.events, one.reason) for one in found.blobs[:2]]


async def view(app: App, **query: Any) -> OperationsView:
    """Ask for everything."""
    return await app.operations.view(OperationsQuery.model_validate(query), url=f"{URL}?code=secret")


async def test_lost_and_truncated_recordings_are_those_of_the_last_days(app: App) -> None:
    """By their rows, with a link to the rest of them in the list of recordings."""
    lost = finished(1).chunks[0].model_copy(update={"outcome": "lost", "content": None, "metadata": None})
    cut = finished(1).chunks[0].model_copy(update={"verdict": "truncated"})
    recent = int((NOW - DAY - datetime(2026, 3, 1, 10, tzinfo=UTC)) / timedelta(minutes=1))
    made = [
        finished(recent + number, chunks=[chunk], complete=chunk is cut, state=state)
        for number, chunk, state in [(1, lost, "incomplete"), (2, lost, "incomplete"), (3, cut, "archived")]
    ]
    await app.clients.index.write_all([*made, finished(1, chunks=[lost]), finished(2, chunks=[cut]), finished(recent)])

    found = await view(app, limit=1)

    assert found.lost
    assert found.truncated
    assert [made[1].recording_key] == [one.recording_key for one in found.lost.recordings]
    assert [(made[2].recording_key, 1, 0)] == [
        (one.recording_key, one.truncated, one.missing) for one in found.truncated.recordings
    ]
    assert str(found.lost.next_link).startswith("https://app.example/v1/recordings?from=")
    assert "missing=true" in str(found.lost.next_link)
    assert "secret" not in found.model_dump_json()


async def test_a_file_that_is_whole_in_a_later_revision_is_truncated_no_more(app: App) -> None:
    """Its row goes, as that of something missing does."""
    cut = finished(1).chunks[0].model_copy(update={"verdict": "truncated"})
    recent = int((NOW - DAY - datetime(2026, 3, 1, 10, tzinfo=UTC)) / timedelta(minutes=1))
    await app.clients.index.write(finished(recent, chunks=[cut]))
    assert 1 == len((await view(app)).truncated.recordings)  # type: ignore[union-attr]

    await app.clients.index.write(finished(recent, revision=2))

    assert [] == (await view(app)).truncated.recordings  # type: ignore[union-attr]


async def test_the_view_says_what_the_timer_did(app: App, control: Control) -> None:
    """And nothing of it before its first run."""
    assert (await view(app)).timer is None
    await failing(app, control)

    await sweep(app)

    ran = (await view(app)).timer
    assert ran is not None
    assert (1, 1, 1, 0, 0) == (ran.in_flight, ran.chunks_in_flight, ran.queued_again, ran.failed, ran.not_reached)


async def test_queues_tell_what_waits_and_what_they_gave_up(app: App) -> None:
    """A poison queue that isn't there has nothing."""
    async with raw_queue(app.settings, f"{job.BULK_QUEUE}-poison") as poison:
        with contextlib.suppress(ResourceExistsError):
            await poison.create_queue()
        await poison.clear_messages()
        await poison.send_message("x")
        found = {one.name: one.poison for one in (await view(app)).queues or []}
        await poison.clear_messages()

    assert {
        job.ARCHIVE_QUEUE,
        job.BULK_QUEUE,
        job.QUEUE,
        "recording-events",
        job.ERASURE_QUEUE,
        job.EXPORT_QUEUE,
        job.JOIN_QUEUE,
        job.HOLDS_QUEUE,
    } == set(found)
    assert 1 == found[job.BULK_QUEUE]


async def test_a_part_that_cannot_be_read_is_named_and_the_others_are_shown(
    counted: App, proxy: StorageProxy, control: Control
) -> None:
    """They are needed most when something is down."""
    await quarantine(counted, 1)
    add_fault(proxy, kind="status", operation="*Entit*", status=503, times=None)

    found = await view(counted)

    assert ["lost", "timer", "truncated", "waiting"] == [one.part for one in found.unread]
    assert (None, None, None, None) == (found.timer, found.waiting, found.lost, found.truncated)
    assert found.quarantined
    assert found.queues
    assert (1, 8) == (len(found.quarantined.events), len(found.queues))
    with pytest.raises(StorageUnavailable):
        await waiting(counted)


async def test_a_part_that_hangs_is_named_in_time(counted: App, proxy: StorageProxy) -> None:
    """A page is waiting for the others."""
    add_fault(proxy, kind="hang", operation="ListBlobs", seconds=8, times=None)

    found = await view(replace(counted, operations=replace(counted.operations, seconds=2.5)))

    assert {"deadLetters", "notAnnounced", "quarantined"} == {one.part for one in found.unread}
    assert {"TimeoutError"} == {one.reason for one in found.unread}
    assert found.queues


async def test_the_view_costs_the_same_with_any_number_of_recordings(counted: App, proxy: StorageProxy) -> None:
    """Ten times as many archived, lost and quarantined: not one request more."""
    counts = []
    for held in (30, 300):
        chunk = finished(1).chunks[0].model_copy(update={"outcome": "lost", "content": None, "metadata": None})
        recent = int((NOW - 2 * DAY - datetime(2026, 3, 1, 10, tzinfo=UTC)) / timedelta(minutes=1))
        await counted.clients.index.write_all(
            finished(recent + number, chunks=[chunk] if number % 2 else finished(1).chunks) for number in range(held)
        )
        for number in range(held // 5):
            await quarantine(counted, number)
        await view(counted, limit=5)
        requests(proxy)
        found = await view(counted, limit=5)
        assert found.lost
        assert found.quarantined
        assert (5, 5, []) == (len(found.lost.recordings), len(found.quarantined.events), found.unread)
        counts.append(requests(proxy))

    assert counts[0] == counts[1]
    assert 40 > sum(counts[1].values())


async def test_what_is_archived_leaves_no_trace_among_what_needs_attention(app: App, control: Control) -> None:
    """Of a recording that went well, after a failure or not."""
    one = await failing(app, control)
    await sweep(app)
    await app.ingest.run(one)
    await stage(app, await control.recording(1000), event_id="two")
    for _ in range(2):
        await sweep(app)

    found = await view(app)

    assert found.waiting
    assert found.lost
    assert ([], [], []) == (found.waiting.chunks, found.lost.recordings, found.unread)
