"""recording/acs/call_automation.py: the requests to the Call Automation API."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

import pytest
import pytest_asyncio

from local.acs.server import Emulator
from recording.acs.call_automation import CallAutomation
from recording.acs.service import RecordingStatus
from recording.config.resource import Resource, parse_connection_string
from recording.errors import BadRequest, Misconfigured, NotFound
from recording.model import conversation
from recording.model.options import ChannelAffinity, ExternalStorage, StartOptions
from tests.acs.calls import CALLS, CONVERSATION, JSON, RECORDING
from tests.support.emulator import Control
from tests.support.identity import IdentityWithoutToken
from tests.support.origin import KEY, Origin

SERVER_CALL = CONVERSATION + "="
GROUP = "29bd5ea9-e0fc-4d00-8f6f-339b1f0ee2e2"
ADA = "8:acs:29bd5ea9-e0fc-4d00-8f6f-339b1f0ee2e2_0000000e-4a0d-1b2c"
KIND = "azureCommunicationServices"
# The one that the client of requirements.txt has.
SDKS_OWN = "2026-03-12"


@pytest_asyncio.fixture
async def service(origin: Origin) -> AsyncIterator[CallAutomation]:
    """The client, with a server behind it that does as the test says."""
    client = CallAutomation(Resource(origin.url, KEY))
    yield client
    await client.aclose()


@pytest_asyncio.fixture
async def emulated(acs: Emulator) -> AsyncIterator[CallAutomation]:
    """The client, with the emulator behind it."""
    client = CallAutomation(parse_connection_string(acs.connection_string))
    yield client
    await client.aclose()


async def placed(control: Control, **more: Any) -> Any:
    """Place a call."""
    return await control.call("POST", "calls", {"participants": ["Ada", "Grace"], **more})


async def asked(control: Control) -> list[Any]:
    """List what the emulator was asked."""
    return list((await control.call("GET", "requests"))["requests"])


async def test_the_life_of_a_recording(emulated: CallAutomation, control: Control) -> None:
    """A recording is started, paused, resumed and stopped; paused reads as inactive, and ended as unknown."""
    call = await placed(control)
    where = call["conversationId"]

    recording = await emulated.start(where, operation_context="not in this API")
    states = [await emulated.state(where, recording)]
    await emulated.pause(where, recording, operation_context="b")
    states.append(await emulated.state(where, recording))
    await emulated.resume(where, recording)
    states.append(await emulated.state(where, recording))
    await emulated.stop(where, recording)

    assert [
        RecordingStatus("active", KIND),
        RecordingStatus("inactive", KIND),
        RecordingStatus("active", KIND),
    ] == states
    with pytest.raises(NotFound):
        await emulated.state(where, recording)
    found = [(r["method"], r["path"].rpartition("/")[2], r["status"]) for r in await asked(control)]
    assert [
        ("POST", "recordings", 200),
        ("GET", recording, 200),
        ("POST", f"{recording}:pause", 202),
        ("GET", recording, 200),
        ("POST", f"{recording}:resume", 202),
        ("GET", recording, 200),
        ("DELETE", recording, 204),
        ("GET", recording, 404),
    ] == found


async def test_every_kind_of_id_finds_its_call(emulated: CallAutomation, control: Control) -> None:
    """A conversation URL's id, a server call id, a group call's GUID and a room each start a recording."""
    for kind in ("conversation", "server call", "group", "room"):
        call = await placed(control, **({"roomId": "99445276259151407"} if kind == "room" else {}))
        where = {
            "conversation": call["conversationId"],
            "server call": base64.b64encode(call["conversationUrl"].encode()).decode(),
            "group": call["groupId"],
            "room": "room:99445276259151407",
        }[kind]

        assert await emulated.start(where), kind


async def test_a_call_that_is_not_there(emulated: CallAutomation) -> None:
    """The service's refusal is passed on with its code (docs/acs-contract.md#preview-errors)."""
    with pytest.raises(BadRequest) as refused:
        await emulated.start(GROUP)

    assert "8527" == refused.value.error_code


