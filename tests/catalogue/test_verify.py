"""recording/catalogue/verify.py: what the archive holds is read again and compared with its manifest."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from recording.app import App
from recording.catalogue.verify import ChunkVerified, RecordingVerification, Verifier
from recording.errors import BadRequest, Conflict, NotFound, RecordingError
from recording.model import layout
from recording.model.caller import Caller
from recording.model.job import ChunkJob
from recording.model.roles import MANAGE, Principal
from tests.support.archives import LATE, errors, give_up, lose, spoil
from tests.support.emulator import Control
from tests.support.facts import MIB, announce, archived, body_of, container, listing, put, stage, sweep
from tests.support.source import mp4 as file_of

STORED = Path(__file__).parents[1] / "data/stored"
KEY = "20260301T100000000000Z-3f2b0e4c-0000-4000-8000-000000000001"


async def problems(app: App, job: ChunkJob, *, chunk: int = 0) -> list[str]:
    """Verify a recording that isn't intact: what is wrong with one chunk of it."""
    found = await app.verifier.verify(job.recording_key)
    assert not found.ok
    return found.chunks[chunk].problems


async def test_an_intact_recording_is_ok(app: App, control: Control, caplog: pytest.LogCaptureFixture) -> None:
    """Every chunk and its metadata file are what the manifest says; the bytes that were read are counted."""
    caplog.set_level("INFO")
    jobs = await archived(app, control, 3 * MIB, 1000)
    before = await listing(app.settings, "archive")

    found = await app.verifier.verify(jobs[0].recording_key)

    assert (True, True, [], [[], []]) == (found.ok, found.complete, found.problems, [c.problems for c in found.chunks])
    assert [(job.document_id, job.index) for job in jobs] == [(c.document_id, c.index) for c in found.chunks]
    assert found.chunks[0].bytes > 3 * MIB
    assert "recording.verified" in caplog.text
    assert before == await listing(app.settings, "archive")


@pytest.mark.filterwarnings("ignore:Sending a large body")
async def test_a_flipped_bit_is_found(app: App, control: Control, caplog: pytest.LogCaptureFixture) -> None:
    """One changed bit in one chunk is reported with both digests, and the other chunk is intact."""
    recording = await control.recording(3 * MIB, 1000)
    jobs = await stage(app, recording)
    await sweep(app)
    blob = await spoil(app, jobs[0].content_blob)

    [problem] = await problems(app, jobs[0])

    stored = (await listing(app.settings, "archive"))[blob]
    assert f"{blob}: has SHA-256 {stored}, the manifest says {recording['chunks'][0]['sha256']}" == problem
    assert [] == await problems(app, jobs[0], chunk=1)
    assert ["recording.verified"] * 2 == errors(caplog)


async def test_a_metadata_file_is_compared_too(app: App, control: Control) -> None:
    """It is evidence like the content."""
    [job] = await archived(app, control, 1000)
    await spoil(app, job.metadata_blob)

    [problem] = await problems(app, job)

    assert problem.startswith(f"{layout.archived(job.metadata_blob)}: has SHA-256")


async def test_a_truncated_chunk_is_told_with_its_length(app: App, control: Control) -> None:
    """Length, digest and boxes all say so."""
    [job] = await archived(app, control, 1000)
    whole = await app.clients.blobs.read("archive", layout.archived(job.content_blob, "mp4"))
    assert whole is not None
    await spoil(app, job.content_blob, whole[:-1])

    length, digest, boxes = await problems(app, job)

    assert length.endswith("has 999 bytes, the manifest says 1000")
    assert "has SHA-256" in digest
    assert "box mdat" in boxes


async def test_a_chunk_that_is_no_media_is_told(app: App, control: Control) -> None:
    """Whatever blob is there, a byte, zeros or nothing, verification rejects it."""
    [job] = await archived(app, control, 1000)
    for body, problem in ((b"x", "text"), (b"\0" * 1000, "no media"), (b"", "no bytes")):
        await spoil(app, job.content_blob, body)

        assert problem in (await problems(app, job))[-1]


