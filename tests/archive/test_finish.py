"""recording/archive/finish.py: the result for a recording is published; to other systems by test_notices.py."""

import struct
from dataclasses import replace
from typing import Any

import pytest

from recording.app import App
from recording.archive import finish
from recording.archive.copies import Copied, Copies
from recording.archive.run import TimerReport
from recording.formats.media import Inspection
from recording.model import manifest
from recording.model.manifest import Manifest
from recording.model.stored import StoredBlob
from recording.notices import RunNotices, Topic
from recording.storage.blobs import CopyFailed
from tests.support.emulator import Control
from tests.support.facts import announce, listing, put, stage
from tests.support.manifests import DONE, PROOF, content, event, metadata, recording
from tests.support.proved import KEY, announce_files, commit, facts_of, stage_files
from tests.support.source import wav
from tests.support.vectors import box


def written(**label: str) -> Manifest:
    """Write a manifest: one chunk is whole, one lost."""
    blobs = [
        content("a-0", **PROOF, kind="wav"),
        StoredBlob(metadata("a-0").name, 10, "e", {"sha256": "1" * 64} | label),
    ]
    return manifest.write_manifest(recording([event("a-0", "a-1")], blobs), archived_at=DONE)


async def told(one: Manifest, caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Publish it where no topic is set: each line's level and its event."""
    caplog.set_level("INFO")
    assert await finish.publish(one, RunNotices(Topic(None, None, None)))
    return [(record.levelname, record.message.split()[0]) for record in caplog.records if record.name == "recording"]


async def test_a_lost_and_a_mislabelled_chunk_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The one is an error, the other a warning: nothing is missing."""
    assert [
        ("WARNING", "chunk.label_mismatch"),
        ("ERROR", "chunk.lost"),
        ("ERROR", "recording.archived"),
    ] == await told(written(format="mp4"), caplog)
    assert "labelled mp4, content is wav" in caplog.text


async def test_a_right_label_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Nor is none."""
    for label in ({"format": "wav"}, {}):
        caplog.clear()
        assert ["chunk.lost", "recording.archived"] == [name for _, name in await told(written(**label), caplog)]


async def test_a_missing_metadata_file_is_logged_as_an_error(caplog: pytest.LogCaptureFixture) -> None:
    """The recording is incomplete by it, whatever the content is worth."""
    blobs = [content("a-0", **PROOF, kind="wav")]
    alone = manifest.write_manifest(recording([event("a-0")], blobs), archived_at=DONE)

    assert [("ERROR", "chunk.no_metadata_file"), ("ERROR", "recording.archived")] == await told(alone, caplog)
    assert "no metadata file by the deadline" in caplog.text


async def finish_alone(app: App, key: str) -> TimerReport:
    """Finish a recording by its key, with nothing loaded before."""
    return await app.archive.run(key)


async def test_a_recording_is_finished_by_its_key_alone(app: App, control: Control) -> None:
    """What a queue could call: it loads the recording's facts itself, and ends as a run of the timer does."""
    [job] = await stage(app, await control.recording(1000))

    assert [job.recording_key] == (await finish_alone(app, job.recording_key)).archived

    assert [] == list(await listing(app.settings, "staging"))
    manifest = await app.recordings.newest_manifest(job.recording_key)
    assert manifest is not None
    assert manifest.complete


async def test_a_recording_that_is_not_due_is_not_finished(app: App, control: Control) -> None:
    """A chunk that is not staged yet must not be called lost because the question came too early."""
    [job] = await announce(app, await control.recording(1000))
    before = await listing(app.settings, "staging")

    assert TimerReport() == await finish_alone(app, job.recording_key)

    assert before == await listing(app.settings, "staging")
    assert await app.recordings.newest_manifest(job.recording_key) is None


async def test_a_recording_that_is_archived_or_unknown_is_not_finished_again(app: App, control: Control) -> None:
    """A request to finish may come twice, or for a key of which nothing is known."""
    [job] = await stage(app, await control.recording(1000))
    await finish_alone(app, job.recording_key)
    archived = await listing(app.settings, "archive")

    for key in (job.recording_key, "20260301T100000000000Z-nobody"):
        assert TimerReport() == await finish_alone(app, key)

    assert archived == await listing(app.settings, "archive")


async def test_no_manifest_is_written_without_the_proof_of_each_copy(app: App) -> None:
    """Whatever the reason: it would say that the archive has what nobody has read."""

    class Forgetful(Copies):
        async def bring(self, *arguments: Any, **options: Any) -> Copied:
            return Copied((), (await super().bring(*arguments, **options)).left)

    await stage_files(app, wav(500))

    with pytest.raises(CopyFailed, match="no proof"):
        await replace(app.archive, copies=Forgetful(app.clients.blobs, app.clients.content)).run(KEY)

    assert await app.recordings.newest_manifest(KEY) is None
    assert [KEY] == (await app.archive.run(KEY)).archived


async def test_a_file_whose_structure_claims_millions_of_years_is_archived(app: App) -> None:
    """Such a length would not fit into the calendar: it counts as none, also where an older version noted it."""
    times = struct.pack(">QQIQ", 0, 0, 1000, 2**63 - 1)
    header = box(b"moov", box(b"mvhd", bytes((1, 0, 0, 0)) + times + bytes(80)))
    claiming = box(b"ftyp", b"isom\0\0\2\0isom") + header + box(b"mdat", bytes(1000))
    inspection = Inspection(len(claiming))
    inspection.feed(claiming)
    assert ("complete", 2**63 / 1000) == (inspection.verdict().outcome, inspection.verdict().seconds)
    jobs = await announce_files(app, 2)
    noted = facts_of(claiming).to_metadata() | {"seconds": str(2**63 / 1000)}
    await put(app.settings, "staging", jobs[0].content_blob, claiming, **noted)
    await app.clients.blobs.create("staging", jobs[0].metadata_blob, b"{}")
    await commit(app, jobs[1], claiming)

    assert [KEY] == (await app.archive.run(KEY)).archived

    assert (await app.verifier.verify(KEY)).ok
    assert {} == await listing(app.settings, "staging")
