"""recording/ingest/chunk.py: one chunk job becomes one committed, proved chunk."""

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from recording.app import App
from recording.errors import ChunkError, SourceDamaged, SourceGone, SourceRefused, SourceUnavailable
from recording.model.attempts import Attempts
from tests.support.archives import give_up, manifest_of
from tests.support.emulator import Control
from tests.support.facts import (
    MIB,
    announce,
    body_of,
    listing,
    proved,
    put,
    stage,
    stored_sha256,
    sweep,
    with_blobs,
    with_limits,
    worker,
)
from tests.support.faults import FaultyBlobs
from tests.support.source import app_with_source, mp4, part, recording_of

DOWNLOAD, METADATA = "/recording/download/*", "/recording/download/*/metadata"


async def test_a_chunk_arrives_whole_and_proved(app: App, control: Control) -> None:
    """The blob in staging equals the document of the service, and its metadata says so, and since when."""
    recording = await control.recording(20 * MIB)
    [job] = await announce(app, recording)
    begun = datetime.now(UTC).replace(microsecond=0)

    await app.ingest.run(job)

    facts = await proved(app, job)
    assert facts.proved_at is not None
    assert begun <= facts.proved_at <= datetime.now(UTC)
    assert recording["chunks"][0]["sha256"] == await stored_sha256(app, job)
    assert (4, 4, 8 * MIB, 4 * MIB) == (facts.blocks, facts.blocks_compared, facts.first_bytes, facts.block_bytes)


async def test_the_metadata_file_is_kept_as_received(app: App, control: Control) -> None:
    """The metadata file in staging is the service's, and its SHA-256 is on it."""
    [job] = await stage(app, await control.recording(300))

    found = await app.clients.blobs.stat("staging", job.metadata_blob)
    assert found is not None
    assert (await listing(app.settings, "staging"))[job.metadata_blob] == found.sha256
    assert job.document_id == (await body_of(app.settings, "staging", job.metadata_blob))["chunkDocumentId"]


@pytest.mark.parametrize("kind", ["cut", "short"])
async def test_a_body_that_breaks_off_is_fetched_again(app: App, control: Control, kind: str) -> None:
    """A block whose body ends early is repeated whole, and nothing else is."""
    recording = await control.recording(12 * MIB)
    [job] = await announce(app, recording)
    await control.fault(kind, f"/recording/download/{job.document_id}", afterBytes=MIB, skip=1, times=1)

    await app.ingest.run(job)

    assert await stored_sha256(app, job) == recording["chunks"][0]["sha256"]
    first, last = "bytes=0-8388607", f"bytes={8 * MIB}-{12 * MIB - 1}"
    assert sorted([first, last, last]) == sorted(r["range"] for r in await control.downloads())


async def test_a_source_that_ignores_ranges_is_copied_by_one_request(app: App, control: Control) -> None:
    """Its response becomes several blocks, and the bytes are the same."""
    recording = await control.recording(9 * MIB)
    [job] = await announce(app, recording)
    await control.fault("ignoreRange", DOWNLOAD, times=None)

    await app.ingest.run(job)

    facts = await proved(app, job)
    assert recording["chunks"][0]["sha256"] == await stored_sha256(app, job)
    assert (1, 2, 2) == (len(await control.downloads()), facts.blocks, facts.blocks_compared)


async def test_text_is_recognised_though_the_source_ignores_ranges(environment: dict[str, str]) -> None:
    """It is judged as it passes by, before the commit."""

    async def whole(request: web.Request) -> web.Response:
        return web.Response(body=b"<html>" * 200_000, headers={"ETag": '"1"'}, content_type="video/mp4")

    async with app_with_source(environment, whole) as app:
        [job] = await announce(app, recording_of("0-eus-d1-0123"))
        with pytest.raises(SourceDamaged, match="error page"):
            await app.ingest.run(job)

        assert await app.clients.blobs.stat("staging", job.content_blob) is None


