"""Tests of random faults in the service API: every kind, and the same ones for a seed."""

import asyncio
from typing import Any

import aiohttp
import pytest

from local.acs.chaos import KINDS, operation

from .client import Client

SIZE = 400_000


async def _chaos(client: Client, **more: Any) -> None:
    answer = await client.control("POST", "/chaos", {"seed": 1, **more})
    assert answer.status == 201, answer.json


async def _outcome(client: Client, path: str, **headers: str) -> str:
    """Return the status and what came with it, or the error."""
    try:
        answer = await client.api("GET", path, headers=headers)
    except (aiohttp.ClientError, OSError) as error:
        return type(error).__name__
    except ValueError:
        return "broken JSON"
    return f"{answer.status} {len(answer.body)}"


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("status401", "401"),
        ("status429", "429"),
        ("status429RetryAfter", "429"),
        ("status500", "500"),
        ("status503", "503"),
        ("status503RetryAfter", "503"),
        ("status416", "416"),
        ("refuse", "ClientOSError"),
        ("reset", "ClientOSError"),
        ("cut", "ClientPayloadError"),
        ("short", "ClientPayloadError"),
        ("empty", "200 0"),
        ("html200", "200"),
        ("html400", "400"),
        ("slow", "206 1000"),
        ("hang", "206 1000"),
        ("redirect", "302 0"),
        ("redirectRefused", "302 0"),
        ("ignoreRange", f"200 {SIZE}"),
        ("etag", "206 1000"),
        ("expired", "404"),
    ],
)
async def test_content(client: Client, kind: str, outcome: str) -> None:
    """Each kind of fault for a chunk's content does what its name says, and is counted."""
    recording = await client.filler(SIZE)
    path = f"/recording/download/{recording['chunks'][0]['documentId']}"
    await _chaos(client, rates={kind: 1}, hangSeconds=0.1, slowSeconds=0.1, retryAfterSeconds=0)
    seen = await _outcome(client, path, Range="bytes=0-999")
    counted = (await client.control("DELETE", "/chaos")).json

    assert seen.split()[: len(outcome.split())] == outcome.split()
    assert counted["injected"] == {kind: counted["requests"]}
    assert counted["injectedByRoute"] == {"content": counted["injected"]}


@pytest.mark.parametrize(("kind", "outcome"), [("metadataMissing", "404"), ("metadataMalformed", "broken JSON")])
async def test_metadata(client: Client, kind: str, outcome: str) -> None:
    """Metadata can be missing or malformed, while the content is there."""
    recording = await client.filler(SIZE)
    path = f"/recording/download/{recording['chunks'][0]['documentId']}"
    await _chaos(client, rates={kind: 1})

    assert (await _outcome(client, path + "/metadata")).startswith(outcome)
    assert await _outcome(client, path) == f"200 {SIZE}"


async def test_retry_after(client: Client) -> None:
    """Retry-After comes with the kinds that are named after it only, and is as short as was said."""
    call = await client.call()
    path = f"/conversations/{call['conversationId']}/recordings/none"
    headers = []
    for kind in ("status429RetryAfter", "status503RetryAfter", "status429", "status503"):
        await _chaos(client, rates={kind: 1}, retryAfterSeconds=2)
        headers.append((await client.api("GET", path)).headers.get("Retry-After"))

    assert headers == ["2", "2", None, None]


async def test_unknown_error(client: Client) -> None:
    """The 500 is the service's own, code 9999, and the 401 is what a wrong clock leads to."""
    await _chaos(client, rates={"status500": 1})
    answer = await client.api("POST", "/conversations/any/recordings", body=b"{}")
    await _chaos(client, rates={"status401": 1})
    refusal = await client.api("POST", "/conversations/any/recordings", body=b"{}")

    assert (answer.status, answer.json["code"]) == (500, "9999")
    assert (refusal.status, refusal.json["message"]) == (401, "HMAC-SHA256 validation failed")


async def test_lost_answer(client: Client) -> None:
    """An operation's answer can be lost; downloads don't have that kind."""
    call = await client.call()
    await _chaos(client, rates={"lostAnswer": 1})
    with pytest.raises(aiohttp.ClientOSError):
        await client.start(call["conversationId"])

    assert len((await client.control("GET", "/recordings")).json["recordings"]) == 1


async def _storm(client: Client, paths: list[str], *, at_once: bool) -> list[list[str]]:
    """Fetch each document eight times under random faults; return the results."""

    async def fetch(path: str) -> list[str]:
        return [await _outcome(client, path) for _ in range(8)]

    await _chaos(client, rates={"status503": 0.2, "status500": 0.1, "html200": 0.1}, seed=7)
    if at_once:
        return list(await asyncio.gather(*(fetch(path) for path in paths)))
    return [await fetch(path) for path in paths]


async def test_repeatable(client: Client) -> None:
    """A seed leads to the same faults for the same documents in any order, and for new documents of another run."""
    runs = []
    for at_once in (False, True):
        recording = await client.filler(*[2000 + number for number in range(8)])
        paths = [f"/recording/download/{chunk['documentId']}" for chunk in recording["chunks"]]
        runs.append(await _storm(client, paths, at_once=at_once))
        runs.append(await _storm(client, paths, at_once=at_once))
    failures = sum(not outcome.startswith("200 20") for outcomes in runs[0] for outcome in outcomes)

    assert runs[0] == runs[1] == runs[2] == runs[3]
    assert 10 <= failures <= 45


async def test_rule_first(client: Client) -> None:
    """A rule comes before chance, and the control plane never goes wrong."""
    await _chaos(client, rates={"status503": 1})
    await client.fault(kind="status", status=418)
    statuses = [(await client.api("GET", "/conversations/any/recordings/any")).status for _ in range(2)]
    chaos = (await client.control("DELETE", "/chaos")).json

    assert statuses == [418, 503]
    assert chaos["injected"] == {"status503": 1}
    assert (await client.api("GET", "/conversations/any/recordings/any")).status == 404


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("GET /recording/download/x", "content"),
        ("GET /Recording/Download/x/Metadata", "metadata"),
        ("POST /conversations/x/recordings", "start"),
        ("GET /conversations/x/recordings/y", "state"),
        ("DELETE /conversations/x/recordings/y", "stop"),
        ("POST /conversations/x/recordings/y/pause", "pause"),
        ("POST /conversations/x/recordings/y/resume", "resume"),
        ("POST /calling/recordings", "start"),
        ("GET /calling/recordings/y", "state"),
        ("DELETE /calling/recordings/y", "stop"),
        ("POST /calling/recordings/y:pause", "pause"),
        ("POST /calling/recordings/y:resume", "resume"),
        ("GET /v1/objects/x/content/video", "content"),
        ("GET /v1/objects/x/content/audio", "content"),
        ("GET /v1/objects/x/content/acsmetadata", "metadata"),
        ("DELETE /v1/objects/x", "delete"),
        ("GET /else", "other"),
    ],
)
def test_operation(line: str, expected: str) -> None:
    """Every route of the service API has a name."""
    method, _, path = line.partition(" ")

    assert operation(method, path) == expected


async def test_kinds(client: Client) -> None:
    """Every kind that is announced can be asked for, on each of its routes."""
    for kind, routes in KINDS.items():
        await _chaos(client, routes={name: {kind: 0.01} for name in routes})
