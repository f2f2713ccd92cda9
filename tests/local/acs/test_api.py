"""Tests of the recording API over HTTP."""

import base64
import json
from typing import Any

import pytest

from .client import Client

ROOTS = ["/conversations", "/calling/conversations", "/Conversations", "/CALLING/conversationS"]


def _error(code: int, message: str, target: str | None) -> dict[str, Any]:
    return {"code": str(code), "message": message, "target": target, "details": []}


@pytest.mark.parametrize("root", ROOTS)
async def test_life(client: Client, root: str) -> None:
    """A recording is active, inactive while paused, active again, and gone after the stop."""
    call = await client.call()
    started = await client.api("POST", f"{root}/{call['conversationId']}/Recordings", body=b'{"operationContext":"a"}')
    one = f"{root}/{call['conversationId']}/recordings/{started.json['recordingId']}"

    async def state() -> Any:
        answer = await client.api("GET", one)
        return answer.json.get("recordingState", answer.status)

    states = [await state()]
    for step in ("/Pause", "/pause", "/Resume", "/resume"):
        answer = await client.api("POST", one + step)
        assert (answer.status, answer.json) == (200, {})
        states.append(await state())
    stopped = await client.api("DELETE", one, body=b'{"operationContext":"a"}')
    gone = await client.api("GET", one)

    assert states == ["active", "inactive", "inactive", "active", "active"]
    assert (stopped.status, stopped.body) == (200, b"{}")
    assert (404, _error(404, "There is no such recording.", "recordingId")) == (gone.status, gone.json)


async def test_recording_id(client: Client) -> None:
    """A recording id is 162 characters: unpadded Base64Url of the service's compact JSON."""
    path = await client.start((await client.call())["conversationId"])
    recording_id = path.rpartition("/")[2]

    assert len(recording_id) == 162
    decoded = json.loads(base64.urlsafe_b64decode(recording_id + "=="))
    assert list(decoded) == ["PlatformEndpointId", "ResourceSpecificId"]


async def test_captured_form(client: Client) -> None:
    """Answers are compact JSON with the lengths and headers of captured traffic."""
    path = await client.start((await client.call())["conversationId"])
    answer = await client.api("GET", path, headers={"x-ms-client-request-id": "me"})

    assert answer.body == b'{"recordingState":"active"}'
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.headers["x-ms-client-request-id"] == "me"


async def test_group_id(client: Client) -> None:
    """The GUID of a group call, in either case, stands for its conversation."""
    call = await client.call(groupId="29228D3E-040E-4656-A70E-890AB4E173E5")
    path = await client.start("29228d3e-040e-4656-a70e-890ab4e173e5")

    other = path.replace("29228d3e-040e-4656-a70e-890ab4e173e5", call["conversationId"])
    assert (await client.api("GET", other)).status == 200


async def test_second_start(client: Client) -> None:
    """A second start while recording is a 409; after the stop it gives another recording."""
    call = await client.call()
    first = await client.start(call["conversationId"])
    second = await client.api("POST", f"/conversations/{call['conversationId']}/recordings", body=b"{}")
    await client.api("DELETE", first)

    assert (second.status, second.json["message"]) == (409, "Recording is already in progress.")
    assert first != await client.start(call["conversationId"])


@pytest.mark.parametrize("version", [None, "", "2021-06-15-preview", "2024-09-15"])
async def test_api_version(client: Client, version: str | None) -> None:
    """A missing or unknown api-version is a 400 that names the parameter."""
    for method, path in (("GET", "/conversations/a/recordings/b"), ("GET", "/recording/download/a")):
        answer = await client.api(method, path, version=version)

        assert (answer.status, answer.json["target"]) == (400, "api-version")


@pytest.mark.parametrize("version", ["2021-03-28-preview0", "2021-04-15-preview1", "2021-05-28-preview2"])
async def test_api_versions(client: Client, version: str) -> None:
    """All versions of the 2021-04 generation are served."""
    assert (await client.api("GET", "/conversations/a/recordings/b", version=version)).status == 404


@pytest.mark.parametrize(
    ("body", "target"),
    [
        (b"", None),
        (b"{", None),
        (b"[]", None),
        (b'"text"', None),
        (b'{"recordingStateCallbackUri":"/relative"}', "recordingStateCallbackUri"),
        (b'{"recordingStateCallbackUri":"ftp://a/b"}', "recordingStateCallbackUri"),
        (b'{"recordingStateCallbackUri":"https://"}', "recordingStateCallbackUri"),
        (b'{"recordingStateCallbackUri":"https://[1"}', "recordingStateCallbackUri"),
        (b'{"recordingStateCallbackUri":3}', "recordingStateCallbackUri"),
        (b'{"operationContext":3}', "operationContext"),
    ],
)
async def test_bad_start(client: Client, body: bytes, target: str | None) -> None:
    """A start with a bad body is a bare 400, and nothing starts."""
    call = await client.call()
    answer = await client.api("POST", f"/conversations/{call['conversationId']}/recordings", body=body)

    assert (400, "400", target) == (answer.status, answer.json["code"], answer.json["target"])
    assert (await client.control("GET", "/recordings")).json["recordings"] == []


@pytest.mark.parametrize("conversation", ["a", "..%2F..", "%00", "x" * 7000, "{conversationId}=", "%F0%9F%8E%A5"])
async def test_unknown_conversation(client: Client, conversation: str) -> None:
    """An unknown conversation id, padded Base64Url too, is a 404."""
    call = await client.call()
    conversation = conversation.replace("{conversationId}", call["conversationId"])
    answer = await client.api("POST", f"/conversations/{conversation}/recordings", body=b"{}")

    assert (404, _error(404, "There is no such conversation.", "conversationId")) == (answer.status, answer.json)


@pytest.mark.parametrize(("method", "step"), [("GET", ""), ("DELETE", ""), ("POST", "/pause"), ("POST", "/resume")])
async def test_foreign_recording(client: Client, method: str, step: str) -> None:
    """A recording is known only in its own conversation."""
    mine, other = await client.call(), await client.call()
    path = await client.start(mine["conversationId"])
    foreign = path.replace(mine["conversationId"], other["conversationId"])

    assert (await client.api(method, foreign + step)).status == 404
    assert (await client.api("GET", path)).status == 200


async def test_ended_call(client: Client) -> None:
    """When the call ends its recording is gone, and a new one cannot start."""
    call = await client.call()
    path = await client.start(call["conversationId"])
    await client.control("DELETE", f"/calls/{call['callId']}")

    assert (await client.api("GET", path)).status == 404
    assert (await client.api("POST", path.rpartition("/")[0], body=b"{}")).status == 404


async def test_bad_optional_body(client: Client) -> None:
    """A body where none is needed is still checked."""
    path = await client.start((await client.call())["conversationId"])

    assert (await client.api("POST", path + "/pause", body=b"nonsense")).status == 400
    assert (await client.api("GET", path)).json["recordingState"] == "active"


@pytest.mark.parametrize(("method", "path"), [("GET", "/nothing"), ("PUT", "/recording/download/a"), ("HEAD", "/x")])
async def test_no_route(client: Client, method: str, path: str) -> None:
    """A path or method without a route is a 404 or 405 with the bare error body."""
    answer = await client.api(method, path)

    assert (405 if method == "PUT" else 404) == answer.status
    assert method == "HEAD" or {"code", "message", "target", "details"} == set(answer.json)


async def test_large_body(client: Client) -> None:
    """A body beyond every reason is refused."""
    assert (await client.api("POST", "/conversations/a/recordings", body=b" " * 1_100_000)).status == 413
