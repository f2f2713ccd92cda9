"""function_app.py with Call Automation: ids that are difficult in paths, options, and callbacks with a token."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import azure.functions as func
import pytest
import pytest_asyncio
from aiohttp import web

import function_app
from local.acs import identifiers, tokens
from local.acs.entities import CallbackToken
from recording import app as bootstrap
from recording.acs.callbacks import HOST
from recording.app import App, assemble, connect
from recording.config import settings
from recording.model.job import ChunkJob
from tests.support.emulator import Control, file_event
from tests.support.facts import listing
from tests.support.functions import Out, call, read
from tests.support.source import recording_of, serve

KIND = "azureCommunicationServices"
DOCUMENT = "0-eus-d12-801b3f3fc462fe8a01e6810cbff729b8"


# The Call Automation API, with its callbacks signed for this resource.
pytestmark = pytest.mark.settings(ACS_API_VERSION="", ACS_RESOURCE_ID=identifiers.RESOURCE_ID, AUTO_RECORD="all")


@pytest_asyncio.fixture(autouse=True)
async def process(app: App, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """A process that has built its app."""
    monkeypatch.setattr(bootstrap, "_app", app)
    monkeypatch.setattr(bootstrap, "_is_prepared", True)
    yield


async def test_the_operations_answer_as_in_2021(control: Control) -> None:
    """200 and our bodies from start to stop, whatever the statuses of the service; the state has its kind."""
    placed = await control.call("POST", "calls", {"participants": ["Ada"]})
    status, started = read(await call("start_recording_by_url", {"serverCallId": placed["serverCallId"]}))
    ids = {"conversationId": started["conversationId"], "recordingId": started["recordingId"]}

    assert (200, placed["conversationId"]) == (status, ids["conversationId"])
    assert (200, {"recordingState": "active", "recordingKind": KIND}) == read(await call("get_recording_state", **ids))
    assert (200, {}) == read(await call("pause_recording", {"operationContext": "lunch"}, **ids))
    paused = read(await call("get_recording_state", **ids))
    assert (200, {"recordingState": "inactive", "recordingKind": KIND}) == paused
    assert (200, {}) == read(await call("resume_recording", **ids))
    assert (200, {}) == read(await call("stop_recording", **ids))
    ended, known = read(await call("get_recording_state", **ids))
    assert (200, "inactive", ["recordingState", "endedAt"]) == (ended, known["recordingState"], list(known))
    assert 404 == (await call("stop_recording", **ids)).status_code


async def test_a_server_call_id_with_a_slash(control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths have its base64url, which a start by it returns: padded or not, for every operation."""
    monkeypatch.setattr(identifiers, "new_conversation_url", lambda: "https://conv.test/?>>>~~~???x")
    placed = await control.call("POST", "calls", {"participants": ["Ada"]})
    server_call_id = placed["serverCallId"]
    _, started = read(await call("start_recording_by_url", {"serverCallId": server_call_id}))
    in_path = started["conversationId"]

    assert {"/", "+", "="} <= set(server_call_id)
    assert re.fullmatch("[A-Za-z0-9_-]+", in_path)
    assert server_call_id.translate(str.maketrans("+/", "-_")).rstrip("=") == in_path
    for conversation in (in_path, server_call_id.translate(str.maketrans("+/", "-_"))):
        ids = {"conversationId": conversation, "recordingId": started["recordingId"]}
        for name in ("get_recording_state", "pause_recording", "resume_recording", "stop_recording"):
            assert 200 == (await call(name, **ids)).status_code
        _, started = read(await call("start_recording", {"recordingFormatType": "mp3"}, conversationId=conversation))


async def test_a_padded_recording_id(control: Control) -> None:
    """It is accepted without padding."""
    placed = await control.call("POST", "calls", {"participants": ["Ada"]})
    ids = {"conversationId": placed["serverCallId"]}

    _, started = read(await call("start_recording", {"recordingFormatType": "mp3"}, **ids))
    ids["recordingId"] = started["recordingId"] + "=="

    assert 200 == (await call("get_recording_state", **ids)).status_code
    assert 200 == (await call("stop_recording", **ids)).status_code


