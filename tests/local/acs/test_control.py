"""Tests of the control plane: calls, recordings, clock, settings, subscriptions."""

import base64
from typing import Any

import pytest

from .client import Client, eventually
from .conftest import Inbox

TODAY = {"media": {}, "generation": "today"}
FILLER = {"kind": "filler", "chunkBytes": [1001]}


async def test_call(client: Client) -> None:
    """A call has all its ids, and can be ended more than once."""
    call = await client.call(groupId="29228D3E-040E-4656-A70E-890AB4E173E5")
    ended = [(await client.control("DELETE", f"/calls/{call['callId']}")) for _ in range(2)]

    assert call["groupId"] == "29228d3e-040e-4656-a70e-890ab4e173e5"
    assert [person["displayName"] for person in call["participants"]] == ["Ada Lovelace", "Grace Hopper"]
    assert all(person["participantId"].startswith("8:acs:") for person in call["participants"])
    assert [(answer.status, answer.json["state"]) for answer in ended] == [(200, "Terminated")] * 2


async def test_same_group(client: Client) -> None:
    """A group has one call at a time."""
    group = "29228d3e-040e-4656-a70e-890ab4e173e5"
    call = await client.call(groupId=group)
    second = await client.control("POST", "/calls", {"participants": [], "groupId": group})
    await client.control("DELETE", f"/calls/{call['callId']}")

    assert (second.status, second.json["target"]) == (409, "groupId")
    assert (await client.call(groupId=group))["callId"] != call["callId"]


async def test_participants(client: Client) -> None:
    """Participants join and leave while the call runs."""
    call = await client.call()
    path = f"/calls/{call['callId']}"
    joined = await client.control("POST", f"{path}/participants", {"displayName": "Katherine Johnson"})
    left = await client.control("DELETE", f"{path}/participants/{call['participants'][0]['participantId']}")
    again = await client.control("DELETE", f"{path}/participants/{call['participants'][0]['participantId']}")
    names = [person["displayName"] for person in (await client.control("DELETE", path)).json["participants"]]

    assert (joined.status, left.status, again.status) == (201, 200, 404)
    assert names == ["Grace Hopper", "Katherine Johnson"]


async def test_room(client: Client) -> None:
    """A call in a room says so, and has the ids of both APIs."""
    call = await client.call(roomId="99466898241024408")
    url = base64.b64decode(call["serverCallId"], validate=True).decode()

    assert (call["roomId"], url) == ("99466898241024408", call["conversationUrl"])
    assert call["correlationId"] not in (call["callId"], call["callLegId"])


async def test_chunks(client: Client) -> None:
    """A recording over the limit has several chunks, of which only the last ended the session."""
    await client.control("PUT", "/settings", {"chunkMaximumBytes": 400_000})
    answer = await client.control("POST", "/recordings", {"media": {"kind": "video"}, "durationSeconds": 8})
    chunks = answer.json["chunks"]
    reasons = [chunk["endReason"] for chunk in chunks]

    assert len(chunks) >= 2
    assert reasons == ["ChunkMaximumSizeExceeded"] * (len(chunks) - 1) + ["SessionEnded"]
    assert [chunk["index"] for chunk in chunks] == list(range(len(chunks)))
    assert all(chunk["bytes"] <= 400_000 for chunk in chunks)
    assert sum(chunk["durationMs"] for chunk in chunks) == 8000


async def test_subscriptions(client: Client, inbox: Inbox) -> None:
    """A subscription is listed with its counts, gets what is published unchanged, and can be removed."""
    await client.subscribe(inbox.url)
    event = {"id": "1", "eventType": "Anything", "subject": "s", "data": {"odd": [1]}, "eventTime": "now"}
    published = await client.control("POST", "/events", [event, event | {"id": "2"}])

    async def two() -> Any:
        return len(inbox.received) == 2 and inbox.received

    received = await eventually(two)
    listed = (await client.control("GET", "/subscriptions")).json["subscriptions"]
    removed = await client.control("DELETE", "/subscriptions/to-app")
    assert published.json == {"published": 2}
    assert {body[0]["id"] for body in received} == {"1", "2"}
    assert [one["name"] for one in listed] == ["to-app"]
    assert removed.status == 200
    assert (await client.control("GET", "/subscriptions")).json == {"subscriptions": []}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "to-app"},
        {"name": "to-app", "endpoint": "nowhere"},
        {"name": "to-app", "endpoint": "http://127.0.0.1:1/x"},
        [],
    ],
)
async def test_bad_subscription(client: Client, body: Any) -> None:
    """A subscription that makes no sense, or whose endpoint does not shake hands, is a 400 with the reason."""
    answer = await client.control("POST", "/subscriptions", body)

    assert (answer.status, bool(answer.json["message"])) == (400, True)
    assert (await client.control("GET", "/subscriptions")).json == {"subscriptions": []}