async def test_ranges_that_stop_being_taken_cost_traffic_and_nothing_else(app: App, control: Control) -> None:
    """A server that sends everything for a range in the middle is read from the right place."""
    recording = await control.recording(12 * MIB)
    [job] = await announce(app, recording)
    await control.fault("ignoreRange", DOWNLOAD, times=2, skip=2)

    await app.ingest.run(job)

    assert await stored_sha256(app, job) == recording["chunks"][0]["sha256"]


async def test_a_slow_source_is_waited_for(app: App, control: Control) -> None:
    """Bytes that trickle in are bytes."""
    recording = await control.recording(300_000)
    [job] = await announce(app, recording)
    await control.fault("slow", DOWNLOAD, bytesPerSecond=400_000, skip=1)

    await app.ingest.run(job)

    assert [1] == await control.applied()
    assert await stored_sha256(app, job) == recording["chunks"][0]["sha256"]


@pytest.mark.parametrize(
    ("kind", "error"), [("empty", SourceDamaged), ("html", SourceDamaged), ("short", SourceUnavailable)]
)
async def test_what_is_no_media_never_becomes_a_chunk(
    app: App, control: Control, kind: str, error: type[ChunkError]
) -> None:
    """Nothing is committed of an empty body, an error page with status 200 or one that is always short."""
    recording = await control.recording(5 * MIB)
    [job] = await announce(app, recording)
    await control.fault(kind, DOWNLOAD, times=None)

    with pytest.raises(error):
        await with_limits(app, block_pause_seconds=0.01).ingest.run(job)

    note = await body_of(app.settings, "staging", job.attempts_blob)
    assert (None, [error.code]) == (await stored_sha256(app, job), [failure["code"] for failure in note["failures"]])


async def test_an_error_page_in_the_middle_is_not_mixed_in(app: App, control: Control) -> None:
    """An HTML page instead of a range makes ingest start over: at most what was in flight is fetched again."""
    recording = await control.recording(12 * MIB)
    [job] = await announce(app, recording)
    await control.fault("html", f"/recording/download/{job.document_id}", skip=1, times=1)

    await app.ingest.run(job)

    fetched = [r["range"] for r in await control.downloads() if r["bytesSent"] >= 64 * 1024]
    assert ([1], 2) == (await control.applied(), len(set(fetched)))
    assert all(fetched.count(block) <= 2 for block in fetched)
    assert await stored_sha256(app, job) == recording["chunks"][0]["sha256"]


@pytest.mark.parametrize("takes_ranges", [False, True])
@pytest.mark.parametrize("size", [300_000, 30 * MIB])
async def test_a_document_without_a_declared_length_is_kept(
    environment: dict[str, str], size: int, *, takes_ranges: bool
) -> None:
    """The end of a chunked body is marked: it is read once to be counted, and then as any other."""
    body = mp4(size)

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/metadata"):
            return part(request, body, '"1"')
        response = web.StreamResponse(headers={"ETag": '"1"'})
        span = request.http_range if takes_ranges else slice(None)
        first, last = span.start or 0, min(span.stop or size, size)
        if takes_ranges and "Range" in request.headers:
            response.set_status(206)
            response.headers["Content-Range"] = f"bytes {first}-{last - 1}/*"
        response.enable_chunked_encoding()
        await response.prepare(request)
        for offset in range(first, last, MIB):
            await response.write(body[offset : min(offset + MIB, last)])
        return response

    async with app_with_source(environment, answer) as app:
        [job] = await announce(app, recording_of("0-eus-d12-801b3f3fc462fe8a01e6810cbff729b8"))
        await app.ingest.run(job)

        facts = await proved(app, job)
        assert '"complete"' in (facts.verdict or "")
        assert hashlib.sha256(body).hexdigest() == await stored_sha256(app, job)


