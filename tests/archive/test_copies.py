"""recording/archive/copies.py: an incomplete copy is replaced, and what a manifest lists is never written again."""

from recording.app import App
from recording.model import layout
from recording.storage.blobs import CopyFailed
from tests.support.archives import manifest_of, outcomes
from tests.support.emulator import Control
from tests.support.facts import listing, put, stage, sweep, with_blobs
from tests.support.faults import FaultyBlobs


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
