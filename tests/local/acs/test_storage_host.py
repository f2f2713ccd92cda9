"""Tests of the storage host: the locations in a file event of the Call Automation API, as a client sees them."""

import asyncio
import hashlib
import json
from typing import Any

import aiohttp
import pytest
from yarl import URL

from .client import Client, eventually

SIZE = 400_000


async def _recording(client: Client, *sizes: int, **more: Any) -> Any:
    media = {"kind": "filler", "chunkBytes": list(sizes)} if sizes else {}
    answer = await client.control("POST", "/recordings", {"media": media, "generation": "today", **more})
    assert answer.status == 201, answer.json
    return answer.json


async def _chunk(client: Client, **more: Any) -> Any:
    return (await _recording(client, SIZE, **more))["chunks"][0]


async def test_content(client: Client) -> None:
    """The content comes whole, as bytes of no special kind, from another port than the API's."""
    chunk = await _chunk(client)
    answer = await client.stored("GET", chunk["contentLocation"])

    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/octet-stream")
    assert hashlib.sha256(answer.body).hexdigest() == chunk["sha256"]
    assert URL(chunk["contentLocation"]).port not in (URL(client.endpoint).port, URL(chunk["deleteLocation"]).port)


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        ("bytes=0-999", 206, slice(0, 1000)),
        ("bytes=1000-", 206, slice(1000, SIZE)),
        (f"bytes={SIZE - 5}-{SIZE + 5}", 206, slice(SIZE - 5, SIZE)),
        ("bytes=None", 200, slice(0, SIZE)),
        ("bytes=3", 200, slice(0, SIZE)),
    ],
)
async def test_range(client: Client, asked: str, status: int, part: slice) -> None:
    """A range is honoured, and one that old clients get wrong is ignored."""
    location = (await _chunk(client))["contentLocation"]
    whole = (await client.stored("GET", location)).body
    answer = await client.stored("GET", location, Range=asked)

    assert (answer.status, answer.body) == (status, whole[part])
    if status == 206:
        assert answer.headers["Content-Range"] == f"bytes {part.start}-{part.stop - 1}/{SIZE}"


async def test_range_behind_the_end(client: Client) -> None:
    """A range behind the end is a 416 with the length and no body."""
    answer = await client.stored("GET", (await _chunk(client))["contentLocation"], Range=f"bytes={SIZE}-")

    assert (answer.status, answer.body, answer.headers["Content-Range"]) == (416, b"", f"bytes */{SIZE}")


async def test_metadata(client: Client) -> None:
    """Metadata is pretty-printed JSON with CRLF, and comes in ranges too."""
    chunk = await _chunk(client)
    whole = await client.stored("GET", chunk["metadataLocation"])
    first = await client.stored("GET", chunk["metadataLocation"], Range="bytes=0-4194303")

    assert whole.headers["Content-Type"] == first.headers["Content-Type"] == "application/octet-stream"
    assert (whole.body[:5], b"\n" in whole.body.replace(b"\r\n", b"")) == (b"{\r\n  ", False)
    assert (first.status, first.body) == (206, whole.body)
    assert first.headers["Content-Range"] == f"bytes 0-{len(whole.body) - 1}/{len(whole.body)}"
    assert json.loads(whole.body)["chunkDocumentId"] == chunk["documentId"]
    assert json.loads(whole.body)["recordingInfo"]["contentType"] == "audioVideo"


@pytest.mark.parametrize("kind", ["mp3", "wav"])
async def test_sound(client: Client, kind: str) -> None:
    """Sound has a location of its own, which differs from a video's by more than the document."""
    chunk = await _chunk(client, formatType=kind)
    answer = await client.stored("GET", chunk["contentLocation"])
    other = await client.stored("GET", chunk["contentLocation"].replace("/audio", "/video"))

    assert answer.body[:3] == (b"ID3" if kind == "mp3" else b"RIF")
    assert (other.status, other.body) == (404, b"")


