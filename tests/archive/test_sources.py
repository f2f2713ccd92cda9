"""recording/archive/sources.py: with DELETE_SOURCE, what the archive has all of is deleted at ACS."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from recording.acs.content import Content
from recording.app import App, assemble
from recording.archive import sources
from recording.archive.run import TimerReport
from recording.archive.sources import SourceCopies
from recording.errors import ChunkError, SourceRefused
from recording.model import layout, manifest
from recording.model.events import AnnouncedChunk
from recording.model.stored import StoredBlob
from recording.notices import Topic
from recording.storage.blobs import CopyFailed
from tests.archive.kills import DELETE, RUN_WRITES, kill_run, revisions, staged
from tests.support.archives import manifest_of
from tests.support.emulator import Control
from tests.support.facts import TOPIC_KEY, listing, receive, run_timer, sweep, told, topic, with_blobs
from tests.support.faults import FaultyBlobs, Killed
from tests.support.manifests import DONE, KEY, PROOF, START, event, recording
from tests.support.source import mp3, storage_host, today, wav

HOUR = timedelta(hours=1)


async def kinds(app: App) -> list[str]:
    """List what kinds of blob staging has."""
    return sorted({name.split("/")[1] for name in await listing(app.settings, "staging")})


async def test_what_is_archived_is_deleted(environment: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    """Once each, where the event says, and staging is empty after it."""
    caplog.set_level("INFO")
    async with staged(environment) as (app, host, key):
        report = await sweep(app)

        assert ([key], {}) == (report.archived, await listing(app.settings, "staging"))
        assert ({}, 2) == (host.bodies, len(set(host.deletions())))
        assert 2 == len(host.deletions()) == caplog.text.count("source.deleted")
        order = [record.message.split()[0] for record in caplog.records if record.name == "recording"]
        assert order.index("recording.archived") < order.index("source.deleted")


@pytest.mark.parametrize("more", [{}, {"DELETE_SOURCE": "false"}])
async def test_nothing_is_deleted_unless_it_is_wanted(environment: dict[str, str], more: dict[str, str]) -> None:
    """Without DELETE_SOURCE the retention does it."""
    async with staged(environment, more=more) as (app, host, key):
        report = await sweep(app)

        assert ([key], {}, []) == (report.archived, await listing(app.settings, "staging"), host.asked)


async def test_a_source_that_refuses_delays_nothing_and_is_tried_by_each_run(
    environment: dict[str, str], control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    """The recording is archived and published once; staging keeps only the events that name the source."""
    async with staged(environment) as (built, host, key), topic(built, control) as app:
        host.refuse = 403
        caplog.set_level("INFO")

        reports = [await sweep(app) for _ in range(3)]

        assert [[key], [], []] == [report.archived for report in reports]
        assert [[]] * 3 == [report.failed for report in reports]
        assert (3 * 2, 3 * 2) == (len(host.deletions()), caplog.text.count("source.not_deleted"))
        assert ["Recording.Archived"] == [notice["type"] for notice in await told(control)]
        assert 3 == caplog.text.count('"chunksInFlight": 0, "leastHoursLeft": null')
        assert {layout.event_blob(key, "e1"), layout.published_blob(key, 1)} == set(
            await listing(app.settings, "staging")
        )

        host.refuse = None
        await sweep(app)
        assert ({}, {}) == (host.bodies, await listing(app.settings, "staging"))
        assert ["Recording.Archived"] == [notice["type"] for notice in await told(control)]


async def test_behind_the_deadline_it_is_left_to_acs(environment: dict[str, str]) -> None:
    """Nothing more is asked, and staging is emptied."""
    async with staged(environment) as (app, host, _):
        host.refuse = 403
        await sweep(app)
        before = len(host.asked)

        await sweep(app, now=datetime.now(UTC) + 25 * HOUR)

        assert (before, {}) == (len(host.asked), await listing(app.settings, "staging"))


def test_only_what_the_archive_has_all_of_is_to_be_deleted() -> None:
    """A chunk whose metadata file or proof is missing, or that is lost, is left where it is, as is an expired one."""
    documents = ("a-0", "a-1", "a-2", "a-3")
    announced = [AnnouncedChunk(d, i, None, delete_location=f"https://x/{d}") for i, d in enumerate(documents)]
    announced.append(AnnouncedChunk("a-4", 4, None))
    named = {c.document_id: layout.chunk_blob(KEY, c.index, c.document_id) for c in announced}
    blobs = [StoredBlob(named[d], 9, "e", {} if d == "a-2" else PROOF) for d in ("a-0", "a-1", "a-2", "a-4")]
    blobs += [StoredBlob(layout.metadata_blob(KEY, i, f"a-{i}"), 9, "e", {"sha256": "1" * 64}) for i in (0, 2, 3, 4)]
    found = recording([event(chunks=tuple(announced))], blobs)
    written = manifest.write_manifest(found, archived_at=DONE)

    assert ["archived", "archived", "unproved", "lost", "archived"] == [entry.outcome for entry in written.chunks]
    assert ["a-0"] == [c.document_id for c in sources.deletable(found, written, START)]
    assert [] == sources.deletable(found, written, DONE)
    assert [] == sources.deletable(found, written.model_copy(update={"chunks": []}), START)


async def test_a_recording_that_is_not_archived_keeps_its_sources(environment: dict[str, str]) -> None:
    """Neither a copy that fails nor a manifest that can't be written costs the source."""
    async with staged(environment) as (app, host, _):
        failing = FaultyBlobs(app.settings).on("copy_to_archive", raises=CopyFailed("on purpose"))
        await run_timer(with_blobs(app, failing), now=datetime.now(UTC))
        await failing.aclose()

        assert [] == host.asked


