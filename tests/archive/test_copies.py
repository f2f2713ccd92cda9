"""recording/archive/copies.py: an incomplete copy is replaced, and what a manifest lists is never written again."""

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from local.azurite import Azurite
from local.storage_proxy import StorageProxy
from recording import crc64
from recording.app import App
from recording.archive.copies import COPY_BLOCK, Copies, copy_ranges
from recording.config.settings import Settings
from recording.formats import media
from recording.formats.media import Inspection
from recording.model import layout
from recording.model.job import ChunkJob
from recording.model.proof import ByteRange, ChunkFacts, CopyProof
from recording.model.stored import Container, StoredBlob
from recording.storage.blobs import CopyFailed
from tests.support.archives import HOUR, LATE, at, errors, give_up, manifest_of, outcomes
from tests.support.emulator import Control, file_event
from tests.support.facts import (
    MIB,
    add_fault,
    container,
    faults_met,
    harmed,
    listing,
    put,
    stage,
    sweep,
    with_blobs,
)
from tests.support.faults import FaultyBlobs
from tests.support.proved import KEY, announce_files, commit, facts_of, old_facts, stage_files
from tests.support.source import mp3, recording_of, wav

EVENT = "7283825e-f8f1-4c61-a9ea-752c56890500"


async def test_the_archive_is_never_written_over(app: App, control: Control) -> None:
    """What a manifest lists stays, even if staging has got other bytes of that chunk since."""
    recording = await control.recording(1000, 2000)
    [job] = await stage(app, recording | {"chunks": recording["chunks"][:1]})
    await sweep(app)
    before = await listing(app.settings, "archive")
    await stage(app, recording, event_id="late")

    await put(app.settings, "staging", job.content_blob, b"others", sha256="0" * 64)
    await sweep(app)

    assert before.items() <= (await listing(app.settings, "archive")).items()
    written = await manifest_of(app, job.recording_key, 2)
    assert [c["sha256"] for c in recording["chunks"]] == [e.content.sha256 for e in written.chunks if e.content]


async def test_an_event_in_the_archive_stays_though_another_comes_under_its_id(app: App, control: Control) -> None:
    """It is evidence of what was announced then; the other is kept beside it, and its chunk is archived."""
    recording = await control.recording(1000, 2000)
    first, second = (recording | {"chunks": [chunk]} for chunk in recording["chunks"])
    [job] = await stage(app, first)
    await sweep(app)
    before = await listing(app.settings, "archive")

    await stage(app, second)
    await sweep(app)

    after = await listing(app.settings, "archive")
    assert before.items() <= after.items()
    assert 2 == len([name for name in after if "/events/" in name])
    assert ["archived", "archived"] == outcomes(await manifest_of(app, job.recording_key, 2))
    assert {} == await listing(app.settings, "staging")


async def test_a_copy_that_fails_stops_no_other_of_its_recording(app: App, control: Control) -> None:
    """Of thousands of copies some fail in every run: what the others have done must add up."""
    jobs = await stage(app, await control.recording(*[1000] * 12))
    failing = FaultyBlobs(app.settings).on("copy_to_archive", name=r"chunks/00001-", raises=CopyFailed("on purpose"))

    report = await sweep(with_blobs(app, failing))
    copied = await listing(app.settings, "archive")
    await failing.aclose()
    await sweep(app)

    assert [jobs[0].recording_key] == report.failed
    assert 11 == len([name for name in copied if name.endswith(".mp4")])
    assert {"archived"} == set(outcomes(await manifest_of(app, jobs[0].recording_key)))


async def test_a_blob_that_nobody_knows_is_archived(app: App, control: Control) -> None:
    """A recording's folder in staging is emptied: what a later version of the app put there must not go with it."""
    [job] = await stage(app, await control.recording(1000))
    names = ("chunks/other.bin", "later/a.json")
    for name in names:
        await put(app.settings, "staging", f"{job.recording_key}/{name}", b"x")

    await sweep(app)

    found = await listing(app.settings, "archive")
    assert [True, True] == [layout.archived(f"{job.recording_key}/{name}") in found for name in names]
    assert {} == await listing(app.settings, "staging")


