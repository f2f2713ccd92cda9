"""recording/catalogue/handout.py: links, downloads, views and searches, each on record before it happens."""

import asyncio
import hashlib
import json
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import azure.functions as func
import pytest
import pytest_asyncio
from aiohttp import web
from azure.core.exceptions import ServiceResponseError

from local.azurite import Azurite
from recording.api import request
from recording.app import App, assemble
from recording.catalogue.browse import ListQuery
from recording.catalogue.handout import MOST_LINKS, ChunkLinks, LinkRequest
from recording.config.account import StorageAccount
from recording.errors import BadRequest, Forbidden, NotFound, TrailUnavailable
from recording.model import layout
from recording.model.caller import Caller
from recording.model.roles import MANAGE, OPERATE, READ, Principal
from recording.storage.blobs import Blobs
from tests.support.archives import errors, give_up, manifest_of
from tests.support.emulator import Control, file_event
from tests.support.facts import archived, put, receive, stage, sweep, trail_of, with_blobs
from tests.support.faults import FaultyBlobs
from tests.support.source import serve

UNKNOWN = "20260301T100000000000Z-3f2b0e4c-0000-4000-8000-00000000000f"
ADA = Caller(
    "Ada Lovelace",
    principal=Principal("person", "00000000-0000-4000-8000-0000000000ad", "Ada Lovelace", frozenset({READ, MANAGE})),
    address="203.0.113.7",
    request_id="request-1",
)
GRACE = Caller("Grace Hopper", principal=Principal("person", "grace", "Grace Hopper", frozenset({MANAGE})))
EDSGER = Caller("Edsger Dijkstra", principal=Principal("person", "edsger", "Edsger Dijkstra", frozenset({OPERATE})))
PERSON = "8:acs:29bd5ea9-e0fc-4d00-8f6f-339b1f0ee2e2_0000000a-1111"


async def links(app: App, key: str, *indexes: int, purpose: Any = "play", reason: str | None = None) -> ChunkLinks:
    """Ask for links as Ada."""
    return await app.handout.links(ADA, key, LinkRequest(indexes=[*indexes], purpose=purpose, reason=reason))


async def fetched(url: str, **headers: str) -> tuple[int, bytes, Any]:
    """Fetch a link: status, bytes, headers."""
    async with aiohttp.ClientSession() as http, http.get(url, headers=headers) as got:
        return got.status, await got.read(), got.headers


async def done(app: App) -> list[tuple[str, str]]:
    """List what is on record: action and outcome."""
    return [(one["operation"], one["outcome"]) for one in await trail_of(app.settings)]


async def test_a_link_opens_a_chunk_wherever_it_lies(app: App, control: Control) -> None:
    """In staging as soon as it is safe, then in the archive under another name; with ranges as players ask for them."""
    recording = await control.recording(1000)
    [job] = await stage(app, recording)
    for sha256 in (None, recording["chunks"][0]["sha256"]):
        [one] = (await links(app, job.recording_key, 0)).links
        status, body, headers = await fetched(one.url)
        assert (200, 1000, "video/mp4") == (status, one.bytes, one.content_type)
        assert (hashlib.sha256(body).hexdigest(), sha256) == (recording["chunks"][0]["sha256"], one.sha256)
        assert (one.file_name, one.content_type) == (f"{job.recording_key}-00000.mp4", headers["Content-Type"])
        assert 206 == (await fetched(one.url, Range="bytes=5-14"))[0]
        assert timedelta(minutes=4) < one.expires_at - datetime.now(UTC) <= timedelta(minutes=5)
        await sweep(app)


async def test_a_browser_plays_a_link_or_saves_it(app: App, control: Control) -> None:
    """As its purpose says, which is signed with it: a player's link can't be turned into a download."""
    [job] = await stage(app, await control.recording(1000))

    for purpose, disposition in (("play", "inline"), ("download", "attachment")):
        [one] = (await links(app, job.recording_key, 0, purpose=purpose)).links

        _, _, headers = await fetched(one.url)
        assert f'{disposition}; filename="{one.file_name}"' == headers["Content-Disposition"]
        changed = one.url.replace("rscd=inline", "rscd=attachment") + "&rscd=attachment"
        assert purpose == "download" or 403 == (await fetched(changed))[0]


