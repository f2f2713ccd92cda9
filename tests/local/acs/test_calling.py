"""Tests of the Call Automation API: routes, locators, states, versions, errors."""

import base64
import json
from typing import Any

import pytest

from .client import Client

RECORDINGS = "/calling/recordings"
NEWEST = "2026-03-12"


async def _start(client: Client, call: Any, *, version: str = NEWEST, **more: Any) -> Any:
    locator = {"kind": "serverCallLocator", "serverCallId": call["serverCallId"]}
    body = json.dumps({"callLocator": locator, **more}).encode()
    return await client.api("POST", RECORDINGS, body=body, version=version)


async def _one(client: Client) -> str:
    answer = await _start(client, await client.call())
    assert answer.status == 200, answer.body
    return f"{RECORDINGS}/{answer.json['recordingId']}"


async def _set(client: Client, **settings: Any) -> None:
    assert (await client.control("PUT", "/settings", settings)).status == 200


async def test_life(client: Client) -> None:
    """A recording is active, inactive while paused, active again, and gone after the stop."""
    started = await _start(client, await client.call())
    one = f"{RECORDINGS}/{started.json['recordingId']}"

    async def state() -> Any:
        answer = await client.api("GET", one, version=NEWEST)
        return answer.json.get("recordingState", answer.status)

    states = [await state()]
    for step in (":pause", ":PAUSE", "%3Aresume", ":resume"):
        answer = await client.api("POST", one + step, version=NEWEST)
        assert (answer.status, answer.body) == (202, b"")
        states.append(await state())
    stopped = await client.api("DELETE", one, version=NEWEST)
    gone = [await client.api(method, one, version=NEWEST) for method in ("GET", "DELETE")]

    assert started.json == {
        "recordingId": started.json["recordingId"],
        "recordingState": "active",
        "recordingKind": "azureCommunicationServices",
    }
    assert states == ["active", "inactive", "inactive", "active", "active"]
    assert (stopped.status, stopped.body) == (204, b"")
    error = {"code": "404", "message": "There is no such recording.", "target": "recordingId"}
    assert [(404, {"error": error})] * 2 == [(answer.status, answer.json) for answer in gone]


async def test_captured_form(client: Client) -> None:
    """Answers are compact JSON, and the client's request id comes back."""
    one = await _one(client)
    answer = await client.api("GET", one, version="2023-10-15", headers={"x-ms-client-request-id": "me"})

    assert answer.body == f'{{"recordingId":"{one.rpartition("/")[2]}","recordingState":"active"}}'.encode()
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.headers["x-ms-client-request-id"] == "me"


async def test_padded_id(client: Client) -> None:
    """A recording is known by its id with padding too, percent-encoded as clients send it."""
    one = await _one(client)

    for padding in ("%3D%3D", "=="):
        assert (await client.api("GET", one + padding, version=NEWEST)).status == 200
        assert (await client.api("POST", f"{one}{padding}:pause", version=NEWEST)).status == 202


@pytest.mark.parametrize("recording_id", ["a", "a%2Fb", "..%2F..", "%00", "%F0%9F%8E%A5", "x" * 4000, ":pause", "%3D"])
async def test_unknown_recording(client: Client, recording_id: str) -> None:
    """An id that nobody has given out is a wrapped 404, whatever it looks like."""
    await _one(client)
    answer = await client.api("GET", f"{RECORDINGS}/{recording_id}", version=NEWEST)

    assert (answer.status, answer.json["error"]["code"]) == (404, "404")


async def test_second_start(client: Client) -> None:
    """A second start while recording, by either API, is a 409; after the stop it gives another recording."""
    call = await client.call()
    first = (await _start(client, call)).json["recordingId"]
    second = await _start(client, call)
    other = await client.api("POST", f"/conversations/{call['conversationId']}/recordings", body=b"{}")
    await client.api("DELETE", f"{RECORDINGS}/{first}", version=NEWEST)
    third = await _start(client, call)

    error = {"code": "409", "message": "Recording is already in progress.", "target": "callLocator"}
    assert (409, {"error": error}) == (second.status, second.json)
    assert (409, "409") == (other.status, other.json["code"])
    assert third.status == 200
    assert third.json["recordingId"] != first


