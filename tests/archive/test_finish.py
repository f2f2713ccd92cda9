"""recording/archive/finish.py: the result for a recording is published; to other systems by test_notices.py."""

from datetime import UTC, datetime

import pytest

from recording.app import App
from recording.archive import finish
from recording.archive.run import Run
from recording.model import manifest
from recording.model.manifest import Manifest
from recording.model.stored import StoredBlob
from recording.notices import RunNotices, Topic
from tests.conftest import Control
from tests.support.facts import listing, stage
from tests.support.manifests import DONE, PROOF, content, event, metadata, recording


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


async def test_a_right_label_is_nothing_to_tell(caplog: pytest.LogCaptureFixture) -> None:
    """Nor is none."""
    for label in ({"format": "wav"}, {}):
        caplog.clear()
        assert ["chunk.lost", "recording.archived"] == [name for _, name in await told(written(**label), caplog)]


async def test_a_recording_is_finished_by_its_key_alone(app: App, control: Control) -> None:
    """What a queue could call: it loads the recording's facts itself, and ends as a run of the timer does."""
    [job] = await stage(app, await control.recording(1000))
    run = Run(datetime.now(UTC), RunNotices(app.clients.topic), seconds=60)

    await app.timer.finish.one(run, job.recording_key)

    assert [job.recording_key] == run.report.archived
    assert [] == list(await listing(app.settings, "staging"))
    manifest = await app.recordings.newest_manifest(job.recording_key)
    assert manifest is not None
    assert manifest.complete

    await app.timer.finish.one(run, job.recording_key)

    assert [job.recording_key] == run.report.archived
