"""recording/control/operations.py: start, state, stop, pause, resume, with ids checked before anything is called."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from aiohttp import web

from local.azurite import Azurite
from recording.acs.call_automation import CallAutomation
from recording.acs.preview_2021 import Preview2021
from recording.app import App
from recording.config.account import StorageAccount
from recording.config.resource import Resource
from recording.config.settings import Settings
from recording.control.bodies import Operation, StartRecording, StartRecordingByUrl
from recording.control.operations import RecordingControl
from recording.errors import BadRequest, Conflict, NotFound
from recording.model import conversation, layout
from recording.model.caller import Caller
from recording.storage.blobs import Blobs
from recording.storage.endings import Endings
from recording.storage.starts import StartClaims
from recording.storage.trail import Trail
from tests.support.emulator import Control
from tests.support.facts import body_of, control_with, listing
from tests.support.origin import KEY, record
from tests.support.source import serve

NOTHING = Operation()
ADA = Caller("ada@contoso.com")
GROUP = "3f2b0e4c-1111-4000-8000-000000000001"
KINDS = {"2021": None, "today": "azureCommunicationServices"}


@pytest.fixture(params=["2021", "today"])
def api(request: pytest.FixtureRequest) -> str:
    """Return which API is used."""
    return str(request.param)


@pytest.fixture
def environment(environment: dict[str, str], api: str) -> dict[str, str]:
    """The app settings for that API."""
    return environment if api == "2021" else environment | {"ACS_API_VERSION": ""}


@pytest.fixture
def recordings(app: App) -> RecordingControl:
    """The operations."""
    return app.control


async def test_a_recording_goes_through_its_life(
    app: App, recordings: RecordingControl, control: Control, api: str
) -> None:
    """Each operation changes the state as the service says; after stop it says 404, and we know better."""
    call = (await control.call("POST", "calls", {"participants": ["Ada"]}))["conversationId"]
    recording_id = (await recordings.start(ADA, call, StartRecording())).recording_id
    states = []

    for operation in (recordings.pause, recordings.resume):
        await operation(ADA, call, recording_id, NOTHING)
        states.append(await recordings.get_state(call, recording_id))
    await recordings.stop(ADA, call, recording_id, NOTHING)
    ended = await recordings.get_state(call, recording_id)

    assert [("inactive", KINDS[api]), ("active", KINDS[api])] == [(s.recording_state, s.recording_kind) for s in states]
    noted = await app.endings.find(recording_id)
    assert noted
    assert ("inactive", noted.at) == (ended.recording_state, ended.ended_at)
    assert (call, "ada@contoso.com", "stopped through us") == (noted.conversation_id, noted.who, noted.evidence)
    for operation in (recordings.stop, recordings.pause, recordings.resume):
        with pytest.raises(NotFound):
            await operation(ADA, call, recording_id, NOTHING)


async def test_a_url_is_encoded_here(recordings: RecordingControl, control: Control) -> None:
    """The answer has the conversation id that the other operations take."""
    call = await control.call("POST", "calls", {"participants": ["Ada"]})

    started = await recordings.start_by_url(ADA, StartRecordingByUrl(conversation_url=call["conversationUrl"]))

    assert call["conversationId"] == started.conversation_id
    state = await recordings.get_state(str(started.conversation_id), started.recording_id)
    assert "active" == state.recording_state


async def test_an_operation_context_is_logged_and_passed_on(
    recordings: RecordingControl, control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    """Who asked for what is a field of the log line, and cannot forge another line."""
    caplog.set_level("INFO")
    call = await control.call("POST", "calls", {"participants": ["Ada"]})

    await recordings.start(ADA, call["conversationId"], StartRecording(operation_context="me\nforged {}"))

    [line] = [r.message for r in caplog.records if r.message.startswith("recording.start ")]
    assert "me\nforged {}" == json.loads(line.removeprefix("recording.start "))["operationContext"]
    assert "\n" not in line


async def test_without_a_key_a_second_start_is_a_conflict(
    app: App, recordings: RecordingControl, control: Control
) -> None:
    """What the service refuses is passed on; nothing is claimed."""
    call = await control.call("POST", "calls", {"participants": ["Ada"]})
    await recordings.start(ADA, call["conversationId"], StartRecording())

    with pytest.raises(Conflict):
        await recordings.start(ADA, call["conversationId"], StartRecording())

    assert [] == [name for name in await listing(app.settings, "archive") if "starts/" in name]


BASE64 = base64.b64encode(b"https://conv.example/conv/x?i=1&e=~~~").decode()


@pytest.mark.parametrize(
    ("conversation_id", "recording_id", "target"),
    [
        ("", "abc", "conversationId"),
        ("..", "abc", "conversationId"),
        ("%2F", "abc", "conversationId"),
        ("x" * 5000, "abc", "conversationId"),
        (BASE64 + "==", "abc", "conversationId"),
        ("3f2b0e4c-1111-4000-8000-000000000001", "", "recordingId"),
        ("3f2b0e4c-1111-4000-8000-000000000001", "../x", "recordingId"),
        ("3f2b0e4c-1111-4000-8000-000000000001", "x" * 1025, "recordingId"),
    ],
)
async def test_bad_ids_are_refused_before_anything_is_called(
    app: App, recordings: RecordingControl, control: Control, conversation_id: str, recording_id: str, target: str
) -> None:
    """The error names the part that is wrong; the service is not asked, and nothing is on record."""
    changes = (recordings.stop, recordings.pause, recordings.resume)
    operations: list[Any] = [recordings.get_state, *(partial(change, ADA, body=NOTHING) for change in changes)]

    for operation in operations:
        with pytest.raises(BadRequest) as refused:
            await operation(conversation_id, recording_id)
        assert target == refused.value.target

    assert [] == (await control.call("GET", "requests"))["requests"]
    assert {} == await listing(app.settings, "archive")


async def test_a_bad_url_is_refused_before_anything_is_called(
    app: App, recordings: RecordingControl, control: Control
) -> None:
    """Only an absolute https URL can be a conversation's."""
    for url in ("http://conv.example/x", "conv.example/x", "https://", "https://a b/"):
        with pytest.raises(BadRequest):
            await recordings.start_by_url(ADA, StartRecordingByUrl(conversation_url=url))

    assert [] == (await control.call("GET", "requests"))["requests"]
    assert {} == await listing(app.settings, "archive")