async def test_a_topic_that_takes_nothing_keeps_the_sources(environment: dict[str, str], unused_tcp_port: int) -> None:
    """First the result is published, then the source is deleted."""
    async with staged(environment) as (app, host, _):
        deaf = Topic(f"http://127.0.0.1:{unused_tcp_port}/api/events", TOPIC_KEY, None)
        report = await sweep(assemble(app.settings, replace(app.clients, topic=deaf)))
        await deaf.aclose()
        assert (True, []) == (report.topic_failed, host.asked)

        await sweep(app)

        assert ({}, {}) == (host.bodies, await listing(app.settings, "staging"))


async def test_a_host_that_hangs_keeps_no_recording_from_the_archive(environment: dict[str, str]) -> None:
    """Sources are deleted when all is archived, within the time that is left."""
    async with storage_host(environment, **DELETE) as (app, host):
        for number in range(3):
            one = today(host.add(wav(500)), event_id=f"e{number}")
            one["data"]["recordingStartTime"] = f"2026-03-01T1{number}:00:00Z"
            for job in await receive(app, one):
                await app.ingest.run(job)

        class Hanging(Content):
            async def delete(self, location: str, document_id: str) -> None:
                await asyncio.sleep(30)

        hanging = Hanging(app.settings.resource(), extra_hosts=app.settings.content_hosts)
        report = await sweep(assemble(app.settings, replace(app.clients, content=hanging)), budget_seconds=4)
        await hanging.aclose()

        assert 3 == len(report.archived)
        assert ["events", "notices"] == await kinds(app)


