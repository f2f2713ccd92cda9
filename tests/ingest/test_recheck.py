"""recording/ingest/recheck.py, archive/review.py: a chunk that isn't complete is re-checked, then archived as it is."""

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from local.azurite import Azurite
from recording import crc64
from recording.app import App
from recording.archive.run import TimerReport
from recording.model import layout
from recording.model.job import ChunkJob
from recording.model.manifest import ManifestChunk
from tests.support.archives import manifest_of
from tests.support.facts import add_fault, faults_met, harmed, listing, put, receive, sweep, with_blobs
from tests.support.faults import FaultyBlobs, Killed
from tests.support.source import Host, part, storage_host, today, wav

MINUTE = timedelta(minutes=1)
WHOLE = wav(1000)
CUT = WHOLE[:1000]
OTHER_CUT = WHOLE[:900] + bytes(100)


def sha256(body: bytes) -> str:
    """Return the digest as the manifest has it."""
    return hashlib.sha256(body).hexdigest()


@dataclass
class Case:
    """A truncated chunk that is staged; `minutes` are counted from its first verdict."""

    app: App
    host: Host
    job: ChunkJob
    began: datetime

    async def timer(self, minutes: float, *, work: bool = True) -> TimerReport:
        """Run the timer, and what it queues."""
        report = await sweep(self.app, now=self.began + minutes * MINUTE)
        for message in report.messages if work else ():
            await self.app.ingest.run(ChunkJob.from_message(message))
        return report

    def becomes(self, body: bytes, etag: str = '"2"') -> None:
        """Let the source have other bytes."""
        self.host.bodies[self.job.document_id], self.host.etag = body, etag

    async def entry(self, revision: int = 1) -> ManifestChunk:
        """Return what the manifest says."""
        return (await manifest_of(self.app, self.job.recording_key, revision)).chunks[0]


async def truncated(app: App, host: Host, **changes: Any) -> Case:
    """Announce and ingest a truncated chunk."""
    [job] = await receive(app, today(host.add(CUT), **changes))
    await app.ingest.run(job)
    assert (await app.recordings.load(job.recording_key)).is_staged
    return Case(app, host, job, datetime.now(UTC))


async def test_a_truncated_file_is_kept_at_once_and_replaced_by_the_whole_one(environment: dict[str, str]) -> None:
    """Truncated twice with one ETag, then a new ETag with the whole file at five minutes; both stay."""
    async with storage_host(environment, DELETE_SOURCE="true") as (app, host):
        case = await truncated(app, host)
        assert [] == (await case.timer(0.5)).messages
        assert ["probe"] == [job.recheck for job in (await case.timer(1)).rechecks]
        case.becomes(WHOLE)
        assert ["probe"] == [job.recheck for job in (await case.timer(5)).rechecks]
        report = await case.timer(5.1)

        entry = await case.entry()
        assert ([case.job.recording_key], "complete", ()) == (report.archived, entry.verdict, entry.remarks)
        assert entry.content is not None
        [other] = entry.versions
        assert (sha256(WHOLE), sha256(CUT), "truncated") == (entry.content.sha256, other.sha256, other.verdict)
        kept = await listing(app.settings, "archive")
        assert (sha256(WHOLE), sha256(CUT)) == (kept[entry.content.blob], kept[other.blob])
        assert ([case.job.document_id], {}) == (host.deletions(), await listing(app.settings, "staging"))
        assert (await app.verifier.verify(case.job.recording_key)).ok


async def test_a_time_that_an_event_claims_ends_no_recheck(environment: dict[str, str]) -> None:
    """It says that ACS should have deleted the file long ago; what a minute brings is kept nevertheless."""
    async with storage_host(environment) as (app, host):
        case = await truncated(app, host, eventTime="2026-03-01T10:00:00Z")
        assert ([], []) == ((report := await case.timer(0.5)).archived, report.messages)
        case.becomes(WHOLE)
        assert ["probe"] == [job.recheck for job in (await case.timer(1)).rechecks]
        await case.timer(1.5)

        entry = await case.entry()
        assert entry.content is not None
        assert ("complete", sha256(WHOLE)) == (entry.verdict, entry.content.sha256)


