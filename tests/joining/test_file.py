"""recording/joining/file.py: whoever may play a recording gets one file of it, on record, or is told how far it is."""

from datetime import timedelta
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from recording.app import App, assemble
from recording.errors import NotFound, NotJoinable, TrailUnavailable
from recording.joining.file import ASK_AGAIN, FileQuery, RecordingFile
from recording.model import layout
from recording.model.caller import Caller
from recording.model.job import JoinJob
from tests.support.facts import listing, put, trail_of, with_blobs
from tests.support.faults import FaultyBlobs
from tests.support.joined import JOB, archived, joined, joining, wav
from tests.support.manifests import KEY
from tests.support.source import mp3

CHUNKS = (wav(32_000), wav(16_000, first=32_000))
ADA = Caller("Ada Lovelace")


async def ask(app: App, **query: Any) -> RecordingFile:
    """Ask for the file as Ada."""
    return await app.joining.file(ADA, KEY, FileQuery(**query))


async def jobs(app: App) -> list[str]:
    """Take what is queued."""
    found = [one async for one in app.clients.join_queue.receive(limit=8, hidden_seconds=30)]
    for one in found:
        await app.clients.join_queue.delete(one)
    return [JoinJob.from_message(one.text).recording_key for one in found if KEY in one.text]


@pytest_asyncio.fixture(autouse=True)
async def no_jobs(app: App) -> None:
    """A queue without messages of other tests: their recording has the same key."""
    while await jobs(app):
        pass


@pytest.mark.derived
async def test_it_is_made_once_and_handed_out_on_record(app: App) -> None:
    """From 202 to a link under which the file lies, with its chunks and chapters; polling queues one job."""
    await archived(app.settings, CHUNKS)

    first, second = await ask(app), await ask(app)
    assert [KEY] == await jobs(app)
    assert (first.state, first.bytes_done, first.parts) == ("making", 0, None) == (second.state, 0, second.parts)
    assert [] == await trail_of(app.settings)
    await app.joining.run(JOB)
    done = await ask(app, purpose="download", reason="case 118")

    assert done.state == "ready"
    [part] = done.parts or ()
    assert (part.part, part.of, part.content_type) == (1, 1, "audio/wav")
    assert [(c.index, c.begins_at) for c in part.chunks] == [(0, 0.0), (1, 2.0)]
    assert [chapter.at for chapter in part.chapters] == [0.0, 2.0]
    async with aiohttp.ClientSession() as http, http.get(part.url) as got:
        body = await got.read()
        assert (200, part.bytes) == (got.status, len(body))
        assert f'attachment; filename="{part.file_name}"' == got.headers["Content-Disposition"]
    assert body.endswith(CHUNKS[0][44:] + CHUNKS[1][44:])
    [fact] = await trail_of(app.settings)
    assert ("download", [0, 1], "case 118") == (fact["operation"], fact["indexes"], fact["reason"])
    assert (done.correlation_id, {"files": [part.file_name]}) == (fact["correlationId"], fact["details"])


@pytest.mark.derived
async def test_what_names_a_recording_stands_beside_its_key(app: App) -> None:
    """While it is made, and with its links: by them a calling app finds its own."""
    ids = {"recording_id": "cmlk", "server_call_id": "c2Nh", "reference": "case 118"}
    manifest = (await archived(app.settings, CHUNKS)).model_copy(update=ids)
    text = manifest.model_dump_json(by_alias=True).encode()
    await put(app.settings, "archive", layout.manifest_blob(KEY), text)

    making = await ask(app)
    await app.joining.run(JOB)
    ready = await ask(app)

    for one, state in ((making, "making"), (ready, "ready")):
        assert ids | {"recording_key": KEY, "state": state} == one.model_dump(include={*ids, "recording_key", "state"})


@pytest.mark.derived
async def test_progress_is_what_is_staged(app: App) -> None:
    """A worker that was killed before its commit has copied all bytes; the job is queued again after a while."""
    await archived(app.settings, CHUNKS)
    await ask(app)
    dying = FaultyBlobs(app.settings).on("commit_blocks", raises=NotFound("gone"))
    with pytest.raises(NotFound):
        await with_blobs(app, dying).joining.run(JOB)
    await dying.aclose()

    found = await ask(app)
    assert await jobs(app) == [KEY]
    later = app.timer.clock() + 2 * ASK_AGAIN
    await ask(assemble(app.settings, app.clients, clock=lambda: later))

    assert found.bytes_done == found.bytes_total == len(CHUNKS[0]) + len(CHUNKS[1]) - 44 + 36
    assert await jobs(app) == [KEY]