async def test_an_unmixed_recording_that_waits(emulated: CallAutomation, control: Control) -> None:
    """Options reach the service: what is recorded, who is on which channel, and that it begins paused."""
    call = await placed(control)
    ada = call["participants"][0]["participantId"]

    recording = await emulated.start(
        call["conversationId"],
        options=StartOptions(
            recording_content_type="audio",
            recording_channel_type="unmixed",
            recording_format_type="wav",
            channel_affinity=[ChannelAffinity(channel=2, participant=ada)],
            pause_on_start=True,
        ),
    )

    assert RecordingStatus("inactive", KIND) == await emulated.state(call["conversationId"], recording)


async def test_a_wrong_key(acs: Emulator) -> None:
    """The service's own refusal of a signature is our misconfiguration, and shows nothing of the key."""
    client = CallAutomation(Resource(acs.endpoint, KEY))
    try:
        for ask in (*CALLS.values(), CallAutomation.ping):
            with pytest.raises(Misconfigured) as caught:
                await ask(client)
            assert (500, "AcsCredentialsRefused") == (caught.value.http_status, caught.value.error_code)
            assert KEY not in caught.value.message
    finally:
        await client.aclose()


@pytest.mark.parametrize(
    ("conversation_id", "locator"),
    [
        (CONVERSATION, {"kind": "serverCallLocator", "serverCallId": SERVER_CALL}),
        (SERVER_CALL, {"kind": "serverCallLocator", "serverCallId": SERVER_CALL}),
        (GROUP, {"kind": "groupCallLocator", "groupCallId": GROUP}),
        ("room:99445276259151407", {"kind": "roomCallLocator", "roomId": "99445276259151407"}),
    ],
)
async def test_what_a_start_sends(service: CallAutomation, origin: Origin, conversation_id: str, locator: Any) -> None:
    """A locator of the id's kind, and nothing that wasn't asked for; signed, and under an id of its own."""
    origin.replies((202, b'{"recordingId": "r"}', JSON))

    assert "r" == await service.start(conversation_id)

    [sent] = origin.received
    assert ("POST", f"/calling/recordings?api-version={SDKS_OWN}") == (sent.method, sent.target)
    assert {"callLocator": locator, "channelAffinity": []} == json.loads(sent.body)
    assert sent.is_signed(host=origin.authority)
    assert {"Repeatability-Request-ID", "Repeatability-First-Sent"} <= set(sent.headers)


async def test_every_option_is_sent(service: CallAutomation, origin: Origin) -> None:
    """The body is the one that the contract shows (docs/acs-contract.md#start-request)."""
    origin.replies((200, b'{"recordingId": "r"}', JSON))
    options = StartOptions(
        recording_content_type="audio",
        recording_channel_type="unmixed",
        recording_format_type="wav",
        audio_channel_participant_ordering=[ADA, "4:+491234"],
        channel_affinity=[ChannelAffinity(channel=0, participant=ADA), ChannelAffinity(channel=4, participant="28:x")],
        pause_on_start=True,
        external_storage=ExternalStorage(
            recording_storage_kind="azureBlobStorage",
            recording_destination_container_url="https://a.blob.core.windows.net/c",
        ),
    )

    await service.start(GROUP, callback_uri="https://a.example/ü", options=options)

    ada = {"rawId": ADA, "communicationUser": {"id": ADA}}
    phone = {"rawId": "4:+491234", "phoneNumber": {"value": "+491234", "isAnonymous": False}}
    assert {
        "callLocator": {"groupCallId": GROUP, "kind": "groupCallLocator"},
        "recordingStateCallbackUri": "https://a.example/ü",
        "recordingContentType": "audio",
        "recordingChannelType": "unmixed",
        "recordingFormatType": "wav",
        "audioChannelParticipantOrdering": [ada, phone],
        "channelAffinity": [{"channel": 0, "participant": ada}, {"channel": 4, "participant": {"rawId": "28:x"}}],
        "pauseOnStart": True,
        "externalStorage": {
            "recordingStorageKind": "azureBlobStorage",
            "recordingDestinationContainerUrl": "https://a.blob.core.windows.net/c",
        },
    } == json.loads(origin.received[0].body)


async def test_temporary_storage_is_the_default(service: CallAutomation, origin: Origin) -> None:
    """Whoever names ACS's own storage gets it: the client says so by saying nothing."""
    origin.replies((200, b'{"recordingId": "r"}', JSON))

    await service.start(
        GROUP,
        options=StartOptions(external_storage=ExternalStorage(recording_storage_kind="azureCommunicationServices")),
    )

    assert "externalStorage" not in json.loads(origin.received[0].body)