async def test_a_copy_that_was_left_half_done_is_made_again(app: App, control: Control) -> None:
    """A blob of the wrong length in the archive is replaced before the manifest lists it."""
    recording = await control.recording(5000)
    [job] = await stage(app, recording)
    await put(
        app.settings,
        "archive",
        layout.archived(job.content_blob, "mp4"),
        b"half",
        sha256=recording["chunks"][0]["sha256"],
    )

    await sweep(app)

    assert (
        recording["chunks"][0]["sha256"]
        == (await listing(app.settings, "archive"))[layout.archived(job.content_blob, "mp4")]
    )


FROM_URL: dict[str, Any] = {"operation": "PutBlockFromURL"}
COPY: dict[str, Any] = {"operation": "PutBlockList", "path": "*/archive-*"}
BODY = wav(30_000)


async def test_a_chunk_is_copied_by_blocks_and_each_proof_is_in_the_manifest(app: App) -> None:
    """The archive has the bytes, the manifest says SHA-256 and CRC64 of them, what was proved and when."""
    bodies = [BODY, mp3(40), wav(0)]
    jobs = await stage_files(app, *bodies)
    begun = datetime.now(UTC)

    assert [KEY] == (await sweep(app)).archived

    files, written = await listing(app.settings, "archive"), await manifest_of(app, KEY)
    assert {} == await listing(app.settings, "staging")
    for job, body, entry in zip(jobs, bodies, written.chunks, strict=True):
        sha256 = hashlib.sha256(body).hexdigest()
        assert entry.content is not None
        assert (sha256, crc64.to_hex(crc64.crc64(body))) == (entry.content.sha256, entry.content.crc64)
        assert sha256 == files[entry.content.blob]
        assert ("archived", "complete", "crc64") == (entry.outcome, entry.verdict, entry.copy_compared)
        assert entry.blocks == entry.blocks_compared
        assert entry.copy_proved_at is not None
        assert begun <= entry.copy_proved_at
        assert layout.archived(job.content_blob, media.kind_of(entry.content.blob)) == entry.content.blob


async def test_no_copy_has_the_address_of_its_source(app: App) -> None:
    """It would have its signature (docs/azure-storage.md#copies-on-the-servers-side)."""
    await stage_files(app, BODY)
    await sweep(app)

    async with container(app.settings, "archive") as blobs:
        found = [blob async for blob in blobs.list_blobs(include=["copy", "metadata"])]
    assert {None} == {blob.copy.source for blob in found}


@pytest.mark.parametrize(
    ("rule", "times"),
    [
        ({"kind": "wrongCrc", **FROM_URL}, 2),
        ({"kind": "noCrc", **FROM_URL}, 20),
        ({"kind": "corrupt", **FROM_URL}, 2),
        ({"kind": "lostAnswer", **FROM_URL}, 2),
        ({"kind": "lostAnswer", **COPY}, 2),
        ({"kind": "otherBytes", **COPY}, 1),
        ({"kind": "otherBytes", "offset": 0, **COPY}, 2),
        ({"kind": "corrupt", "operation": "GetBlob", "path": "*/archive-*.wav"}, 2),
        ({"kind": "cutBody", "operation": "GetBlob", "path": "*/archive-*.wav"}, 1),
    ],
)
async def test_a_copy_with_another_byte_or_another_answer_is_made_again(
    azurite: Azurite, environment: dict[str, str], rule: dict[str, Any], times: int
) -> None:
    """Whether it changes on its way, in the store or when it is read, the archive has each byte in the end."""
    async with harmed(azurite, environment) as (app, proxy):
        await stage_files(app, BODY)
        add_fault(proxy, times=times, **rule)

        for _ in range(2):
            await sweep(app)

        assert 0 < faults_met(proxy)
        [entry] = (await manifest_of(app, KEY)).chunks
        assert entry.content is not None
        assert entry.content.blob == layout.archived(layout.chunk_blob(KEY, 0, entry.document_id), "wav")
        assert hashlib.sha256(BODY).hexdigest() == (await listing(app.settings, "archive"))[entry.content.blob]
        assert {} == await listing(app.settings, "staging")