async def test_a_missing_blob_is_told(app: App, control: Control) -> None:
    """A file that the manifest names and the archive hasn't got."""
    first, second = await archived(app, control, 1000, 2000)
    await app.clients.blobs.delete("archive", layout.archived(first.content_blob, "mp4"))
    await app.clients.blobs.delete("archive", layout.archived(second.metadata_blob))

    assert [f"{layout.archived(first.content_blob, 'mp4')}: missing"] == await problems(app, first)
    assert [f"{layout.archived(second.metadata_blob)}: missing"] == await problems(app, first, chunk=1)


async def test_boxes_are_looked_at_though_the_digest_is_right(app: App, control: Control) -> None:
    """A file that was damaged before anybody hashed it still can't be played."""
    [job] = await archived(app, control, 1000)
    blob = await spoil(app, job.content_blob, file_of(1000).replace(b"moov", b"free"))
    name = layout.manifest_blob(job.recording_key)
    manifest = json.loads(await app.clients.blobs.read("archive", name) or b"")
    manifest["chunks"][0]["content"]["sha256"] = (await listing(app.settings, "archive"))[blob]
    await put(app.settings, "archive", name, json.dumps(manifest).encode())

    assert [f"{blob}: no moov box, without which nothing can be played"] == await problems(app, job)


async def test_an_incomplete_recording_is_as_its_manifest_says(app: App, control: Control) -> None:
    """A loss is listed in the manifest: the recording is incomplete, not damaged."""
    kept, gone = await announce(app, await control.recording(1000, 2000))
    await app.ingest.run(kept)
    await lose(app, control, gone)
    await sweep(app, now=datetime.now(UTC) + LATE)

    found = await app.verifier.verify(kept.recording_key)

    assert (True, False, [[], []], 0) == (
        found.ok,
        found.complete,
        [c.problems for c in found.chunks],
        found.chunks[1].bytes,
    )


async def test_content_that_was_never_read_back_is_looked_at(app: App, control: Control) -> None:
    """Its digest is unknown: its structure is all there is to see damage by."""
    [job] = await stage(app, await control.recording(1000))
    await put(
        app.settings, "staging", job.content_blob, await app.clients.blobs.read("staging", job.content_blob) or b""
    )
    await sweep(app, now=await give_up(app, job))
    written = await app.recordings.newest_manifest(job.recording_key)
    assert written is not None
    assert written.chunks[0].content is not None
    assert ("unproved", None) == (written.chunks[0].outcome, written.chunks[0].content.sha256)
    assert (await app.verifier.verify(job.recording_key)).ok

    await put(app.settings, "archive", written.chunks[0].content.blob, bytes(1000))

    assert "no media" in (await problems(app, job))[-1]