@pytest.mark.derived
async def test_who_asks_is_told_that_making_it_was_given_up(app: App) -> None:
    """By the poison queue; ten minutes later it is tried again, and what is there by then is handed out."""
    await archived(app.settings, CHUNKS)
    await ask(app)
    await jobs(app)
    await app.clients.join_poison.create()
    await app.clients.join_poison.send(JOB.to_message())
    await app.timer.poison.drain(app.timer.clock())

    with pytest.raises(NotJoinable, match="making the file has failed") as refused:
        await ask(app)
    assert (409, "failed") == (refused.value.http_status, refused.value.details[0]["code"])
    assert [] == await jobs(app)

    later = app.timer.clock() + 2 * ASK_AGAIN
    assert "making" == (await ask(assemble(app.settings, app.clients, clock=lambda: later))).state
    assert await jobs(app) == [KEY]
    await app.joining.run(JOB)
    assert "ready" == (await ask(app)).state
    await app.clients.join_poison.delete_queue()


@pytest.mark.derived
async def test_a_lost_chunk_stands_in_the_name_and_in_the_answer(app: App) -> None:
    """Nobody takes the file for the whole recording."""
    await archived(app.settings, [CHUNKS[0], None, CHUNKS[1]])
    await app.joining.run(JOB)

    [part] = (await ask(app)).parts or ()

    assert part.file_name == f"{KEY}_without-chunk-1.wav"
    assert [(one.index, one.state) for one in part.missing] == [(1, "lost")]


@pytest.mark.derived
async def test_what_is_coded_differently_is_in_several_parts(app: App) -> None:
    """Each part has a link; a part that is one chunk is that chunk, in the archive."""
    await archived(app.settings, [*CHUNKS, wav(8_000, rate=8_000)])
    await app.joining.run(JOB)

    first, second = (await ask(app)).parts or ()

    assert ((1, 2), (2, 2)) == ((first.part, first.of), (second.part, second.of))
    assert "/derived-" in first.url
    assert "/archive-" in second.url
    assert second.because
    assert (await app.joining.verify(KEY)).ok


@pytest.mark.derived
async def test_what_cannot_be_joined_is_refused_with_each_reason_and_chunk(app: App) -> None:
    """Known from the manifest at once, or after a look into the chunks, then by a fact; nothing is on the trail."""
    await archived(app.settings, [CHUNKS[0], mp3(40)], kinds=("wav", "mp3"))
    with pytest.raises(NotJoinable) as mixed:
        await ask(app)
    await archived(app.settings, CHUNKS, channels=({"8:acs:ada": 0}, {"8:acs:ada": 1}), revision=2)
    await app.joining.run(JOB)
    with pytest.raises(NotJoinable) as other:
        await ask(app)

    assert [("mixedFormats", 1)] == [(one["code"], one["chunk"]) for one in mixed.value.details]
    assert [("channelMap", 1)] == [(one["code"], one["chunk"]) for one in other.value.details]
    assert ["refused.json"] == list(await joined(app))
    assert [] == await trail_of(app.settings)


async def test_one_chunk_needs_no_place_for_derived_files(app: App) -> None:
    """It is the file, as it lies in the archive."""
    await archived(app.settings, [CHUNKS[0], None])

    [part] = (await ask(app)).parts or ()

    async with aiohttp.ClientSession() as http, http.get(part.url) as got:
        assert CHUNKS[0] == await got.read()
    assert part.file_name == f"{KEY}_without-chunk-1.wav"
    assert ["play"] == [fact["operation"] for fact in await trail_of(app.settings)]


async def test_without_a_place_for_it_the_setting_is_named(app: App) -> None:
    """Nothing is queued and nothing written; erasure has nothing to do."""
    await archived(app.settings, CHUNKS)

    with pytest.raises(NotFound, match="DERIVED_STORAGE"):
        await ask(app)

    await app.joining.erase(KEY)
    assert [] == await jobs(app)


@pytest.mark.derived
async def test_what_is_not_archived_is_not_found(app: App) -> None:
    """Neither an unknown recording nor one in flight has a file."""
    with pytest.raises(NotFound, match="no archived recording"):
        await ask(app)
    await archived(app.settings, CHUNKS)
    with pytest.raises(NotFound, match="no joined file"):
        await app.joining.verify(KEY)


@pytest.mark.derived
async def test_without_its_fact_on_the_trail_no_link_is_handed_out(app: App) -> None:
    """The trail comes first."""
    await archived(app.settings, CHUNKS)
    await app.joining.run(JOB)
    mute = FaultyBlobs(app.settings).on("create", name="archive/audit", raises=TrailUnavailable("no"))

    with pytest.raises(TrailUnavailable):
        await joining(with_blobs(app, mute)).file(ADA, KEY, FileQuery())
    await mute.aclose()


@pytest.mark.derived
async def test_a_file_that_the_lifecycle_rule_has_begun_to_delete_is_made_again(app: App) -> None:
    """A fact without its file is no file."""
    await archived(app.settings, CHUNKS)
    await ask(app)
    await app.joining.run(JOB)
    [name] = [one for one in await listing(app.settings, "derived") if one.endswith(".wav")]
    await app.clients.blobs.delete("derived", name)
    later = assemble(app.settings, app.clients, clock=lambda: app.timer.clock() + timedelta(days=7))

    assert (await ask(later)).state == "making"
    assert [KEY] * 2 == await jobs(app)
    await app.joining.run(JOB)
    assert (await ask(app)).state == "ready"