async def test_a_server_call_id_is_encoded_here(recordings: RecordingControl, control: Control, api: str) -> None:
    """It may have a slash, which paths can't have; the answer has an id for paths. The 2021 preview API had none."""
    call = await control.call("POST", "calls", {"participants": ["Ada"]})
    body = StartRecordingByUrl(server_call_id=call["serverCallId"])

    if api == "today":
        started = await recordings.start_by_url(ADA, body)
        assert call["conversationId"] == started.conversation_id
        assert "active" == (await recordings.get_state(call["conversationId"], started.recording_id)).recording_state
    else:
        with pytest.raises(BadRequest, match="not supported by the 2021 preview API"):
            await recordings.start_by_url(ADA, body)


async def test_a_server_call_id_that_is_none(app: App, recordings: RecordingControl, control: Control) -> None:
    """A call connection's id is the classic mistake: it is refused before anything is called."""
    with pytest.raises(BadRequest) as refused:
        await recordings.start_by_url(ADA, StartRecordingByUrl(server_call_id=GROUP))

    assert "serverCallId" == refused.value.target
    assert ([], {}) == ((await control.call("GET", "requests"))["requests"], await listing(app.settings, "archive"))


async def test_an_option_of_the_other_api(app: App, recordings: RecordingControl, control: Control, api: str) -> None:
    """An option that isn't there is refused before anything is called, claimed or on record; else it is passed on."""
    call = await control.call("POST", "calls", {"participants": ["Ada"]})
    body = StartRecording(pause_on_start=True)

    if api == "today":
        started = await recordings.start(ADA, call["conversationId"], body)
        assert "inactive" == (await recordings.get_state(call["conversationId"], started.recording_id)).recording_state
    else:
        with pytest.raises(BadRequest) as refused:
            await recordings.start(ADA, call["conversationId"], body)
        assert "pauseOnStart" == refused.value.target
        assert ([], {}) == ((await control.call("GET", "requests"))["requests"], await listing(app.settings, "archive"))


@pytest.mark.parametrize(
    ("own", "given", "expected"),
    [
        (None, None, None),
        ("https://app.example/callbacks?code=k", None, "https://app.example/callbacks?code=k"),
        ("https://app.example/callbacks?code=k", "https://caller.example/", "https://caller.example/"),
        (None, "https://caller.example/", "https://caller.example/"),
    ],
)
async def test_where_state_callbacks_go(
    app: App, api: str, own: str | None, given: str | None, expected: str | None
) -> None:
    """To the caller's address, else to the app's own, else nowhere."""
    async with record() as origin:
        origin.replies((200, b'{"recordingId": "r"}', {"Content-Type": "application/json"}))
        service = (Preview2021 if api == "2021" else CallAutomation)(Resource(origin.url, KEY))
        do = control_with(app, service, default_callback_uri=own)
        try:
            await do.start(ADA, GROUP, StartRecording(recording_state_callback_uri=given))
        finally:
            await service.aclose()

    assert expected == json.loads(origin.received[0].body).get("recordingStateCallbackUri")


