"""recording/catalogue/reindex.py: the search index is made again from the manifests alone."""

import itertools
from collections.abc import AsyncGenerator, AsyncIterator
from typing import cast

import pytest
import pytest_asyncio
from azure.data.tables.aio import TableClient

from local.azurite import Azurite
from local.storage_proxy import StorageProxy
from recording import app as bootstrap
from recording.app import App
from recording.catalogue import reindex
from recording.catalogue.browse import ListQuery
from recording.catalogue.reindex import Progress
from recording.config.settings import read_settings
from recording.errors import Misconfigured
from recording.model import index, layout
from recording.model.index import BY_DIGEST
from recording.model.keeping import HoldLifted, HoldPlaced
from recording.model.manifest import Manifest
from recording.model.tombstone import Tombstone
from recording.storage.index import table_name
from tests.support.archives import manifest_of
from tests.support.emulator import Control
from tests.support.facts import archived, body_of, put, stage, sweep, with_blobs
from tests.support.faults import FaultyBlobs
from tests.support.manifests import finished, person

ADA = "8:acs:29bd5ea9-e0fc-4d00-8f6f-339b1f0ee2e2_0000000a-1111"


@pytest_asyncio.fixture
async def table(app: App) -> AsyncIterator[TableClient]:
    """The app's table, opened by a client of the test's own."""
    connection = app.settings.host_storage.connection_string
    assert connection is not None
    name = table_name(app.settings.archive_container)
    async with TableClient.from_connection_string(connection.get_secret_value(), name) as opened:
        yield opened


async def put_manifests(app: App, manifests: list[Manifest]) -> None:
    """Put manifests into the archive, without rows."""
    for one in manifests:
        name = layout.manifest_blob(one.recording_key, one.revision)
        await put(app.settings, "archive", name, one.model_dump_json(by_alias=True).encode())


async def rows(table: TableClient) -> list[dict[str, object]]:
    """List all rows but marks of what was done."""
    marks = ("reindex:", "timer:")
    return [dict(entity) async for entity in table.list_entities() if entity["PartitionKey"] not in marks]


async def run(app: App) -> int:
    """Reindex everything; return how many recordings were written."""
    written = 0
    async for progress in app.reindex.run(None, None):
        written = progress.written
    return written


async def compared(app: App) -> dict[str, list[str]]:
    """Compare all rows with the facts."""
    found: dict[str, list[str]] = {}
    async for some in app.reindex.compare(None, None):
        found |= some
    return found


async def test_a_table_that_is_lost_is_made_again(app: App, control: Control, table: TableClient) -> None:
    """Row for row."""
    await archived(app, control, 1000, 2000, event_id="one")
    await archived(app, control, 1000, event_id="other")
    before = await rows(table)
    await table.delete_table()

    assert 2 == await run(app)

    assert before == await rows(table)


async def test_the_newest_revision_counts(app: App) -> None:
    """Each has a manifest of its own, and the last lists everything."""
    lost = finished(1).chunks[0].model_copy(update={"outcome": "lost", "content": None, "metadata": None})
    await put_manifests(app, [finished(1, chunks=[lost], state="incomplete"), finished(1, revision=2)])

    assert 1 == await run(app)

    [one] = (await app.catalogue.page(ListQuery())).recordings
    assert ("archived", 0) == (one.state, one.missing)


async def test_one_blob_is_read_for_each_recording(azurite: Azurite, environment: dict[str, str], app: App) -> None:
    """Lists show which revision is the newest."""
    await put_manifests(app, [finished(number, participants=(person(ADA),)) for number in range(20)])
    await app.clients.index.digests()
    async with StorageProxy(azurite.blob_url, azurite.queue_url, azurite.table_url) as proxy:
        behind = await bootstrap.open_app(read_settings(environment | {"ARCHIVE_STORAGE": proxy.connection_string}))
        await behind.clients.index.digests()
        proxy.log.clear()

        assert 20 == await run(behind)

        assert 20 == proxy.log.view(0)["totals"]["GetBlob"]["requests"]
        await behind.aclose()


