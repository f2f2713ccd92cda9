"""recording/archive/run.py: a complete recording is archived, and the manifest names what is lost."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from recording.app import App
from recording.errors import ChunkError, SourceGone
from recording.model import layout
from tests.support.archives import LATE, at, errors, lose, manifest_of, outcomes
from tests.support.emulator import Control
from tests.support.facts import announce, listing, run_timer, stage, sweep, with_blobs
from tests.support.faults import FaultyBlobs
from tests.support.manifests import empty_manifest


async def test_a_whole_recording_goes_into_the_archive(app: App, control: Control) -> None:
    """Every blob is copied byte for byte, the manifest lists every chunk with its SHA-256, staging is empty."""
    recording = await control.recording(5_000_000, 1000)
    [job, _] = await stage(app, recording)
    staged = await listing(app.settings, "staging")

    report = await sweep(app)

    archived = await listing(app.settings, "archive")
    written = await manifest_of(app, job.recording_key)
    manifest = layout.manifest_blob(job.recording_key)
    assert {layout.archived(name, "mp4"): sha256 for name, sha256 in staged.items()} == {
        name: sha256 for name, sha256 in archived.items() if name != manifest
    }
    assert {} == await listing(app.settings, "staging")
    assert (True, "archived", [job.recording_key]) == (written.complete, written.state, report.archived)
    told = [(e.content.bytes, e.content.sha256) for e in written.chunks if e.content]
    assert [(c["bytes"], c["sha256"]) for c in recording["chunks"]] == told
    for entry in written.chunks:
        assert entry.content is not None
        assert entry.metadata is not None
        assert entry.content.sha256 == archived[entry.content.blob]
        assert entry.metadata.sha256 == archived[entry.metadata.blob]


async def test_what_is_not_staged_yet_is_waited_for(app: App, control: Control) -> None:
    """A recording stays in staging, whole as it is, while one of its chunks is missing."""
    first, _ = await announce(app, await control.recording(1000, 1000))
    await app.ingest.run(first)
    before = await listing(app.settings, "staging")

    report = await sweep(app)

    assert ([first.recording_key], [], {}) == (report.waiting, report.jobs, await listing(app.settings, "archive"))
    assert before == await listing(app.settings, "staging")


async def test_a_run_with_nothing_to_do_does_nothing(app: App) -> None:
    """Empty containers are fine."""
    report = await sweep(app)

    assert ([], [], [], 0) == (report.archived, report.failed, report.jobs, report.not_reached)


async def test_two_runs_at_once_make_one_archive(app: App, control: Control) -> None:
    """Overlapping runs copy the same, write one manifest and empty staging."""
    jobs = await stage(app, await control.recording(1000, 1000))

    await asyncio.gather(*(sweep(app) for _ in range(3)))
    await sweep(app)

    archived = await listing(app.settings, "archive")
    assert ({}, 6) == (await listing(app.settings, "staging"), len(archived))
    assert (await manifest_of(app, jobs[0].recording_key)).complete


async def test_a_late_duplicate_of_the_event_changes_nothing(app: App, control: Control) -> None:
    """An event that is delivered again after archiving leaves no trace, even where its chunk jobs run."""
    recording = await control.recording(1000, 1000)
    jobs = await stage(app, recording)
    await sweep(app)
    before = await listing(app.settings, "archive")

    for event_id in ("7283825e-f8f1-4c61-a9ea-752c56890500", "another-id"):
        for job in await announce(app, recording, event_id=event_id):
            await app.ingest.run(job)
        report = await sweep(app)
        assert ([], [], []) == (report.archived, report.jobs, report.failed)

    assert ({}, before) == (await listing(app.settings, "staging"), await listing(app.settings, "archive"))
    assert 2 == len(jobs)


async def test_a_deadline_names_what_is_lost(app: App, control: Control, caplog: pytest.LogCaptureFixture) -> None:
    """After the deadline what exists is archived; the manifest and an error name what doesn't, and why."""
    recording = await control.recording(1000, 2000)
    kept, gone = await announce(app, recording)
    await app.ingest.run(kept)
    await lose(app, control, gone)

    report = await sweep(app, now=datetime.now(UTC) + LATE)

    written = await manifest_of(app, kept.recording_key)
    assert (["archived", "lost"], False, "incomplete") == (outcomes(written), written.complete, written.state)
    assert "SourceGone: ACS has no such document" in str(written.chunks[1].reason)
    assert ([kept.recording_key], [], {}) == (
        report.incomplete,
        report.archived,
        await listing(app.settings, "staging"),
    )
    assert ["chunk.lost", "recording.archived"] == errors(caplog)


