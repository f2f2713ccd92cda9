"""Tests of the payloads, against the service's own examples."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from local.acs import events
from local.acs.contents import BytesContent, filler_digest
from local.acs.entities import Call, CallLegChanged, Chunk, Format, Hosts, Media, Recording, RecordingChanged
from local.acs.filler import Filler
from local.acs.identifiers import TOPIC

NOW = datetime(2021, 5, 5, 20, 8, 39, 15796, tzinfo=UTC)
CALL = Call(
    call_id="d166bb64-0000-0000-0000-000000000001",
    call_leg_id="531f3600-481f-41c8-8a75-3e8b2e8e6200",
    conversation_url="https://conv-ussc-02.conv.skype.com/conv/vDSZq1rLB0uZ-3GPv0ZmJg?i=8&e=637557437885831811",
    group_id="29228d3e-040e-4656-a70e-890ab4e173e5",
    callback_uri=None,
    media=Media(),
    started=NOW,
    participants=[],
)
HOSTS = Hosts("http://storage:1", "http://region:2")
CONVERSATION = (
    "aHR0cHM6Ly9jb252LXVzc2MtMDIuY29udi5za3lwZS5jb20vY29udi92RFNacTFyTEIwdVotM0dQdjBabUpnP2k9OCZlPTYzNzU1NzQzNzg4NTgz"
    "MTgxMQ"
)


def test_conversation_id() -> None:
    """The documented conversation URL has the documented conversation id."""
    assert CALL.conversation_id == CONVERSATION


def test_call_leg() -> None:
    """The event of an establishing call leg is the documented sample."""
    assert events.call_leg_changed(CallLegChanged(CALL, "Establishing"), NOW) == {
        "id": None,
        "topic": None,
        "subject": "callLeg/531f3600-481f-41c8-8a75-3e8b2e8e6200/callState",
        "data": {
            "ConversationId": None,
            "CallLegId": "531f3600-481f-41c8-8a75-3e8b2e8e6200",
            "CallState": "Establishing",
        },
        "eventType": "Microsoft.Communication.CallLegStateChanged",
        "eventTime": "2021-05-05T20:08:39.0157966Z",
        "metadataVersion": None,
        "dataVersion": None,
    }


def test_call_leg_by_event_grid() -> None:
    """The same as an Event Grid event has an id, a topic and versions."""
    event = events.as_event_grid(events.call_leg_changed(CallLegChanged(CALL, "Established"), NOW))

    assert event["data"]["ConversationId"] == CONVERSATION
    assert (event["dataVersion"], event["metadataVersion"]) == ("1.0", "1")
    assert event["id"]
    assert event["topic"].startswith("/subscriptions/")


def test_recording_state() -> None:
    """The state of a recording is in Pascal case, its start in the round-trip form."""
    payload = events.recording_changed(RecordingChanged(Recording("r1", CALL, NOW), "active"), NOW)

    assert payload["eventType"] == "Microsoft.Communication.CallRecordingStateChanged"
    assert payload["data"] == {
        "RecordingId": "r1",
        "State": "active",
        "StartDateTime": "2021-05-05T20:08:39.0157966+00:00",
        "ConversationId": CONVERSATION,
    }


def test_file_status() -> None:
    """The file event has the documented fields and no locations."""
    filler = Filler(1000, seed=1)
    chunk = Chunk("0-eus-d12-801b", 0, BytesContent(b""), filler_digest(filler), b"", "e", 6620.0, "SessionEnded")
    recording = Recording("r1", CALL, NOW, event_id="7283825e", chunks=[chunk])
    recording.announced = NOW + timedelta(seconds=10)

    assert events.file_status_updated(recording, HOSTS) == {
        "id": "7283825e",
        "topic": TOPIC,
        "subject": "/recording/call/d166bb64-0000-0000-0000-000000000001",
        "data": {
            "recordingStorageInfo": {
                "recordingChunks": [{"documentId": "0-eus-d12-801b", "index": 0, "endReason": "SessionEnded"}]
            },
            "recordingStartTime": "2021-05-05T20:08:39.0157966Z",
            "recordingDurationMs": 6620,
            "sessionEndReason": "CallEnded",
        },
        "eventType": "Microsoft.Communication.RecordingFileStatusUpdated",
        "dataVersion": "1.0",
        "metadataVersion": "1",
        "eventTime": "2021-05-05T20:08:49.0157966Z",
    }


def test_not_announced() -> None:
    """A recording that was not announced has no file event."""
    with pytest.raises(ValueError, match="announced"):
        events.file_status_updated(Recording("r1", CALL, NOW), HOSTS)


def _recorded(asked: Format, *, exported: bool = False) -> Recording:
    digest = filler_digest(Filler(1000, seed=1))
    chunk = Chunk("0-eus-d12-801b0", 0, BytesContent(b""), digest, b"", "e", 6620.0, "SessionEnded", asked.format_type)
    recording = Recording(
        "eyJQbGF0Zm9y", CALL, NOW, chunks=[chunk], generation="today", format=asked, exported=exported
    )
    recording.announced = NOW
    return recording


def test_file_status_today() -> None:
    """A file event of the Call Automation API has the locations, the format and the recording's id."""
    event = events.file_status_updated(_recorded(Format("audio", "mixed", "mp3")), HOSTS)

    assert event["subject"] == (
        f"/recording/call/{CALL.call_id}/serverCallId/{CALL.server_call_id}/recordingId/eyJQbGF0Zm9y"
    )
    assert event["data"] == {
        "recordingStorageInfo": {
            "recordingChunks": [
                {
                    "documentId": "0-eus-d12-801b0",
                    "index": 0,
                    "endReason": "SessionEnded",
                    "contentLocation": "http://storage:1/v1/objects/0-eus-d12-801b0/content/audio",
                    "metadataLocation": "http://storage:1/v1/objects/0-eus-d12-801b0/content/acsmetadata",
                    "deleteLocation": "http://region:2/v1/objects/0-eus-d12-801b0",
                }
            ]
        },
        "recordingStartTime": "2021-05-05T20:08:39.0157966Z",
        "recordingDurationMs": 6620,
        "sessionEndReason": "CallEnded",
        "recordingContentType": "Audio",
        "recordingChannelType": "Mixed",
        "recordingFormatType": "Mp3",
    }


