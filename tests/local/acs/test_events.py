"""Tests of the payloads, against the service's own examples."""

from datetime import UTC, datetime, timedelta

import pytest

from local.acs import events
from local.acs.contents import BytesContent, filler_digest
from local.acs.entities import Call, CallLegChanged, Chunk, Media, Recording, RecordingChanged
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
CONVERSATION = (
    "aHR0cHM6Ly9jb252LXVzc2MtMDIuY29udi5za3lwZS5jb20vY29udi92RFNacTFyTEIwdVotM0dQdjBabUpnP2k9OCZlPTYzNzU1NzQzNzg4NTgz"
    "MTgxMQ"
)


def test_conversation_id() -> None:
    """The documented conversation URL has the documented conversation id."""
    assert CALL.conversation_id == CONVERSATION


def test_call_leg() -> None:
    """An establishing call leg is told as in the documented sample."""
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
    """The state of a recording is told in Pascal case, its start in the round-trip form."""
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

    assert events.file_status_updated(recording) == {
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
        events.file_status_updated(Recording("r1", CALL, NOW))
