"""recording/storage/blobs.py: facts, links and copies, and a network that loses answers."""

import asyncio
import hmac
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
import pytest_asyncio
from azure.core.exceptions import AzureError
from azure.storage.blob import UserDelegationKey

from local.azurite import Azurite
from local.storage_proxy import StorageProxy
from recording import app as bootstrap
from recording.app import App, assemble
from recording.config.account import StorageAccount
from recording.config.settings import read_settings
from recording.crc64 import crc64
from recording.model.proof import ByteRange
from recording.model.stored import StoredBlob
from recording.storage.blobs import Blobs, CopyDiffers
from tests.support.big import counted
from tests.support.calls import leg_event
from tests.support.emulator import Control
from tests.support.facts import (
    MIB,
    QUICK,
    add_fault,
    announce,
    container,
    faults_met,
    harmed,
    listing,
    proved,
    put,
    receive,
    stage,
    stored_sha256,
    sweep,
    until,
    with_limits,
)
from tests.support.identity import IdentityWithoutToken

GUID = "11111111-2222-4333-8444-555555555555"
COMMIT = {"operation": "PutBlockList"}
BLOCK = {"operation": "PutBlock"}
FROM_URL = {"operation": "PutBlockFromURL"}
BATCH: dict[str, Any] = {"method": "POST", "query": {"comp": "batch"}}
BLOB: dict[str, Any] = {"method": "PUT", "query": {"comp": None, "restype": None}}


@pytest_asyncio.fixture
async def proxy(azurite: Azurite) -> AsyncIterator[StorageProxy]:
    """A network between the app and its storage."""
    async with StorageProxy(azurite.blob_url, azurite.queue_url, azurite.table_url) as running:
        yield running


@pytest_asyncio.fixture
async def distant(proxy: StorageProxy, environment: dict[str, str]) -> AsyncIterator[App]:
    """The app, with the proxy before its Blob Storage."""
    there = {"STAGING_STORAGE": proxy.connection_string, "ARCHIVE_STORAGE": proxy.connection_string}
    built = await bootstrap.open_app(read_settings(environment | there), retries=QUICK)
    yield with_limits(built, block_pause_seconds=0.01)
    await built.aclose()


async def test_a_fact_is_written_once(app: App) -> None:
    """The first one stays, whatever comes later under its name."""
    answers = await asyncio.gather(*(app.clients.blobs.create("staging", "a/b", bytes([n])) for n in range(8)))
    kept = await app.clients.blobs.read("staging", "a/b")

    assert 1 == sum(answers)
    assert kept == bytes([answers.index(True)])
    assert await app.clients.blobs.create("staging", "a/b", b"late") is False
    assert kept == await app.clients.blobs.read("staging", "a/b")


async def test_what_is_not_there_is_none(app: App) -> None:
    """Reading, finding and deleting a blob that isn't there raise nothing."""
    await app.clients.blobs.delete("staging", "no/such")

    assert (None, None) == (
        await app.clients.blobs.read("staging", "no/such"),
        await app.clients.blobs.stat("archive", "no/such"),
    )
    assert {} == await app.clients.blobs.staged_blocks("no/such")


async def test_only_the_version_that_was_meant_is_deleted(app: App) -> None:
    """A blob that has changed since it was looked at stays."""
    await put(app.settings, "staging", "a", b"1")
    seen = await app.clients.blobs.stat("staging", "a")
    assert seen is not None
    await put(app.settings, "staging", "a", b"2")

    await app.clients.blobs.delete("staging", "a", etag=seen.etag)

    assert b"2" == await app.clients.blobs.read("staging", "a")


async def test_a_listing_and_a_look_give_the_same(app: App) -> None:
    """Name, size, ETag and metadata of a blob are one thing, wherever they come from."""
    await app.clients.blobs.create("staging", "a/b", b"12", announced="now")

    listed = [blob async for blob in app.clients.blobs.list_blobs("staging", "a/")]
    assert [await app.clients.blobs.stat("staging", "a/b")] == listed


BODY = bytes(range(256)) * 10
PARTS = (ByteRange(0, 1000, crc64(BODY[:1000])), ByteRange(1000, 1560, crc64(BODY[1000:])))


async def copied(
    app: App, source: StoredBlob, name: str = "copy", *, over: StoredBlob | None = None
) -> StoredBlob | None:
    """Copy a blob with these bytes in two blocks."""
    return await app.clients.blobs.copy_to_archive(source, name, PARTS, content_type="video/mp4", over=over)


