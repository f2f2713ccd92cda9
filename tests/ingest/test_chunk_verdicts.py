"""recording/ingest/: what was delivered whole is kept whatever its form; the verdict stands beside it."""

import asyncio
import hashlib
import json
import random
from collections.abc import Callable

import pytest

from recording.errors import SourceDamaged
from recording.model.verdict import ChunkVerdict
from tests.support.archives import manifest_of
from tests.support.facts import body_of, listing, proved, receive, sweep, with_blobs
from tests.support.faults import FaultyBlobs, Killed
from tests.support.judged import judged
from tests.support.source import storage_host, today, wav
from tests.support.vectors import COMPLETE, EMPTY, ERROR_PAGE, REMARK, TRUNCATED, box, moov_first, noise
from tests.support.verdicts import KEPT, REFUSED, archive_vectors, keep_all

CUT = wav(1000)[:1000]


# A few of each kind; tests/acceptance/test_verdicts.py takes all.
SOME = [*list(KEPT)[::8], *list(TRUNCATED)[::4], *list(REFUSED)[::2]]


@pytest.mark.parametrize("takes_ranges", [True, False])
async def test_all_but_error_pages_and_empty_bodies_are_archived(
    environment: dict[str, str], takes_ranges: bool
) -> None:
    """Form never costs bytes: each is kept with its verdict, proved, byte by byte."""
    await archive_vectors(environment, SOME if takes_ranges else SOME[::2], takes_ranges=takes_ranges)


async def test_files_cut_at_random_places_and_random_bytes_get_their_verdict_and_are_kept(
    environment: dict[str, str],
) -> None:
    """The same as a pass over the bytes alone; random bytes that look like text are no document."""
    chance = random.Random(7)  # noqa: S311 - test data
    whole = [(COMPLETE | REMARK)[name]() for name in ("wav", "mp3", "mp4, moov first", "mp4, fragments", "ogg")]
    bodies = [file[: chance.randrange(1, len(file))] for file in whole for _ in range(3)]
    bodies += [chance.randbytes(chance.randrange(1, 5000)) for _ in range(5)]
    async with storage_host(environment) as (app, host):
        written = await keep_all(app, host, bodies)

        for body, entry in zip(bodies, written.chunks, strict=True):
            verdict = judged(body)
            if verdict.outcome == "error page":
                assert "lost" == entry.outcome
            else:
                assert entry.content is not None
                assert (verdict.outcome, hashlib.sha256(body).hexdigest()) == (entry.verdict, entry.content.sha256)


@pytest.mark.parametrize("label", ["text/html", "application/json"])
async def test_a_whole_mp4_sent_under_another_label_is_an_mp4(environment: dict[str, str], label: str) -> None:
    """Bytes outrank labels: it is complete at once, and its source may be deleted."""
    async with storage_host(environment, DELETE_SOURCE="true") as (app, host):
        host.label = label
        [job] = await receive(app, today(host.add(moov_first())))
        await app.ingest.run(job)
        await sweep(app)

        [entry] = (await manifest_of(app, job.recording_key)).chunks
        assert ("archived", "mp4", "complete", ()) == (entry.outcome, entry.format, entry.verdict, entry.remarks)
        assert ([job.document_id], {}) == (host.deletions(), await listing(app.settings, "staging"))


@pytest.mark.parametrize("make", [*ERROR_PAGE.values(), *EMPTY.values()], ids=[*ERROR_PAGE, *EMPTY])
async def test_an_error_page_is_noted_by_length_type_and_digest_and_asked_for_again(
    environment: dict[str, str], make: Callable[[], bytes]
) -> None:
    """Never by its text; once the document is there, it is kept."""
    page = make()
    async with storage_host(environment) as (app, host):
        host.label = "text/html"
        chunk = host.add(page)
        [job] = await receive(app, today(chunk))
        with pytest.raises(SourceDamaged):
            await app.ingest.run(job)

        [failure] = (await body_of(app.settings, "staging", job.attempts_blob))["failures"]
        assert "text/html" in failure["message"]
        if page:
            assert f"({len(page)} bytes, text/html" in failure["message"]
            assert hashlib.sha256(page).hexdigest() in failure["message"]
            assert page[:20].decode(errors="replace") not in json.dumps(failure)
        assert await app.clients.blobs.stat("staging", job.content_blob) is None

        host.bodies[job.document_id], host.etag = wav(500), '"2"'
        await app.ingest.run(job)
        assert (await app.recordings.load(job.recording_key)).is_staged


