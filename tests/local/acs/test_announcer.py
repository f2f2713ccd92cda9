"""Tests of what is announced to the app: callbacks, events, and their media."""

import json
from typing import Any

import pytest

from .client import Client, eventually
from .conftest import Inbox

LEG = "Microsoft.Communication.CallLegStateChanged"
FILE = "Microsoft.Communication.RecordingFileStatusUpdated"
CALLS = ("Microsoft.Communication.CallStarted", "Microsoft.Communication.CallEnded")
VERSION = "2026-03-12"


async def _announced(client: Client, recording_id: str) -> Any:
    async def probe() -> Any:
        recording = (await client.control("GET", f"/recordings/{recording_id}")).json
        return recording if recording["announced"] else None

    return await eventually(probe)


async def test_recorded_call(client: Client, inbox: Inbox) -> None:
    """A recording of twenty seconds with a pause gives a file event, video and metadata that fit."""
    await client.subscribe(inbox.url, FILE)
    call = await client.call()
    path = await client.start(call["conversationId"])
    await client.advance(3)
    await client.api("POST", path + "/pause")
    await client.advance(10)
    await client.api("POST", path + "/resume")
    await client.advance(2)
    await client.api("DELETE", path)
    recording = await _announced(client, path.rpartition("/")[2])
    event = (await eventually(lambda: _first(inbox)))[0]
    metadata = (await client.api("GET", f"/recording/download/{recording['chunks'][0]['documentId']}/metadata")).json

    chunk = recording["chunks"][0]
    assert (recording["state"], len(recording["chunks"]), chunk["endReason"]) == ("ended", 1, "SessionEnded")
    assert chunk["durationMs"] == pytest.approx(5000, abs=500)
    assert event["subject"] == f"/recording/call/{call['callId']}"
    assert event["data"]["recordingStorageInfo"]["recordingChunks"] == [
        {"documentId": chunk["documentId"], "index": 0, "endReason": "SessionEnded"}
    ]
    assert event["data"]["recordingStartTime"] == recording["startTime"] == metadata["chunkStartTime"]
    assert event["data"]["recordingDurationMs"] == chunk["durationMs"] == metadata["chunkDuration"]
    assert metadata["pauseResumeIntervals"] == recording["pauseResumeIntervals"]
    assert metadata["pauseResumeIntervals"][0]["duration"] == pytest.approx(10_000, abs=500)
    assert metadata["participants"] == [{"participantId": one["participantId"]} for one in call["participants"]]


async def _first(inbox: Inbox) -> Any:
    return inbox.received[0] if inbox.received else None


@pytest.mark.parametrize("ending", ["stop", "call"])
async def test_session_end(client: Client, inbox: Inbox, ending: str) -> None:
    """The event says whether the call or the recording alone was ended."""
    await client.subscribe(inbox.url, FILE)
    call = await client.call(media={"kind": "filler", "chunkBytes": [1000]})
    path = await client.start(call["conversationId"])
    if ending == "stop":
        await client.api("DELETE", path)
    else:
        await client.control("DELETE", f"/calls/{call['callId']}")
    event = (await eventually(lambda: _first(inbox)))[0]

    assert event["data"]["sessionEndReason"] == ("InitiatorLeft" if ending == "stop" else "CallEnded")


async def test_announce_delay(client: Client) -> None:
    """The file event waits for its delay, by the emulator's clock."""
    await client.control("PUT", "/settings", {"announceDelaySeconds": 90})
    call = await client.call(media={"kind": "filler", "chunkBytes": [1000]})
    path = await client.start(call["conversationId"])
    await client.api("DELETE", path)
    one = f"/recordings/{path.rpartition('/')[2]}"

    async def ready() -> Any:
        recording = (await client.control("GET", one)).json
        return recording if recording["chunks"] else None

    before = await eventually(ready)
    await client.advance(91)

    assert not before["announced"]
    assert (await _announced(client, path.rpartition("/")[2]))["announced"]


async def test_announce_again(client: Client, inbox: Inbox) -> None:
    """A file event published again is the same event; one that was held back comes when asked for."""
    await client.subscribe(inbox.url, FILE)
    recording = await client.filler(1000, announce=False)
    held = list(inbox.received)
    answer = await client.control("POST", f"/recordings/{recording['recordingId']}/announce", {"times": 3})

    async def three() -> Any:
        return len(inbox.received) == 3 and inbox.received

    events = [batch[0] for batch in await eventually(three)]
    assert (held, recording["announced"], answer.json["announced"]) == ([], False, True)
    assert events == [events[0]] * 3


async def test_call_leg_events(client: Client, inbox: Inbox) -> None:
    """A call leg has four states, each sent to the callback in order, and to Event Grid."""
    await client.subscribe(inbox.url, LEG)
    call = await client.call(callbackUri=inbox.url)
    await client.control("DELETE", f"/calls/{call['callId']}")

    async def eight() -> Any:
        return len(inbox.received) == 8 and inbox.received

    received = await eventually(eight)
    callbacks = [body for body in received if isinstance(body, dict)]
    events = [body[0] for body in received if isinstance(body, list)]
    states = ["Establishing", "Established", "Terminating", "Terminated"]
    assert [body["data"]["CallState"] for body in callbacks] == states
    assert [body["data"]["ConversationId"] for body in callbacks] == [None] + [call["conversationId"]] * 3
    assert sorted(event["data"]["CallState"] for event in events) == sorted(states)
    assert callbacks[0]["id"] is None
    assert len({event["id"] for event in events}) == 4