async def staged(app: App, body: bytes = BODY) -> StoredBlob:
    """Put a blob into staging."""
    await put(app.settings, "staging", "a", body, one="1", two="2")
    found = await app.clients.blobs.stat("staging", "a")
    assert found is not None
    return found


async def test_a_copy_has_the_bytes_the_metadata_and_the_type_and_is_as_it_was_said(app: App) -> None:
    """What the commit answers is what a look at it gives: nobody has to look."""
    made = await copied(app, source := await staged(app))

    async with container(app.settings, "archive") as blobs:
        found = await blobs.get_blob_client("copy").get_blob_properties()
    assert made is not None
    assert (BODY, '"' + str(found.etag).strip('"') + '"') == (
        await app.clients.blobs.read("archive", "copy"),
        made.etag,
    )
    assert (source.metadata, "video/mp4") == (found.metadata, found.content_settings.content_type)
    assert (source.metadata, len(BODY), None) == (made.metadata, made.size, found.copy.source)


async def test_a_copy_replaces_only_what_was_seen(app: App) -> None:
    """A blob is replaced if it is the one that was found wrong, and has the right bytes then."""
    source = await staged(app)
    await put(app.settings, "archive", "copy", b"wrong")
    wrong = await app.clients.blobs.stat("archive", "copy")
    assert wrong is not None

    assert await copied(app, source) is None
    assert await copied(app, source, over=replace(wrong, etag='"0x1"')) is None
    assert b"wrong" == await app.clients.blobs.read("archive", "copy")
    assert await copied(app, source, over=wrong) is not None
    assert BODY == await app.clients.blobs.read("archive", "copy")


async def test_a_copy_of_a_source_that_changed_is_not_taken(app: App) -> None:
    """What is compared is the version that was listed; another one under its name is no copy of it."""
    seen = await staged(app)
    await staged(app, BODY[:-1] + b"x")

    with pytest.raises(CopyDiffers):
        await copied(app, seen)
    with pytest.raises(AzureError):
        await copied(app, replace(seen, name="gone"))

    assert {} == await listing(app.settings, "archive")


async def test_many_blobs_are_deleted_by_one_request_and_each_as_it_was_seen(distant: App, proxy: StorageProxy) -> None:
    """One that has changed stays, and one that is gone is as good as deleted."""
    for number in range(20):
        await put(distant.settings, "staging", f"a/{number:02}", b"1")
    seen = [blob async for blob in distant.clients.blobs.list_blobs("staging")]
    await put(distant.settings, "staging", "a/07", b"2")
    await distant.clients.blobs.delete("staging", "a/09")
    before = counted(proxy)

    await distant.clients.blobs.delete_each("staging", seen)

    assert 1 == counted(proxy) - before
    assert ["a/07"] == list(await listing(distant.settings, "staging"))


@pytest.mark.parametrize("status", [400, 403, 404, 409, 501])
async def test_an_account_without_batches_is_asked_for_each_blob(
    distant: App, proxy: StorageProxy, status: int
) -> None:
    """An account with a hierarchical namespace refuses a batch."""
    for name in ("a", "b", "c"):
        await put(distant.settings, "staging", name, b"1")
    seen = [blob async for blob in distant.clients.blobs.list_blobs("staging")]
    add_fault(proxy, kind="status", status=status, times=1000, **BATCH)

    await distant.clients.blobs.delete_each("staging", seen)

    assert 0 < faults_met(proxy)
    assert {} == await listing(distant.settings, "staging")


async def test_a_copy_that_another_run_made_meanwhile_is_not_written_again(
    azurite: Azurite, environment: dict[str, str], app: App
) -> None:
    """The second copy comes late, perhaps after the manifest: were it to fail, it would damage what is archived."""
    seen = await staged(app)
    async with harmed(azurite, environment, {**COMMIT, "kind": "hang", "seconds": 60}) as (late, proxy):
        second = asyncio.create_task(copied(late, seen))

        async def is_held() -> bool:
            return any(entry["fault"] == "hang" for entry in proxy.log.view(100)["requests"])

        await until(is_held)
        first = await copied(app, seen)
        proxy.faults.clear()

        assert first is not None
        assert await second is None
        found = await app.clients.blobs.stat("archive", "copy")
        assert found is not None
        assert (first.etag, BODY) == (found.etag, await app.clients.blobs.read("archive", "copy"))