async def test_a_room_is_recorded_from_start_to_stop(app: App, control: Control) -> None:
    """By its own id, as by any; its call, which starts afterwards, isn't recorded twice."""
    placed = await control.call("POST", "calls", {"participants": ["Ada"], "roomId": "99445276259151407"})
    room, again = "room:99445276259151407", {"idempotency-key": "k"}
    begun = {"eventType": "Microsoft.Communication.CallStarted", "data": {"serverCallId": placed["serverCallId"]}}

    starts = [read(await call("start_recording", headers=again, conversationId=room)) for _ in range(2)]
    answer, _ = await post(begun, "good")
    ids = {"conversationId": room, "recordingId": starts[0][1]["recordingId"]}

    assert (200, starts[0], 200) == (starts[0][0], starts[1], answer.status_code)
    assert 1 == len((await control.call("GET", "recordings"))["recordings"])
    for name in ("pause_recording", "resume_recording", "stop_recording"):
        assert (200, {}) == read(await call(name, **ids))
    ending = await app.endings.find(ids["recordingId"])
    assert (ending is not None, "inactive") == (
        True,
        read(await call("get_recording_state", **ids))[1]["recordingState"],
    )


@pytest.mark.parametrize(
    ("name", "body", "route", "target"),
    [
        ("start_recording", {"recordingFormatType": "flac"}, {"conversationId": "room:1"}, "recordingFormatType"),
        ("start_recording", {}, {"conversationId": "nonsense"}, "conversationId"),
        ("start_recording_by_url", {}, {}, "conversationUrl"),
        ("start_recording_by_url", {"serverCallId": "nonsense"}, {}, "serverCallId"),
        ("start_recording_by_url", {"serverCallId": "a", "conversationUrl": "https://a"}, {}, "conversationUrl"),
        ("stop_recording", {}, {"conversationId": "room:1", "recordingId": "..%2F.."}, "recordingId"),
        ("stop_recording", {}, {"conversationId": "..%2F..", "recordingId": "a"}, "conversationId"),
    ],
)
async def test_bad_requests(
    app: App, control: Control, name: str, body: Any, route: dict[str, str], target: str
) -> None:
    """400 with the member or the part of the path; nothing is asked of the service, and nothing is on record."""
    status, error = read(await call(name, body, **route))

    assert (400, target) == (status, error["target"])
    assert ([], {}) == ((await control.call("GET", "requests"))["requests"], await listing(app.settings, "archive"))


async def post(body: Any, kind: CallbackToken) -> tuple[func.HttpResponse, list[str]]:
    """Post a callback as ACS does."""
    header = await asyncio.to_thread(tokens.authorization, kind, issuer=HOST)
    jobs = Out()
    request = func.HttpRequest("POST", "/", headers=header, body=json.dumps(body).encode())
    return await function_app.receive_callback(request, jobs), jobs.value


@pytest.mark.parametrize("kind", ["none", "expired", "audience", "issuer", "key"])
async def test_a_callback_that_is_not_from_acs(app: App, kind: CallbackToken) -> None:
    """401 with the contract's error body, and the event isn't stored, not even in quarantine."""
    answer, jobs = await post([file_event(recording_of(DOCUMENT)), {"nonsense": 1}], kind)

    status, error = read(answer)
    assert (401, "Unauthorized", "Authorization", []) == (status, error["code"], error["target"], jobs)
    assert [{}, {}, {}] == [await listing(app.settings, where) for where in ("staging", "archive", "quarantine")]


