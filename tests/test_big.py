"""Recordings of thousands of chunks, from their event to the archive: requests are counted, not seconds."""

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import FrameType
from typing import Any

import pytest

from local.azurite import Azurite
from recording.app import App
from recording.archive import matching
from recording.archive.matching import AnnouncedRecording
from recording.catalogue.browse import ListQuery
from recording.model import event_parser, layout, manifest
from recording.model.attempts import Attempts
from recording.model.events import FileStatusUpdated
from recording.model.job import ChunkJob, FanOut
from recording.model.pending import PendingEnding
from recording.model.recording import assemble
from recording.model.stored import StoredBlob
from tests.support import big
from tests.support.emulator import Control
from tests.support.facts import harmed, listing, receive, run_timer, stage, told, topic, with_blobs
from tests.support.faults import FaultyBlobs
from tests.support.samples import file_status
from tests.support.turns import longest_step

MINUTE = timedelta(minutes=1)
# Both are above the number up to which chunks are treated one by one.
FEW, MANY = 36, 72


@pytest.fixture(autouse=True)
async def empty(app: App) -> None:
    """The queue of every test begins with nothing on it."""
    await big.empty_bulk(app)


async def test_an_event_at_event_grids_limit_is_answered_with_one_message(
    azurite: Azurite, environment: dict[str, str]
) -> None:
    """Above 32 chunks one message fans out; the answer waits for two writes and a message, as for any event.

    And for the tombstone of its key: not for one of each document.
    """
    async with harmed(azurite, environment) as (app, proxy):
        event = big.big_event(9_500)
        assert 900_000 < len(str(event))
        assert big.is_within_limits(event)
        before = big.counted(proxy)

        jobs = await receive(app, event)

        assert ([], 1 + 1) == (jobs, big.counted(proxy) - before)
        [message] = await big.on_bulk(app)
        assert isinstance(message, FanOut)
        assert [message.event] == list(await listing(app.settings, "staging"))


async def test_an_event_of_the_smallest_entries_does_not_hold_up_others(app: App) -> None:
    """There is room for 41,000 of them: to parse them, and to derive the recording, takes seconds in another thread."""
    event = big.big_event(0)
    event["data"]["recordingStorageInfo"]["recordingChunks"] = [{"documentId": f"d{n:05}"} for n in range(10_000)]
    assert big.is_within_limits(event)

    _, receiving = await longest_step(receive(app, event))
    [asked] = await big.on_bulk(app)
    _, fanning_out = await longest_step(big.bulk_of(app, batch=40).run(asked.to_message()))

    assert 10_000 // 32 + 1 == len(await big.on_bulk(app))
    assert max(receiving, fanning_out) < 0.2


async def test_up_to_32_chunks_have_a_message_each(app: App) -> None:
    """The usual recording waits for no second message."""
    assert (32, []) == (len(await receive(app, big.big_event(32))), await big.on_bulk(app))


async def test_a_poisoned_fan_out_is_covered_by_the_timer(app: App) -> None:
    """One message and one fact queue what is missing, once in a quarter of an hour, and without a write per chunk."""
    await receive(app, big.big_event(FEW))
    await big.on_bulk(app)
    event = datetime.now(UTC)
    before = len(await listing(app.settings, "staging"))

    sent = {
        m: len([await run_timer(app, now=event + m * MINUTE), *await big.on_bulk(app)][1:]) for m in (5, 16, 20, 32)
    }

    assert {5: 0, 16: 1, 20: 0, 32: 1} == sent
    assert before + 2 == len(await listing(app.settings, "staging"))


async def test_what_the_timer_asks_for_is_what_is_missing_and_not_in_its_pause(app: App) -> None:
    """A chunk that failed a minute ago waits for its turn; one that is staged is done."""
    event = datetime.now(UTC)
    await receive(app, big.big_event(FEW + 2))
    await big.on_bulk(app)
    jobs = big.jobs_of(FEW + 2, event)
    await big.stage_all(app, jobs[:1])
    await big.fail_all(app, jobs[1:2], at=event + 15 * MINUTE)

    report = await run_timer(app, now=event + 16 * MINUTE)
    queued = await big.fan_out_all(app, big.bulk_of(app, batch=25), batch=25)

    assert (FEW, []) == (report.fanned_out, report.jobs)
    assert sorted(big.documents(FEW + 2)[2:]) == sorted(queued)


