"""recording/ingest/chunk.py: MP4, MP3 and WAV of Call Automation, from its storage host into the archive."""

import hashlib
from datetime import timedelta
from typing import Any

import pytest

from local.acs.server import Emulator
from recording import app as bootstrap
from recording.app import App
from recording.config.settings import read_settings
from recording.errors import SourceGone
from recording.formats import media
from recording.model import layout
from recording.model.caller import Caller
from recording.model.job import ChunkJob
from recording.model.manifest import Manifest
from tests.support.emulator import Control
from tests.support.facts import MIB, container, listing, receive, sweep
from tests.support.source import mp3, mp4, storage_host, today, wav
from tests.support.vectors import COMPLETE, REMARK

HOUR = timedelta(hours=1)
AUDIO = {"contentType": "audio", "channelType": "mixed"}
FILES: dict[str, tuple[bytes, dict[str, str], str]] = {
    "mp4": (mp4(70_000), {"contentType": "audioVideo", "channelType": "mixed", "format": "mp4"}, "video/mp4"),
    "mp3": (mp3(400, tag=300), AUDIO | {"format": "mp3"}, "audio/mpeg"),
    "wav": (wav(40_000), AUDIO | {"format": "wav"}, "audio/wav"),
    "unmixed": (wav(9_000, channels=5), AUDIO | {"channelType": "unmixed", "format": "wav"}, "audio/wav"),
}


async def bring(app: App, *chunks: dict[str, Any], **more: Any) -> tuple[list[ChunkJob], Manifest]:
    """Announce, ingest and archive, and return the chunk jobs and the manifest."""
    jobs = await receive(app, today(*chunks, **more))
    for job in jobs:
        await app.ingest.run(job)
    await sweep(app)
    written = await app.recordings.newest_manifest(jobs[0].recording_key)
    assert written is not None
    return jobs, written


async def content_type(app: App, name: str) -> str | None:
    """Return the type under which an archived blob is served."""
    async with container(app.settings, "archive") as blobs:
        return (await blobs.get_blob_client(name).get_blob_properties()).content_settings.content_type


async def test_every_kind_of_file_arrives_as_what_it_is(environment: dict[str, str]) -> None:
    """Each by its own extension and type, described in the manifest, found intact, and linked to by a right name."""
    async with storage_host(environment) as (app, host):
        jobs, written = await bring(app, *(host.add(body, info) for body, info, _ in FILES.values()))

        assert (True, [None] * 4) == (written.complete, [entry.note for entry in written.chunks])
        for job, entry, (body, info, served) in zip(jobs, written.chunks, FILES.values(), strict=True):
            kind = info["format"]
            assert entry.content is not None
            assert layout.archived(job.content_blob, kind) == entry.content.blob  # type: ignore[arg-type]
            assert entry.content.blob.endswith(f".{kind}")
            assert (info["contentType"], info["channelType"], kind) == (
                entry.content_type,
                entry.channel_type,
                entry.format,
            )
            assert hashlib.sha256(body).hexdigest() == entry.content.sha256
            assert served == await content_type(app, entry.content.blob)
            link = await app.handout.content(Caller(), job.recording_key, str(entry.index))
            assert f"{entry.index:05}.{kind}%22" in link
        found = await app.verifier.verify(written.recording_key)
        assert (True, [[]] * 4) == (found.ok, [chunk.problems for chunk in found.chunks])


async def test_a_listing_tells_what_lies_in_staging(environment: dict[str, str]) -> None:
    """Neither the bytes nor the metadata file need to be read for it; a link knows the name before the archive."""
    async with storage_host(environment) as (app, host):
        [job] = await receive(app, today(host.add(*FILES["unmixed"][:2])))
        await app.ingest.run(job)

        blobs = {blob.name: blob.metadata async for blob in app.clients.blobs.list_blobs("staging")}
        assert "wav" == blobs[job.content_blob]["kind"]
        assert {"format": "wav", "content_type": "audio", "channel_type": "unmixed"}.items() <= blobs[
            job.metadata_blob
        ].items()
        link = await app.handout.content(Caller(), job.recording_key, "0")
        assert "00000.wav%22" in link
        assert "0.media" in link