async def test_a_handshake_needs_no_token_of_acs(app: App) -> None:
    """It comes before the first event: Event Grid's validation event, and the OPTIONS request of CloudEvents."""
    event = {"eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "data": {"validationCode": "a-code"}}

    answer, jobs = await post([event], "none")
    mixed, _ = await post([event, file_event(recording_of(DOCUMENT))], "none")
    permitted = await call("permit_callbacks", headers={"WebHook-Request-Origin": "eventgrid.azure.net"})

    assert ((200, {"validationResponse": "a-code"}), []) == (read(answer), jobs)
    assert (401, 200) == (mixed.status_code, permitted.status_code)
    assert "eventgrid.azure.net" == permitted.headers["WebHook-Allowed-Origin"]


async def test_a_callback_that_is_sent_again_does_no_harm(app: App, control: Control) -> None:
    """State, file event and the start of a call: each is accepted once, however often the same callback is sent."""
    placed = await control.call("POST", "calls", {"participants": ["Ada"]})
    state = {
        "id": "a8f5f015-1db8-410e-b50c-8f37a55f5350",
        "source": "calling/recordings/x/y/RecordingStateChanged",
        "type": "Microsoft.Communication.RecordingStateChanged",
        "data": {"recordingId": "cmlk", "state": "active", "startDateTime": "2026-03-01T10:00:00Z"},
        "time": "2026-03-01T10:00:00Z",
        "specversion": "1.0",
    }
    begun = {
        "id": "7283825e-f8f1-4c61-a9ea-752c56890501",
        "source": "/subscriptions/x",
        "subject": f"call/{placed['serverCallId']}/startedBy/8:acs:x",
        "type": "Microsoft.Communication.CallStarted",
        "data": {"serverCallId": placed["serverCallId"], "isTwoParty": False, "correlationId": "x"},
        "time": "2026-03-01T10:00:00Z",
        "specversion": "1.0",
    }
    body = [state, begun, file_event(recording_of(DOCUMENT))]

    first, jobs = await post(body, "good")
    found = [await listing(app.settings, where) for where in ("staging", "archive", "quarantine")]
    again, same = await post(body, "good")

    assert [(200, {}), (200, {})] == [read(first), read(again)]
    assert [ChunkJob.from_message(one).again().to_message() for one in jobs] == same
    assert found == [await listing(app.settings, where) for where in ("staging", "archive", "quarantine")]
    assert 1 == len((await control.call("GET", "recordings"))["recordings"])


async def test_keys_that_are_out_of_reach_are_our_fault(control: Control) -> None:
    """503, so that ACS sends the callback again; no callback is let in meanwhile."""
    await control.call(
        "POST", "faults", {"path": "/calling/.well-known/*", "kind": "status", "status": 503, "times": 9}
    )

    answer, _ = await post({}, "good")

    assert (503, "KeysUnavailable") == (answer.status_code, read(answer)[1]["code"])


async def test_a_start_asks_for_callbacks_at_this_app(
    environment: dict[str, str], control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With PUBLIC_BASE_URL ACS gets the address for state callbacks, with the key."""
    received: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    async def take(request: web.Request) -> web.StreamResponse:
        received.put_nowait((request.path_qs, request.headers.get("Authorization", "")[:7]))
        return web.Response()

    placed = await control.call("POST", "calls", {"participants": ["Ada"]})
    async with serve(take) as address:
        own = settings.read_settings(environment | {"PUBLIC_BASE_URL": address, "CALLBACK_KEY": "k=="})
        app = assemble(own, connect(own))
        monkeypatch.setattr(bootstrap, "_app", app)
        try:
            status, _ = read(await call("start_recording", conversationId=placed["conversationId"]))
            found = await asyncio.wait_for(received.get(), 10)
        finally:
            await app.aclose()

    assert (200, ("/callbacks?code=k%3D%3D", "Bearer ")) == (status, found)


async def test_a_start_is_repeated_under_its_key(control: Control) -> None:
    """The caller's key is ours to keep: the service's own, which the client makes up, is another each time."""
    placed = await control.call("POST", "calls", {"participants": ["Ada"]})
    headers, body = {"repeatability-request-id": identifiers.RESOURCE_ID}, {"serverCallId": placed["serverCallId"]}

    first, again = [read(await call("start_recording_by_url", body, headers=headers)) for _ in range(2)]
    status, error = read(await call("start_recording_by_url", body | {"pauseOnStart": True}, headers=headers))

    assert (200, first) == (first[0], again)
    assert (400, "Repeatability-Request-ID") == (status, error["target"])
    assert 1 == len((await control.call("GET", "recordings"))["recordings"])
