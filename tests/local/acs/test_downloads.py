"""Tests of the download API: content, metadata, ranges, expiry."""

import asyncio
import hashlib
import json
from typing import Any

import pytest

from .client import Client, signed_headers

MEBIBYTE = 1024 * 1024


async def test_whole(client: Client) -> None:
    """A document is served whole, as video/mp4, with length and ETag, and is what the digest says."""
    chunk = (await client.filler(3 * MEBIBYTE + 7))["chunks"][0]
    answer = await client.api("GET", f"/Recording/DOWNLOAD/{chunk['documentId']}")

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "video/mp4"
    assert answer.headers["Content-Length"] == str(3 * MEBIBYTE + 7)
    assert answer.headers["ETag"].startswith('"0x')
    assert hashlib.sha256(answer.body).hexdigest() == chunk["sha256"]


async def test_video(client: Client) -> None:
    """A document of video is served as the file that was made."""
    answer = await client.control("POST", "/recordings", {"media": {"kind": "video"}, "durationSeconds": 1})
    chunk = answer.json["chunks"][0]
    served = await client.api("GET", f"/recording/download/{chunk['documentId']}")

    assert (len(served.body), hashlib.sha256(served.body).hexdigest()) == (chunk["bytes"], chunk["sha256"])
    assert served.body[4:8] == b"ftyp"
    assert chunk["durationMs"] == 1000


async def test_ranges(client: Client) -> None:
    """Ranges put together are the document, each with 206, Content-Range and the same ETag."""
    chunk = (await client.filler(MEBIBYTE + 11))["chunks"][0]
    path = f"/recording/download/{chunk['documentId']}"
    first = await client.api("GET", path, headers={"Range": "bytes=0-524287"})
    second = await client.api("GET", path, headers={"Range": "bytes=524288-"})

    assert (first.status, second.status) == (206, 206)
    assert first.headers["Content-Range"] == "bytes 0-524287/1048587"
    assert second.headers["Content-Range"] == "bytes 524288-1048586/1048587"
    assert first.headers["ETag"] == second.headers["ETag"]
    assert hashlib.sha256(first.body + second.body).hexdigest() == chunk["sha256"]


async def test_malformed_range(client: Client) -> None:
    """A malformed range is ignored."""
    chunk = (await client.filler(1000))["chunks"][0]
    answer = await client.api("GET", f"/recording/download/{chunk['documentId']}", headers={"Range": "bytes=None"})

    assert (answer.status, len(answer.body)) == (200, 1000)


async def test_unsatisfiable(client: Client) -> None:
    """A range behind the end is a 416 that has the size."""
    chunk = (await client.filler(1000))["chunks"][0]
    answer = await client.api("GET", f"/recording/download/{chunk['documentId']}", headers={"Range": "bytes=1000-"})

    assert (answer.status, answer.headers["Content-Range"], answer.json["code"]) == (416, "bytes */1000", "416")


async def test_metadata(client: Client) -> None:
    """The metadata file belongs to the chunk and call, in CRLF JSON, and can be had in ranges too."""
    recording = await client.filler(1000, 3000, participants=["Ada", "Grace"], durationSeconds=8)
    path = f"/recording/download/{recording['chunks'][1]['documentId']}/Metadata"
    answer = await client.api("GET", path)
    part = await client.api("GET", path, headers={"Range": "bytes=0-9"})

    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert (part.status, part.body) == (206, answer.body[:10])
    assert answer.body.startswith(b"{\r\n  ")
    assert answer.json["chunkIndex"] == 1
    assert answer.json["chunkDocumentId"] == recording["chunks"][1]["documentId"]
    assert answer.json["callId"] == recording["callId"]
    assert answer.json["chunkDuration"] == 6000
    assert len(answer.json["participants"]) == 2
    assert json.loads(answer.body)["chunkStartTime"] > recording["startTime"]


