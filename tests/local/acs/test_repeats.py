"""Tests of repeatable starts."""

import asyncio
import json
from typing import Any

import pytest

from .client import Answer, Client

REQUEST_ID = "6ab1cf0a-5a4d-4b2e-9a55-0a3d1c3f2a11"
FIRST_SENT = "Tue, 24 Nov 2026 01:00:00 GMT"


def _headers(identity: str | None = REQUEST_ID, first_sent: str | None = FIRST_SENT) -> dict[str, str]:
    named = {"Repeatability-Request-ID": identity, "Repeatability-First-Sent": first_sent}
    return {name: value for name, value in named.items() if value is not None}


async def _start(client: Client, call: Any, headers: dict[str, str], **more: Any) -> Answer:
    body = {"callLocator": {"kind": "serverCallLocator", "serverCallId": call["serverCallId"]}, **more}
    return await client.api(
        "POST", "/calling/recordings", body=json.dumps(body).encode(), version="2026-03-12", headers=headers
    )


async def _count(client: Client) -> int:
    return len((await client.control("GET", "/recordings")).json["recordings"])


async def test_repeated(client: Client) -> None:
    """A start that is sent again, at once or after a pause, gets the same answer, and nothing starts twice."""
    call = await client.call()
    answers = await asyncio.gather(*(_start(client, call, _headers()) for _ in range(4)))
    one = f"/calling/recordings/{answers[0].json['recordingId']}:pause"
    assert (await client.api("POST", one, version="2026-03-12")).status == 202
    answers.append(await _start(client, call, _headers(REQUEST_ID.upper())))

    assert {(200, answers[0].body)} == {(answer.status, answer.body) for answer in answers}
    assert await _count(client) == 1


async def test_repeated_accepted(client: Client) -> None:
    """An accepted start that is sent again is answered 202 again, also when the setting has changed."""
    call = await client.call()
    await client.control("PUT", "/settings", {"startAccepted": True})
    first = await _start(client, call, _headers())
    await client.control("PUT", "/settings", {"startAccepted": False})
    second = await _start(client, call, _headers())

    assert (202, first.body) == (second.status, second.body)


async def test_other_body(client: Client) -> None:
    """The id of another request is a 400, and nothing starts."""
    await _start(client, await client.call(), _headers())
    other = await _start(client, await client.call(), _headers())

    assert (400, "Repeatability-Request-ID") == (other.status, other.json["error"]["target"])
    assert await _count(client) == 1


async def test_refusal_is_not_kept(client: Client) -> None:
    """A start that was refused can be tried again with the same id."""
    call = await client.call()
    running = await _start(client, call, {})
    refused = await _start(client, call, _headers())
    await client.api("DELETE", f"/calling/recordings/{running.json['recordingId']}", version="2026-03-12")

    assert (409, 200) == (refused.status, (await _start(client, call, _headers())).status)


@pytest.mark.parametrize(
    ("identity", "first_sent", "target"),
    [
        ("", FIRST_SENT, "Repeatability-Request-ID"),
        ("x", FIRST_SENT, "Repeatability-Request-ID"),
        (REQUEST_ID + "0", FIRST_SENT, "Repeatability-Request-ID"),
        ("{" + REQUEST_ID + "}", FIRST_SENT, "Repeatability-Request-ID"),
        (None, FIRST_SENT, "Repeatability-Request-ID"),
        (REQUEST_ID, None, "Repeatability-First-Sent"),
        (REQUEST_ID, "", "Repeatability-First-Sent"),
        (REQUEST_ID, "2026-11-24T01:00:00Z", "Repeatability-First-Sent"),
        (REQUEST_ID, "Tue, 99 Nov 2026 01:00:00 GMT", "Repeatability-First-Sent"),
        (REQUEST_ID, "Tue, 24 Nov 2026 01:00:00 +0100", "Repeatability-First-Sent"),
    ],
)
async def test_malformed(client: Client, identity: str | None, first_sent: str | None, target: str) -> None:
    """Half of the two headers, or nonsense in one, is a 400 that names it, and nothing starts."""
    answer = await _start(client, await client.call(), _headers(identity, first_sent))

    assert (400, target) == (answer.status, answer.json["error"]["target"])
    assert await _count(client) == 0