async def test_a_step_whose_fact_was_written_though_the_answer_got_lost_is_queued(
    azurite: Azurite, environment: dict[str, str]
) -> None:
    """The fact that is found then is this run's; where it is another run's, that one has queued the step."""
    async with storage_host(environment) as (app, host), harmed(azurite, environment) as (hampered, proxy):
        case = await truncated(app, host)
        add_fault(proxy, kind="lostAnswer", operation="PutBlob", path="*/rechecks/*", times=1)

        report = await sweep(hampered, now=case.began + MINUTE)

        assert ["probe"] == [job.recheck for job in report.rechecks]
        assert 1 == faults_met(proxy)
        before = FaultyBlobs(app.settings).on("create", name="/rechecks/", before=lambda: case.timer(5), times=1)
        assert [] == (await sweep(with_blobs(app, before), now=case.began + 5.1 * MINUTE)).rechecks
        await before.aclose()


async def test_equal_bytes_after_a_quarter_of_an_hour_settle_it_at_once(
    environment: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """One probe at each step, one second read, a last probe; then it is archived, reported once, its source kept."""
    async with storage_host(environment, DELETE_SOURCE="true") as (app, host):
        case = await truncated(app, host)
        before = host.reads(case.job.document_id)
        steps = [[job.recheck for job in (await case.timer(m)).rechecks] for m in (1, 1.5, 5, 10, 15)]
        assert [["probe"], [], ["probe"], [], ["read"]] == steps
        assert (["probe"], []) == (
            [job.recheck for job in (await case.timer(16)).rechecks],
            (await case.timer(19)).jobs,
        )
        assert "chunk.not_complete" not in caplog.text
        report = await case.timer(20.5)

        entry = await case.entry()
        assert ([case.job.recording_key], "archived", "truncated") == (report.archived, entry.outcome, entry.verdict)
        assert ("1044 of 2000 bytes of samples are missing",) == entry.remarks
        assert (4 + 1, 1) == (host.reads(case.job.document_id) - before, caplog.text.count("chunk.not_complete"))
        assert ([], {}) == (host.deletions(), await listing(app.settings, "staging"))
        found = await app.verifier.verify(case.job.recording_key)
        assert (True, True, "truncated") == (found.ok, found.complete, found.chunks[0].verdict)


@pytest.mark.parametrize(("now", "verdict", "kept"), [(WHOLE, "complete", WHOLE), (OTHER_CUT, "truncated", CUT)])
async def test_other_bytes_of_one_version_are_kept_beside_the_first(
    environment: dict[str, str], now: bytes, verdict: str, kept: bytes
) -> None:
    """What the second read finds is another version: the better one counts, of equal ones the first."""
    async with storage_host(environment) as (app, host):
        case = await truncated(app, host)
        body = now.ljust(len(now))
        await case.timer(1)
        case.becomes(body, '"1"' if len(body) == len(CUT) else '"2"')
        await case.timer(15)
        for minutes in (16, 30, 57, 62):
            await case.timer(minutes)

        entry = await case.entry()
        assert entry.content is not None
        assert (verdict, sha256(kept)) == (entry.verdict, entry.content.sha256)
        assert {sha256(CUT), sha256(now)} == {file.sha256 for file in entry.files}


async def test_a_source_that_fails_keeps_nothing_from_the_archive(
    environment: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """It is archived an hour after its first verdict, never at risk and never lost."""
    async with storage_host(environment, RISK_HOURS="23.9") as (app, host):
        case = await truncated(app, host)
        host.bodies.clear()
        archived = [bool((await case.timer(minutes)).archived) for minutes in range(0, 66, 5)]

        entry = await case.entry()
        assert [False] * 13 + [True] == [*archived[:13], archived[13]]
        assert ("archived", 0, "truncated") == (entry.outcome, entry.attempts, entry.verdict)
        assert not [event for event in ("chunk.at_risk", "chunk.lost", "chunk.failed") if event in caplog.text]


async def test_near_the_deadline_it_waits_for_a_quarter_of_the_time_left(environment: dict[str, str]) -> None:
    """With 20 minutes left it is archived after five."""
    async with storage_host(environment) as (app, host):
        announced = datetime.now(UTC) - timedelta(hours=23, minutes=40)
        case = await truncated(app, host, eventTime=announced.isoformat())

        assert [False, False, True] == [bool((await case.timer(minutes)).archived) for minutes in (0, 1, 5.5)]


async def test_a_recheck_waits_for_no_other_chunk_and_comes_last_again(environment: dict[str, str]) -> None:
    """A recording may wait for another chunk for hours: right before it is archived the source is asked once more."""
    async with storage_host(environment) as (app, host):
        cut, missing = host.add(CUT), host.add(WHOLE)
        jobs = await receive(app, today(cut, missing))
        await app.ingest.run(jobs[0])
        case = Case(app, host, jobs[0], datetime.now(UTC))
        await case.timer(1, work=False)
        assert ["read"] == [job.recheck for job in (await case.timer(120, work=False)).rechecks]
        assert [] == (await case.timer(125, work=False)).rechecks
        await app.ingest.run(jobs[1])

        assert ["probe"] == [job.recheck for job in (await case.timer(130)).rechecks]
        assert [case.job.recording_key] == (await case.timer(135)).archived


async def test_a_recheck_that_is_delivered_twice_late_or_after_the_archive_does_no_harm(
    environment: dict[str, str],
) -> None:
    """Nothing is fetched twice, and what is archived stays."""
    async with storage_host(environment) as (app, host):
        case = await truncated(app, host)
        report = await case.timer(1)
        case.becomes(WHOLE)
        [late] = [ChunkJob.from_message(message) for message in report.messages]
        await asyncio.gather(*(app.ingest.run(late) for _ in range(3)))
        staged = await listing(app.settings, "staging")
        await app.ingest.run(late)
        assert staged == await listing(app.settings, "staging")
        await case.timer(2)
        before = (await listing(app.settings, "archive"), len(host.asked))

        await app.ingest.run(late)

        assert before == (await listing(app.settings, "archive"), len(host.asked))
        assert ({}, "complete") == (await listing(app.settings, "staging"), (await case.entry()).verdict)


async def test_a_better_version_that_comes_after_the_archive_leads_to_a_revision_that_lists_both(
    environment: dict[str, str],
) -> None:
    """A re-check may have been under way: its version was not in the list of what was archived."""
    async with storage_host(environment) as (app, host):
        case = await truncated(app, host)
        for minutes in (57, 62):
            await case.timer(minutes, work=False)
        first = await case.entry()
        name = layout.chunk_blob(case.job.recording_key, 0, case.job.document_id, "a" * 16)
        await put(app.settings, "staging", name, WHOLE, sha256=sha256(WHOLE), kind="wav")

        assert [case.job.recording_key] == (await case.timer(63)).archived

        entry = await case.entry(2)
        assert entry.content is not None
        assert first.content is not None
        assert ("complete", sha256(WHOLE)) == (entry.verdict, entry.content.sha256)
        assert [(first.content.blob, "truncated")] == [(one.blob, one.verdict) for one in entry.versions]
        assert {} == await listing(app.settings, "staging")
        assert (await app.verifier.verify(case.job.recording_key)).ok


async def test_a_better_version_that_is_not_proved_yet_when_a_run_meets_it_is_kept(
    environment: dict[str, str],
) -> None:
    """A re-check may be under way after the archive: no manifest lists its version before it is copied."""
    async with storage_host(environment) as (app, host):
        case = await truncated(app, host)
        [late] = (await case.timer(57, work=False)).rechecks
        case.becomes(WHOLE)

        async def archive() -> None:
            assert [case.job.recording_key] == (await case.timer(62, work=False)).archived

        async def meet() -> None:
            await case.timer(63, work=False)

        slow = FaultyBlobs(app.settings)
        slow.on("commit_blocks", before=archive, times=1).on("commit_blocks", after=meet, times=1)
        await with_blobs(app, slow).ingest.run(late)
        await slow.aclose()
        await case.timer(64)

        newest = await app.recordings.newest_manifest(case.job.recording_key)
        assert newest is not None
        [entry] = newest.chunks
        assert entry.content is not None
        assert ("complete", sha256(WHOLE)) == (entry.verdict, entry.content.sha256)
        assert [(sha256(CUT), "truncated")] == [(one.sha256, one.verdict) for one in entry.versions]
        assert (await app.verifier.verify(case.job.recording_key)).ok


async def test_a_recheck_that_is_killed_at_its_write_is_gone_on_with(environment: dict[str, str]) -> None:
    """Neither version is lost, and the next step ends what was begun."""
    longer = WHOLE[:1500]
    async with storage_host(environment) as (app, host):
        case = await truncated(app, host)
        [late] = (await case.timer(1, work=False)).rechecks
        case.becomes(longer)
        dying = FaultyBlobs(app.settings).on("put_chunk", raises=Killed)
        with pytest.raises((Killed, BaseExceptionGroup)):
            await with_blobs(app, dying).ingest.run(late)
        await dying.aclose()
        [chunk] = (await app.recordings.load(case.job.recording_key)).chunks
        assert (True, ()) == (chunk.is_staged, chunk.others)

        await case.timer(5)

        [chunk] = (await app.recordings.load(case.job.recording_key)).chunks
        assert chunk.content is not None
        assert [crc(longer), crc(CUT)] == [one.crc64 for one in (chunk.content, *chunk.others)]


def crc(body: bytes) -> str:
    """Return the CRC64 as facts have it."""
    return crc64.to_hex(crc64.crc64(body))


async def test_a_recheck_of_a_chunk_that_an_older_version_proved_knows_its_bytes(environment: dict[str, str]) -> None:
    """Of these it has the SHA-256, and no version of the source but its ETag."""
    async with storage_host(environment) as (app, host):
        [job] = await receive(app, today(host.add(CUT)))
        facts = {"sha256": sha256(CUT), "source_etag": "1", "source_bytes": str(len(CUT)), "kind": "wav"}
        await put(app.settings, "staging", job.content_blob, CUT, **facts)

        await app.ingest.run(job.model_copy(update={"recheck": "read"}))

        assert layout.recheck_blob(job.recording_key, job.document_id, "settled") in await listing(
            app.settings, "staging"
        )


async def test_a_recheck_tries_each_address_and_finds_what_is_kept_under_each_index(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two events place the chunk at two addresses and indices: the first is gone, the better version at the second."""
    original, moved = Host.answer, False

    async def answer(host: Host, request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/other"):
            return part(request, WHOLE, '"2"')
        return web.Response(status=404) if moved else await original(host, request)

    monkeypatch.setattr(Host, "answer", answer)
    async with storage_host(environment) as (app, host):
        chunk = host.add(CUT)
        [first] = await receive(app, today(chunk))
        await app.ingest.run(first)
        place = chunk["contentLocation"].replace("/media", "/other")
        [second] = await receive(app, today(chunk | {"index": 7, "contentLocation": place}, event_id="e2"))
        moved = True

        for job in (first, second):
            await app.ingest.run(job.model_copy(update={"recheck": "probe"}))

            [found] = (await app.recordings.load(job.recording_key)).chunks
            assert found.content is not None
            assert [crc(WHOLE), crc(CUT)] == [one.crc64 for one in (found.content, *found.others)]


@pytest.mark.parametrize("after", range(1, 12))
async def test_a_run_that_is_killed_while_it_archives_two_versions_does_no_harm(
    environment: dict[str, str], after: int
) -> None:
    """The manifest lists both with their verdicts, whatever was deleted of staging by then."""
    async with storage_host(environment) as (app, host):
        case = await truncated(app, host)
        case.becomes(WHOLE[:1500])
        await case.timer(1)
        await case.timer(57, work=False)
        dying = FaultyBlobs(app.settings, kill_after=after)
        with pytest.raises(BaseExceptionGroup):
            await sweep(with_blobs(app, dying), now=case.began + 62 * MINUTE)
        await dying.aclose()

        await case.timer(63)

        entry = await case.entry()
        assert entry.content is not None
        assert ("truncated", sha256(WHOLE[:1500])) == (entry.verdict, entry.content.sha256)
        assert [("truncated", sha256(CUT))] == [(one.verdict, one.sha256) for one in entry.versions]
        assert {} == await listing(app.settings, "staging")