@pytest.mark.parametrize("document", ["0-eus-d12-" + "0" * 32, "..%2F..%2Fetc%2Fpasswd", "%00", "x" * 6000])
async def test_unknown(client: Client, document: str) -> None:
    """An unknown document is a 404 with the bare error body, content and metadata alike."""
    expected: dict[str, Any] = {
        "code": "404",
        "message": "The document does not exist or has expired.",
        "target": "documentId",
        "details": [],
    }
    for path in (f"/recording/download/{document}", f"/recording/download/{document}/metadata"):
        answer = await client.api("GET", path)

        assert (answer.status, answer.json) == (404, expected)


async def test_retention(client: Client) -> None:
    """A document is there until 48 hours after its event, and then is gone."""
    chunk = (await client.filler(1000))["chunks"][0]
    path = f"/recording/download/{chunk['documentId']}"
    await client.advance(48 * 3600 - 60)
    before = await client.api("GET", path)
    await client.advance(61)

    assert before.status == 200
    assert (await client.api("GET", path)).status == 404
    assert (await client.api("GET", path + "/metadata")).status == 404


async def test_other_retention(client: Client) -> None:
    """The retention can be set; it also counts for what is there already."""
    chunk = (await client.filler(1000, announce=False))["chunks"][0]
    await client.control("PUT", "/settings", {"retentionHours": 0.5})
    await client.advance(1801)

    assert (await client.api("GET", f"/recording/download/{chunk['documentId']}")).status == 404


async def test_unsigned(client: Client) -> None:
    """A download without a signature is refused."""
    chunk = (await client.filler(1000))["chunks"][0]
    answer = await client.raw("GET", f"/recording/download/{chunk['documentId']}?api-version=2021-04-15-preview1")

    assert (answer.status, answer.json["code"]) == (401, "401")


async def test_journal(client: Client) -> None:
    """The journal lists requests and the bytes of their answers, in order, until it is cleared."""
    chunk = (await client.filler(1000))["chunks"][0]
    path = f"/recording/download/{chunk['documentId']}"
    await client.api("GET", path, headers={"Range": "bytes=0-9"})
    await client.api("GET", path)
    await client.api("GET", "/recording/download/none")
    entries = (await client.control("GET", "/requests")).json["requests"]
    await client.control("DELETE", "/requests")

    seen = [(entry["method"], entry["path"], entry["range"], entry["status"]) for entry in entries]
    assert seen == [
        ("GET", path, "bytes=0-9", 206),
        ("GET", path, None, 200),
        ("GET", "/recording/download/none", None, 404),
    ]
    assert [entry["bytesSent"] for entry in entries][:2] == [10, 1000]
    assert (await client.control("GET", "/requests")).json == {"requests": []}


async def test_client_goes_away(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """A client that goes away in the middle leaves a journal entry and no error."""
    chunk = (await client.filler(200 * MEBIBYTE))["chunks"][0]
    target = f"/recording/download/{chunk['documentId']}?api-version=2021-04-15-preview1"
    headers = signed_headers("GET", target, host=client.endpoint.removeprefix("http://"), key=client.key)
    async with client.session.get(client.endpoint + target, headers=headers) as response:
        await response.content.readexactly(MEBIBYTE)
        response.close()
    again = await client.api("GET", target.partition("?")[0], headers={"Range": "bytes=0-9"})
    entry = (await client.control("GET", "/requests")).json["requests"][0]

    assert again.status == 206
    assert (entry["status"], MEBIBYTE <= entry["bytesSent"] < 200 * MEBIBYTE) == (200, True)
    assert [record.message for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")] == []


async def test_many_at_once(client: Client) -> None:
    """Many ranges of a document at once come out whole, and the emulator keeps answering meanwhile."""
    chunk = (await client.filler(64 * MEBIBYTE))["chunks"][0]
    path = f"/recording/download/{chunk['documentId']}"
    ranges = [f"bytes={start * MEBIBYTE}-{(start + 4) * MEBIBYTE - 1}" for start in range(0, 64, 4)]
    parts = await asyncio.gather(*(client.api("GET", path, headers={"Range": one}) for one in ranges))

    digest = hashlib.sha256(b"".join(part.body for part in parts)).hexdigest()
    assert ({part.status for part in parts}, digest) == ({206}, chunk["sha256"])
