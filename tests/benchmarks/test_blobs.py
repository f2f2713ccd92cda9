"""benchmarks/blobs.py: what is put into storage is what the app would have left there."""

from datetime import UTC, datetime, timedelta

import pytest

from benchmarks import blobs
from benchmarks.blobs import Blob, NotPut, Recorded
from local.azurite import Azurite
from recording.app import App
from recording.model import layout
from recording.model.manifest import Manifest
from tests.support.facts import body_of, listing, sweep


def recorded() -> Recorded:
    """Make a recording of an hour ago."""
    return Recorded(7, datetime.now(UTC) - timedelta(hours=1))


async def put(app: App, azurite: Azurite, *some: Blob) -> list[int]:
    """Put blobs, and return what was printed meanwhile."""
    said: list[int] = []
    await blobs.put(azurite, app.settings, some, done=said.append)
    return said


async def test_what_is_announced_is_waited_for(app: App, azurite: Azurite) -> None:
    """Without its content a recording is in flight: it stays, and nothing is put on the queue again."""
    one = recorded()

    said = await put(app, azurite, *one.announced())
    report = await sweep(app)

    assert ([1, 2], [one.key], [], []) == (said, report.waiting, report.jobs, report.archived)


async def test_what_is_finished_is_archived_whole(app: App, azurite: Azurite) -> None:
    """With its content it is archived at once, and its manifest says that all of it is there and proved."""
    one = recorded()

    await put(app, azurite, *one.announced(), one.content())
    report = await sweep(app)

    written = Manifest.model_validate(await body_of(app.settings, "archive", layout.manifest_blob(one.key)))
    [chunk] = written.chunks
    assert ([one.key], {}) == (report.archived, await listing(app.settings, "staging"))
    assert (True, "archived", 1, 1) == (written.complete, chunk.outcome, chunk.blocks, chunk.blocks_compared)


async def test_an_archived_recording_has_the_manifest_that_the_timer_writes(app: App, azurite: Azurite) -> None:
    """What fills the archive differs from what the timer writes in moments and names only."""
    one = recorded()
    await put(app, azurite, *one.announced(), one.content(), one.manifest())
    filled = await body_of(app.settings, "archive", layout.manifest_blob(one.key))
    other = Recorded(8, one.start)
    await put(app, azurite, *other.announced(), other.content())

    await sweep(app)

    written = await body_of(app.settings, "archive", layout.manifest_blob(other.key))
    assert shape(written) == shape(filled)


def shape(value: object) -> object:
    """Reduce a value to member names and types."""
    if isinstance(value, dict):
        return {name: shape(member) for name, member in value.items()}
    return [shape(member) for member in value] if isinstance(value, list) else type(value)


def test_the_archive_is_spread_over_days() -> None:
    """No two recordings have one name, and a day has a day's worth."""
    names = [blob.name for blob in blobs.archived(range(300))]

    days = [name.rpartition("/")[0].rpartition("/")[0] for name in names]
    assert len(set(names)) == 300
    assert (144, 144, 12) == tuple(days.count(day) for day in sorted(set(days)))


async def test_a_refusal_is_told(app: App, azurite: Azurite) -> None:
    """A container that isn't there ends the filling with the name of the blob."""
    elsewhere = app.settings.model_copy(update={"staging_container": "nowhere"})

    with pytest.raises(NotPut, match=r"/(events|chunks)/.*: 404"):
        await blobs.put(azurite, elsewhere, recorded().announced(), done=lambda _: None)