async def test_settings(client: Client) -> None:
    """Settings are shown and changed one by one."""
    before = (await client.control("GET", "/settings")).json
    changed = await client.control("PUT", "/settings", {"retentionHours": 24, "redirectToRegion": True})

    assert (before["retentionHours"], before["redirectToRegion"]) == (None, False)
    assert changed.json == before | {"retentionHours": 24, "redirectToRegion": True}
    assert (await client.control("GET", "/settings")).json == changed.json


@pytest.mark.parametrize(
    ("method", "path", "body", "target"),
    [
        ("POST", "/calls", None, None),
        ("POST", "/calls", {}, "participants"),
        ("POST", "/calls", {"participants": "Ada"}, "participants"),
        ("POST", "/calls", {"participants": [""]}, "participants.0"),
        ("POST", "/calls", {"participants": ["A"] * 351}, "participants"),
        ("POST", "/calls", {"participants": [], "groupId": "x"}, "groupId"),
        ("POST", "/calls", {"participants": [], "callbackUri": "/x"}, "callbackUri"),
        ("POST", "/calls", {"participants": [], "media": {"kind": "filler"}}, "media"),
        ("POST", "/calls", {"participants": [], "media": {"kind": "filler", "chunkBytes": [1]}}, "media.chunkBytes.0"),
        ("POST", "/calls", {"participants": [], "typo": 1}, "typo"),
        ("POST", "/recordings", {}, "media"),
        ("POST", "/recordings", {"media": {}, "durationSeconds": -1}, "durationSeconds"),
        ("POST", "/clock", {"advanceSeconds": -1}, "advanceSeconds"),
        ("POST", "/clock", {"advanceSeconds": 1e300}, "advanceSeconds"),
        ("POST", "/clock", {"advanceSeconds": True}, "advanceSeconds"),
        ("PUT", "/settings", {"chunkMaximumBytes": 5}, "chunkMaximumBytes"),
        ("PUT", "/settings", {"retentionHours": 0}, "retentionHours"),
        ("PUT", "/settings", {"exportFails": "yes"}, "exportFails"),
        ("PUT", "/settings", {"typo": 1}, "typo"),
        ("POST", "/recordings", {"media": {}, "formatType": "mp3"}, None),
        ("POST", "/recordings", {"media": {}, "destination": "http://127.0.0.1/container"}, None),
        ("POST", "/recordings", TODAY | {"formatType": "ogg"}, "formatType"),
        ("POST", "/recordings", TODAY | {"channelType": "unmixed"}, None),
        ("POST", "/recordings", TODAY | {"contentType": "audio"}, None),
        ("POST", "/recordings", TODAY | {"contentType": "audioVideo", "formatType": "wav"}, None),
        ("POST", "/recordings", TODAY | {"formatType": "wav", "channels": list("abcdef")}, "channels"),
        ("POST", "/recordings", TODAY | {"formatType": "wav", "media": FILLER}, None),
        ("POST", "/recordings", TODAY | {"destination": "container"}, "destination"),
        ("POST", "/recordings/any/announce", {"times": 0}, "times"),
        ("POST", "/events", "text", None),
    ],
)
async def test_bad_body(client: Client, method: str, path: str, body: Any, target: str | None) -> None:
    """A body that makes no sense is a 400 that names the field."""
    answer = await client.control(method, path, body)

    assert (answer.status, answer.json["code"], answer.json["target"]) == (400, "400", target)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/calls/none"),
        ("GET", "/recordings/none"),
        ("POST", "/recordings/none/announce"),
        ("GET", "/nothing"),
    ],
)
async def test_unknown(client: Client, method: str, path: str) -> None:
    """What does not exist is a 404."""
    assert (await client.control(method, path)).status == 404
