"""recording/acs/preview_2021.py: the 2021 recording API, as it is asked."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from local.acs.server import Emulator
from recording.acs.preview_2021 import Preview2021
from recording.config.resource import Resource, parse_connection_string
from recording.control.bodies import StartRecordingByUrl
from recording.errors import BadRequest, Misconfigured, NotFound, UpstreamFailed
from recording.model.options import StartOptions
from tests.acs.calls import CALLS, CONVERSATION, JSON, ONE, RECORDING, VERSION, Call
from tests.support.emulator import Control
from tests.support.identity import IdentityWithoutToken
from tests.support.origin import KEY, Origin


@pytest_asyncio.fixture
async def emulated(acs: Emulator) -> AsyncIterator[Preview2021]:
    """The client, with the emulator behind it."""
    client = Preview2021(parse_connection_string(acs.connection_string))
    yield client
    await client.aclose()


async def test_the_life_of_a_recording(emulated: Preview2021, control: Control) -> None:
    """A recording is started, paused, resumed and stopped; paused reads as inactive."""
    call = await control.call("POST", "calls", {"participants": ["Ada", "Grace"]})
    conversation = call["conversationId"]
    states: list[str] = []

    recording = await emulated.start(conversation, operation_context="a")
    states.append((await emulated.state(conversation, recording)).state)
    await emulated.pause(conversation, recording, operation_context="b")
    states.append((await emulated.state(conversation, recording)).state)
    await emulated.resume(conversation, recording)
    states.append((await emulated.state(conversation, recording)).state)
    await emulated.stop(conversation, recording, operation_context="c")

    assert ["active", "inactive", "active"] == states
    with pytest.raises(NotFound):
        await emulated.state(conversation, recording)
    asked = [(r["method"], r["path"].rpartition("/")[2], r["status"]) for r in await requests(control)]
    assert [
        ("POST", "recordings", 200),
        ("GET", recording, 200),
        ("POST", "Pause", 200),
        ("GET", recording, 200),
        ("POST", "Resume", 200),
        ("GET", recording, 200),
        ("DELETE", recording, 200),
        ("GET", recording, 404),
    ] == asked


async def requests(control: Control) -> list[Any]:
    """List what the emulator was asked."""
    return list((await control.call("GET", "requests"))["requests"])


async def test_a_call_that_is_not_there(emulated: Preview2021) -> None:
    """A conversation that the service doesn't know is a 404."""
    with pytest.raises(NotFound):
        await emulated.start(CONVERSATION)


async def test_a_wrong_key(acs: Emulator) -> None:
    """The service's own refusal of a signature is our misconfiguration, and shows nothing of the key."""
    client = Preview2021(Resource(acs.endpoint, KEY))
    try:
        with pytest.raises(Misconfigured) as caught:
            await client.state(CONVERSATION, RECORDING)
    finally:
        await client.aclose()

    assert (500, "AcsCredentialsRefused") == (caught.value.http_status, caught.value.error_code)
    assert KEY not in caught.value.message


@pytest.mark.parametrize(
    ("call", "method", "target", "body"),
    [
        (
            lambda service: service.start(CONVERSATION, callback_uri="https://a.example/ü", operation_context="x"),
            "POST",
            f"/conversations/{CONVERSATION}/recordings",
            {"operationContext": "x", "recordingStateCallbackUri": "https://a.example/ü"},
        ),
        (
            CALLS["start"],
            "POST",
            f"/conversations/{CONVERSATION}/recordings",
            {"recordingStateCallbackUri": "https://app.contoso.com/cb"},
        ),
        (lambda service: service.start(CONVERSATION), "POST", f"/conversations/{CONVERSATION}/recordings", {}),
        (CALLS["state"], "GET", ONE, None),
        (CALLS["stop"], "DELETE", ONE, None),
        (
            lambda service: service.stop(CONVERSATION, RECORDING, operation_context="x"),
            "DELETE",
            ONE,
            {"operationContext": "x"},
        ),
        (CALLS["pause"], "POST", f"{ONE}/Pause", None),
        (
            lambda service: service.pause(CONVERSATION, RECORDING, operation_context=""),
            "POST",
            f"{ONE}/Pause",
            {"operationContext": ""},
        ),
        (CALLS["resume"], "POST", f"{ONE}/Resume", None),
        (
            lambda service: service.resume(CONVERSATION, RECORDING, operation_context="x"),
            "POST",
            f"{ONE}/Resume",
            {"operationContext": "x"},
        ),
    ],
)
async def test_what_is_sent(
    service: Preview2021, origin: Origin, call: Call, method: str, target: str, body: Any
) -> None:
    """Each operation sends the documented method, path and body, signed, and always the version."""
    origin.replies((200, json.dumps({"recordingId": "r", "recordingState": "active"}).encode(), JSON))

    await call(service)

    [sent] = origin.received
    assert (method, target + VERSION) == (sent.method, sent.target)
    assert body == (json.loads(sent.body) if sent.body else None)
    assert sent.is_signed(host=origin.authority)
    assert body is None or sent.headers["Content-Type"] == "application/json"
    assert body is not None or method == "GET" or sent.headers["Content-Length"] == "0"