async def test_a_copy_is_read_before_the_manifest_and_staging_is_kept_until_it_is_right(
    azurite: Azurite, environment: dict[str, str]
) -> None:
    """A store that keeps no copy right costs no chunk; once it does, the recording is archived."""
    async with harmed(azurite, environment, {"kind": "otherBytes", "times": 1000, **COPY}) as (app, proxy):
        await stage_files(app, BODY)
        before = await listing(app.settings, "staging")

        for _ in range(2):
            assert [KEY] == (await sweep(app)).failed
            assert layout.manifest_blob(KEY) not in await listing(app.settings, "archive")
            assert before == await listing(app.settings, "staging")

        proxy.faults.clear()
        assert [KEY] == (await sweep(app)).archived


def refuse_overwriting(proxy: StorageProxy, name: str) -> None:
    """Refuse every write to a blob, as a policy of its container does (docs/azure-storage.md#immutability)."""
    for operation in ("PutBlob", "PutBlockList"):
        refused = {"kind": "status", "status": 409, "code": "BlobImmutableDueToPolicy", "times": 1000}
        add_fault(proxy, **refused, operation=operation, path=f"*/{name}")


async def test_a_wrong_copy_that_may_not_be_replaced_stays_and_the_right_one_has_a_name_of_its_own(
    azurite: Azurite, environment: dict[str, str]
) -> None:
    """A policy of the container refuses every overwriting (docs/azure-storage.md#immutability)."""
    async with harmed(azurite, environment) as (app, proxy):
        [job] = await stage_files(app, BODY)
        name = layout.archived(job.content_blob, "wav")
        await put(app.settings, "archive", name, BODY[:-1] + b"x", **facts_of(BODY).to_metadata())
        wrong = (await listing(app.settings, "archive"))[name]
        refuse_overwriting(proxy, name)

        await sweep(app)

        [entry] = (await manifest_of(app, KEY)).chunks
        files = await listing(app.settings, "archive")
        assert entry.content is not None
        assert (wrong, True) == (files[name], entry.content.blob != name)
        assert hashlib.sha256(BODY).hexdigest() == files[entry.content.blob] == entry.content.sha256
        assert "wav" == media.kind_of(entry.content.blob)
        assert (await app.verifier.verify(KEY)).ok
        assert {} == await listing(app.settings, "staging")

        # What comes later finds it under that name.
        await announce_files(app, 1, event_id="again")
        assert [] == (await sweep(app)).archived
        assert (files, {}) == (await listing(app.settings, "archive"), await listing(app.settings, "staging"))


@pytest.mark.parametrize("part", ["event", "metadata"])
async def test_a_wrong_event_or_metadata_file_that_may_not_be_replaced_stays_beside_the_right_one(
    azurite: Azurite, environment: dict[str, str], part: str
) -> None:
    """Its recording isn't kept from the archive for ever, and the manifest names the right file."""
    async with harmed(azurite, environment) as (app, proxy):
        [job] = await stage_files(app, BODY)
        staged = {"event": layout.event_blob(KEY, EVENT), "metadata": job.metadata_blob}[part]
        name, right = layout.archived(staged), (await listing(app.settings, "staging"))[staged]
        await put(app.settings, "archive", name, b"{")
        refuse_overwriting(proxy, name)

        assert [KEY] == (await sweep(app)).archived

        files = await listing(app.settings, "archive")
        [beside] = [one for one, sha256 in files.items() if sha256 == right]
        [entry] = (await manifest_of(app, KEY)).chunks
        assert entry.metadata is not None
        assert (hashlib.sha256(b"{").hexdigest(), True) == (files[name], beside.startswith(name.removesuffix("json")))
        assert entry.metadata.blob == (beside if part == "metadata" else layout.archived(job.metadata_blob))
        assert (await app.verifier.verify(KEY)).ok
        assert {} == await listing(app.settings, "staging")

        # Others that come later are not copied beside it.
        await announce_files(app, 1, event_id="again")
        await put(app.settings, "staging", job.metadata_blob, b"{}", sha256=hashlib.sha256(b"{}").hexdigest())
        await sweep(app)
        assert (files, {}) == (await listing(app.settings, "archive"), await listing(app.settings, "staging"))