async def test_unmixed(client: Client) -> None:
    """Unmixed sound has the requested channels first, as in the metadata."""
    recording = await _recording(
        client,
        formatType="wav",
        channelType="unmixed",
        participants=["Ada", "Grace", "Katherine"],
        channels=["Katherine", "8:acs:elsewhere"],
        durationSeconds=1,
    )
    chunk = recording["chunks"][0]
    head = (await client.stored("GET", chunk["contentLocation"], Range="bytes=0-43")).body
    metadata = json.loads((await client.stored("GET", chunk["metadataLocation"])).body)
    channels = [person["channel"] for person in metadata["participants"]]

    assert (head[:4], int.from_bytes(head[22:24], "little")) == (b"RIFF", 4)
    assert (channels, metadata["recordingInfo"]["audioConfiguration"]["channels"]) == ([2, 3, 0], 4)
    assert recording["format"]["channels"] == [metadata["participants"][2]["participantId"], "8:acs:elsewhere"]
    assert chunk["bytes"] == 44 + 16_000 * 2 * 4


async def test_redirect(client: Client) -> None:
    """An object in the region is found there, under the same path and query, and nowhere in between."""
    chunk = await _chunk(client)
    await client.control("PUT", "/settings", {"redirectToRegion": True})
    first = await client.stored("GET", chunk["contentLocation"] + "?a=%20b")
    second = await client.stored("GET", first.headers["Location"])
    region = URL(chunk["deleteLocation"]).origin()

    assert (first.status, first.body) == (302, b"")
    assert first.headers["Location"] == f"{region}{URL(chunk['contentLocation']).path}?a=%20b"
    assert (second.status, len(second.body)) == (200, SIZE)


async def test_unsigned(client: Client) -> None:
    """Neither host answers without a signature, so one that is lost on the way to the region shows."""
    chunk = await _chunk(client)
    async with client.session.get(chunk["contentLocation"]) as answer:
        assert (answer.status, await answer.read()) == (401, b"")
    async with client.session.delete(chunk["deleteLocation"]) as answer:
        assert (answer.status, await answer.read()) == (401, b"")


async def test_delete(client: Client) -> None:
    """A deletion removes content and metadata, and its answer has no body and no content type."""
    chunk = await _chunk(client)
    deleted = await client.stored("DELETE", chunk["deleteLocation"])
    after = [
        (await client.stored(method, chunk[f"{name}Location"])).status
        for method, name in (("GET", "content"), ("GET", "metadata"), ("DELETE", "delete"))
    ]

    assert (deleted.status, deleted.body, deleted.headers["Content-Length"]) == (200, b"", "0")
    assert "Content-Type" not in deleted.headers
    assert after == [404, 404, 404]


@pytest.mark.parametrize(("document", "status"), [("0-eus-d12-" + "0" * 32, 404), ("0-eus-d12-" + "0" * 29, 400)])
async def test_no_document(client: Client, document: str, status: int) -> None:
    """What is unknown is not found and what could never be is refused, both without a body."""
    chunk = await _chunk(client)
    for method, location in (("DELETE", chunk["deleteLocation"]), ("GET", chunk["contentLocation"])):
        answer = await client.stored(method, location.replace(chunk["documentId"], document))
        assert (answer.status, answer.body) == (status, b"")


async def test_retention(client: Client) -> None:
    """Files are there for 24 hours after the event, unless something else is set."""
    chunk = await _chunk(client)
    await client.advance(24 * 3600 - 60)
    before = await client.stored("GET", chunk["contentLocation"])
    await client.advance(61)
    after = await client.stored("GET", chunk["contentLocation"])
    await client.control("PUT", "/settings", {"retentionHours": 25})

    assert (before.status, after.status, after.body) == (200, 404, b"")
    assert (await client.stored("GET", chunk["contentLocation"])).status == 200


async def test_generations_are_apart(client: Client) -> None:
    """Neither API has the files of the other one."""
    today, old = await _chunk(client), (await client.filler(SIZE))["chunks"][0]
    there = await client.stored("GET", today["contentLocation"].replace(today["documentId"], old["documentId"]))

    assert (await client.api("GET", f"/recording/download/{today['documentId']}")).status == 404
    assert there.status == 404
    assert not {"contentLocation", "deleteLocation"} & old.keys()


async def test_export(client: Client) -> None:
    """What was exported is in the customer's container, what could not be is on the storage host."""
    container = "http://127.0.0.1:10000/devstoreaccount1/calls"
    exported = await _chunk(client, destination=container)
    await client.control("PUT", "/settings", {"exportFails": True})
    failed = await _chunk(client, destination=container)
    missing = await client.stored(
        "GET", failed["contentLocation"].replace(failed["documentId"], exported["documentId"])
    )

    assert exported["contentLocation"].startswith(container + "/20")
    assert missing.status == 404
    assert (await client.stored("GET", failed["contentLocation"])).status == 200