async def link_to(storage: Blobs, name: str) -> str:
    """Make a link to play a staged blob."""
    blob = StoredBlob(name, 5, "e")
    return (await storage.read_link("staging", blob, file_name=f"{name}.mp4", saves=False, correlation_id=GUID))[0]


async def test_a_link_reads_and_does_nothing_else(app: App) -> None:
    """The link of a blob answers to GET for five minutes, and to no other method or blob."""
    await put(app.settings, "staging", "a", b"media")
    await put(app.settings, "staging", "b", b"other")
    link = await link_to(app.clients.blobs, "a")

    async with aiohttp.ClientSession() as http:
        async with http.get(link) as got:
            assert (200, b"media") == (got.status, await got.read())
            assert 'inline; filename="a.mp4"' == got.headers["Content-Disposition"]
        for method, url in (("DELETE", link), ("PUT", link), ("GET", link.replace("/a?", "/b?"))):
            async with http.request(method, url, data=b"", headers={"x-ms-blob-type": "BlockBlob"}) as refused:
                assert (method, 403) == (method, refused.status)
    terms = parse_qs(urlsplit(link).query)
    left = datetime.fromisoformat(terms["se"][0]) - datetime.now(UTC)
    assert ["r"] == terms["sp"]
    assert timedelta(minutes=4) < left <= timedelta(minutes=5)


async def test_the_correlation_id_of_a_link_is_signed_with_the_delegation_key(environment: dict[str, str]) -> None:
    """It stands in the logs of storage, and can't be changed; an account key signs none, so there it is left out."""
    there = {"staging_storage": StorageAccount(blob_uri="https://staging.blob.core.windows.net")}
    storage = Blobs(read_settings(environment).model_copy(update=there), IdentityWithoutToken())
    key = UserDelegationKey()  # type: ignore[no-untyped-call]
    key.value, key.signed_oid, key.signed_tid, key.signed_service = b64encode(b"key").decode(), "oid", "tid", "b"
    key.signed_start, key.signed_expiry, key.signed_version = (
        "2026-03-01T00:00:00Z",
        "2026-03-02T00:00:00Z",
        "2026-10-06",
    )
    storage._delegation["staging"] = (datetime.now(UTC) + timedelta(hours=6), key)
    blob = StoredBlob("a", 5, "e", version_id="2026-03-01T10:00:00.1234567Z")

    link, _ = await storage.read_link("staging", blob, file_name="a.mp4", saves=True, correlation_id=GUID)
    await storage.aclose()

    terms = {name: value for name, [value] in parse_qs(urlsplit(link).query).items()}
    # The order of the service's reference (docs/azure-storage.md#links).
    resource = f"/blob/staging/{storage._containers['staging'].container_name}/a"
    signed = [terms["sp"], terms["st"], terms["se"], resource]
    signed += [terms.get(name, "") for name in ("skoid", "sktid", "skt", "ske", "sks", "skv", "saoid", "suoid", "scid")]
    signed += [terms.get(name, "") for name in ("skdutid", "sduoid", "sip", "spr", "sv", "sr")]
    signed += [terms["versionid"], "", "", "", "", terms["rscd"], "", "", ""]
    digest = hmac.digest(b"key", "\n".join(signed).encode(), "sha256")
    assert (GUID, "bv", 'attachment; filename="a.mp4"') == (terms["scid"], terms["sr"], terms["rscd"])
    assert b64encode(digest).decode() == terms["sig"]


async def test_a_link_expires(app: App) -> None:
    """Once its time is over it opens nothing."""
    storage = Blobs(app.settings, link_life=timedelta(seconds=-1))
    await put(app.settings, "staging", "a", b"media")
    link = await link_to(storage, "a")
    await storage.aclose()

    async with aiohttp.ClientSession() as http, http.get(link) as got:
        assert 403 == got.status


@pytest.mark.parametrize("requests", [COMMIT, BLOCK, BLOB], ids=["commit", "block", "blob"])
async def test_a_lost_answer_costs_nothing(distant: App, proxy: StorageProxy, control: Control, requests: Any) -> None:
    """A request that took effect though its answer was lost is repeated, and the chunk is right."""
    recording = await control.recording(5 * MIB)
    [job] = await announce(distant, recording)
    add_fault(proxy, kind="lostAnswer", **requests)

    await distant.ingest.run(job)

    assert 1 == faults_met(proxy)
    await proved(distant, job)
    assert recording["chunks"][0]["sha256"] == await stored_sha256(distant, job)