async def test_generations_apart(client: Client) -> None:
    """A recording is known only to the API that started it."""
    call, other = await client.call(), await client.call()
    today = (await _start(client, call)).json["recordingId"]
    past = (await client.start(other["conversationId"])).rpartition("/")[2]

    for method, step in (("GET", ""), ("DELETE", ""), ("POST", ":pause"), ("POST", ":resume")):
        assert (await client.api(method, f"{RECORDINGS}/{past}{step}", version=NEWEST)).status == 404
    for method, step in (("GET", ""), ("DELETE", ""), ("POST", "/pause"), ("POST", "/resume")):
        path = f"/conversations/{call['conversationId']}/recordings/{today}{step}"
        assert (await client.api(method, path)).status == 404
    states = [one["state"] for one in (await client.control("GET", "/recordings")).json["recordings"]]
    assert states == ["active", "active"]


async def test_ended_call(client: Client) -> None:
    """When the call ends its recording is gone, and a new one cannot join."""
    call = await client.call()
    started = await _start(client, call)
    await client.control("DELETE", f"/calls/{call['callId']}")

    gone = await client.api("GET", f"{RECORDINGS}/{started.json['recordingId']}", version=NEWEST)
    assert gone.status == 404
    assert (await _start(client, call)).json["error"]["code"] == "8527"


async def test_locators(client: Client) -> None:
    """A call is found by server call id, group, room and connection."""
    call = await client.call(groupId="29228D3E-040E-4656-A70E-890AB4E173E5", roomId="99466898241024408")
    locators = [
        {"callLocator": {"kind": "serverCallLocator", "serverCallId": call["serverCallId"]}},
        {"callLocator": {"kind": "groupCallLocator", "groupCallId": "29228d3e-040E-4656-a70e-890ab4e173e5"}},
        {"callLocator": {"kind": "roomCallLocator", "roomId": "99466898241024408"}, "callConnectionId": None},
        {"callConnectionId": call["callLegId"], "callLocator": None},
    ]
    for locator in locators:
        answer = await client.api("POST", RECORDINGS, body=json.dumps(locator).encode(), version=NEWEST)
        assert answer.status == 200, answer.body
        one = f"{RECORDINGS}/{answer.json['recordingId']}"
        assert (await client.api("DELETE", one, version=NEWEST)).status == 204

    shown = (await client.control("GET", "/recordings")).json["recordings"]
    assert {call["callId"]} == {one["callId"] for one in shown}


async def test_one_call_per_room(client: Client) -> None:
    """A room has one call at a time, and the next one is found by the same id."""
    call = await client.call(roomId="1")
    second = await client.control("POST", "/calls", {"participants": [], "roomId": "1"})
    await client.control("DELETE", f"/calls/{call['callId']}")
    later = await client.call(roomId="1")

    body = b'{"callLocator":{"kind":"roomCallLocator","roomId":"1"}}'
    started = await client.api("POST", RECORDINGS, body=body, version=NEWEST)
    assert (second.status, second.json["target"]) == (409, "roomId")
    shown = await client.control("GET", f"/recordings/{started.json['recordingId']}")
    assert later["callId"] == shown.json["callId"]


@pytest.mark.parametrize("mutation", ["longer", "call id", "nonsense"])
async def test_invalid_server_call_id(client: Client, mutation: str) -> None:
    """What is not a running call's server call id cannot be joined."""
    call = await client.call()
    wrong = {"longer": call["serverCallId"] + "=", "call id": call["callId"], "nonsense": "x"}[mutation]
    answer = await _start(client, {"serverCallId": wrong})

    error = {"code": "8527", "message": "Invalid join identity, cannot join call."}
    assert (400, {"error": error}) == (answer.status, answer.json)


@pytest.mark.parametrize("version", [None, "", "2021-04-15-preview1", "2022-04-07-preview", "2024-09-16", "x"])
async def test_unserved_versions(client: Client, version: str | None) -> None:
    """A missing, older or invented api-version is a wrapped 400 that names the parameter."""
    for method, path in (("POST", ""), ("GET", "/a"), ("DELETE", "/a"), ("POST", "/a:pause"), ("POST", "/a:resume")):
        answer = await client.api(method, RECORDINGS + path, version=version, body=b"{}")

        assert (400, "api-version") == (answer.status, answer.json["error"]["target"])