async def test_while_a_fan_out_is_at_work_the_timer_begins_no_other(app: App) -> None:
    """However long it takes: a second one would have chunks fetched twice, and the queue grow with each run."""
    event = datetime.now(UTC)
    await receive(app, big.big_event(FEW + 1))
    [asked] = await big.on_bulk(app)
    await big.bulk_of(app, batch=FEW).run(asked.to_message())
    await big.empty_bulk(app)
    first = app.timer.review.first_requeue
    await asyncio.sleep(1.1)
    await big.stage_all(app, big.jobs_of(FEW + 1, event)[:1])
    written = max(filter(None, (blob.written_at for blob in await app.recordings.staged(big.KEY))))

    working = await run_timer(app, now=written + first - timedelta(seconds=0.5))
    stopped = await run_timer(app, now=written + first + timedelta(seconds=0.5))

    assert (0, FEW) == (working.fanned_out, stopped.fanned_out)


async def test_rechecks_of_many_chunks_delay_no_other_recording(app: App) -> None:
    """Each step is on the queue of large recordings once, and the host has none of them to add."""
    event = datetime.now(UTC)
    await receive(app, big.big_event(FEW))
    await big.on_bulk(app)
    await big.stage_all(app, big.jobs_of(FEW, event), problem="it is cut", proved_at=event.isoformat())

    reports = [await run_timer(app, now=event + minutes * MINUTE) for minutes in (2, 2.5)]
    queued = await big.on_bulk(app)

    assert [[], []] == [report.messages for report in reports]
    assert sorted((name, "probe") for name in big.documents(FEW)) == sorted(
        (one.document_id, one.recheck) for one in queued if isinstance(one, ChunkJob)
    )


@pytest.mark.parametrize("count", [FEW, MANY])
async def test_reading_and_listing_such_a_recording_makes_no_request_per_chunk(
    azurite: Azurite, environment: dict[str, str], count: int
) -> None:
    """Nor does the timer's review: the list of its blobs has what is needed of each, and of each failure."""
    async with harmed(azurite, environment) as (app, proxy):
        event = datetime.now(UTC)
        await receive(app, big.big_event(count))
        await big.fail_all(app, big.jobs_of(count, event), at=event)

        async def requests(step: Any) -> int:
            before = big.counted(proxy)
            await step
            return big.counted(proxy) - before

        await app.clients.index.digests()
        # A page is a request to the table, which is not counted here.
        assert [3, 0] == [
            await requests(step) for step in (app.catalogue.get(big.KEY), app.catalogue.page(ListQuery()))
        ]
        # The list, the event, the manifest that isn't there, the containers, the endings, and the fact of the fan-out.
        assert 10 >= await requests(run_timer(app, now=event + 20 * MINUTE))

        shown = await app.catalogue.get(big.KEY)
        assert {(2, "SourceGone")} == {(entry.attempts, entry.failures[-1].code) for entry in shown.chunks}