@pytest.mark.parametrize("requests", [COMMIT, BLOCK, BLOB], ids=["commit", "block", "blob"])
async def test_a_busy_storage_is_asked_again(
    distant: App, proxy: StorageProxy, control: Control, requests: Any
) -> None:
    """503 is no reason to give a chunk up."""
    recording = await control.recording(5 * MIB)
    [job] = await announce(distant, recording)
    add_fault(proxy, kind="status", status=503, times=2, **requests)

    await distant.ingest.run(job)

    assert (2, recording["chunks"][0]["sha256"]) == (faults_met(proxy), await stored_sha256(distant, job))


@pytest.mark.parametrize(
    ("requests", "lost"), [(BLOB, 5), (FROM_URL, 2), (COMMIT, 2), (BATCH, 2)], ids=["blob", "block", "commit", "delete"]
)
async def test_lost_answers_leave_the_archive_whole(
    distant: App, proxy: StorageProxy, control: Control, requests: Any, lost: int
) -> None:
    """Copies, the manifest and the emptying of staging may all be done twice."""
    await stage(distant, await control.recording(1000, 1000))
    add_fault(proxy, kind="lostAnswer", times=lost, **requests)

    await sweep(distant)
    await sweep(distant)

    assert lost == faults_met(proxy)
    names = await listing(distant.settings, "archive")
    assert ({}, 6) == (await listing(distant.settings, "staging"), len(names))
    assert 1 == len([name for name in names if "/recording" in name])


async def test_a_lost_answer_to_a_claim_does_not_delay_a_recording(
    distant: App, proxy: StorageProxy, control: Control
) -> None:
    """A worker whose claim was written knows it for its own, and starts the recording at once."""
    call = await control.call("POST", "calls", {"participants": ["Ada"]})
    app = assemble(distant.settings.model_copy(update={"auto_record": "all"}), distant.clients)
    add_fault(proxy, kind="lostAnswer", **BLOB)

    await receive(app, leg_event(call))

    assert (1, 1) == (faults_met(proxy), len((await control.call("GET", "recordings"))["recordings"]))


async def test_storage_that_takes_nothing_fails_the_job_and_loses_nothing(
    distant: App, proxy: StorageProxy, control: Control
) -> None:
    """A job that storage refuses throughout is raised to the queue; the next one succeeds."""
    recording = await control.recording(5 * MIB)
    [job] = await announce(distant, recording)
    add_fault(proxy, kind="status", status=503, times=4, **BLOCK)

    with pytest.raises(Exception, match="503 ServerBusy"):
        await distant.ingest.run(job)
    await distant.ingest.run(job)

    assert recording["chunks"][0]["sha256"] == await stored_sha256(distant, job)


async def test_another_account_gets_its_copy_by_a_link(
    environment: dict[str, str], control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive may be another account: the copy is made by a short-lived link to the staging blob."""
    key = environment["AzureWebJobsStorage"].partition("AccountKey=")[2].partition(";")[0]
    monkeypatch.setenv("AZURITE_ACCOUNTS", f"devstoreaccount1:{key};archive1:{key}")
    async with Azurite() as azurite:
        there = azurite.connection_string
        more = {"STAGING_STORAGE": there, "ARCHIVE_STORAGE": there.replace("devstoreaccount1", "archive1")}
        app = await bootstrap.open_app(read_settings(environment | more))
        recording = await control.recording(5 * MIB, 1000)
        await stage(app, recording)

        await sweep(app)

        archived = await listing(app.settings, "archive")
        assert {c["sha256"] for c in recording["chunks"]} <= set(archived.values())
        assert {} == await listing(app.settings, "staging")
        await app.aclose()


async def test_a_container_that_is_there_is_left_alone(settings: object, app: App) -> None:
    """Preparing twice, and at the same time, is no error."""
    await app.clients.blobs.create("staging", "a", b"1")
    others = [Blobs(app.settings) for _ in range(3)]
    await asyncio.gather(*(one.create_containers() for one in others))

    assert ["a"] == list(await listing(app.settings, "staging"))
    for one in others:
        await one.aclose()