async def test_a_version_that_is_asked_for(origin: Origin) -> None:
    """ACS_API_VERSION is what is sent, whatever the client would have."""
    origin.replies((204, b"", {}))
    client = CallAutomation(Resource(origin.url, KEY), api_version="2024-09-15")
    try:
        await client.stop(GROUP, RECORDING)
    finally:
        await client.aclose()

    assert origin.received[0].target.endswith("?api-version=2024-09-15")


@pytest.mark.parametrize("recording_id", [RECORDING, "eyJhIjoxfQ==", "a+b/c==", "~x", "../../x", "a b?c#d"])
async def test_ids_stay_one_segment(service: CallAutomation, origin: Origin, recording_id: str) -> None:
    """Whatever is in a recording id, it can't change the path, and what is signed is what is sent."""
    for ask, status in ((service.pause, 202), (service.resume, 202), (service.stop, 204)):
        origin.replies((status, b"", {}))
        await ask(GROUP, recording_id)

    for sent, ending in zip(origin.received, (":pause", ":resume", ""), strict=True):
        path = sent.target.partition("?")[0]
        assert ("/calling/recordings/", ending) == (
            path[:20],
            path[20:].partition(":")[1] + path[20:].partition(":")[2],
        )
        assert recording_id + ending == unquote(path.split("/")[3])
        assert 4 == len(path.split("/"))
        assert sent.is_signed(host=origin.authority)


@pytest.mark.parametrize("bad", ["", "..", "room:", "room:a/b", "nonsense", "aHR0cDovL3g", GROUP[:-1]])
async def test_the_wrong_kind_of_id(service: CallAutomation, origin: Origin, bad: str) -> None:
    """An id of no kind is refused before anything is asked, with the kinds that there are."""
    with pytest.raises(BadRequest, match="room:"):
        service.check(bad)
    with pytest.raises(BadRequest, match="a group call's GUID"):
        await service.start(bad)

    assert [] == origin.received


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"recordingState": "active"}, RecordingStatus("active")),
        (
            {"recordingState": "Inactive", "recordingKind": "AzureCommunicationServices"},
            RecordingStatus("inactive", "AzureCommunicationServices"),
        ),
        (
            {"recordingState": "active", "recordingKind": "teamsCompliance"},
            RecordingStatus("active", "teamsCompliance"),
        ),
        ({"recordingState": "active", "recordingKind": "new", "more": 1}, RecordingStatus("active", "new")),
    ],
)
async def test_states_and_kinds(service: CallAutomation, origin: Origin, body: Any, expected: RecordingStatus) -> None:
    """States changed their casing over the years; an unknown kind is passed on as it is."""
    origin.replies((200, json.dumps(body).encode(), JSON))

    assert expected == await service.state(GROUP, RECORDING)


async def test_ping(emulated: CallAutomation, control: Control) -> None:
    """A recording id that doesn't exist is asked for: signed, and without any effect."""
    assert 404 == await emulated.ping()
    assert [("GET", 404)] == [(r["method"], r["status"]) for r in await asked(control)]


@pytest.mark.parametrize("status", [200, 400, 429, 500, 503])
async def test_ping_takes_any_other_answer(service: CallAutomation, origin: Origin, status: int) -> None:
    """What the service thinks of a made-up id is not known; that it answers is what counts."""
    origin.replies((status, b"{}", JSON))

    assert status == await service.ping()


async def test_an_identity_without_a_token() -> None:
    """An identity that gives no token is our misconfiguration, not an unreachable service."""
    client = CallAutomation(Resource("https://contoso.communication.azure.com"), IdentityWithoutToken())
    try:
        with pytest.raises(Misconfigured, match="no token") as caught:
            await client.state(CONVERSATION, RECORDING)
    finally:
        await client.aclose()

    assert "AcsCredentialsRefused" == caught.value.error_code


def test_an_identity_is_not_sent_in_the_clear() -> None:
    """A token goes over https only; without a key and an identity there is nothing to sign with."""
    for endpoint in ("http://127.0.0.1:9", "https://contoso.communication.azure.com"):
        with pytest.raises(Misconfigured):
            CallAutomation(Resource(endpoint), None)


def test_the_conversation_ids_of_tests_are_of_one_call() -> None:
    """What the other tests take for granted."""
    assert CONVERSATION == conversation.from_server_call_id(SERVER_CALL)