async def test_limit(client: Client) -> None:
    """Sound over the limit has several chunks, each at its own place."""
    await client.control("PUT", "/settings", {"chunkMaximumBytes": 100_000})
    recording = await _recording(client, formatType="wav", durationSeconds=8)
    chunks = recording["chunks"]
    bodies = [(await client.stored("GET", chunk["contentLocation"])).body for chunk in chunks]

    assert [chunk["endReason"] for chunk in chunks] == ["ChunkMaximumSizeExceeded"] * 2 + ["SessionEnded"]
    assert [len(body) for body in bodies] == [chunk["bytes"] for chunk in chunks]
    assert all(len(body) <= 100_000 for body in bodies)
    assert sum(len(body) - 44 for body in bodies) == 8 * 32_000


@pytest.mark.parametrize(
    ("rule", "outcome"),
    [
        ({"kind": "status", "status": 503}, (503, None)),
        ({"kind": "expired"}, (404, 0)),
        ({"kind": "empty"}, (200, 0)),
        ({"kind": "html", "status": 400}, (400, None)),
        ({"kind": "ignoreRange"}, (200, SIZE)),
        ({"kind": "etag", "etag": '"new"', "length": 1234}, (206, 734)),
        ({"kind": "redirect", "location": "{other}{path}"}, (302, 0)),
        ({"kind": "slow", "bytesPerSecond": 10**9}, (206, SIZE - 500)),
    ],
)
async def test_faults(client: Client, rule: Any, outcome: tuple[int, int | None]) -> None:
    """Injected faults meet the storage host too, once, and then the real answer comes."""
    location = (await _chunk(client))["contentLocation"]
    await client.fault(path="/v1/objects/*", **rule)
    first = await client.stored("GET", location, Range="bytes=500-")
    second = await client.stored("GET", location, Range="bytes=500-")

    assert (first.status, outcome[1] is None or len(first.body)) == (outcome[0], outcome[1] is None or outcome[1])
    assert (second.status, len(second.body)) == (206, SIZE - 500)


async def test_broken_metadata(client: Client) -> None:
    """Metadata can be malformed, while the content is there."""
    chunk = await _chunk(client)
    await client.fault(path="/v1/objects/*/acsmetadata", kind="malformed")
    broken = await client.stored("GET", chunk["metadataLocation"])

    assert (await client.stored("GET", chunk["contentLocation"])).status == 200
    with pytest.raises(ValueError, match="Unterminated"):
        json.loads(broken.body)


async def test_cut(client: Client) -> None:
    """A body can break off on the storage host as well."""
    location = (await _chunk(client))["contentLocation"]
    await client.fault(path="/v1/objects/*", kind="cut", afterBytes=1000)
    with pytest.raises(aiohttp.ClientPayloadError):
        await client.stored("GET", location)


async def test_chaos(client: Client) -> None:
    """Random faults meet content, metadata and deletion, each by its own name."""
    chunk = await _chunk(client)
    await client.control("POST", "/chaos", {"seed": 1, "rates": {"status503": 1}})
    requests = [
        await client.stored(method, chunk[f"{name}Location"])
        for method, name in (("GET", "content"), ("GET", "metadata"), ("DELETE", "delete"))
    ]
    counted = (await client.control("DELETE", "/chaos")).json

    assert [answer.status for answer in requests] == [503] * 3
    assert counted["injectedByRoute"] == {name: {"status503": 1} for name in ("content", "delete", "metadata")}


async def test_many_at_once(client: Client) -> None:
    """Ranges asked for at the same time come from one and the same content."""
    chunk = await _chunk(client)
    step = SIZE // 8
    parts = await asyncio.gather(
        *(
            client.stored("GET", chunk["contentLocation"], Range=f"bytes={start}-{start + step - 1}")
            for start in range(0, SIZE, step)
        )
    )

    assert hashlib.sha256(b"".join(part.body for part in parts)).hexdigest() == chunk["sha256"]
    assert len({part.headers["ETag"] for part in parts}) == 1


async def test_journal(client: Client) -> None:
    """The journal lists the requests to the storage host."""
    chunk = await _chunk(client)
    await client.stored("GET", chunk["contentLocation"], Range="bytes=0-9")

    async def written() -> Any:
        return (await client.control("GET", "/requests")).json["requests"]

    entry = (await eventually(written))[-1]
    assert (entry["path"], entry["range"], entry["status"]) == (
        URL(chunk["contentLocation"]).path,
        "bytes=0-9",
        206,
    )