@pytest.mark.parametrize(
    "version",
    ["2023-03-06", "2023-10-15", "2024-04-15", "2024-09-15", "2025-05-15", "2025-06-15", NEWEST, "2024-06-15-preview"],
)
async def test_served_versions(client: Client, version: str) -> None:
    """Every release and later preview is served; the kind is shown since 2024-04-15; 2021's routes know none."""
    call = await client.call()
    answer = await _start(client, call, version=version)
    there = await client.api("GET", f"/conversations/{call['conversationId']}/recordings/x", version=version)

    assert answer.status == 200
    assert ("recordingKind" in answer.json) == (version >= "2024-04-15")
    assert (400, "api-version") == (there.status, there.json["target"])


async def test_no_route(client: Client) -> None:
    """An operation that does not exist under this root has the wrapped error too."""
    for method, path, status in (
        ("PUT", "", 405),
        ("POST", "/a", 405),
        ("POST", "/a/:pause", 404),
        ("POST", "/a/pause", 404),
        ("GET", "/a/b", 404),
    ):
        answer = await client.api(method, RECORDINGS + path, version=NEWEST)

        assert (status, str(status)) == (answer.status, answer.json["error"]["code"]), path


async def test_unsigned(client: Client) -> None:
    """Without a signature there is the wrapped 401 of captured traffic, for every operation."""
    for method, path in (("POST", ""), ("GET", "/a"), ("DELETE", "/a"), ("POST", "/a:pause"), ("GET", "/a/b")):
        answer = await client.raw(method, f"{RECORDINGS}{path}?api-version={NEWEST}")

        error = {"code": "401", "message": "HMAC-SHA256 validation failed"}
        assert (401, {"error": error}) == (answer.status, answer.json)


async def test_fault(client: Client) -> None:
    """An injected status comes in the form of this API."""
    await client.fault(kind="status", status=503, path=RECORDINGS + "/*", retryAfter=1)
    answer = await client.api("GET", f"{RECORDINGS}/a", version=NEWEST)

    assert (503, "503", "1") == (answer.status, answer.json["error"]["code"], answer.headers["Retry-After"])


async def test_pause_on_start(client: Client) -> None:
    """A recording can begin paused."""
    started = await _start(client, await client.call(), pauseOnStart=True)
    one = f"{RECORDINGS}/{started.json['recordingId']}"

    assert started.json["recordingState"] == "inactive"
    assert (await client.api("POST", one + ":resume", version=NEWEST)).status == 202
    assert (await client.api("GET", one, version=NEWEST)).json["recordingState"] == "active"


@pytest.mark.parametrize(("version", "status"), [("2025-05-15", 200), ("2025-06-15", 202), (NEWEST, 202)])
async def test_accepted(client: Client, version: str, status: int) -> None:
    """On request a start is only accepted, where the version has that: not active yet, and soon it is."""
    await _set(client, startAccepted=True)
    started = await _start(client, await client.call(), version=version)
    state = await client.api("GET", f"{RECORDINGS}/{started.json['recordingId']}", version=version)

    assert (status, "active" if status == 200 else "inactive") == (started.status, started.json["recordingState"])
    assert state.json["recordingState"] == "active"


async def test_accepted_in_vain(client: Client) -> None:
    """An accepted start that fails gives an unknown id; a body that makes no sense is refused at once."""
    await _set(client, startAccepted=True)
    started = await _start(client, {"serverCallId": "x"})
    state = await client.api("GET", f"{RECORDINGS}/{started.json['recordingId']}", version=NEWEST)

    assert (started.status, state.status) == (202, 404)
    assert (await client.api("POST", RECORDINGS, body=b"{}", version=NEWEST)).status == 400


async def test_server_call_id(client: Client) -> None:
    """The server call id is the padded form of what the 2021 preview API has unpadded."""
    call = await client.call()

    assert base64.b64decode(call["serverCallId"], validate=True).decode() == call["conversationUrl"]
    assert call["serverCallId"].rstrip("=").translate(str.maketrans("+/", "-_")) == call["conversationId"]