async def test_a_run_that_was_killed_does_not_take_a_wrong_file_for_its_copy(
    azurite: Azurite, environment: dict[str, str]
) -> None:
    """The next one lists what is there, and by its metadata the wrong file has the right bytes."""
    async with harmed(azurite, environment) as (app, proxy):
        [job] = await stage_files(app, BODY)
        staged = await app.clients.blobs.stat("staging", job.metadata_blob)
        assert staged is not None
        name = layout.archived(job.metadata_blob)
        await put(app.settings, "archive", name, b"x" * staged.size, **staged.metadata)
        refuse_overwriting(proxy, name)
        copies = Copies(app.clients.blobs, app.clients.content)
        await copies.bring(await app.recordings.load(KEY), None, seconds=60)

        assert [KEY] == (await sweep(app)).archived

        [entry] = (await manifest_of(app, KEY)).chunks
        assert entry.metadata is not None
        assert staged.sha256 == (await listing(app.settings, "archive"))[entry.metadata.blob]
        assert (await app.verifier.verify(KEY)).ok


async def wrong_copies(app: App, proxy: StorageProxy, name: str, body: bytes, **metadata: str) -> str:
    """Put four wrong copies into the archive that may not be replaced; return the name that the next one gets."""
    for _ in range(4):
        await put(app.settings, "archive", name, body, **metadata)
        refuse_overwriting(proxy, name)
        found = await app.clients.blobs.stat("archive", name)
        assert found is not None
        name = layout.another_copy(name, found.etag)
    return name


async def test_several_wrong_copies_that_may_not_be_replaced_keep_no_recording_from_the_archive(
    azurite: Azurite, environment: dict[str, str]
) -> None:
    """A store that is not well may keep some wrong in each run; once it is well, the next copy is right."""
    async with harmed(azurite, environment) as (app, proxy):
        [job] = await stage_files(app, BODY)
        usual = layout.archived(job.content_blob, "wav")
        name = await wrong_copies(app, proxy, usual, BODY[:-1] + b"x", **facts_of(BODY).to_metadata())

        assert [KEY] == (await sweep(app)).archived

        [entry] = (await manifest_of(app, KEY)).chunks
        assert entry.content is not None
        assert name == entry.content.blob
        assert (await app.verifier.verify(KEY)).ok


async def test_content_without_a_proof_is_listed_under_the_name_that_it_got(
    azurite: Azurite, environment: dict[str, str]
) -> None:
    """Others that can't be replaced have its usual name and the next ones."""
    async with harmed(azurite, environment) as (app, proxy):
        [job] = await announce_files(app, 1)
        await put(app.settings, "staging", job.content_blob, BODY)
        name = await wrong_copies(app, proxy, layout.archived(job.content_blob, None), BODY[:100])

        assert [KEY] == (await sweep(app, now=await give_up(app, job))).incomplete

        [entry] = (await manifest_of(app, KEY)).chunks
        files = await listing(app.settings, "archive")
        assert entry.content is not None
        assert ("unproved", name) == (entry.outcome, entry.content.blob)
        assert hashlib.sha256(BODY).hexdigest() == files[entry.content.blob]


