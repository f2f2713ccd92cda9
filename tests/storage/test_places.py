"""recording/storage/places.py: a place is emptied of all that the account keeps, and what is left is told."""

from recording.app import App
from recording.storage.places import Places
from tests.support.facts import container, listing, put

PREFIX = "20260301T100000000000Z-b7e0/"


async def test_blobs_snapshots_and_blocks_are_removed(app: App) -> None:
    """Under the prefix alone; a name that only begins like it is another recording's."""
    await put(app.settings, "staging", f"{PREFIX}a", b"1")
    await put(app.settings, "staging", f"{PREFIX}b", b"2")
    await put(app.settings, "staging", "20260301T100000000000Z-b7e0-1/a", b"3")
    async with container(app.settings, "staging") as there:
        await there.get_blob_client(f"{PREFIX}a").create_snapshot()
        await there.get_blob_client(f"{PREFIX}c").stage_block("MDAx", b"waiting")

        done = await Places(app.clients.blobs).empty("staging", [PREFIX])

        uncommitted = [blob.name async for blob in there.list_blobs(PREFIX, include=["uncommittedblobs"])]
    assert [] == uncommitted
    assert {f"{PREFIX}a", f"{PREFIX}b"} <= set(done.removed)
    assert [] == done.remaining
    assert ["20260301T100000000000Z-b7e0-1/a"] == list(await listing(app.settings, "staging"))
    assert [] == await Places(app.clients.blobs).remaining("staging", [PREFIX])


async def test_only_what_is_wanted(app: App) -> None:
    """Names are compared where a prefix isn't enough."""
    for name in ("x/keep", "x/drop"):
        await put(app.settings, "staging", name, b"1")

    await Places(app.clients.blobs).empty("staging", ["x/"], wanted=lambda name: name.endswith("drop"))

    assert ["x/keep"] == list(await listing(app.settings, "staging"))


async def test_a_container_that_is_not_there_is_empty(app: App) -> None:
    """Event Grid makes that of its dead letters; without any there is none."""
    done = await Places(app.clients.blobs).empty("dead_letter", [""])

    assert ({}, []) == (done.removed, done.remaining)