async def test_each_hand_out_is_one_fact_with_its_correlation_id(app: App, control: Control) -> None:
    """Who, with which roles, from where, why, which chunks; each time another correlation id."""
    jobs = await archived(app, control, 1000, 2000, 3000)
    key = jobs[0].recording_key

    first = await links(app, key, 2, 0, 2, purpose="download", reason="case 118")
    await links(app, key, 1)
    await app.handout.content(Caller(address="198.51.100.4"), key, "1")

    download, play, by_key = await trail_of(app.settings)
    assert [2, 0] == [one.index for one in first.links]
    assert {
        "operation": "download",
        "who": "Ada Lovelace",
        "kind": "person",
        "objectId": "00000000-0000-4000-8000-0000000000ad",
        "roles": sorted([READ, MANAGE]),
        "from": "203.0.113.7",
        "requestId": "request-1",
        "recordingKey": key,
        "indexes": [2, 0],
        "reason": "case 118",
        "correlationId": first.correlation_id,
        "outcome": "ok",
        "status": 200,
    } == {name: value for name, value in download.items() if name != "at"}
    assert ("play", [1]) == (play["operation"], play["indexes"])
    assert ("play", "key", "198.51.100.4") == (by_key["operation"], by_key["kind"], by_key["from"])
    assert 3 == len({one["correlationId"] for one in (download, play, by_key)})


async def test_beside_the_key_are_the_ids_of_the_start(app: App, control: Control) -> None:
    """So that a calling app knows which of its appointments it got."""
    event = file_event(await control.recording(1000))
    event["data"]["recordingId"] = "cmVjb3JkaW5n"
    [job] = await receive(app, event)
    await app.ingest.run(job)

    found = await links(app, job.recording_key, 0)

    [fact] = await trail_of(app.settings)
    assert (job.recording_key, "cmVjb3JkaW5n") == (found.recording_key, found.recording_id)
    assert "cmVjb3JkaW5n" == fact["recordingId"]


def asked(body: Any) -> LinkRequest:
    """Read a body as the function does."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return request.read_body(LinkRequest, func.HttpRequest("POST", "/", body=text))


@pytest.mark.parametrize(
    ("body", "target"),
    [
        (b"", "indexes"),
        ({"indexes": [], "purpose": "play"}, "indexes"),
        ({"indexes": [-1], "purpose": "play"}, "indexes.0"),
        ({"indexes": [100_000], "purpose": "play"}, "indexes.0"),
        ({"indexes": ["0"], "purpose": "play"}, "indexes.0"),
        ({"indexes": [0, True], "purpose": "play"}, "indexes.1"),
        ({"indexes": [0.5], "purpose": "play"}, "indexes.0"),
        ({"indexes": [None], "purpose": "play"}, "indexes.0"),
        ({"indexes": 0, "purpose": "play"}, "indexes"),
        ({"indexes": [*range(MOST_LINKS + 1)], "purpose": "play"}, "indexes"),
        ({"indexes": [0]}, "purpose"),
        ({"indexes": [0], "purpose": "keep"}, "purpose"),
        ({"indexes": [0], "purpose": "play", "reason": ""}, "reason"),
        ({"indexes": [0], "purpose": "play", "reason": "x" * 1001}, "reason"),
    ],
)
def test_a_request_that_is_none_is_a_400_that_names_the_member(body: Any, target: str) -> None:
    """Before anything is looked up or written."""
    with pytest.raises(BadRequest) as refused:
        asked(body)

    assert target == refused.value.target


async def test_an_index_that_is_none_is_refused(app: App) -> None:
    """Only 0 to 99999 in ASCII digits can be one."""
    for index in ("", "-1", "x", "1.0", "100000", "\u0661", "0/.."):
        with pytest.raises(BadRequest):
            await app.handout.content(ADA, UNKNOWN, index)


async def test_content_that_is_not_safe_is_not_linked(app: App, control: Control) -> None:
    """One that is waiting, lost or unknown costs all links of the request, and nothing is on record."""
    first, second = await receive(app, file_event(await control.recording(1000, 1000)))
    await app.ingest.run(first)
    await put(app.settings, "staging", second.content_blob, b"unproved")

    for indexes in ((0, 1), (1,), (0, 7)):
        with pytest.raises(NotFound) as refused:
            await links(app, first.recording_key, *indexes)
        assert ("indexes", f"at {indexes[-1]}") == (refused.value.target, refused.value.message[-4:])
    await app.clients.blobs.delete("staging", second.content_blob)
    await sweep(app, now=await give_up(app, second))
    with pytest.raises(NotFound):
        await app.handout.content(ADA, first.recording_key, "1")
    with pytest.raises(NotFound):
        await links(app, UNKNOWN, 0)
    with pytest.raises(BadRequest):
        await links(app, "none", 0)

    assert [] == await done(app)
    assert [0] == [one.index for one in (await links(app, first.recording_key, 0)).links]


async def test_a_chunk_that_is_archived_meanwhile_is_linked_in_the_archive(app: App, control: Control) -> None:
    """Staging is emptied between the look at the recording and the look at its blob."""
    [job] = await stage(app, await control.recording(1000))
    storage = FaultyBlobs(app.settings).on("stat", name=job.content_blob, before=lambda: sweep(app), times=1)

    [one] = (await links(with_blobs(app, storage), job.recording_key, 0)).links
    await storage.aclose()

    assert 200 == (await fetched(one.url))[0]
    assert f"/{app.settings.archive_container}/" in one.url


async def test_what_the_archive_does_not_have_as_listed_is_not_handed_out(
    app: App, control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that has another length or is gone: 404 instead of a link that breaks, and a line for the operator."""
    [job] = await archived(app, control, 1000)
    [entry] = (await manifest_of(app, job.recording_key)).chunks
    assert entry.content
    for body in (b"short", None):
        caplog.clear()
        if body is None:
            await app.clients.blobs.delete("archive", entry.content.blob)
        else:
            await put(app.settings, "archive", entry.content.blob, body)

        with pytest.raises(NotFound):
            await links(app, job.recording_key, 0)

        assert ["content.damaged"] == errors(caplog)
        assert [] == await done(app)