async def test_an_archive_of_an_older_version_is_verified_by_its_own_manifest(app: App) -> None:
    """It has a SHA-256 and no CRC64 of the copy; an unproved chunk has no digest, so its structure is looked at."""
    written = json.loads((STORED / "manifest.json").read_text()) | {"revision": 1}
    first, _, unproved = written["chunks"]
    bodies = {"content": file_of(20_000), "metadata": b'{"chunkIndex": 0}'}
    for part, body in bodies.items():
        first[part] |= {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
        await put(app.settings, "archive", first[part]["blob"], body)
    await put(app.settings, "archive", unproved["content"]["blob"], b"RIFF?")
    key = written["recordingKey"]
    await put(app.settings, "archive", layout.manifest_blob(key), json.dumps(written).encode())

    found = await app.verifier.verify(key)
    assert [True, True, False] == [not chunk.problems for chunk in found.chunks]

    for part, body in bodies.items():
        await put(app.settings, "archive", first[part]["blob"], body[:-1] + bytes([body[-1] ^ 1]))
        [problem] = (await app.verifier.verify(key)).chunks[0].problems
        assert problem.startswith(f"{first[part]['blob']}: has SHA-256")
        await put(app.settings, "archive", first[part]["blob"], body)


async def test_an_unknown_recording_is_not_found(app: App, control: Control) -> None:
    """One in flight isn't archived yet."""
    [job] = await stage(app, await control.recording(1000))

    for key in (KEY, job.recording_key):
        with pytest.raises(NotFound):
            await app.verifier.verify(key)


async def test_a_malformed_key_is_refused(app: App) -> None:
    """Nothing is asked of storage for it."""
    for key in ("", "x", "../x", f"{KEY}/recording.json", "20261301T100000000000Z-a"):
        with pytest.raises(BadRequest):
            await app.verifier.verify(key)


async def test_a_recording_too_large_for_one_request_is_refused(app: App, control: Control) -> None:
    """The error names the command that has no limit of time; within the limit it is verified."""
    [job] = await archived(app, control, 1000)
    hasty = Verifier(app.clients.blobs, app.recordings, app.trail, request_timeout=0)

    with pytest.raises(RecordingError, match="python -m recording verify") as refused:
        await hasty.verify_in_request(Caller(), job.recording_key)

    assert (500, "TooLarge") == (refused.value.http_status, refused.value.error_code)
    assert (await app.verifier.verify_in_request(Caller(), job.recording_key)).ok


async def test_a_manifest_that_cannot_be_read_is_damage(app: App, control: Control) -> None:
    """It is reported, not raised: others are still to be verified."""
    [job] = await archived(app, control, 1000)
    await put(app.settings, "archive", layout.manifest_blob(job.recording_key), b"{")

    found = await app.verifier.verify(job.recording_key)

    assert (False, ["its manifest cannot be read"], []) == (found.ok, found.problems, found.chunks)


async def everything(app: App, **more: Any) -> dict[str, RecordingVerification]:
    """Verify all of a window of time."""
    keys = [key async for key in app.recordings.archived_keys(**more)]
    return {found.recording_key: found async for found in app.verifier.verify_all(keys)}


async def test_all_are_verified_and_none_is_left_out(app: App, control: Control) -> None:
    """Recordings without a manifest or with one that can't be read count as damaged, those in flight not at all."""
    [good] = await archived(app, control, 1000, event_id="good")
    [bad] = await archived(app, control, 1000, event_id="bad")
    [bare] = await archived(app, control, 1000, event_id="bare")
    await put(app.settings, "archive", layout.manifest_blob(bad.recording_key), b"{")
    await app.clients.blobs.delete("archive", layout.manifest_blob(bare.recording_key))
    [moving] = await stage(app, await control.recording(1000), event_id="moving")
    await put(app.settings, "archive", layout.archived(moving.content_blob, "mp4"), b"half")
    await put(app.settings, "archive", "starts/x/00001-claim.json", b"{}")
    await put(app.settings, "archive", "audit/2026/03/01/x.json", b"{}")

    found = await everything(app)

    assert {good.recording_key: True, bad.recording_key: False, bare.recording_key: False} == {
        key: one.ok for key, one in found.items()
    }
    assert ["it has no manifest"] == found[bare.recording_key].problems


async def test_a_window_of_time_has_its_start_and_not_its_end(app: App) -> None:
    """[since, until), in any zone; without either all there is."""
    start = datetime(2026, 3, 1, 10, tzinfo=UTC)
    keys = [layout.recording_key(start + timedelta(hours=hours), "a") for hours in (0, 1, 14, 24 * 400)]
    for key in keys:
        await put(app.settings, "archive", f"{layout.archive_folder(key)}/events/e.json", b"{}")
    hour = timedelta(hours=1)

    assert set(keys) == set(await everything(app))
    assert {keys[1], keys[2]} == set(await everything(app, since=start + hour, until=start + 24 * hour))
    assert set(keys[:2]) == set(await everything(app, until=(start + 14 * hour).replace(tzinfo=None)))
    assert set(keys[3:]) == set(await everything(app, since=start + 15 * hour))
    assert set() == set(await everything(app, since=start + hour, until=start + hour))


async def test_newest_manifest_counts(app: App, control: Control) -> None:
    """A recording that was completed later is verified whole."""
    recording = await control.recording(1000, 2000)
    [job] = await stage(app, recording | {"chunks": recording["chunks"][:1]})
    await sweep(app)
    await stage(app, recording, event_id="late")
    await sweep(app)

    found = await app.verifier.verify(job.recording_key)

    assert (True, 2) == (found.ok, len(found.chunks))
    assert (await app.recordings.newest_manifest(job.recording_key)) is not None
    async with container(app.settings, "archive") as blobs:
        await blobs.delete_blob(
            layout.archived(
                f"{job.recording_key}/chunks/{found.chunks[1].index:05}-{recording['chunks'][1]['documentId']}.media",
                "mp4",
            )
        )
    assert not (await app.verifier.verify(job.recording_key)).ok


GRACE = Caller("Grace", principal=Principal("person", "g-1", "Grace", frozenset({MANAGE})))


async def verified(app: App, job: ChunkJob, **more: Any) -> ChunkVerified:
    """Verify one chunk."""
    return await app.verifier.verify_chunk(GRACE, job.recording_key, str(job.index), **more)


async def trail(app: App) -> list[Any]:
    """Read what the trail has of verifications, the oldest first."""
    names = [name for name in await listing(app.settings, "archive") if "-verify-" in name]
    return [await body_of(app.settings, "archive", name) for name in sorted(names)]


async def test_one_chunk_is_verified_alone(app: App, control: Control) -> None:
    """A long recording shows its progress: the other chunk isn't read. The result is on the trail."""
    jobs = await archived(app, control, 1000, 2000)
    await spoil(app, jobs[0].content_blob)

    found = await verified(app, jobs[1], reason="case 118")

    assert (True, [], jobs[1].document_id, 1) == (found.ok, found.problems, found.document_id, found.index)
    assert found.bytes > 2000
    [fact] = await trail(app)
    assert ("Grace", jobs[0].recording_key, [1], "case 118", "ok") == (
        fact["who"],
        fact["recordingKey"],
        fact["indexes"],
        fact["reason"],
        fact["outcome"],
    )


async def test_a_chunk_that_is_spoilt_is_told_and_on_record(
    app: App, control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever reads the trail later learns what was wrong; the log line is the one that the runbook has."""
    [job] = await archived(app, control, 1000)
    blob = await spoil(app, job.content_blob)

    found = await verified(app, job)

    assert not found.ok
    assert found.problems[0].startswith(f"{blob}: has SHA-256")
    assert ["recording.verified"] == errors(caplog)
    [fact] = await trail(app)
    assert ("NotIntact", found.problems) == (fact["outcome"], fact["details"]["problems"])


async def test_a_chunk_that_the_archive_has_not_is_not_verified(app: App, control: Control) -> None:
    """Malformed, unknown, in flight, lost: each is refused by name."""
    [job] = await announce(app, await control.recording(1000))
    for key, index, error in (
        ("no-key", "0", BadRequest),
        (job.recording_key, "x", BadRequest),
        (KEY, "0", NotFound),
        (job.recording_key, "0", NotFound),
    ):
        with pytest.raises(error):
            await app.verifier.verify_chunk(GRACE, key, index)
    await lose(app, control, job)
    await sweep(app, now=datetime.now(UTC) + LATE)

    with pytest.raises(NotFound, match="no file"):
        await verified(app, job)
    with pytest.raises(NotFound):
        await verified(app, job.model_copy(update={"index": 7}))


async def test_a_chunk_of_a_manifest_that_is_damaged_is_refused(app: App, control: Control) -> None:
    """What it should be is unknown."""
    [job] = await archived(app, control, 1000)
    await put(app.settings, "archive", layout.manifest_blob(job.recording_key), b"{}")

    with pytest.raises(Conflict):
        await verified(app, job)


async def test_a_chunk_that_is_too_large_for_a_request_says_what_to_do(app: App, control: Control) -> None:
    """And that it was tried is on record."""
    [job] = await archived(app, control, 1000)
    hasty = Verifier(app.clients.blobs, app.recordings, app.trail, request_timeout=0)

    with pytest.raises(RecordingError, match="python -m recording verify"):
        await hasty.verify_chunk(GRACE, job.recording_key, "0")

    assert ["TooLarge"] == [fact["outcome"] for fact in await trail(app)]
