"""recording/ingest/proof.py: whoever proves a chunk compares it with what passed by, even in another worker."""

import asyncio
import hashlib

import pytest
from aiohttp import web

from local.azurite import Azurite
from recording.app import App
from recording.errors import NotProved
from tests.support.emulator import Control
from tests.support.facts import MIB, announce, body_of, harmed, killed_after, stored_sha256, until, with_blobs
from tests.support.faults import FaultyBlobs
from tests.support.source import app_with_source, mp4, part, recording_of

DOCUMENT = "0-eus-d12-801b3f3fc462fe8a01e6810cbff729b8"


@pytest.mark.parametrize("is_first_alone", [True, False])
@pytest.mark.parametrize("size", [60_000, 12 * MIB])
async def test_damage_in_storage_is_found_by_the_second_worker(
    azurite: Azurite, environment: dict[str, str], control: Control, size: int, is_first_alone: bool
) -> None:
    """A block that changed on its way is found though the one who sent it hasn't read it back yet."""
    recording = await control.recording(size)
    rules = (
        {"operation": "PutBlock", "kind": "corrupt"},
        {"operation": "GetBlob", "path": "*.media", "kind": "hang", "seconds": 60, "times": 1},
    )
    async with harmed(azurite, environment, *rules) as (app, proxy):
        [job] = await announce(app, recording)
        first = asyncio.create_task(app.ingest.run(job))

        async def is_held() -> bool:
            return any(entry["fault"] == "hang" for entry in proxy.log.view(1000)["requests"])

        await until(is_held)
        with pytest.raises(NotProved):
            await app.ingest.run(job)
        assert not first.done()
        note = await body_of(app.settings, "staging", job.attempts_blob)
        assert ["NotProved"] == [failure["code"] for failure in note["failures"]]
        # The first finds its chunk gone, or another one there, and looks again; the queue repeats the second's job.
        if not is_first_alone:
            await app.ingest.run(job)
        proxy.faults.clear()
        await first
        await app.ingest.run(job)

        found = await app.clients.blobs.stat("staging", job.content_blob)
        assert found is not None
        assert recording["chunks"][0]["sha256"] == found.sha256 == await stored_sha256(app, job)
        assert found.metadata["blocks"] == found.metadata["blocks_compared"]


async def test_damage_in_storage_is_found_by_the_same_worker(
    azurite: Azurite, environment: dict[str, str], control: Control
) -> None:
    """The chunk is deleted, and the next try brings the right one."""
    recording = await control.recording(12 * MIB)
    async with harmed(azurite, environment, {"operation": "PutBlock", "kind": "corrupt"}) as (app, _):
        [job] = await announce(app, recording)
        with pytest.raises(NotProved):
            await app.ingest.run(job)
        assert await stored_sha256(app, job) is None

        await app.ingest.run(job)

        assert recording["chunks"][0]["sha256"] == await stored_sha256(app, job)


async def test_damage_on_the_way_back_costs_a_second_try_and_nothing_else(
    azurite: Azurite, environment: dict[str, str], control: Control
) -> None:
    """It is unknown which side of the byte is right: what can't be proved is fetched again."""
    recording = await control.recording(60_000)
    rule = {"operation": "GetBlob", "path": "*.media", "kind": "corrupt", "times": 1}
    async with harmed(azurite, environment, rule) as (app, _):
        [job] = await announce(app, recording)
        with pytest.raises(NotProved):
            await app.ingest.run(job)

        await app.ingest.run(job)

        assert recording["chunks"][0]["sha256"] == await stored_sha256(app, job)


async def test_what_passed_by_is_in_the_commit(app: App, control: Control) -> None:
    """How the blocks were cut, and one digest of all of theirs."""
    recording = await control.recording(12 * MIB)
    [job] = await announce(app, recording)

    await app.ingest.run(job)

    found = await app.clients.blobs.stat("staging", job.content_blob)
    assert found is not None
    assert (str(4 * MIB), "3") == (found.metadata["block_bytes"], found.metadata["blocks"])
    assert len(hashlib.sha256().hexdigest()) == len(found.metadata["flight"])


async def test_a_chunk_that_passed_by_before_a_kill_is_compared_all_the_same(app: App, control: Control) -> None:
    """An ingest that was killed right before its commit leaves a receipt of each block."""
    recording = await control.recording(12 * MIB)
    [job] = await announce(app, recording)
    hanging = FaultyBlobs(app.settings).on("commit_blocks", hangs=30)
    await killed_after(with_blobs(app, hanging), job, blocks=3)
    await hanging.aclose()

    await app.ingest.run(job)

    found = await app.clients.blobs.stat("staging", job.content_blob)
    assert found is not None
    assert ("3", "3") == (found.metadata["blocks"], found.metadata["blocks_compared"])
    assert recording["chunks"][0]["sha256"] == found.sha256 == await stored_sha256(app, job)


async def test_a_source_without_an_etag_is_copied(environment: dict[str, str]) -> None:
    """Only the length distinguishes versions, and nothing to write into the metadata."""
    whole = mp4(5 * MIB)

    async def answer(request: web.Request) -> web.Response:
        answered = part(request, whole, "")
        answered.headers.popall("ETag", None)
        return answered

    async with app_with_source(environment, answer) as app:
        [job] = await announce(app, recording_of(DOCUMENT))
        await app.ingest.run(job)

        assert hashlib.sha256(whole).hexdigest() == await stored_sha256(app, job)


@pytest.mark.parametrize("body", [b"", b'{"code": "X", "message": "x"}', b'{"error": {}}', b"<!DOCTYPE html>"])
async def test_an_error_in_the_place_of_a_metadata_file_is_refused(environment: dict[str, str], body: bytes) -> None:
    """The content is kept and proved; the job fails, so that the metadata file is tried again."""
    whole = mp4(1000)

    async def answer(request: web.Request) -> web.Response:
        if request.path.endswith("/metadata"):
            return web.Response(body=body, content_type="application/json")
        return part(request, whole, '"a"')

    async with app_with_source(environment, answer) as app:
        [job] = await announce(app, recording_of(DOCUMENT))
        with pytest.raises(Exception, match=r"metadata file|no bytes|error page"):
            await app.ingest.run(job)

        found = await app.clients.blobs.stat("staging", job.content_blob)
        assert found is not None
        assert (hashlib.sha256(whole).hexdigest(), None) == (
            found.sha256,
            await app.clients.blobs.stat("staging", job.metadata_blob),
        )
