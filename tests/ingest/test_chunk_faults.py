"""recording/ingest/chunk.py, recording/timer.py: each fault by its name, met once, and the result."""

import asyncio
import contextlib
from typing import Any

import pytest
import pytest_asyncio
from azure.core.exceptions import AzureError

from local.acs.server import Emulator
from local.azurite import Azurite
from recording import app as bootstrap
from recording.app import App
from recording.config.settings import read_settings
from recording.errors import ChunkError
from recording.model.job import ChunkJob
from tests.support.emulator import Control
from tests.support.facts import MIB, announce, harmed, listing, proved, stage, stored_sha256, sweep, with_limits

TRIES = 5
SOURCE: dict[str, dict[str, Any]] = {
    "429 without Retry-After": {"kind": "status", "status": 429},
    "429 with Retry-After": {"kind": "status", "status": 429, "retryAfter": 1},
    "503 without Retry-After": {"kind": "status", "status": 503},
    "503 with Retry-After": {"kind": "status", "status": 503, "retryAfter": 1},
    "500 code 9999": {"kind": "status", "status": 500, "body": {"error": {"code": "9999", "message": "Unknown"}}},
    "401 of a clock that is wrong": {"kind": "status", "status": 401, "body": {"error": {"code": "401"}}},
    "connection closed at once": {"kind": "refuse"},
    "reset before the body": {"kind": "reset"},
    "reset in the middle of the body": {"kind": "cut", "afterBytes": MIB},
    "body shorter than declared": {"kind": "short", "afterBytes": MIB},
    "no bytes with 200": {"kind": "empty"},
    "HTML page with 200": {"kind": "html", "status": 200},
    "HTML page with 400": {"kind": "html", "status": 400},
    "1 KB per second": {"kind": "slow", "bytesPerSecond": 1000, "seconds": 1},
    "hang": {"kind": "hang", "seconds": 1},
    "302 to a host that is not allowed": {"kind": "redirect", "location": "http://refused.invalid{path}"},
    "416": {"kind": "status", "status": 416},
    "Range ignored": {"kind": "ignoreRange"},
    "another ETag between two ranges": {"kind": "etag", "etag": '"another"'},
    "another length between two ranges": {"kind": "etag", "length": 4 * MIB},
}


@pytest_asyncio.fixture
async def app(app: App) -> App:
    """The app, with hardly a pause before a block is fetched again."""
    return with_limits(app, block_pause_seconds=0.01)


async def ingest(app: App, job: ChunkJob) -> None:
    """Run the job as often as the queue does, until an attempt succeeds."""
    for _ in range(TRIES):
        with contextlib.suppress(ChunkError, AzureError):
            await app.ingest.run(job)
            return


@pytest.mark.parametrize("fault", SOURCE.values(), ids=SOURCE)
async def test_after_this_fault_of_the_source_the_chunk_is_whole(
    app: App, control: Control, fault: dict[str, Any]
) -> None:
    """The attempt that meets it, or the next one, brings the very bytes."""
    recording = await control.recording(12 * MIB)
    [job] = await announce(app, recording)
    await control.fault(path=f"*{job.document_id}", times=1, skip=1, **fault)

    await ingest(app, job)

    assert [1] == await control.applied()
    assert recording["chunks"][0]["sha256"] == await stored_sha256(app, job)


@pytest.mark.parametrize("name", ["reset in the middle of the body", "body shorter than declared", "hang"])
@pytest.mark.parametrize("size", [2 * MIB, 7 * MIB])
async def test_after_this_fault_of_the_only_request_the_chunk_is_whole(
    app: App, control: Control, size: int, name: str
) -> None:
    """Whether its body is written from memory or streamed, it is asked for again."""
    recording = await control.recording(size)
    [job] = await announce(app, recording)
    await control.fault(path=f"*{job.document_id}", times=1, **SOURCE[name])

    await app.ingest.run(job)

    assert [1] == await control.applied()
    assert recording["chunks"][0]["sha256"] == await stored_sha256(app, job)


async def test_after_a_302_to_another_host_that_is_allowed_the_chunk_is_whole(
    environment: dict[str, str], acs: Emulator, control: Control
) -> None:
    """It is followed, and the request is signed again for that host: the first attempt gets the bytes."""
    recording = await control.recording(5 * MIB)
    other = acs.endpoint.removeprefix("http://").replace("127.0.0.1", "localhost")
    app = await bootstrap.open_app(read_settings(environment | {"CONTENT_HOSTS": other}))
    [job] = await announce(app, recording)
    await control.fault("redirect", f"*{job.document_id}", times=1, location="{other}{path}")

    await app.ingest.run(job)

    await app.aclose()
    assert [1] == await control.applied()
    assert recording["chunks"][0]["sha256"] == await stored_sha256(app, job)


async def test_after_connections_were_refused_for_a_second_the_chunk_is_whole(app: App, control: Control) -> None:
    """The source's port is closed meanwhile; the attempt continues when it is open again."""
    recording = await control.recording(5 * MIB)
    [job] = await announce(app, recording)
    await control.call("POST", "outage", {"seconds": 1})
    await asyncio.sleep(0.2)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*control.endpoint.removeprefix("http://").split(":"))

    await app.ingest.run(job)

    assert recording["chunks"][0]["sha256"] == await stored_sha256(app, job)


