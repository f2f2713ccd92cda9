"""Tests of every kind of injected fault, as a client sees it."""

import asyncio
import json
import time
from typing import Any

import aiohttp
import pytest

from .client import Client, signed_headers

SIZE = 400_000


@pytest.fixture
async def path(client: Client) -> str:
    """Make a document and return its path."""
    recording = await client.filler(SIZE)
    return f"/recording/download/{recording['chunks'][0]['documentId']}"


async def _received(client: Client, path: str) -> tuple[int, int, str]:
    """Return what arrives before a body breaks off: declared length, received bytes, the error."""
    target = f"{path}?api-version=2021-04-15-preview1"
    headers = signed_headers("GET", target, host=client.endpoint.removeprefix("http://"), key=client.key)
    received = 0
    async with client.session.get(client.endpoint + target, headers=headers) as response:
        try:
            async for piece in response.content.iter_any():
                received += len(piece)
        except (aiohttp.ClientError, OSError) as error:
            return int(response.headers["Content-Length"]), received, type(error).__name__
        return int(response.headers["Content-Length"]), received, ""


async def test_status(client: Client, path: str) -> None:
    """A status comes with Retry-After and a body, once, and then the real answer."""
    await client.fault(path="/recording/download/*", kind="status", status=429, retryAfter=3)
    first, second = await client.api("GET", path), await client.api("GET", path)

    assert (first.status, first.headers["Retry-After"], first.json["code"]) == (429, "3", "429")
    assert second.status == 200


@pytest.mark.parametrize("body", ["plain text", {"error": {"code": "9999"}}])
async def test_status_body(client: Client, path: str, body: Any) -> None:
    """A status can come with a text or a JSON body."""
    await client.fault(kind="status", status=500, body=body)
    answer = await client.api("GET", path)

    assert (answer.status, answer.json if isinstance(body, dict) else answer.body.decode()) == (500, body)


async def test_reset(client: Client, path: str) -> None:
    """A reset connection gives no answer at all."""
    await client.fault(kind="reset")
    with pytest.raises(aiohttp.ClientOSError):
        await client.api("POST", path, body=b"{}")

    assert (await client.api("GET", path)).status == 200


async def test_refuse(client: Client, path: str) -> None:
    """A refused connection is closed before the body was read."""
    await client.fault(kind="refuse", times=None)
    with pytest.raises(aiohttp.ClientOSError):
        await client.api("GET", path)
    await client.control("DELETE", "/faults")
    entries = (await client.control("GET", "/requests")).json["requests"]

    assert (entries[0]["status"], entries[0]["fault"]) == (None, "refuse")
    assert (await client.api("GET", path)).status == 200


async def test_outage(client: Client, path: str) -> None:
    """For a while the port refuses connections; what the emulator knew it still knows afterwards."""
    accepted = await client.control("POST", "/outage", {"seconds": 0.4})
    await asyncio.sleep(0.2)
    with pytest.raises(aiohttp.ClientConnectorError):
        await client.api("GET", path)
    await asyncio.sleep(0.4)

    assert accepted.status == 202
    assert (await client.api("GET", path)).status == 200


async def test_lost_answer(client: Client) -> None:
    """A start whose answer is lost has started a recording."""
    call = await client.call()
    await client.fault(method="POST", kind="lostAnswer")
    with pytest.raises(aiohttp.ClientOSError):
        await client.start(call["conversationId"])
    recordings = (await client.control("GET", "/recordings")).json["recordings"]

    assert [recording["state"] for recording in recordings] == ["active"]


@pytest.mark.parametrize("after", [0, 1, 300_000])
@pytest.mark.parametrize("kind", ["cut", "short"])
async def test_broken_body(client: Client, path: str, kind: str, after: int) -> None:
    """A cut or short body declares its full length and ends at the byte that was said."""
    await client.fault(kind=kind, afterBytes=after)
    declared, received, error = await _received(client, path)

    assert (declared, received) == (SIZE, after)
    assert error


async def test_cut_in_half(client: Client, path: str) -> None:
    """Without a number a body is cut in half; the journal says how much was sent."""
    await client.fault(kind="short")
    declared, received, _ = await _received(client, path)
    entry = (await client.control("GET", "/requests")).json["requests"][-1]

    assert (declared, received, entry["bytesSent"], entry["status"]) == (SIZE, SIZE // 2, SIZE // 2, 200)


async def test_json_is_cut_too(client: Client) -> None:
    """The body of an answer of the recording API can be cut as well."""
    call = await client.call()
    recording = await client.start(call["conversationId"])
    await client.fault(method="GET", kind="short", afterBytes=5)

    assert (await _received(client, recording))[:2] == (27, 5)


async def test_empty(client: Client, path: str) -> None:
    """An empty answer is a 200 without bytes."""
    await client.fault(kind="empty")
    answer = await client.api("GET", path)

    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"", "0")


