"""recording/ingest/legacy.py: a chunk that the version before has committed is read back and compared."""

import asyncio
import hashlib
from itertools import pairwise
from typing import Any

import pytest

from recording.app import App
from recording.errors import NotProved, SourceDamaged, SourceUnavailable
from recording.model.job import ChunkJob
from recording.model.proof import ChunkFacts
from tests.support.emulator import Control
from tests.support.facts import announce, put, stored_sha256, with_blobs, worker
from tests.support.faults import FaultyBlobs

BLOCK = 300_000


def flight(body: bytes, offsets: list[int]) -> str:
    """Return the digest of all blocks, given where they begin, as that version committed it."""
    digests = [hashlib.sha256(body[begin:end]).hexdigest() for begin, end in pairwise([*offsets, len(body)])]
    lines = "\n".join(f"{index}:{digest[:40]}" for index, digest in enumerate(digests))
    return hashlib.sha256(lines.encode()).hexdigest()


async def committed(app: App, control: Control, size: int, *, spoiled: bool = False, **more: Any) -> ChunkJob:
    """Announce a chunk, and put it into staging as that version left it between commit and proof."""
    recording = await control.recording(size)
    [job] = await announce(app, recording)
    await app.ingest.run(job)
    body = await app.clients.blobs.read("staging", job.content_blob)
    assert body is not None
    offsets = list(range(0, size, BLOCK))
    facts = {"source_bytes": str(size), "block_bytes": str(BLOCK), "blocks": str(len(offsets)), "source_etag": "e"}
    facts |= {"flight": flight(body, offsets), "kind": "mp4"} | more
    if "flight_again" in more:
        facts["flight_again"] = flight(body, [0, *range(BLOCK // 2, size, BLOCK)])
    if spoiled:
        body = body[:-1] + bytes([body[-1] ^ 1])
    await put(app.settings, "staging", job.content_blob, body, **facts)
    return job


@pytest.mark.parametrize("more", [{}, {"flight_again": ""}])
@pytest.mark.parametrize("size", [1000, BLOCK, 5 * BLOCK + 7])
async def test_what_was_committed_before_is_proved(app: App, control: Control, size: int, more: dict[str, Any]) -> None:
    """By its SHA-256, as that version would have; the source isn't asked for it."""
    job = await committed(app, control, size, **more)
    await control.fault("expired", "/recording/download/*", times=None)

    await app.ingest.run(job)

    found = await app.clients.blobs.stat("staging", job.content_blob)
    assert found is not None
    assert found.sha256 == await stored_sha256(app, job)
    facts = ChunkFacts.from_metadata(found.metadata)
    assert (facts.blocks, True) == (facts.blocks_compared, "complete" in (facts.verdict or ""))
    assert (await app.recordings.load(job.recording_key)).is_staged


@pytest.mark.parametrize("more", [{}, {"flight_again": ""}])
async def test_other_bytes_are_found_out(app: App, control: Control, more: dict[str, Any]) -> None:
    """What isn't what passed by is deleted; the next attempt fetches the chunk again."""
    job = await committed(app, control, 2 * BLOCK, spoiled=True, **more)
    with pytest.raises(NotProved):
        await app.ingest.run(job)
    assert await stored_sha256(app, job) is None

    await app.ingest.run(job)

    assert (await app.recordings.load(job.recording_key)).is_staged


async def test_two_workers_prove_it_once(app: App, control: Control) -> None:
    """The second finds it changed, looks again, and is content; one that is killed leaves nothing behind."""
    job = await committed(app, control, 2 * BLOCK)
    dying = FaultyBlobs(app.settings).on("set_metadata", raises=asyncio.CancelledError)
    with pytest.raises(asyncio.CancelledError):
        await with_blobs(app, dying).ingest.run(job)
    await dying.aclose()

    await asyncio.gather(*(worker(app).ingest.run(job) for _ in range(3)))

    found = await app.clients.blobs.stat("staging", job.content_blob)
    assert found is not None
    assert found.sha256 == await stored_sha256(app, job)


async def test_other_bytes_are_kept_where_the_source_has_none_left(app: App, control: Control) -> None:
    """They are all that is left: nothing is proved of them, and they are archived as they are."""
    job = await committed(app, control, 2 * BLOCK, spoiled=True)
    left = await app.clients.blobs.read("staging", job.content_blob)
    await control.fault("expired", "/recording/download/*", times=None)

    await app.ingest.run(job)

    assert left == await app.clients.blobs.read("staging", job.content_blob)
    [chunk] = (await app.recordings.load(job.recording_key)).chunks
    assert (True, None) == (chunk.is_damaged, chunk.facts.flight)


@pytest.mark.parametrize(("fault", "more"), [("status", {"status": 500}), ("etag", {"length": 1000})])
async def test_other_bytes_are_kept_while_the_source_does_not_say_whether_it_has_others(
    app: App, control: Control, fault: str, more: dict[str, Any]
) -> None:
    """The attempt fails, and the next one asks again."""
    job = await committed(app, control, 2 * BLOCK, spoiled=True)
    left = await app.clients.blobs.read("staging", job.content_blob)
    await control.fault(fault, "/recording/download/*", times=None, **more)

    with pytest.raises((SourceUnavailable, SourceDamaged)):
        await app.ingest.run(job)

    assert left == await app.clients.blobs.read("staging", job.content_blob)