async def test_few_large_metadata_files_are_in_memory_at_once(environment: dict[str, str]) -> None:
    """Each may have 16 MiB: from its second MiB on it waits until one of two others is written."""
    at_once = peak = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/metadata"):
            return web.Response(body=b'{"callId": "' + b"x" * 2 * MIB + b'"}')
        return part(request, mp4(1000), '"1"')

    async def enter() -> None:
        nonlocal at_once, peak
        at_once += 1
        peak = max(peak, at_once)
        await asyncio.sleep(0.3)

    async def leave() -> None:
        nonlocal at_once
        at_once -= 1

    async with app_with_source(environment, answer) as app:
        jobs = await announce(app, recording_of(*(f"0-eus-d12-{number:032x}" for number in range(5))))
        blobs = FaultyBlobs(app.settings).on("create", name=r"chunks/.*\.json$", before=enter, after=leave)
        ingest = with_blobs(app, blobs).ingest

        await asyncio.gather(*(ingest.run(job) for job in jobs))
        await blobs.aclose()

        assert 2 == peak
        staged = await listing(app.settings, "staging")
        assert {job.metadata_blob for job in jobs} <= staged.keys()


async def test_a_missing_metadata_file_does_not_cost_the_content(app: App, control: Control) -> None:
    """The content is kept and proved, the job fails, and the next attempt takes no more than the metadata file."""
    recording = await control.recording(5 * MIB)
    [job] = await announce(app, recording)
    await control.fault("expired", METADATA, times=1)

    with pytest.raises(SourceGone):
        await app.ingest.run(job)

    await proved(app, job)
    assert recording["chunks"][0]["sha256"] == await stored_sha256(app, job)
    before = await app.clients.blobs.stat("staging", job.content_blob)
    await app.ingest.run(job)
    assert before == await app.clients.blobs.stat("staging", job.content_blob)
    assert await app.clients.blobs.stat("staging", job.metadata_blob) is not None


async def test_attempts_are_noted_with_growing_pauses(app: App, control: Control) -> None:
    """Each failure is counted; after the queue's five tries the pause doubles, to an hour at most."""
    recording = await control.recording(5 * MIB)
    [job] = await announce(app, recording)
    await control.fault("expired", DOWNLOAD, times=None)
    minutes = []

    for count in range(1, 11):
        with pytest.raises(SourceGone):
            await app.ingest.run(job)
        note = Attempts.model_validate(await body_of(app.settings, "staging", job.attempts_blob))
        assert note.last is not None
        assert ["SourceGone"] * count == [failure.code for failure in note.failures]
        minutes.append((note.next_at - note.last.at) / timedelta(minutes=1))

    assert [5, 5, 5, 5, 5, 10, 20, 40, 60, 60] == minutes


async def test_a_note_that_cannot_be_read_hides_nothing(app: App, control: Control) -> None:
    """A damaged attempts blob is replaced; the error that is raised is the one of the chunk."""
    recording = await control.recording(5 * MIB)
    [job] = await announce(app, recording)
    await put(app.settings, "staging", job.attempts_blob, b"{")
    await control.fault("expired", DOWNLOAD, times=None)

    with pytest.raises(SourceGone):
        await app.ingest.run(job)

    assert 1 == (await body_of(app.settings, "staging", job.attempts_blob))["count"]


async def test_a_job_that_takes_too_long_is_ended_and_noted(app: App, control: Control) -> None:
    """The host's own time limit would kill every other job of the process too."""
    recording = await control.recording(5 * MIB)
    [job] = await announce(app, recording)
    await control.fault("hang", DOWNLOAD, seconds=3)

    with pytest.raises(TimeoutError):
        await with_limits(app, budget_seconds=0.3).ingest.run(job)

    [failure] = (await body_of(app.settings, "staging", job.attempts_blob))["failures"]
    assert "TimeoutError" == failure["code"]