async def test_polling_leaves_nothing(app: App, recordings: RecordingControl, control: Control) -> None:
    """A question for the state is no operation: it isn't put on record, however often it is asked."""
    call = (await control.call("POST", "calls", {"participants": ["Ada"]}))["conversationId"]
    recording_id = (await recordings.start(ADA, call, StartRecording())).recording_id
    before = await listing(app.settings, "archive")

    for _ in range(3):
        await recordings.get_state(call, recording_id)
        with pytest.raises(NotFound):
            await recordings.get_state(call, "abc")

    assert before == await listing(app.settings, "archive")


async def test_a_recording_that_never_was(recordings: RecordingControl) -> None:
    """An unknown recording stays a 404."""
    with pytest.raises(NotFound):
        await recordings.get_state(GROUP, "abc")


@asynccontextmanager
async def storage_at(settings: Settings, azurite: Azurite, blob: str) -> AsyncIterator[Blobs]:
    """A storage whose archive is elsewhere."""
    text = f"{azurite.connection_string.partition('BlobEndpoint=')[0]}BlobEndpoint={blob}/x"
    account = StorageAccount.model_validate({"connection_string": text})
    storage = Blobs(settings.model_copy(update={"archive_storage": account}))
    yield storage
    await storage.aclose()


async def test_storage_that_is_down_holds_nobody(
    app: App,
    azurite: Azurite,
    recordings: RecordingControl,
    control: Control,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A recording is stopped, and the ending that can't be noted is logged whole; then ACS's 404 is passed on."""

    async def hang(request: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    begun = time.monotonic()
    async with serve(hang) as hanging:
        for blob in (hanging, "http://127.0.0.1:9"):
            call = (await control.call("POST", "calls", {"participants": ["Ada"]}))["conversationId"]
            recording_id = (await recordings.start(ADA, call, StartRecording())).recording_id
            async with storage_at(app.settings, azurite, blob) as storage:
                log = Trail(storage, timeout=0.3)
                do = control_with(app, trail=log, endings=Endings(storage), ending_timeout=0.3)
                await do.stop(ADA, call, recording_id, NOTHING)
                with pytest.raises(NotFound):
                    await do.get_state(call, recording_id)
            lost = [r.message for r in caplog.records if r.message.startswith("ending.not_written ")]
            assert recording_id == json.loads(lost[-1].partition(" ")[2])["ending"]["recordingId"]

    assert 2 == len(lost)
    assert time.monotonic() - begun < 5


async def test_a_stop_under_another_calls_path_is_a_404_and_is_audited_under_the_right_call(
    app: App, recordings: RecordingControl, control: Control, api: str
) -> None:
    """So are pause, resume and state: the Call Automation API would take the recording id alone."""
    mine, other = [(await control.call("POST", "calls", {"participants": ["Ada"]}))["conversationId"] for _ in range(2)]
    recording_id = (await recordings.start(ADA, mine, StartRecording())).recording_id

    for operation in (recordings.stop, recordings.pause, recordings.resume):
        with pytest.raises(NotFound):
            await operation(ADA, other, recording_id, NOTHING)
    with pytest.raises(NotFound):
        await recordings.get_state(other, recording_id)

    assert "active" == (await recordings.get_state(mine, recording_id)).recording_state
    audited = [name for name in await listing(app.settings, "archive") if name.startswith("audit/")]
    facts = [await body_of(app.settings, "archive", name) for name in audited]
    assert {mine} == {fact["conversationId"] for fact in facts}
    assert [404, 404, 404] == [fact["status"] for fact in facts if fact["operation"] != "start"]


async def test_a_recording_that_was_started_elsewhere_can_be_stopped(
    app: App, recordings: RecordingControl, control: Control, api: str
) -> None:
    """Its call isn't known here, and ACS decides."""
    call = (await control.call("POST", "calls", {"participants": ["Ada"]}))["conversationId"]
    recording_id = (await recordings.start(ADA, call, StartRecording())).recording_id
    await app.clients.blobs.delete("archive", layout.started_blob(recording_id))
    elsewhere = control_with(app, claims=StartClaims(app.clients.blobs))

    await elsewhere.stop(ADA, call, recording_id, NOTHING)

    assert "inactive" == (await elsewhere.get_state(call, recording_id)).recording_state


@pytest.mark.parametrize(
    ("one", "other", "differ"),
    [
        (GROUP, GROUP.upper(), False),
        (GROUP, GROUP.replace("1111", "2222"), True),
        (GROUP, "room:99", False),
        (GROUP, conversation.encode_url("https://conv/x"), False),
        (conversation.encode_url("https://conv/x?i=1&e=2"), conversation.encode_url("https://conv/x?i=1"), False),
        (conversation.encode_url("https://conv/x?i=1"), conversation.encode_url("https://conv/y?i=1"), True),
    ],
)
def test_ids_that_may_name_one_call_are_not_told_apart(one: str, other: str, differ: bool) -> None:
    """A call has several ids: only two of one kind can show that there are two calls."""
    assert differ == conversation.is_another(one, other) == conversation.is_another(other, one)