def three_hours() -> bytes:
    """Make an MP4 of 10,800 fragments of a second, as small as they get."""
    head = moov_first()[: 32 + int.from_bytes(moov_first()[32:36])]
    tfhd = box(b"tfhd", b"\0\0\0\x08" + (1).to_bytes(4) + (16_000).to_bytes(4))
    trun = box(b"trun", b"\0\0\0\0" + (1).to_bytes(4))
    return head + (box(b"moof", box(b"traf", tfhd + trun)) + box(b"mdat", noise(16))) * 10_800


async def test_a_fragmented_mp4_of_three_hours_is_kept_with_at_most_8_early_requests(
    environment: dict[str, str],
) -> None:
    """An early look ends undecided, which means nothing; the pass decides."""
    body = three_hours().replace(b"stco", b"free")
    async with storage_host(environment) as (app, host):
        [job] = await receive(app, today(host.add(body)))
        await app.ingest.run(job)

        [chunk] = (await app.recordings.load(job.recording_key)).chunks
        assert chunk.verdict is not None
        assert ("complete", True) == (chunk.verdict.outcome, chunk.is_staged)
        # One request brings it.
        assert 1 == host.reads(job.document_id)


async def test_the_verdict_is_part_of_the_commit(environment: dict[str, str]) -> None:
    """It costs no request, and there is no chunk without one."""
    async with storage_host(environment) as (app, host):
        jobs = await receive(app, today(host.add(wav(500)), host.add(CUT)))
        for job in jobs:
            await app.ingest.run(job)

        assert {"events", "chunks"} == {name.split("/")[1] for name in await listing(app.settings, "staging")}
        found = [ChunkVerdict.from_metadata({"verdict": (await proved(app, job)).verdict or ""}) for job in jobs]
        expected = [("complete", ()), ("truncated", ("1044 of 2000 bytes of samples are missing",))]
        assert expected == [(verdict.outcome, verdict.remarks) for verdict in found]


# That it began, the chunk, the metadata file, that it has ended.
WRITES = 4


@pytest.mark.parametrize("after", range(1, WRITES + 1))
async def test_an_ingest_of_a_truncated_file_that_is_killed_at_any_write_is_gone_on_with(
    environment: dict[str, str], after: int
) -> None:
    """No kill makes a truncated file count as complete, and none costs it."""
    async with storage_host(environment) as (app, host):
        [job] = await receive(app, today(host.add(CUT)))
        dying = FaultyBlobs(app.settings, kill_after=after)
        others = asyncio.all_tasks()
        with pytest.raises((Killed, BaseExceptionGroup)):
            await with_blobs(app, dying).ingest.run(job)
        if on_their_way := asyncio.all_tasks() - others:
            await asyncio.wait(on_their_way, timeout=0.2)
        await dying.aclose()
        [chunk] = (await app.recordings.load(job.recording_key)).chunks
        assert chunk.verdict is None or chunk.verdict.outcome == "truncated"

        await app.ingest.run(job)

        [chunk] = (await app.recordings.load(job.recording_key)).chunks
        assert chunk.verdict is not None
        assert (True, "truncated") == (chunk.is_staged, chunk.verdict.outcome)


async def test_two_workers_at_once_agree_on_the_verdict(environment: dict[str, str]) -> None:
    """One commit, whoever was first."""
    async with storage_host(environment) as (app, host):
        [job] = await receive(app, today(host.add(CUT)))
        await asyncio.gather(*(app.ingest.run(job) for _ in range(3)))

        [chunk] = (await app.recordings.load(job.recording_key)).chunks
        assert chunk.verdict is not None
        assert (True, "truncated") == (chunk.is_staged, chunk.verdict.outcome)