async def test_sha256sums_checks_the_downloads_and_the_manifest(app: App, control: Control, tmp_path: Path) -> None:
    """As `sha256sum --check` does in the folder of the downloads."""
    jobs = await archived(app, control, 1000, 2000)
    key = jobs[0].recording_key
    for one in (await links(app, key, 0, 1, purpose="download")).links:
        (tmp_path / one.file_name).write_bytes((await fetched(one.url))[1])
    for file in (await app.handout.manifest(ADA, key), await app.handout.checksums(ADA, key)):
        (tmp_path / file.name).write_bytes(file.body)

    checked = await asyncio.create_subprocess_exec(
        "sha256sum", "--check", "--strict", f"{key}-SHA256SUMS", cwd=tmp_path, stdout=subprocess.PIPE
    )
    said, _ = await checked.communicate()

    assert (0, 3, 3) == (checked.returncode, said.count(b": OK"), said.count(b"\n"))
    assert (tmp_path / f"{key}-recording.json").read_bytes() == await app.clients.blobs.read(
        "archive", layout.manifest_blob(key)
    )
    files = [one["details"]["file"] for one in await trail_of(app.settings) if "details" in one]
    assert [f"{key}-recording.json", f"{key}-SHA256SUMS"] == files


async def test_what_is_missing_stands_in_sha256sums(app: App, control: Control) -> None:
    """`incomplete` in its name, and a comment, which `sha256sum` skips; the newest manifest counts."""
    first, second = await receive(app, file_event(await control.recording(1000, 1000)))
    await app.ingest.run(first)
    with pytest.raises(NotFound):
        await app.handout.checksums(ADA, first.recording_key)
    await sweep(app, now=await give_up(app, second))

    sums = await app.handout.checksums(ADA, first.recording_key)

    lines = sums.body.decode().splitlines()
    assert sums.name == f"{first.recording_key}-incomplete-SHA256SUMS"
    assert lines[2] == f"# not among them: chunk 1, document {second.document_id}, lost"
    await app.ingest.run(second)
    await sweep(app)
    sums = await app.handout.checksums(ADA, first.recording_key)
    assert f"{first.recording_key}-recording-2.json" in sums.body.decode()
    assert 3 == len(sums.body.decode().splitlines())


HAND_OUTS: dict[str, Callable[[App, str], Awaitable[Any]]] = {
    "links": lambda app, key: links(app, key, 0),
    "content": lambda app, key: app.handout.content(ADA, key, "0"),
    "manifest": lambda app, key: app.handout.manifest(ADA, key),
    "checksums": lambda app, key: app.handout.checksums(ADA, key),
    "view": lambda app, key: app.handout.view(ADA, key),
    "search": lambda app, key: app.handout.find(ADA, ListQuery(participant=PERSON), url=""),
}