@pytest.mark.parametrize("bad", ["../../x", "a/b?c#d", "..", "a b", "ü"])
async def test_ids_stay_one_segment(service: Preview2021, origin: Origin, bad: str) -> None:
    """Should an unchecked id ever come here, it can't change the path that is asked for."""
    origin.replies((200, b"", JSON))

    await service.pause(bad if bad != ".." else "%2e%2e", bad if bad != ".." else "%2e%2e")

    [sent] = origin.received
    parts = sent.target.partition("?")[0].split("/")
    assert ("conversations", "recordings", "Pause", 6) == (parts[1], parts[3], parts[5], len(parts))
    assert sent.is_signed(host=origin.authority)


async def test_padded_recording_ids(service: Preview2021, origin: Origin) -> None:
    """An id with padding is signed as it is sent."""
    origin.replies((200, b"", JSON))

    await service.stop(CONVERSATION, "eyJhIjoxfQ==")

    assert origin.received[0].target.partition("?")[0].endswith("/eyJhIjoxfQ==")
    assert origin.received[0].is_signed(host=origin.authority)


async def test_a_recording_id_that_is_no_text(service: Preview2021, origin: Origin) -> None:
    """An id that isn't text can't be used in a path; a start that gives one is a failure of the service."""
    origin.replies((200, b'{"recordingId": 5}', JSON))

    with pytest.raises(UpstreamFailed, match="returned no recordingId"):
        await service.start(CONVERSATION)


async def test_ping(emulated: Preview2021, control: Control) -> None:
    """A recording id that doesn't exist is asked for: signed, and without any effect."""
    assert await emulated.ping() == 404
    assert [("GET", 404)] == [(r["method"], r["status"]) for r in await requests(control)]


async def test_ping_with_a_wrong_key(acs: Emulator) -> None:
    """A service that answers and refuses us isn't well."""
    client = Preview2021(Resource(acs.endpoint, KEY))
    try:
        with pytest.raises(Misconfigured):
            await client.ping()
    finally:
        await client.aclose()


@pytest.mark.parametrize("status", [200, 400, 429, 500, 503])
async def test_ping_takes_any_other_answer(service: Preview2021, origin: Origin, status: int) -> None:
    """What the service thinks of a made-up id is not known; that it answers is what counts."""
    origin.replies((status, b"", JSON))

    assert status == await service.ping()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (StartOptions(recording_content_type="audio"), "recordingContentType"),
        (StartOptions(recording_channel_type="mixed", recording_format_type="mp4"), "recordingChannelType"),
        (StartOptions(pause_on_start=False), "pauseOnStart"),
        (StartRecordingByUrl(server_call_id="aHR0cHM6Ly94"), "serverCallId"),
    ],
)
async def test_what_only_todays_api_has(
    service: Preview2021, origin: Origin, options: StartOptions, named: str
) -> None:
    """An option is refused, and not omitted: the caller would take another recording for the one asked for."""
    for ask in (service.check, service.start):
        with pytest.raises(BadRequest) as refused:
            await ask(CONVERSATION, options=options)  # type: ignore[misc]
        expected = f"{named} is not supported by the 2021 preview API, which ACS_API_VERSION selects"
        assert (expected, named) == (refused.value.message, refused.value.target)

    assert [] == origin.received


async def test_an_identity_without_a_token() -> None:
    """An identity that gives no token is our misconfiguration, not an unreachable service."""
    client = Preview2021(Resource("https://contoso.communication.azure.com"), IdentityWithoutToken())
    try:
        with pytest.raises(Misconfigured) as caught:
            await client.state(CONVERSATION, RECORDING)
    finally:
        await client.aclose()

    assert caught.value.error_code == "AcsCredentialsRefused"
    assert "no token" in caught.value.message