@pytest.mark.parametrize("info", [{"format": "mp3"}, {"format": "MP4"}])
async def test_a_wrong_label_costs_nothing(
    environment: dict[str, str], info: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """What the bytes are counts; the manifest and the log say so."""
    async with storage_host(environment) as (app, host):
        [job], written = await bring(app, host.add(wav(1000), info))

        [entry] = written.chunks
        assert entry.content is not None
        assert (True, "wav", ".wav") == (written.complete, entry.format, entry.content.blob[-4:])
        assert f"labelled {info['format'].lower()}, content is wav" == entry.note
        assert f'chunk.label_mismatch {{"recordingKey": "{job.recording_key}"' in caplog.text
        assert (await app.verifier.verify(job.recording_key)).ok


async def test_without_a_label_the_bytes_tell(environment: dict[str, str]) -> None:
    """A metadata file that says nothing of the media is no reason to doubt."""
    async with storage_host(environment) as (app, host):
        _, written = await bring(app, host.add(mp3(10)), recordingContentType="Audio")

        [entry] = written.chunks
        assert (True, "mp3", None, None) == (written.complete, entry.format, entry.content_type, entry.note)


PLAYED = {
    "wav, sizes 0": "wav",
    "wav, RF64": "wav",
    "wav, 1,000 bytes behind": "wav",
    "mp3, two more tags": "mp3",
    "mp3, begins within a frame": "mp3",
    "mp3, 400 bytes behind": "mp3",
    "mp4, 4 zeros behind": "mp4",
    "mp4, abcd first": "mp4",
    "mp4, mdat to the end": "mp4",
    "mp4, fragments": "mp4",
    "mov": "mp4",
}


@pytest.mark.parametrize("takes_ranges", [True, False])
async def test_what_players_play_is_archived(environment: dict[str, str], takes_ranges: bool) -> None:
    """However odd it is, and though its label says nothing: at once, and as what it is."""
    async with storage_host(environment) as (app, host):
        host.takes_ranges = takes_ranges
        files = [(COMPLETE | REMARK)[name]() for name in PLAYED]
        jobs, written = await bring(app, *(host.add(body) for body in files))

        assert (True, list(PLAYED.values())) == (written.complete, [entry.format for entry in written.chunks])
        for job, entry, body, kind in zip(jobs, written.chunks, files, PLAYED.values(), strict=True):
            assert entry.content is not None
            assert layout.archived(job.content_blob, kind) == entry.content.blob  # type: ignore[arg-type]
            assert hashlib.sha256(body).hexdigest() == entry.content.sha256
            assert media.CONTENT_TYPES[kind] == await content_type(app, entry.content.blob)  # type: ignore[index]
        assert (await app.verifier.verify(jobs[0].recording_key)).ok


async def test_an_etag_may_be_longer_than_blob_metadata(environment: dict[str, str]) -> None:
    """Which has room for 8 KiB in all: what distinguishes versions is kept."""
    async with storage_host(environment) as (app, host):
        host.etag = '"' + "x" * 8000 + '"'
        _, written = await bring(app, host.add(wav(1000)))

        assert (True, "x" * 256) == (written.complete, written.chunks[0].source_etag)


async def test_bytes_are_asked_for_where_the_event_says(environment: dict[str, str]) -> None:
    """Letter by letter, with a range always, and again in the region that the storage host redirects to."""
    async with storage_host(environment) as (app, host):
        chunk = host.add(*FILES["wav"][:2])
        await bring(app, chunk)

        places = [chunk[name].removeprefix(host.address) for name in ("contentLocation", "metadataLocation")]
        assert set(places) == {request.raw_path for request in host.asked}
        contents = [request for request in host.asked if request.raw_path == places[0]]
        assert all("Range" in request.headers for request in contents)
        assert {host.address, host.region} == {f"http://{request.host}" for request in contents}


async def test_a_later_event_may_say_that_it_lies_elsewhere(environment: dict[str, str]) -> None:
    """A chunk that is not staged is looked for wherever an event says, in the order of their receipt."""
    async with storage_host(environment) as (app, host):
        chunk = host.add(*FILES["mp3"][:2])
        gone = {name: value.replace("/v1/", "/v0/") for name, value in chunk.items() if name.endswith("Location")}
        [first] = await receive(app, today(chunk | gone))
        [later] = await receive(app, today(chunk, event_id="e2", eventTime="2001-03-01T10:00:00Z"))

        [known] = (await app.recordings.load(first.recording_key)).chunks
        assert [job.content_location for job in (first, later)] == [job.content_location for job in known.jobs]
        # Else the job of the one address would end while another is at work.
        assert [None, None] == [job.is_again for job in known.jobs]
        assert gone["deleteLocation"] == known.announced.delete_location
        await app.ingest.run(known.jobs[1])
        assert (await app.recordings.load(first.recording_key)).is_staged


async def test_a_duplicate_after_the_archive_is_known_by_the_manifest(environment: dict[str, str]) -> None:
    """Whatever the archived blob is called, nothing of it is staged again, and no more than a first request is sent."""
    async with storage_host(environment) as (app, host):
        chunks = [host.add(body, info) for body, info, _ in FILES.values()]
        jobs, _ = await bring(app, *chunks)
        before = [host.reads(job.document_id) for job in jobs]

        for job in jobs:
            await app.ingest.run(job)

        assert all(host.reads(job.document_id) <= 1 + earlier for job, earlier in zip(jobs, before, strict=True))
        assert {} == await listing(app.settings, "staging")


@pytest.mark.parametrize("in_region", [True, False])
@pytest.mark.parametrize("kind", ["mp3", "wav", "mp4"])
async def test_what_the_emulator_records_goes_all_the_way(
    environment: dict[str, str], acs: Emulator, control: Control, kind: str, in_region: bool
) -> None:
    """From its storage host, which may redirect to the region's, into the archive; then it is deleted there."""
    await control.call("PUT", "settings", {"redirectToRegion": in_region})
    hosts = ",".join(url.removeprefix("http://") for url in (acs.storage_url, acs.region_url))
    there = {"ACS_API_VERSION": "", "CONTENT_HOSTS": hosts, "DELETE_SOURCE": "true"}
    sound = {} if kind == "mp4" else {"formatType": kind, "channelType": "unmixed" if kind == "wav" else "mixed"}
    # The sound is real, as an encoder makes it.
    media = {"kind": "filler", "chunkBytes": [5 * MIB]} if kind == "mp4" else {"kind": "video"}
    body = {"media": media, "generation": "today", "durationSeconds": 2, "announce": False, **sound}
    made = await control.call("POST", "recordings", body)
    app = await bootstrap.open_app(read_settings(environment | there))
    try:
        [job], written = await bring(app, *made["chunks"])
        [entry], [chunk] = written.chunks, made["chunks"]

        assert entry.content is not None
        assert entry.metadata is not None
        assert (kind, chunk["sha256"], None) == (entry.format, entry.content.sha256, entry.note)
        assert (made["format"]["contentType"], made["format"]["channelType"]) == (
            entry.content_type,
            entry.channel_type,
        )
        assert (await app.verifier.verify(job.recording_key)).ok
        assert {} == await listing(app.settings, "staging")
        with pytest.raises(SourceGone):
            await app.clients.content.probe(job)
    finally:
        await app.aclose()