def test_export() -> None:
    """A file in the customer's own container is announced with its place there, without an address to delete it at."""
    asked = Format("audio", "mixed", "mp3", destination="https://theirs.blob.core.windows.net/calls")
    data = events.file_status_updated(_recorded(asked, exported=True), HOSTS)["data"]
    chunk = data["recordingStorageInfo"]["recordingChunks"][0]
    folder = f"https://theirs.blob.core.windows.net/calls/20210505/{CALL.call_id}/eyJQbGF0-"

    assert (data["storageType"], data["recordingId"]) == ("AzureBlob", "eyJQbGF0Zm9y")
    assert chunk["contentLocation"].startswith(folder)
    assert chunk["contentLocation"].endswith("/0-audiomp3.0-eus-d12-801b0.mp3")
    assert chunk["metadataLocation"].endswith("/0-acsmetadata.0-eus-d12-801b0.json")
    assert "deleteLocation" not in chunk


def test_failed_export() -> None:
    """When the export failed, the files are on the storage host as without it."""
    asked = Format(destination="https://theirs.blob.core.windows.net/calls")
    data = events.file_status_updated(_recorded(asked), HOSTS)["data"]

    assert data["storageType"] == "AzureBlob"
    assert data["recordingStorageInfo"]["recordingChunks"][0]["contentLocation"] == (
        "http://storage:1/v1/objects/0-eus-d12-801b0/content/video"
    )


def test_call_events() -> None:
    """The start and the end of a call have the id that the Call Automation API accepts."""
    started, ended = events.call_started(CALL), events.call_ended(CALL, NOW + timedelta(seconds=90.5))
    starter = started["data"]["startedBy"]["communicationIdentifier"]["rawId"]

    assert started["eventType"] == "Microsoft.Communication.CallStarted"
    assert started["subject"] == f"call/{CALL.server_call_id}/startedBy/{starter}"
    assert (started["data"]["serverCallId"], started["data"]["correlationId"]) == (
        CALL.server_call_id,
        CALL.correlation_id,
    )
    assert started["data"]["group"] == {"id": CALL.group_id}
    assert "room" not in started["data"]
    assert (ended["eventType"], ended["subject"]) == (
        "Microsoft.Communication.CallEnded",
        f"call/{CALL.server_call_id}",
    )
    assert ended["data"] == started["data"] | {"durationOfCall": 90.5}


def test_call_in_a_room() -> None:
    """A call in a room says in which."""
    data = events.call_started(replace(CALL, room_id="99466898241024408"))["data"]

    assert (data["room"], data["isRoomsCall"]) == ({"id": "99466898241024408"}, True)
