"""recording/joining/make.py: MP4 chunks of the emulator, with a pause and a lost chunk, by the queue job."""

import contextlib
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from local.acs import media
from local.acs.timeline import Pause, Timeline
from recording.app import App
from recording.joining.file import FileLink, FileQuery
from recording.model.caller import Caller
from recording.model.job import JoinJob
from recording.model.metadata_file import Pause as SaidPause
from tests.support.facts import listing, with_blobs
from tests.support.faults import FaultyBlobs, Killed
from tests.support.joined import archived
from tests.support.joining import check_joined
from tests.support.manifests import KEY

# One worker runs them all: each would build the fixture of the module for itself.
pytestmark = [pytest.mark.derived, pytest.mark.xdist_group("make_emulator")]

START = datetime(2026, 3, 1, 10, tzinfo=UTC)
# The third and fourth of seven seconds.
PAUSE = Pause(START + timedelta(seconds=2), START + timedelta(seconds=4))
LOST, UNPROVED = 1, 4


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[bytes, dict[str, Any]]]:
    """Return the chunks of a recording, each with what the manifest says of it."""
    timeline = Timeline(START, START + timedelta(seconds=7), (PAUSE,))
    folder = tmp_path_factory.mktemp("recorded")
    found = []
    for chunk in media.encode(timeline, folder, maximum_bytes=100_000, cancelled=threading.Event()):
        begin = media.wall_at_frame(timeline, chunk.first_frame)
        has_pause = begin <= PAUSE.start < begin + timedelta(milliseconds=chunk.duration_ms)
        said = {
            "start_time": begin,
            "duration_ms": chunk.duration_ms,
            "media_ms": chunk.duration_ms,
            "pauses": (SaidPause(start=PAUSE.start, ms=2000),) if has_pause else (),
        }
        found.append((chunk.path.read_bytes(), said))
    return found


async def asked(app: App) -> JoinJob:
    """Ask for the file, and return the job that is queued."""
    found = await app.joining.file(Caller(), KEY, FileQuery())
    assert found.state == "making"
    jobs = []
    async for message in app.clients.join_queue.receive(limit=8, hidden_seconds=30):
        await app.clients.join_queue.delete(message)
        jobs.append(JoinJob.from_message(message.text))
    assert JoinJob(recording_key=KEY) in jobs
    return jobs[-1]


async def handed_out(app: App) -> tuple[FileLink, bytes]:
    """Return the only link, and what is behind it."""
    [part] = (await app.joining.file(Caller(), KEY, FileQuery())).parts or ()
    async with aiohttp.ClientSession() as http, http.get(part.url) as got:
        body = await got.read()
    assert part.bytes == len(body)
    return part, body


async def test_six_chunks_with_a_pause_a_lost_and_an_unproved_one(
    app: App, recorded: list[tuple[bytes, dict[str, Any]]], tmp_path: Path
) -> None:
    """By a worker that was killed in the middle, then one that finished, then a second delivery: one file, right."""
    assert 7 == len(recorded)
    bodies = [body if index != LOST else None for index, (body, _) in enumerate(recorded)]
    said = [dict(one) for _, one in recorded]
    said[LOST] = {"start_time": None, "duration_ms": None, "media_ms": None}
    said[UNPROVED]["outcome"] = "unproved"
    await archived(app.settings, bodies, kinds=("mp4",) * 7, said=said)
    job = await asked(app)

    # What is being made, the head, and two of the six ranges.
    dying = FaultyBlobs(app.settings, kill_after=4)
    with contextlib.suppress(Killed):
        await with_blobs(app, dying).joining.run(job)
    await dying.aclose()
    assert (await app.joining.file(Caller(), KEY, FileQuery())).state == "making"
    for _ in range(2):
        await app.joining.run(job)

    part, file = await handed_out(app)
    assert 1 == sum(name.endswith(".mp4") for name in await listing(app.settings, "derived"))
    check_joined(file, [body for body in bodies if body], tmp_path / "joined.mp4")
    proof = await app.joining.verify(KEY)
    assert (True, [0, 2, 3, 4, 5, 6]) == (proof.ok, proof.parts[0].chunks)
    titles = [one.title for one in part.chapters]
    assert f"{KEY}_without-chunk-1_unproved-chunk-4.mp4" == part.file_name
    assert [(1, "lost"), (4, "notProved")] == [(one.index, one.state) for one in part.missing]
    assert 1 == sum("chunk 1 is lost" in title for title in titles)
    assert 1 == sum("after a pause of 2 s" in title for title in titles)
    assert 1 == sum("chunk 4 (not proved)" in title for title in titles)


async def test_two_chunks(app: App, recorded: list[tuple[bytes, dict[str, Any]]], tmp_path: Path) -> None:
    """Nothing is missing, and nothing is in the name."""
    bodies, said = zip(*recorded[:2], strict=True)
    await archived(app.settings, bodies, kinds=("mp4",) * 2, said=said)

    await app.joining.run(await asked(app))

    part, file = await handed_out(app)
    check_joined(file, bodies, tmp_path / "joined.mp4")
    assert (f"{KEY}.mp4", ()) == (part.file_name, part.missing)
    assert (await app.joining.verify(KEY)).ok
