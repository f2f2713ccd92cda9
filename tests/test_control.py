"""recording/control.py: start, state, stop, pause, resume, with ids checked before anything is called."""

import base64
import json
from typing import Any

import pytest

from recording.bootstrap import App
from recording.contract import Operation, StartRecording, StartRecordingByUrl
from recording.control import Caller
from recording.control import Control as Recordings
from recording.errors import BadRequest, Conflict, NotFound
from tests.conftest import Control
from tests.facts import listing

NOTHING = Operation()


@pytest.fixture
def recordings(app: App) -> Recordings:
    """The operations, for a caller that nobody knows."""
    return Recordings(app.service, app.storage, Caller())


async def test_a_recording_goes_through_its_life(recordings: Recordings, control: Control) -> None:
    """Each operation changes the state as the service says."""
    call = (await control.call("POST", "calls", {"participants": ["Ada"]}))["conversationId"]
    recording_id = (await recordings.start(call, StartRecording())).recording_id
    states = []

    for operation in (recordings.pause, recordings.resume):
        await operation(call, recording_id, NOTHING)
        states.append((await recordings.state(call, recording_id, NOTHING)).recording_state)
    await recordings.stop(call, recording_id, NOTHING)

    assert ["inactive", "active"] == states
    with pytest.raises(NotFound):
        await recordings.state(call, recording_id, NOTHING)


async def test_a_url_is_encoded_here(recordings: Recordings, control: Control) -> None:
    """The answer has the conversation id that the other operations take."""
    call = await control.call("POST", "calls", {"participants": ["Ada"]})

    started = await recordings.start_by_url(StartRecordingByUrl(conversation_url=call["conversationUrl"]))

    assert call["conversationId"] == started.conversation_id
    state = await recordings.state(str(started.conversation_id), started.recording_id, NOTHING)
    assert "active" == state.recording_state


async def test_an_operation_context_is_logged_and_passed_on(
    recordings: Recordings, control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    """Who asked for what is a field of the log line, and cannot forge another line."""
    caplog.set_level("INFO")
    call = await control.call("POST", "calls", {"participants": ["Ada"]})

    await recordings.start(call["conversationId"], StartRecording(operation_context="me\nforged {}"))

    [line] = [r.message for r in caplog.records if r.message.startswith("recording.start ")]
    assert "me\nforged {}" == json.loads(line.removeprefix("recording.start "))["operationContext"]
    assert "\n" not in line


async def test_without_a_key_a_second_start_is_a_conflict(app: App, recordings: Recordings, control: Control) -> None:
    """What the service refuses is passed on; nothing is claimed."""
    call = await control.call("POST", "calls", {"participants": ["Ada"]})
    await recordings.start(call["conversationId"], StartRecording())

    with pytest.raises(Conflict):
        await recordings.start(call["conversationId"], StartRecording())

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
    app: App, recordings: Recordings, control: Control, conversation_id: str, recording_id: str, target: str
) -> None:
    """The error names the part that is wrong; the service is not asked, and nothing is on record."""
    operations: tuple[Any, ...] = (recordings.state, recordings.stop, recordings.pause, recordings.resume)

    for operation in operations:
        with pytest.raises(BadRequest) as refused:
            await operation(conversation_id, recording_id, NOTHING)
        assert target == refused.value.target

    assert [] == (await control.call("GET", "requests"))["requests"]
    assert {} == await listing(app.settings, "archive")


async def test_a_bad_url_is_refused_before_anything_is_called(
    app: App, recordings: Recordings, control: Control
) -> None:
    """Only an absolute https URL can be a conversation's."""
    for url in ("http://conv.example/x", "conv.example/x", "https://", "https://a b/"):
        with pytest.raises(BadRequest):
            await recordings.start_by_url(StartRecordingByUrl(conversation_url=url))

    assert [] == (await control.call("GET", "requests"))["requests"]
    assert {} == await listing(app.settings, "archive")