@pytest.mark.parametrize("status", [200, 400])
async def test_html(client: Client, path: str, status: int) -> None:
    """An HTML page can come with 200 or 400."""
    await client.fault(kind="html", status=status)
    answer = await client.api("GET", path)

    assert (answer.status, answer.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert answer.body.startswith(b"<!DOCTYPE html>")


async def test_slow(client: Client, path: str) -> None:
    """A slow body is complete but takes long."""
    await client.fault(kind="slow", bytesPerSecond=1_000_000)
    began = time.perf_counter()
    answer = await client.api("GET", path)

    assert (answer.status, len(answer.body)) == (200, SIZE)
    assert 0.35 < time.perf_counter() - began < 3


async def test_slow_for_a_while(client: Client, path: str) -> None:
    """A body can be slow for some time and then go on at full speed."""
    await client.fault(kind="slow", bytesPerSecond=1000, seconds=0.3)
    began = time.perf_counter()
    answer = await client.api("GET", path)

    assert (answer.status, len(answer.body)) == (200, SIZE)
    assert 0.25 < time.perf_counter() - began < 3


async def test_hang(client: Client, path: str) -> None:
    """A hanging request is answered late, and others meanwhile."""
    await client.fault(kind="hang", seconds=0.4)
    began = time.perf_counter()
    late = asyncio.create_task(client.api("GET", path))
    await asyncio.sleep(0.05)
    assert (await client.api("GET", path)).status == 200
    assert not late.done()

    assert (await late).status == 200
    assert time.perf_counter() - began >= 0.4


async def test_redirect(client: Client, path: str) -> None:
    """A redirect leads to another host, with the path if wanted."""
    await client.fault(kind="redirect", location="http://localhost:1{path}")
    answer = await client.api("GET", path)

    expected = f"http://localhost:1{path}?api-version=2021-04-15-preview1"
    assert (answer.status, answer.headers["Location"], answer.body) == (302, expected, b"")


async def test_other_name(client: Client, path: str) -> None:
    """A redirect to the server's other name leads to the document, and back from there."""
    await client.fault(kind="redirect", location="{other}{path}", times=2)
    there = (await client.api("GET", path)).headers["Location"]
    other = Client(client.session, there.partition("/recording")[0], client.key)
    back = (await other.api("GET", path)).headers["Location"]

    assert there == f"{client.endpoint.replace('127.0.0.1', 'localhost')}{path}?api-version=2021-04-15-preview1"
    assert back == f"{client.endpoint}{path}?api-version=2021-04-15-preview1"
    assert (await other.api("GET", path)).status == 200


async def test_malformed(client: Client, path: str) -> None:
    """Metadata can be JSON that breaks off although its length is right."""
    await client.fault(kind="malformed", path="*/metadata")
    url = f"{client.endpoint}{path}/metadata"
    async with client.session.get(url) as answer:
        body = await answer.read()

    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    assert answer.headers["Content-Length"] == str(len(body))
    with pytest.raises(ValueError, match="Unterminated"):
        json.loads(body)


async def test_ignore_range(client: Client, path: str) -> None:
    """A server that ignores ranges answers 200 with everything."""
    await client.fault(kind="ignoreRange")
    answer = await client.api("GET", path, headers={"Range": "bytes=100-199"})

    assert (answer.status, len(answer.body)) == (200, SIZE)


@pytest.mark.parametrize("length", [SIZE // 2, SIZE * 2])
async def test_etag(client: Client, path: str, length: int) -> None:
    """A document that changed has another ETag, and another length if wanted."""
    before = await client.api("GET", path)
    await client.fault(kind="etag", times=2)
    await client.fault(kind="etag", etag='"new"', length=length)
    changed = await client.api("GET", path, headers={"Range": "bytes=0-9"})
    await client.api("GET", path)
    resized = await client.api("GET", path)

    assert changed.headers["ETag"] != before.headers["ETag"]
    assert (changed.status, changed.body) == (206, before.body[:10])
    assert (resized.headers["ETag"], len(resized.body)) == ('"new"', length)


async def test_expired(client: Client, path: str) -> None:
    """A document can be made to look expired."""
    await client.fault(kind="expired")
    answer = await client.api("GET", path)

    assert (answer.status, answer.json["target"]) == (404, "documentId")


async def test_choice(client: Client, path: str) -> None:
    """Rules match by method and glob without case, let some requests through, and end."""
    await client.fault(method="get", path="/RECORDING/*/metadata", kind="status", status=503, skip=1, times=2)
    statuses = [(await client.api("GET", path + "/metadata")).status for _ in range(4)]
    counted = (await client.control("GET", "/faults")).json["faults"][0]

    assert statuses == [200, 503, 503, 200]
    assert (await client.api("GET", path)).status == 200
    assert (counted["skipped"], counted["applied"], counted["times"]) == (1, 2, 2)


async def test_always(client: Client, path: str) -> None:
    """A rule without end applies until the rules are removed; the control plane has no faults."""
    await client.control("POST", "/faults", [{"kind": "status", "status": 500, "times": None}])
    statuses = [(await client.api("GET", path)).status for _ in range(3)]
    await client.control("DELETE", "/faults")

    assert statuses == [500, 500, 500]
    assert (await client.api("GET", path)).status == 200


@pytest.mark.parametrize(
    ("rule", "target"),
    [
        ({}, "kind"),
        ({"kind": "nonsense"}, "kind"),
        ({"kind": "status"}, None),
        ({"kind": "slow"}, None),
        ({"kind": "slow", "bytesPerSecond": 0}, "bytesPerSecond"),
        ({"kind": "hang", "seconds": 10_000}, "seconds"),
        ({"kind": "redirect"}, None),
        ({"kind": "cut", "afterBytes": -1}, "afterBytes"),
        ({"kind": "cut", "unknown": 1}, "unknown"),
        ([{"kind": "cut"}, {"kind": 3}], "1.kind"),
        ("text", None),
    ],
)
async def test_bad_rule(client: Client, rule: Any, target: str | None) -> None:
    """A rule that makes no sense is a 400 that names the field, and nothing is added."""
    answer = await client.control("POST", "/faults", rule)

    assert (answer.status, answer.json["target"]) == (400, target)
    assert (await client.control("GET", "/faults")).json == {"faults": []}