async def test_state_callbacks(client: Client, inbox: Inbox) -> None:
    """Every change of a recording's state is sent to its callback URI, and nothing else."""
    call = await client.call(media={"kind": "filler", "chunkBytes": [1000]})
    body = f'{{"recordingStateCallbackUri":"{inbox.url}"}}'.encode()
    root = f"/conversations/{call['conversationId']}/recordings"
    path = f"{root}/{(await client.api('POST', root, body=body)).json['recordingId']}"
    for step in ("/pause", "/pause", "/resume"):
        await client.api("POST", path + step)
    await client.api("DELETE", path)

    async def four() -> Any:
        return len(inbox.received) == 4 and inbox.received

    received = await eventually(four)
    assert [body["data"]["State"] for body in received] == ["active", "inactive", "active", "inactive"]
    assert {body["eventType"] for body in received} == {"Microsoft.Communication.CallRecordingStateChanged"}
    assert {body["data"]["RecordingId"] for body in received} == {path.rpartition("/")[2]}


async def test_announce_too_early(client: Client) -> None:
    """A recording that still runs has no file event."""
    path = await client.start((await client.call())["conversationId"])
    answer = await client.control("POST", f"/recordings/{path.rpartition('/')[2]}/announce")

    assert answer.status == 409


async def test_call_events(client: Client, inbox: Inbox) -> None:
    """The Call Automation API's events report each call, too: its start, and its duration."""
    await client.subscribe(inbox.url, *CALLS)
    call = await client.call(roomId="99466898241024408")
    await client.advance(90)
    await client.control("DELETE", f"/calls/{call['callId']}")

    async def two() -> Any:
        return len(inbox.received) == 2 and inbox.received

    events = {batch[0]["eventType"]: batch[0]["data"] for batch in await eventually(two)}
    started, ended = (events[name] for name in CALLS)
    assert [event["serverCallId"] for event in (started, ended)] == [call["serverCallId"]] * 2
    assert [event["correlationId"] for event in (started, ended)] == [call["correlationId"]] * 2
    assert started["startedBy"]["communicationIdentifier"]["rawId"] == call["participants"][0]["participantId"]
    assert started["room"] == {"id": "99466898241024408"}
    assert ended["durationOfCall"] == pytest.approx(90, abs=5)


async def _begin(client: Client, **more: Any) -> tuple[Any, str]:
    """Start a recording by the Call Automation API; return the call and the path of the recording."""
    call = await client.call(media={"kind": "filler", "chunkBytes": [1000, 2000]})
    locator = {"kind": "serverCallLocator", "serverCallId": call["serverCallId"]}
    body = json.dumps({"callLocator": locator, **more}).encode()
    answer = await client.api("POST", "/calling/recordings", body=body, version=VERSION)
    assert answer.status == 200, answer.json
    return call, f"/calling/recordings/{answer.json['recordingId']}"


async def test_recorded_today(client: Client, inbox: Inbox) -> None:
    """The file event of a recording of the Call Automation API has what the control plane shows."""
    await client.subscribe(inbox.url, FILE)
    call, path = await _begin(client, recordingContentType="audio", recordingFormatType="mp3")
    await client.api("DELETE", path, version=VERSION)
    recording_id = path.rpartition("/")[2]
    recording = await _announced(client, recording_id)
    event = (await eventually(lambda: _first(inbox)))[0]

    assert (recording["generation"], recording["format"]["formatType"]) == ("today", "mp3")
    assert event["subject"].endswith(f"/serverCallId/{call['serverCallId']}/recordingId/{recording_id}")
    assert event["data"]["recordingFormatType"] == "Mp3"
    for told, shown in zip(event["data"]["recordingStorageInfo"]["recordingChunks"], recording["chunks"], strict=True):
        assert told == {name: shown[name] for name in told}
        assert (await client.stored("GET", told["contentLocation"])).body[:3] == b"ID3"


async def test_never_resumed(client: Client, inbox: Inbox) -> None:
    """A recording that began with a pause, and was never resumed, has no file and no event."""
    await client.subscribe(inbox.url, FILE)
    _, empty = await _begin(client, pauseOnStart=True)
    await client.api("DELETE", empty, version=VERSION)
    _, resumed = await _begin(client, pauseOnStart=True)
    await client.api("POST", f"{resumed}:resume", version=VERSION)
    await client.api("DELETE", resumed, version=VERSION)
    await eventually(lambda: _first(inbox))
    recording = (await client.control("GET", f"/recordings/{empty.rpartition('/')[2]}")).json

    assert (recording["state"], recording["announced"], recording["chunks"]) == ("ended", False, [])
    assert [batch[0]["subject"].rpartition("/")[2] for batch in inbox.received] == [resumed.rpartition("/")[2]]