async def test_a_run_that_is_killed_continues_where_it_was(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever batch it dies after: the next run writes the rest, and leaves no trace of the first."""
    monkeypatch.setattr(reindex, "_AT_ONCE", 3)
    await put_manifests(app, [finished(number) for number in range(10)])
    for batches in (1, 2):
        progress = cast(AsyncGenerator[Progress], app.reindex.run(None, None))
        for _ in range(batches):
            last = await anext(progress)
        await progress.aclose()
        assert last.last_key == await app.reindex.interrupted(None, None)

    written = await run(app)

    assert 10 - 3 - 6 == written
    assert await app.reindex.interrupted(None, None) is None
    assert 10 == len((await app.catalogue.page(ListQuery())).recordings)


async def test_a_key_that_is_lost_makes_no_wrong_answer(
    app: App, table: TableClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is searched for would not be found: a refusal, until a run has replaced all rows, also after a kill."""
    monkeypatch.setattr(reindex, "_AT_ONCE", 1)
    made = [finished(number, participants=(person(ADA),), reference="case 118") for number in range(3)]
    await put_manifests(app, made)
    await run(app)
    before = await rows(table)
    await app.clients.blobs.delete("archive", layout.INDEX_KEY)
    other = await bootstrap.open_app(app.settings)

    for query in (ListQuery(participant=ADA), ListQuery(reference="case 118"), ListQuery(call="x", reference="y")):
        with pytest.raises(Misconfigured, match="reindex"):
            await other.catalogue.page(query)
    assert 3 == len((await other.catalogue.page(ListQuery(state="archived"))).recordings)
    progress = cast(AsyncGenerator[Progress], other.reindex.run(None, None))
    await anext(progress)
    await progress.aclose()
    with pytest.raises(Misconfigured):
        await other.catalogue.page(ListQuery(participant=ADA))
    assert 3 == await run(other)

    assert 3 == len((await other.catalogue.page(ListQuery(participant=ADA))).recordings)
    after = await rows(table)
    assert len(before) == len(after)
    digests = [{str(row["PartitionKey"]) for row in some} for some in (before, after)]
    kinds = [sorted(one.partition(":")[0] for one in some) for some in digests]
    assert [[*["call"] * 3, "month", "participant", *["recording"] * 3, "reference"]] * 2 == kinds
    assert not [one for one in digests[0] & digests[1] if one.startswith(BY_DIGEST)]
    await other.aclose()


async def test_a_time_can_be_chosen(app: App) -> None:
    """From the first moment on, and before the last."""
    made = [finished(number) for number in range(5)]
    await put_manifests(app, made)

    async for _ in app.reindex.run(made[1].recording_start_time, made[3].recording_start_time):
        pass

    found = (await app.catalogue.page(ListQuery())).recordings
    assert [made[2].recording_key, made[1].recording_key] == [one.recording_key for one in found]


async def test_a_manifest_that_cannot_be_read_is_counted(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """The others have their rows."""
    await put_manifests(app, [finished(1), finished(2)])
    await put(app.settings, "archive", layout.manifest_blob(finished(2).recording_key), b"{")

    [progress] = [one async for one in app.reindex.run(None, None)]

    assert (1, 1) == (progress.written, progress.unreadable)
    assert "recording.unreadable" in caplog.text


async def test_what_an_older_version_archived_gets_its_participants_from_its_metadata_files(
    app: App, control: Control
) -> None:
    """Its manifest has neither participants nor a timeline; they are in the answer, too."""
    [job, *_] = await archived(app, control, 1000, 2000)
    name = layout.manifest_blob(job.recording_key)
    wanted = await manifest_of(app, job.recording_key)
    old = await body_of(app.settings, "archive", name)
    for new in ("participants", "timeline", "reference", "conversationId"):
        del old[new]
    for chunk in old["chunks"]:
        for new in ("startTime", "durationMs", "mediaMs", "pauses", "channels"):
            del chunk[new]
    await put(app.settings, "archive", name, Manifest.model_validate(old).model_dump_json(by_alias=True).encode())

    assert wanted == await app.catalogue.get(job.recording_key)
    await run(app)

    assert wanted.participants
    found = await app.catalogue.page(ListQuery(participant=wanted.participants[0].id))
    assert [job.recording_key] == [one.recording_key for one in found.recordings]


async def test_differences_are_found_and_named(app: App, control: Control, table: TableClient) -> None:
    """A row that is missing and one that is wrong, by their kind."""
    [job] = await archived(app, control, 1000)
    assert {job.recording_key: []} == await app.reindex.differences()
    for kind in ("call", "month"):
        [row] = [one async for one in table.list_entities() if one["PartitionKey"].startswith(kind)]
        if kind == "call":
            await table.delete_entity(row["PartitionKey"], row["RowKey"])
        else:
            await table.update_entity(row | {"state": "incomplete"})

    assert {job.recording_key: ["month", "call"]} == await app.reindex.differences()


async def test_a_row_that_a_known_recording_should_not_have_is_a_difference(app: App, table: TableClient) -> None:
    """Left by an earlier state, or made of an id that is none of its participants; also one of an unknown recording."""
    one, other = finished(1, participants=(person(ADA),)), finished(2)
    await put_manifests(app, [one, other])
    await run(app)
    assert {one.recording_key: [], other.recording_key: []} == await compared(app)
    [month] = [row for row in await rows(table) if row["PartitionKey"] == index.month(one.recording_start_time)][1:]
    for partition in ("missing:", "truncated:", "hold:", "participant:0123"):
        await table.create_entity(month | {"PartitionKey": partition})
    await table.create_entity(month | {"RowKey": index.row_key(finished(3).recording_key)})

    found = await compared(app)

    assert {
        one.recording_key: ["hold", "missing", "participant", "truncated"],
        other.recording_key: [],
        finished(3).recording_key: ["month"],
    } == found


async def test_what_changes_while_it_is_written_does_not_go_back(app: App, table: TableClient) -> None:
    """A later revision, a hold, the end of one, and an erasure, all after the lists and before the rows."""
    lost = finished(1).chunks[0].model_copy(update={"outcome": "lost", "content": None, "metadata": None})
    before = [finished(number, chunks=[lost], state="incomplete") for number in range(5)]
    revised, held, lifted, erased, same = [one.recording_key for one in before]
    await put_manifests(app, before)
    hold = HoldPlaced(case="case 118", reason="subpoena", at=before[0].recording_start_time)
    assert await app.reindex.keeping.place(lifted, hold)

    async def change() -> None:
        later = finished(0, revision=2)
        await put_manifests(app, [later])
        await app.clients.index.write(later)
        await app.reindex.keeping.place(held, hold)
        await app.reindex.keeping.lift(lifted, HoldLifted(case="case 118", at=hold.at))
        await app.tombstones.write(Tombstone(erasure=layout.key_digest(erased), at=hold.at, reason="not-needed"))

    # The manifests are read, and the holds listed.
    slow = FaultyBlobs(app.settings).on("list_blobs", name="archive/retention/", before=change, times=1)
    assert 5 == await run(with_blobs(app, slow))
    await slow.aclose()

    wanted: dict[str, list[str]] = {revised: [], held: [], lifted: [], same: []}
    assert wanted == await compared(app)
    shown = {one.recording_key: one for one in (await app.catalogue.page(ListQuery())).recordings}
    assert ({*wanted}, "archived", True, None) == (
        {*shown},
        shown[revised].state,
        shown[held].hold,
        shown[lifted].hold,
    )


@pytest.mark.parametrize("most", [1, 3])
async def test_a_sample_has_the_newest_recordings(app: App, most: int) -> None:
    """And no more than asked for."""
    made = [finished(number) for number in itertools.chain(range(3), range(100_000, 100_002))]
    await put_manifests(app, made)

    found = await app.reindex.differences(most=most)

    assert [one.recording_key for one in made[::-1]][:most] == list(found)


async def test_a_large_meeting_is_found_by_everybody_in_it(app: App, control: Control) -> None:
    """Its metadata file has more participants than the metadata of a blob has room for."""
    names = [f"Person {number}" for number in range(60)]
    media = {"kind": "filler", "chunkBytes": [1000]}
    asked = {"media": media, "announce": False, "participants": names}
    [job] = await stage(app, await control.call("POST", "recordings", asked))
    await sweep(app)

    written = await manifest_of(app, job.recording_key)

    assert 60 == len(written.participants)
    for one in written.participants[::20]:
        found = await app.catalogue.page(ListQuery(participant=one.id))
        assert [job.recording_key] == [row.recording_key for row in found.recordings]