@pytest.mark.parametrize(
    ("fault", "evidence"),
    [
        ({"kind": "expired"}, "SourceGone: ACS has no such document"),
        ({"kind": "status", "status": 410}, "SourceGone: ACS has no such document"),
        ({"kind": "empty"}, "SourceDamaged: the source answered with no bytes"),
    ],
    ids=["expired", "deleted", "empty"],
)
async def test_the_manifest_says_why_a_chunk_is_absent(
    app: App, control: Control, fault: dict[str, Any], evidence: str
) -> None:
    """It lists each attempt, and the source's answer."""
    [job] = await announce(app, await control.recording(1000))
    await control.fault(**fault, path=f"*{job.document_id}*", times=None)
    late = datetime.now(UTC) + LATE
    for when in (datetime.now(UTC), late):
        with pytest.raises(ChunkError):
            await at(app, when).ingest.run(job)

    await sweep(app, now=late)

    [entry] = (await manifest_of(app, job.recording_key)).chunks
    assert ("lost", None, 2) == (entry.outcome, entry.content, entry.attempts)
    assert evidence in str(entry.reason)
    assert entry.failures[1] == entry.evidence
    for failure in entry.failures:
        assert f"{failure.code}: {failure.message}".startswith(evidence)
    assert 2 == len({failure.at for failure in entry.failures})


async def test_a_missing_metadata_file_is_told(app: App, control: Control) -> None:
    """Content without its metadata file is archived by the deadline, in a manifest that isn't complete."""
    [job] = await announce(app, await control.recording(1000))
    await control.fault("expired", "*/metadata", times=None)
    late = datetime.now(UTC) + LATE
    with pytest.raises(SourceGone):
        await at(app, late).ingest.run(job)

    await sweep(app, now=late)

    [entry] = (await manifest_of(app, job.recording_key)).chunks
    assert ("archived", None, "no metadata file") == (entry.outcome, entry.metadata, str(entry.reason)[:16])


async def test_two_documents_of_one_index_are_both_kept(app: App, control: Control) -> None:
    """Which of them is meant is unknown."""
    recording = await control.recording(1000, 2000)
    chunks: list[dict[str, Any]] = [c | {"index": 0} for c in recording["chunks"]]
    jobs = await stage(app, recording | {"chunks": chunks})

    await sweep(app)

    written = await manifest_of(app, jobs[0].recording_key)
    assert {c["sha256"] for c in chunks} == {e.content.sha256 for e in written.chunks if e.content}


async def test_another_event_of_the_same_id_counts_too(app: App, control: Control) -> None:
    """Ids should be unique; where they aren't, no chunk is forgotten for it."""
    recording = await control.recording(1000, 2000)
    first, second = (recording | {"chunks": [chunk]} for chunk in recording["chunks"])
    [job] = await stage(app, first)
    await stage(app, second)

    await sweep(app)

    assert ["archived", "archived"] == outcomes(await manifest_of(app, job.recording_key))


async def test_a_run_whose_manifest_was_superseded_deletes_nothing(app: App, control: Control) -> None:
    """A run that finds a manifest written meanwhile leaves staging unchanged; the next run archives the rest."""
    recording = await control.recording(1000, 2000)
    jobs = await stage(app, recording)
    other = empty_manifest(jobs[0].recording_key)

    async def overtake() -> None:
        await app.recordings.write_manifest(other)

    quicker = FaultyBlobs(app.settings).on("create", name=r"/recording\.json$", before=overtake)
    await run_timer(with_blobs(app, quicker), now=datetime.now(UTC))
    await quicker.aclose()
    assert 5 + 2 == len(await listing(app.settings, "staging"))

    await sweep(app)

    assert ["archived", "archived"] == outcomes(await manifest_of(app, jobs[0].recording_key, 2))
    assert {} == await listing(app.settings, "staging")