async def test_nothing_is_handed_out_that_is_not_on_record(
    app: App, control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    """A fact that can't be written is a 503, and the log says so; once it can be, all goes on."""
    [job] = await archived(app, control, 1000)
    for count, (kind, hand_out) in enumerate(HAND_OUTS.items()):
        caplog.clear()
        storage = FaultyBlobs(app.settings).on("create", name="audit/", raises=ServiceResponseError("down"), times=1)
        down = with_blobs(app, storage)

        with pytest.raises(TrailUnavailable) as refused:
            await hand_out(down, job.recording_key)
        assert count == len(await done(app)), kind
        await hand_out(down, job.recording_key)
        await storage.aclose()

        assert (503, "TrailUnavailable") == (refused.value.http_status, refused.value.error_code), kind
        assert "trail.not_written" in errors(caplog), kind
        assert count + 1 == len(await done(app)), kind


async def test_links_reach_no_log(app: App, control: Control, caplog: pytest.LogCaptureFixture) -> None:
    """Neither what the app logs, nor what its libraries do, has a signature; and no fact has one."""
    [job] = await archived(app, control, 1000)
    caplog.set_level("DEBUG")

    made = await links(app, job.recording_key, 0, purpose="download")
    url = await app.handout.content(ADA, job.recording_key, "0")

    signatures = [parse_qs(urlsplit(one).query)["sig"][0] for one in (made.links[0].url, url)]
    kept = caplog.text + json.dumps(await trail_of(app.settings))
    assert [] == [one for one in (*signatures, "sig=", "sig%3D") if one in kept]


async def test_a_view_is_on_record_once_in_a_quarter_of_an_hour(app: App, control: Control) -> None:
    """Per person and recording, whichever process answers; a client that polls fills nothing."""
    [job] = await archived(app, control, 1000)
    noon = datetime(2026, 3, 1, 12, 1, tzinfo=UTC)
    for minutes, caller in ((0, ADA), (1, ADA), (13, ADA), (2, GRACE), (14, ADA), (15, ADA), (3, Caller())):
        process = assemble(app.settings, app.clients, clock=lambda now=noon + timedelta(minutes=minutes): now)  # type: ignore[misc]
        await asyncio.gather(*(process.handout.view(caller, job.recording_key) for _ in range(3)))

    facts = await trail_of(app.settings)
    assert [("view", 4, ["Ada Lovelace", "Ada Lovelace", "Grace Hopper"])] == [
        ("view", len(facts), sorted(one["who"] for one in facts if "who" in one))
    ]
    assert {"view"} == {one["operation"] for one in facts}


async def test_a_search_for_a_person_is_on_record_by_digest(app: App) -> None:
    """Neither the id nor any other search is; who may not search for people is refused without a fact."""
    await app.handout.find(ADA, ListQuery(), url="")
    for text in (PERSON, PERSON.upper()):
        await app.handout.find(ADA, ListQuery(participant=text), url="")
    with pytest.raises(Forbidden):
        await app.handout.find(EDSGER, ListQuery(participant=PERSON), url="")

    [fact] = await trail_of(app.settings)
    digest = (await app.clients.index.digests()).participant(PERSON)
    assert ("search", {"participant": digest}) == (fact["operation"], fact["details"])
    assert "29bd5ea9" not in json.dumps(fact)


VERSION = "2026-03-01T10:00:00.1234567Z"


@pytest_asyncio.fixture
async def versioned(app: App, azurite: Azurite) -> AsyncIterator[App]:
    """An archive that keeps versions: a server between answers with the id of one, for Azurite has none."""

    async def forward(asked: web.Request) -> web.Response:
        address, body = azurite.blob_url.rpartition("/")[0], await asked.read() or None
        async with (
            aiohttp.ClientSession(skip_auto_headers=("Content-Type",)) as http,
            http.request(asked.method, f"{address}{asked.raw_path}", headers=asked.headers, data=body) as got,
        ):
            headers = {name: value for name, value in got.headers.items() if name != "Transfer-Encoding"}
            headers["x-ms-version-id"] = VERSION
            return web.Response(status=got.status, body=await got.read(), headers=headers)

    async with serve(forward) as address:
        account = f"{azurite.connection_string.partition('BlobEndpoint=')[0]}BlobEndpoint={address}/devstoreaccount1"
        there = {"archive_storage": StorageAccount.model_validate({"connection_string": account})}
        storage = Blobs(app.settings.model_copy(update=there))
        yield with_blobs(app, storage)
        await storage.aclose()


async def test_a_link_is_to_the_version_that_was_looked_at(app: App, versioned: App, control: Control) -> None:
    """Where storage keeps versions: what is written over a blob later is not handed out by it."""
    [job] = await archived(app, control, 1000)

    [one] = (await links(versioned, job.recording_key, 0)).links

    terms = parse_qs(urlsplit(one.url).query)
    assert (["bv"], [VERSION]) == (terms["sr"], terms["versionid"])