@pytest.mark.parametrize("part", ["event", "metadata"])
async def test_one_wrong_read_of_staging_is_no_damage(
    azurite: Azurite, environment: dict[str, str], caplog: pytest.LogCaptureFixture, part: str
) -> None:
    """What is deleted and fetched again may be gone at ACS by then; what an event says goes into the manifest."""
    async with harmed(azurite, environment) as (app, proxy):
        [job] = await stage_files(app, BODY)
        staged = {"event": layout.event_blob(KEY, EVENT), "metadata": job.metadata_blob}[part]
        add_fault(proxy, kind="corrupt", operation="GetBlob", path=f"*/{staged}", times=1)

        assert [KEY] == (await sweep(app)).archived

        assert (1, []) == (faults_met(proxy), errors(caplog))
        assert (await app.verifier.verify(KEY)).ok


async def test_one_wrong_read_of_a_copy_replaces_nothing(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """Another worker may have found it right, and be about to say so."""
    [job] = await stage_files(app, BODY)
    written: list[int] = []

    async def note() -> None:
        written.append(1)

    misread = FaultyBlobs(app.settings).on("read_ranges", reads=lambda piece: piece[:-1] + b"x", times=1)
    misread.on("copy_to_archive", after=note)

    [fact] = (await Copies(misread, app.clients.content).bring(await app.recordings.load(KEY), None, seconds=60)).proofs
    await misread.aclose()

    proof = CopyProof.from_metadata(fact.metadata)
    copy = await app.clients.blobs.stat("archive", layout.archived(job.content_blob, "wav"))
    assert proof is not None
    assert copy is not None
    assert ([1], copy.etag) == (written, proof.etag)
    assert "copy.differs" not in caplog.text


async def test_a_copy_that_the_version_before_still_makes_is_waited_for(app: App) -> None:
    """Its copies were asynchronous: one that is pending is neither replaced nor taken as complete."""
    [job] = await announce_files(app, 1)
    await commit(app, job, BODY, old_facts(BODY))
    name = layout.archived(job.content_blob, "wav")
    await put(app.settings, "archive", name, BODY[:100], **old_facts(BODY).to_metadata())
    before = await listing(app.settings, "archive")
    pending = _Pending(app.settings, name)

    report = await sweep(with_blobs(app, pending))

    assert [KEY] == report.failed
    assert before[name] == (await listing(app.settings, "archive"))[name]
    assert job.content_blob in await listing(app.settings, "staging")

    pending.is_pending = False
    assert [KEY] == (await sweep(with_blobs(app, pending))).archived
    await pending.aclose()
    assert (await app.verifier.verify(KEY)).ok


class _Pending(FaultyBlobs):
    """Storage in which a copy by the service is under way, which Azurite completes at once."""

    def __init__(self, settings: Settings, name: str) -> None:
        super().__init__(settings)
        self._name = name
        self.is_pending = True

    async def stat(self, where: Container, name: str) -> StoredBlob | None:
        found = await super().stat(where, name)
        is_it = found and where == "archive" and name == self._name and self.is_pending
        return replace(found, copy_status="pending") if found and is_it else found


async def test_a_duration_that_only_the_pass_over_the_copy_finds_is_in_the_manifest(app: App) -> None:
    """The early look sees a part of a large MP3; the timeline and joined files need its length."""
    body = mp3(400)
    [job] = await announce_files(app, 1)
    looked = Inspection(len(body))
    looked.feed(body)
    await commit(app, job, body, facts_of(body, looked=False).model_copy(update={"seconds": None}))

    await sweep(app)

    [entry] = (await manifest_of(app, KEY)).chunks
    seconds = looked.verdict().seconds
    assert seconds is not None
    assert round(seconds * 1000) == entry.media_ms


async def damage(app: App, job: ChunkJob, facts: Callable[[bytes], ChunkFacts] = facts_of) -> bytes:
    """Change a byte of a chunk in staging; return what is left."""
    body = await app.clients.blobs.read("staging", job.content_blob)
    assert body is not None
    left = body[:-1] + bytes([body[-1] ^ 1])
    await put(app.settings, "staging", job.content_blob, left, **facts(body).to_metadata())
    return left


@pytest.mark.parametrize("facts", [facts_of, old_facts], ids=["by CRC64", "by the version before"])
async def test_bytes_that_staging_does_not_keep_are_fetched_again_while_acs_has_them(
    app: App, control: Control, caplog: pytest.LogCaptureFixture, facts: Callable[[bytes], ChunkFacts]
) -> None:
    """No copy of them can be right: they are deleted, and the timer queues the chunk."""
    [job] = await stage(app, await control.recording(20_000))
    await damage(app, job, facts)

    report = await sweep(app)
    assert [job.recording_key] == report.failed
    assert job.content_blob not in await listing(app.settings, "staging")
    assert ["chunk.damaged"] == errors(caplog)
    [again] = (await sweep(app, now=datetime.now(UTC) + HOUR)).jobs
    assert job.again() == again

    await app.ingest.run(again)
    assert [job.recording_key] == (await sweep(app)).archived
    assert (await app.verifier.verify(job.recording_key)).ok


async def test_damaged_bytes_are_not_deleted_where_acs_has_none_left(
    app: App, control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    """Its document may be deleted before it expires: then they are all that is left, and are archived as they are."""
    [job] = await stage(app, await control.recording(20_000))
    left = await damage(app, job)
    await control.fault("expired", f"*{job.document_id}*", times=None)

    assert [job.recording_key] == (await sweep(app)).failed
    assert ["chunk.damaged"] == errors(caplog)
    assert [job.recording_key] == (await sweep(app)).incomplete

    [entry] = (await manifest_of(app, job.recording_key)).chunks
    assert entry.content is not None
    assert ("unproved", False) == (entry.outcome, entry.is_safe)
    assert hashlib.sha256(left).hexdigest() == (await listing(app.settings, "archive"))[entry.content.blob]


@pytest.mark.parametrize(
    ("fault", "more"),
    [("status", {"status": 500}), ("html", {"status": 200}), ("etag", {"length": 1000})],
    ids=["failed", "error page", "shorter"],
)
async def test_damaged_bytes_wait_while_acs_does_not_say_whether_it_has_them(
    app: App, control: Control, fault: str, more: dict[str, Any]
) -> None:
    """Nothing is deleted, and nothing is given up, for an answer that says neither."""
    [job] = await stage(app, await control.recording(20_000))
    await damage(app, job)
    before = await listing(app.settings, "staging")
    await control.fault(fault, f"*{job.document_id}*", times=None, **more)

    assert [job.recording_key] == (await sweep(app)).failed

    assert before == await listing(app.settings, "staging")


async def test_bytes_that_staging_does_not_keep_are_archived_as_they_are_when_acs_has_none(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    """They are all that is left, and the other chunks don't wait for them; the manifest says so."""
    whole, job = await announce_files(app, 2)
    await commit(app, whole, BODY, facts_of(BODY))
    await commit(app, job, BODY[:-1] + b"x", facts_of(BODY))
    late = datetime.now(UTC) + LATE

    assert [KEY] == (await sweep(at(app, late), now=late)).failed
    assert ["chunk.damaged"] == errors(caplog)
    # A message that comes late changes nothing.
    await app.ingest.run(job.again())
    report = await sweep(at(app, late), now=late)

    assert ([KEY], []) == (report.incomplete, report.jobs)
    good, bad = (await manifest_of(app, KEY)).chunks
    assert (["archived", "unproved"], False) == ([good.outcome, bad.outcome], bad.is_safe)
    assert "storage holds other bytes than it had received" in (bad.reason or "")
    assert bad.content is not None
    assert bad.content.sha256 is None
    files = await listing(app.settings, "archive")
    assert hashlib.sha256(BODY[:-1] + b"x").hexdigest() == files[bad.content.blob]
    assert {} == await listing(app.settings, "staging")

    # An operator restores the version before, which is right.
    await commit(app, job, BODY, facts_of(BODY))
    assert [KEY] == (await sweep(at(app, late), now=late)).archived
    assert (await app.verifier.verify(KEY)).ok


async def test_what_a_worker_has_read_and_found_right_is_not_written_over_by_one_that_misreads(app: App) -> None:
    """The manifest may list it by then."""
    [job] = await stage_files(app, BODY)
    copies = Copies(app.clients.blobs, app.clients.content)
    recording = await app.recordings.load(KEY)
    await copies.bring(recording, None, seconds=60)
    before = await app.clients.blobs.stat("archive", name := layout.archived(job.content_blob, "wav"))

    misread = FaultyBlobs(app.settings).on("read_ranges", reads=lambda piece: bytes([piece[0] ^ 1]) + piece[1:])
    await Copies(misread, app.clients.content).bring(recording, None, seconds=60)
    await misread.aclose()

    assert before == await app.clients.blobs.stat("archive", name)


async def test_a_chunk_of_the_version_before_is_proved_by_its_sha256(app: App) -> None:
    """It is in staging when the app is upgraded; it has no CRC64 to compare."""
    [job] = await announce_files(app, 1)
    await commit(app, job, BODY, old_facts(BODY))

    await sweep(app)

    [entry] = (await manifest_of(app, KEY)).chunks
    assert entry.content is not None
    assert ("archived", "sha256") == (entry.outcome, entry.copy_compared)
    assert (hashlib.sha256(BODY).hexdigest(), crc64.to_hex(crc64.crc64(BODY))) == (
        entry.content.sha256,
        entry.content.crc64,
    )


async def test_a_half_copy_of_the_version_before_is_replaced(app: App) -> None:
    """Its asynchronous copies had all of the metadata and a part of the bytes when they failed."""
    [job] = await announce_files(app, 1)
    await commit(app, job, BODY, old_facts(BODY))
    await put(
        app.settings,
        "archive",
        layout.archived(job.content_blob, "wav"),
        BODY[:100],
        **old_facts(BODY).to_metadata(),
    )
    async with container(app.settings, "staging") as blobs:
        event = await blobs.get_blob_client(f"{layout.event_blob(KEY, EVENT)}").get_blob_properties()
    await put(app.settings, "archive", layout.archived(layout.event_blob(KEY, EVENT)), b"{", **event.metadata)

    await sweep(app)

    assert (await app.verifier.verify(KEY)).ok
    staged = json.dumps(file_event(recording_of(job.document_id)))
    kept = await app.clients.blobs.read("archive", layout.archived(layout.event_blob(KEY, EVENT)))
    assert kept is not None
    assert json.loads(staged)["data"] == json.loads(kept)["data"]


def test_short_ranges_are_copied_as_one_block_and_long_ones_are_cut() -> None:
    """A copy has few blocks, each of at most 256 MiB, which together have every byte once."""
    body = bytes(100_000)
    one = StoredBlob("a", len(body), "e", facts_of(body).to_metadata())
    assert (ByteRange(0, len(body), crc64.crc64(body)),) == copy_ranges(one)

    for size in (300 * MIB, 9000 * MIB, 10**12):
        for facts in (
            ChunkFacts(sha256="0"),
            ChunkFacts(block_crcs=base64.b64encode(bytes(8)).decode(), crc64="0" * 16, first_bytes=size),
        ):
            cut = copy_ranges(StoredBlob("a", size, "e", facts.to_metadata()))
            ends = [0, *(part.offset + part.length for part in cut)]
            assert ends[:-1] == [part.offset for part in cut]
            assert (size, True) == (ends[-1], max(part.length for part in cut) <= COPY_BLOCK)
    assert () == copy_ranges(StoredBlob("a", 0, "e"))