async def test_at_risk_is_published_in_one_request_and_each_chunk_once(
    app: App, control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names those with the least time left, and how many there are."""
    event = datetime.now(UTC)
    async with topic(app, control) as there:
        await receive(there, big.big_event(FEW))
        for minutes in (0, 5):
            await run_timer(there, now=event + timedelta(hours=47) + minutes * MINUTE)

        published = [one for one in await told(control) if one["type"] == "Recording.AtRisk"]
        assert FEW == len({one["data"]["documentId"] for one in published}) == len(published)
    assert 2 * 32 == caplog.text.count("chunk.at_risk ")


async def test_its_copies_continue_in_the_next_run_and_delay_no_other_recording(app: App, control: Control) -> None:
    """A run copies what it has time for; what an earlier run has copied is not copied again."""
    event = datetime.now(UTC)
    await receive(app, big.big_event(FEW))
    await big.on_bulk(app)
    await big.stage_all(app, big.jobs_of(FEW, event))
    [small] = await stage(app, await control.recording(1000))
    copied: list[None] = []

    async def count() -> None:
        copied.append(None)

    slow = FaultyBlobs(app.settings).on("copy_to_archive", name=big.KEY, hangs=0.5, before=count)
    there = with_blobs(app, slow)

    first = await run_timer(there, now=event, budget_seconds=6.0)
    begun = len(copied)
    second = await run_timer(app, now=event)
    await slow.aclose()

    assert ([small.recording_key], [big.KEY], []) == (first.archived, first.copying, first.failed)
    assert 0 < begun < 2 * FEW
    assert [big.KEY] == second.archived
    assert {} == await listing(app.settings, "staging")
    written = await app.recordings.newest_manifest(big.KEY)
    assert written is not None
    assert (FEW, True) == (len(written.chunks), written.complete)


async def test_what_earlier_runs_have_copied_is_not_copied_or_read_again(
    azurite: Azurite, environment: dict[str, str]
) -> None:
    """Progress is what the archive lists: the requests of a run are those of the copies that are left.

    Whether a chunk is archived costs one request, and no byte of a manifest that was read before.
    """
    async with harmed(azurite, environment) as (app, proxy):
        event = datetime.now(UTC)
        jobs = big.jobs_of(FEW, event)
        await receive(app, big.big_event(FEW))
        await big.stage_all(app, jobs)
        copied: list[None] = []

        async def count() -> None:
            copied.append(None)

        broken = FaultyBlobs(app.settings).on("create", name="recording.json", raises=TimeoutError, times=1)
        broken.on("copy_to_archive", before=count)
        there = with_blobs(app, broken)

        first, second = [await run_timer(there, now=event) for _ in range(2)]
        await broken.aclose()

        assert ([big.KEY], [big.KEY]) == (first.failed, second.archived)
        assert FEW == len(copied)

        assert await app.recordings.is_archived(jobs[0])
        before = big.counted(proxy)

        assert [True] * FEW == [await app.recordings.is_archived(job) for job in jobs]

        assert FEW == big.counted(proxy) - before
        await big.empty_bulk(app)
        await receive(app, big.big_event(FEW, event_id="again"))
        [again] = await big.on_bulk(app)
        await app.bulk.run(again.to_message())
        assert [] == await big.on_bulk(app)


async def test_the_failures_of_each_chunk_are_in_its_manifest(app: App) -> None:
    """Only reading and reviewing makes do with the last one."""
    event = datetime.now(UTC)
    await receive(app, big.big_event(FEW))
    await big.fail_all(app, big.jobs_of(FEW, event), at=event + timedelta(hours=49))

    await run_timer(app, now=event + timedelta(hours=50))

    written = await app.recordings.newest_manifest(big.KEY)
    assert written is not None
    assert [2] * FEW == [len(entry.failures) for entry in written.chunks]


def calls(step: Callable[[], object]) -> int:
    """Count the calls of Python functions, and the turns of generators, that a step takes."""
    counted = 0

    def count(_: FrameType, event: str, __: object) -> None:
        nonlocal counted
        counted += event == "call"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        step()
    finally:
        sys.setprofile(before)
    return counted


def parsing(count: int, **more: Any) -> Callable[[], object]:
    """Parse an event of so many chunks."""
    chunks = [{"documentId": name, "index": index} for index, name in enumerate(big.documents(count))]
    text = file_status(chunks=[chunk | more for chunk in chunks])
    return lambda: event_parser.parse_event(text)


def exporting(count: int) -> Callable[[], object]:
    """Parse an event of so many chunks that ACS has put into the team's own storage."""
    chunks = [{"documentId": name, "index": index} for index, name in enumerate(big.documents(count))]
    event = json.loads(file_status(chunks=chunks))
    event["data"]["storageType"] = "AzureBlob"
    text = json.dumps(event)
    return lambda: event_parser.parse_event(text)


def writing(count: int) -> Callable[[], object]:
    """Derive a recording from its facts, write its manifest, and compare the two."""
    chunks = [{"documentId": name, "index": index} for index, name in enumerate(big.documents(count))]
    event = event_parser.parse_event(file_status(chunks=chunks))
    assert isinstance(event, FileStatusUpdated)
    key = event.recording_key
    blobs = [
        StoredBlob(layout.chunk_blob(key, i, n), 1, "e", {"sha256": "0"}) for i, n in enumerate(big.documents(count))
    ]
    tried = {name: Attempts(next_at=event.time) for name in big.documents(count)}

    def step() -> None:
        found = assemble(key, events=[event], blobs=blobs, attempts=tried, retention=timedelta(hours=48))
        written = manifest.write_manifest(found, archived_at=event.time)
        more = replace(found, chunks=tuple(replace(one, metadata=one.content) for one in found.chunks))
        manifest.without_archived(more, written)
        manifest.write_manifest(more, archived_at=event.time, before=written)

    return step


def comparing(count: int) -> Callable[[], object]:
    """Match so many stops with as many recordings that have no id."""
    start = datetime(2026, 3, 1, tzinfo=UTC)
    ends = [start + n * MINUTE for n in range(count)]
    stopped = [PendingEnding(f"{n:04}", end) for n, end in enumerate(ends)]
    announced = [AnnouncedRecording(f"{n:04}", None, end - MINUTE / 2, end) for n, end in enumerate(ends)]

    def step() -> None:
        assert count == len(matching.match_endings(stopped, announced))

    return step


@pytest.mark.parametrize(
    "make",
    [parsing, lambda count: parsing(count, index=0), exporting, writing, comparing],
    ids=["parsing", "one index", "exported", "manifests", "matching"],
)
def test_twice_the_chunks_take_twice_the_work(make: Callable[[int], Callable[[], object]]) -> None:
    """Parsing, manifests and matching: 12,000 chunks must not block the event loop."""
    once, twice = (calls(make(count)) for count in (150, 300))

    assert twice < 2.3 * once