async def test_nothing_secret_is_written_down(app: App, control: Control, caplog: pytest.LogCaptureFixture) -> None:
    """Neither log lines nor the note of a failure hold a URL, a signature or a key."""
    caplog.set_level("INFO")
    recording = await control.recording(5 * MIB, 300)
    first, second = await announce(app, recording)
    await control.fault("redirect", f"*{first.document_id}", location="http://evil.example/x?token=s3cret", times=None)
    await control.fault("cut", f"*{second.document_id}", skip=1, times=1)

    with pytest.raises(SourceRefused, match="evil"):
        await app.ingest.run(first)
    await app.ingest.run(second)
    await sweep(app, now=await give_up(app, first))

    note = caplog.text + str(await body_of(app.settings, "archive", next(iter(await manifests(app)))))
    assert "chunk.staged" in note
    assert [] == [word for word in ("http://", "https://", "s3cret", "sig=", "Signature", "AccountKey") if word in note]


async def manifests(app: App) -> list[str]:
    """List the manifests in the archive."""
    return [name for name in await listing(app.settings, "archive") if "/recording" in name]


async def test_two_workers_on_one_chunk_make_one(app: App, control: Control) -> None:
    """Both end well, whoever commits, and the chunk is proved."""
    recording = await control.recording(12 * MIB)
    [job] = await announce(app, recording)

    await asyncio.gather(*(worker(app).ingest.run(job) for _ in range(3)))

    await proved(app, job)
    assert recording["chunks"][0]["sha256"] == await stored_sha256(app, job)
    assert await app.clients.blobs.stat("staging", job.attempts_blob) is None


async def test_a_duplicate_job_after_the_archive_does_nothing(app: App, control: Control) -> None:
    """Nothing is staged again; of the source nothing but the first request is asked, beside the look at the archive."""
    [job] = await stage(app, await control.recording(20 * MIB))
    await sweep(app)
    await control.call("DELETE", "requests")

    await app.ingest.run(job)

    assert len(await control.downloads()) <= 1
    assert {} == await listing(app.settings, "staging")


async def test_a_chunk_that_is_archived_and_gone_at_the_source_is_no_failure(app: App, control: Control) -> None:
    """What the source answers to a duplicate of the job means nothing."""
    [job] = await stage(app, await control.recording(1000))
    await sweep(app)
    await control.fault("expired", "/recording/download/*", times=None)

    await app.ingest.run(job)

    assert {} == await listing(app.settings, "staging")


@pytest.mark.parametrize("size", [1000, 5 * MIB])
async def test_a_blob_that_no_ingest_committed_is_replaced(app: App, control: Control, size: int) -> None:
    """Whatever its length: nobody has compared its bytes with anything."""
    recording = await control.recording(5 * MIB)
    [job] = await announce(app, recording)
    await put(app.settings, "staging", job.content_blob, mp4(size))

    await app.ingest.run(job)

    assert await stored_sha256(app, job) == recording["chunks"][0]["sha256"]


@pytest.mark.parametrize(("kind", "error"), [("expired", SourceGone), ("html", SourceDamaged)])
async def test_a_blob_that_no_ingest_committed_stays_when_it_is_all_there_is(
    app: App, control: Control, kind: str, error: type[ChunkError]
) -> None:
    """ACS no longer has the document, or sends a page: the blob is archived as it is, and not called proved."""
    [job] = await announce(app, await control.recording(1000))
    body = mp4(1000)
    await put(app.settings, "staging", job.content_blob, body)
    await control.fault(kind, DOWNLOAD, times=None)

    with pytest.raises(error):
        await app.ingest.run(job)

    assert await stored_sha256(app, job) == hashlib.sha256(body).hexdigest()
    await sweep(app, now=await give_up(app, job))
    [entry] = (await manifest_of(app, job.recording_key)).chunks
    assert entry.content is not None
    assert (False, body) == (entry.has_proof, await app.clients.blobs.read("archive", entry.content.blob))
