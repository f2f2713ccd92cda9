"""recording/join/plan.py: recordings of the emulator, with pauses, a gap and a lost chunk."""

import hashlib
import io
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import av
import pytest

from local.acs import media
from local.acs.timeline import Pause, Timeline
from recording.join.parts import Joined
from recording.join.sources import Recording
from recording.model.manifest import Manifest, ManifestChunk, ManifestFile, with_timeline
from recording.model.metadata_file import Pause as SaidPause
from tests.support.joining import planned, reader, written
from tests.support.manifests import empty_manifest

START = datetime(2026, 3, 1, 10, tzinfo=UTC)
KEY = "20260301T100000000000Z-3f2b0e4c"
# The fourth and fifth of about 12 seconds of media.
PAUSE = Pause(START + timedelta(seconds=3), START + timedelta(seconds=5))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[bytes], Manifest]:
    """Return the chunks of a recording, and the manifest of them all."""
    folder = tmp_path_factory.mktemp("recorded")
    timeline = Timeline(START, START + timedelta(seconds=11), (PAUSE,))
    chunks = media.encode(timeline, folder, maximum_bytes=170_000, cancelled=threading.Event())
    said = SaidPause(start=PAUSE.start, ms=2000)
    entries = []
    for index, chunk in enumerate(chunks):
        begin = media.wall_at_frame(timeline, chunk.first_frame)
        pauses = (said,) if begin <= PAUSE.start < begin + timedelta(milliseconds=chunk.duration_ms) else ()
        entries.append(
            ManifestChunk(
                document_id=f"a-{index}",
                index=index,
                end_reason="SessionEnded" if chunk.last else "ChunkMaximumSizeExceeded",
                outcome="archived",
                announced_at=START,
                deadline=START,
                format="mp4",
                verdict="complete",
                content=ManifestFile(blob=f"{index}.mp4", bytes=chunk.path.stat().st_size, sha256="0" * 64),
                start_time=begin,
                duration_ms=chunk.duration_ms,
                media_ms=chunk.duration_ms,
                pauses=pauses,
            )
        )
    manifest = empty_manifest(KEY).model_copy(update={"chunks": entries, "recording_start_time": START})
    return [chunk.path.read_bytes() for chunk in chunks], with_timeline(manifest)


def pictures(file: bytes) -> Iterator[str]:
    """List the digest of each picture."""
    with av.open(io.BytesIO(file), "r") as container:
        for frame in container.decode(video=0):
            yield hashlib.sha256(frame.to_ndarray()[::8, ::8].tobytes()).hexdigest()[:16]


def sound(file: bytes) -> tuple[int, float]:
    """Return the number of samples, and how long the file says that it plays."""
    with av.open(io.BytesIO(file), "r") as container:
        seconds = (container.duration or 0) / av.time_base
        return sum(frame.samples for frame in container.decode(audio=0)), seconds


def test_six_chunks_with_a_pause_and_a_lost_one(recorded: tuple[list[bytes], Manifest]) -> None:
    """All pictures of the others are there, as they are; what is missing is said."""
    files, manifest = recorded
    assert 6 <= len(files)
    lost = manifest.chunks[1].model_copy(
        update={"outcome": "lost", "content": None, "format": None, "verdict": None, "start_time": None}
    )
    unproved = manifest.chunks[4].model_copy(update={"outcome": "unproved"})
    chunks = [manifest.chunks[0], lost, *manifest.chunks[2:4], unproved, *manifest.chunks[5:]]
    found, _ = planned(Recording.of(with_timeline(manifest.model_copy(update={"chunks": chunks}))), reader(files))
    assert isinstance(found, Joined)
    [part] = found.parts

    file = written(part, reader(files))

    there = [index for index in range(len(files)) if index != 1]
    assert [one for index in there for one in pictures(files[index])] == list(pictures(file))
    samples, seconds = sound(file)
    assert abs(seconds * 16_000 - samples) < 1
    titles = [one.title for one in part.chapters]
    assert f"{KEY}_without-chunk-1_unproved-chunk-4.mp4" == part.file_name
    assert 1 == sum("chunk 1 is lost" in title for title in titles)
    assert 1 == sum("after a pause of 2 s" in title for title in titles)
    assert 1 == sum("chunk 4 (not proved)" in title for title in titles)


def test_two_chunks(recorded: tuple[list[bytes], Manifest]) -> None:
    """The bytes of their media are in it as they are."""
    files, manifest = recorded
    two = with_timeline(manifest.model_copy(update={"chunks": manifest.chunks[:2]}))

    found, asked = planned(Recording.of(two), reader(files))

    assert isinstance(found, Joined)
    [part] = found.parts
    assert not part.missing
    assert len(asked) <= 6
    file = written(part, reader(files))
    assert [one for file in files[:2] for one in pictures(file)] == list(pictures(file))