@pytest.mark.parametrize(
    "location",
    [
        "https://evil.example/{}",
        "{host}/v1/objects/0-eus-d12-another",
        "{host}/v1/objects/{}0",
        "{host}/v1/objects/0-eus-d12-another?{}",
        "{host}/v1/objects/0-eus-d12-another/{}",
        "{host}/v1/objects/{}/../0-eus-d12-another",
        "{host}/v1/objects/{}/%2e%2e/0-eus-d12-another",
        "{host}/v1/objects/{}%2F..%2F0-eus-d12-another",
        "{host}/v1/objects/{}/content/video",
        "{host}/v1/objects/{}#/0-eus-d12-another",
        None,
    ],
)
async def test_an_address_that_is_not_the_documents_is_not_asked(
    environment: dict[str, str], location: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said in the log as long as it would be tried; without an address there is nothing to try."""
    async with storage_host(environment, **DELETE) as (app, host):
        chunk = host.add(wav(500))
        chunk["deleteLocation"] = location and location.format(chunk["documentId"], host=host.address)
        for job in await receive(app, today(chunk)):
            await app.ingest.run(job)
        report = await sweep(app)

        assert (1, []) == (len(report.archived), host.deletions())
        assert bool(location) == ("source.not_deleted" in caplog.text) == bool(await listing(app.settings, "staging"))
        assert "evil.example/0" not in caplog.text


async def test_an_event_that_mixes_two_documents_up_later_changes_nothing(environment: dict[str, str]) -> None:
    """What is deleted is what was fetched, at the addresses of the first event."""
    async with storage_host(environment, **DELETE) as (app, host):
        one, other = host.add(wav(500)), host.add(mp3(9))
        for job in await receive(app, today(one, other)):
            await app.ingest.run(job)
        one["contentLocation"], other["contentLocation"] = other["contentLocation"], one["contentLocation"]
        await receive(app, today(one, other, event_id="e2"))

        report = await sweep(app)

        assert (1, {}) == (len(report.archived), host.bodies)
        assert 2 == len(host.deletions())


async def test_bytes_of_another_document_are_not_archived_as_those_of_this_one(environment: dict[str, str]) -> None:
    """Its content isn't asked for, and the attempt's record says why; the manifest has it from there."""
    async with storage_host(environment) as (app, host):
        one, other = host.add(wav(500)), host.add(mp3(9))
        one["contentLocation"] = other["contentLocation"]
        [job] = await receive(app, today(one))
        with pytest.raises(SourceRefused):
            await app.ingest.run(job)

        [chunk] = (await app.recordings.load(job.recording_key)).chunks
        assert {"acsmetadata"} == {one.path.rpartition("/")[2] for one in host.asked}
        assert "SourceRefused: the address of the document's content is refused" in str(chunk.reason)


class DyingContent(Content):
    """A client of a process that is killed at its n-th deletion, before or after it is done."""

    def __init__(self, app: App, *, after: int, done: bool) -> None:
        super().__init__(app.settings.resource(), extra_hosts=app.settings.content_hosts)
        self._left, self._done = after, done

    async def delete(self, location: str, document_id: str) -> None:
        self._left -= 1
        if self._left < 0 or (self._left == 0 and not self._done):
            raise Killed
        await super().delete(location, document_id)
        if self._left == 0:
            raise Killed


@pytest.mark.parametrize("after", [2, 5, 7, 8, 9, 13, RUN_WRITES])
async def test_a_run_that_is_killed_at_any_write_does_no_harm(environment: dict[str, str], after: int) -> None:
    """Between the copies, before the proofs, the manifest, its notice, the deletions, between them, before the event's.

    `make acceptance` has every write.
    """
    await kill_run(environment, after)


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("after", [1, 2])
async def test_a_run_that_is_killed_at_any_deletion_does_no_harm(
    environment: dict[str, str], after: int, done: bool
) -> None:
    """Whether or not the answer came: what is gone is as good as deleted."""
    async with staged(environment) as (app, host, key):
        dying = DyingContent(app, after=after, done=done)
        with pytest.raises(BaseExceptionGroup):
            await run_timer(assemble(app.settings, replace(app.clients, content=dying)), now=datetime.now(UTC))
        await dying.aclose()
        assert layout.event_blob(key, "e1") in await listing(app.settings, "staging")

        await sweep(app)

        assert ({}, {}, 1) == (host.bodies, await listing(app.settings, "staging"), await revisions(app, key))


async def test_a_late_duplicate_of_the_event_finds_nothing_to_do(environment: dict[str, str]) -> None:
    """Its sources are asked for once more, and are gone."""
    async with storage_host(environment, **DELETE) as (app, host):
        text = json.dumps(today(host.add(wav(500))))
        for job in await receive(app, text):
            await app.ingest.run(job)
        await sweep(app)

        for job in await receive(app, text):
            await app.ingest.run(job)
        report: TimerReport = await sweep(app)

        assert ([], [], {}) == (report.archived, report.failed, await listing(app.settings, "staging"))


async def test_a_late_chunk_is_told_though_sources_are_still_to_be_deleted(
    environment: dict[str, str], control: Control
) -> None:
    """That the first manifest was published says nothing about the second."""
    async with storage_host(environment, **DELETE) as (built, host), topic(built, control) as app:
        first, second = host.add(wav(500)), host.add(wav(600))
        for job in await receive(app, today(first)):
            await app.ingest.run(job)
        host.refuse = 403
        await sweep(app)
        for job in await receive(app, today(second, event_id="late")):
            await app.ingest.run(job)
        await sweep(app)
        assert ["Recording.Archived"] * 2 == [notice["type"] for notice in await told(control)]

        host.refuse = None
        await sweep(app)

        assert ({}, {}) == (host.bodies, await listing(app.settings, "staging"))
        assert ["archived"] * 2 == [e.outcome for e in (await manifest_of(app, job.recording_key, 2)).chunks]


async def test_deleting_says_whether_all_is_gone(environment: dict[str, str]) -> None:
    """One that is refused doesn't keep the others from being deleted."""
    async with staged(environment) as (app, host, key):
        found = await app.recordings.load(key)

        class Half(Content):
            async def delete(self, location: str, document_id: str) -> None:
                if location.endswith("0"):
                    raise ChunkError("on purpose")
                await super().delete(location, document_id)

        half = Half(app.settings.resource(), extra_hosts=app.settings.content_hosts)
        assert not await SourceCopies(half).delete(list(found.chunks))
        await half.aclose()
        assert 1 == len(host.bodies)
        assert await SourceCopies(app.clients.content).delete(list(found.chunks))
        assert {} == host.bodies
