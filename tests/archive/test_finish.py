"""recording/archive/finish.py: what became of a recording is told; to other systems by test_notices.py."""

import pytest

from recording.archive import finish
from recording.model import manifest
from recording.model.manifest import Manifest
from recording.model.stored import StoredBlob
from recording.notices import RunNotices, Topic
from tests.model.test_manifest import DONE, PROOF, content, event, metadata, recording


def written(**label: str) -> Manifest:
    """Write a manifest: one chunk is whole, one lost."""
    blobs = [
        content("a-0", **PROOF, kind="wav"),
        StoredBlob(metadata("a-0").name, 10, "e", {"sha256": "1" * 64} | label),
    ]
    return manifest.write_manifest(recording([event("a-0", "a-1")], blobs), archived_at=DONE)


async def told(one: Manifest, caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Tell of it where no topic is set: each line's level and its event."""
    caplog.set_level("INFO")
    assert await finish.publish(one, RunNotices(Topic(None, None, None)))
    return [(record.levelname, record.message.split()[0]) for record in caplog.records if record.name == "recording"]


async def test_what_is_lost_and_what_is_mislabelled_is_named(caplog: pytest.LogCaptureFixture) -> None:
    """The one is an error, the other a warning: nothing is missing."""
    assert [("WARNING", "chunk.mislabelled"), ("ERROR", "chunk.lost"), ("ERROR", "recording.archived")] == await told(
        written(format="mp4"), caplog
    )
    assert "it is called mp4, and its bytes are wav" in caplog.text


async def test_a_right_label_is_nothing_to_tell(caplog: pytest.LogCaptureFixture) -> None:
    """Nor is none."""
    for label in ({"format": "wav"}, {}):
        caplog.clear()
        assert ["chunk.lost", "recording.archived"] == [name for _, name in await told(written(**label), caplog)]
