"""recording/storage/tombstones.py: written first, found by every digest, and no recording waits for them."""

import asyncio
import contextlib
import time
from datetime import UTC, datetime

import pytest
from azure.core.exceptions import ServiceRequestError

from recording.app import App
from recording.model import layout
from recording.model.tombstone import Match, Named, Tombstone
from recording.storage.tombstones import Tombstones
from tests.support.facts import put
from tests.support.faults import FaultyBlobs, Killed

KEY = "20260301T100000000000Z-b7e0"
STONE = Tombstone(
    erasure=layout.key_digest(KEY),
    at=datetime(2026, 3, 1, tzinfo=UTC),
    by="oid-1",
    reason="objection",
    recordings=(layout.recording_digest("cmlk"),),
    documents=(layout.document_digest("0-a"), layout.document_digest("0-b")),
)


async def test_it_is_found_by_each_digest(app: App) -> None:
    """By the key with all digests, by the others without."""
    await app.tombstones.write(STONE)

    assert await app.tombstones.read(STONE.erasure) == STONE
    for digest in (*STONE.recordings, *STONE.documents):
        assert await app.tombstones.read(digest) == STONE.without_digests()
    assert {STONE.erasure, *STONE.recordings, *STONE.documents} == await app.tombstones.all()
    assert (await app.tombstones.find(Named.of(KEY, None, ()))).whole == STONE
    assert await app.tombstones.has_document("0-b", recording_key=KEY)
    assert not await app.tombstones.has_document("0-c", recording_key=KEY)


@pytest.mark.parametrize("writes", range(5))
async def test_a_kill_at_any_write_is_made_good_by_a_repetition(app: App, writes: int) -> None:
    """The one of the key is written last: as long as it isn't there, nothing was removed."""
    dying = FaultyBlobs(app.settings, kill_after=writes)
    with contextlib.suppress(Killed, BaseExceptionGroup):
        await Tombstones(dying).write(STONE)
    await dying.aclose()
    assert (await app.tombstones.read(STONE.erasure) is not None) == (writes == 4)

    await app.tombstones.write(STONE)

    assert len(await app.tombstones.all()) == 4


async def test_one_that_cannot_be_read_counts(app: App) -> None:
    """It is there: what it names stays erased."""
    await put(app.settings, "archive", layout.tombstone_blob(layout.key_digest(KEY)), b"{")

    assert (await app.tombstones.find(Named.of(KEY, None, ()))).whole is not None


async def test_an_archive_that_is_silent_is_waited_for_three_times(app: App) -> None:
    """A second each time, and then not for half a minute: an event must be answered."""
    silent = FaultyBlobs(app.settings).on("read", hangs=60)
    stones = Tombstones(silent, look_seconds=0.05)
    began = time.monotonic()
    try:
        found = [await stones.find_if_possible(Named.of(KEY, None, ()), recording_key=KEY) for _ in range(50)]
    finally:
        await silent.aclose()

    assert [Match()] * 50 == found
    assert time.monotonic() - began < 1


async def test_a_request_that_hangs_says_nothing_about_the_archive(app: App) -> None:
    """Otherwise the timer, which looks for many, would find none while storage hangs now and then."""
    await put(app.settings, "archive", layout.tombstone_blob(layout.key_digest(KEY)), b"{")
    hanging = FaultyBlobs(app.settings).on("read", hangs=60, times=2)
    stones = Tombstones(hanging, look_seconds=0.2)
    try:
        found = [await stones.find_if_possible(Named.of(KEY, None, ()), recording_key=KEY) for _ in range(3)]
    finally:
        await hanging.aclose()

    assert [False, False, True] == [one.whole is not None for one in found]


async def test_an_archive_that_refuses_keeps_no_chunk_from_staging(app: App) -> None:
    """Who archives the recording looks again."""
    broken = FaultyBlobs(app.settings).on("read", raises=ServiceRequestError("down"))
    try:
        assert not await Tombstones(broken).has_document("0-a", recording_key=KEY)
        with pytest.raises(ServiceRequestError):
            await asyncio.wait_for(Tombstones(broken).find(Named.of(KEY, None, ())), 5)
    finally:
        await broken.aclose()