STORAGE: dict[str, dict[str, Any]] = {
    "503": {"kind": "status", "status": 503},
    "500": {"kind": "status", "status": 500},
    "504, a timeout of the service": {"kind": "status", "status": 504},
    "a hang": {"kind": "hang", "seconds": 1},
    "an answer that comes late": {"kind": "lateAnswer", "seconds": 1},
    "an answer that is lost": {"kind": "lostAnswer"},
    "a byte that is changed on its way": {"kind": "corrupt"},
}
OPERATIONS = {"PutBlob": MIB, "PutBlock": 12 * MIB, "PutBlockList": 12 * MIB}
# Of a copy's block, and of its commit.
COPIES: dict[str, dict[str, Any]] = {
    "a byte of a copy that is changed on its way": {"kind": "corrupt", "operation": "PutBlockFromURL"},
    "a block of a copy that is answered with a wrong CRC64": {"kind": "wrongCrc", "operation": "PutBlockFromURL"},
    "a block of a copy that is answered without a CRC64": {"kind": "noCrc", "operation": "PutBlockFromURL"},
    "a block of a copy whose answer is lost": {"kind": "lostAnswer", "operation": "PutBlockFromURL"},
    "503 instead of a block of a copy": {"kind": "status", "status": 503, "operation": "PutBlockFromURL"},
    "a copy of which storage keeps another byte": {"kind": "otherBytes", "operation": "PutBlockList"},
    "a copy whose answer is lost": {"kind": "lostAnswer", "operation": "PutBlockList"},
    "503 instead of a copy": {"kind": "status", "status": 503, "operation": "PutBlockList"},
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("fault", STORAGE.values(), ids=STORAGE)
async def test_after_this_fault_of_storage_the_chunk_is_whole(
    azurite: Azurite, environment: dict[str, str], control: Control, fault: dict[str, Any], operation: str
) -> None:
    """The attempt that meets it, or the next one, leaves the very bytes in staging."""
    recording = await control.recording(OPERATIONS[operation])
    rule = {"path": "*.media", "operation": operation, "times": 1, **fault}
    async with harmed(azurite, environment, rule) as (app, proxy):
        [job] = await announce(app, recording)
        await ingest(app, job)

        assert [1] == [rule["applied"] for rule in proxy.faults.view()]
        assert recording["chunks"][0]["sha256"] == await stored_sha256(app, job)


@pytest.mark.parametrize(("kind", "compared"), [("wrongCrc", 2), ("noCrc", 1)])
async def test_an_answer_with_a_wrong_checksum_or_none_costs_a_request_at_most(
    azurite: Azurite, environment: dict[str, str], control: Control, kind: str, compared: int
) -> None:
    """With a wrong one the block is staged again; without one it counts as not compared."""
    recording = await control.recording(12 * MIB)
    rule = {"path": "*.media", "operation": "PutBlock", "times": 1, "kind": kind}
    async with harmed(azurite, environment, rule) as (app, proxy):
        [job] = await announce(app, recording)
        await app.ingest.run(job)

        assert [1] == [rule["applied"] for rule in proxy.faults.view()]
        facts = await proved(app, job)
        assert (2, compared) == (facts.blocks, facts.blocks_compared)
        assert recording["chunks"][0]["sha256"] == await stored_sha256(app, job)


async def test_a_small_chunk_whose_bytes_storage_refuses_is_written_again(
    azurite: Azurite, environment: dict[str, str], control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    """In the same attempt, and from memory: the source is asked once."""
    recording = await control.recording(MIB)
    rule = {"path": "*.media", "operation": "PutBlob", "times": 2, "kind": "corrupt"}
    async with harmed(azurite, environment, rule) as (app, proxy):
        [job] = await announce(app, recording)
        await app.ingest.run(job)

        assert [2] == [rule["applied"] for rule in proxy.faults.view()]
        assert 2 == caplog.text.count("block.retried")
        assert 1 == len([one for one in await control.downloads() if not one["path"].endswith("/metadata")])
        assert recording["chunks"][0]["sha256"] == await stored_sha256(app, job)


@pytest.mark.parametrize("operation", [*OPERATIONS, "PutBlockFromURL"])
async def test_after_storage_kept_the_client_waiting_too_long_all_is_whole(
    azurite: Azurite, environment: dict[str, str], control: Control, operation: str
) -> None:
    """The client gives up an answer that it has waited for, and asks again; what was done meanwhile does no harm."""
    recording = await control.recording(5 * MIB if operation.startswith("PutBlock") else MIB)
    names = "*.mp4" if operation == "PutBlockFromURL" else "*.media"
    rule = {"path": names, "operation": operation, "times": 1, "kind": "lateAnswer", "seconds": 2}
    async with harmed(azurite, environment, rule, read_timeout=0.5) as (app, proxy):
        [job] = await announce(app, recording)
        await ingest(app, job)
        assert recording["chunks"][0]["sha256"] == await stored_sha256(app, job)
        for _ in range(TRIES):
            if (await sweep(app)).archived:
                break

        assert [1] == [rule["applied"] for rule in proxy.faults.view()]
        assert recording["chunks"][0]["sha256"] in (await listing(app.settings, "archive")).values()


@pytest.mark.parametrize("fault", COPIES.values(), ids=COPIES)
async def test_after_this_fault_of_a_copy_the_archive_is_whole(
    azurite: Azurite, environment: dict[str, str], control: Control, fault: dict[str, Any]
) -> None:
    """The run of the timer that meets it, or a later one, archives the very bytes, and only then empties staging."""
    recording = await control.recording(60_000)
    rule = {"path": "*.mp4", "times": 1, **fault}
    async with harmed(azurite, environment, rule) as (app, proxy):
        await stage(app, recording)
        for _ in range(TRIES):
            if (await sweep(app)).archived:
                break
            assert await listing(app.settings, "staging")

        assert [1] == [rule["applied"] for rule in proxy.faults.view()]
        archived = await listing(app.settings, "archive")
        assert [recording["chunks"][0]["sha256"]] == [d for name, d in archived.items() if name.endswith(".mp4")]
        assert {} == await listing(app.settings, "staging")
