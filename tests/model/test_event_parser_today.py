"""recording/model/event_parser.py: other events of Call Automation than the file event, and the forms of a subject."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from recording.errors import BadEvent
from recording.model import event_parser
from recording.model.events import CallEnded, CallStarted, RecordingStateChanged, StartRecordingFailed
from tests.support.events import CORRELATION, GROUP, SERVER_CALL, call_event, callback
from tests.support.samples import (
    CALL,
    DOCUMENT,
    GOOD_CHUNK,
    RECORDING,
    as_cloud_event,
    file_status,
    parse_file_status,
    sample,
)


@pytest.mark.parametrize("cloud", [True, False], ids=["CloudEvents", "EventGrid"])
def test_a_call_that_starts(*, cloud: bool) -> None:
    """The server call id, which the Call Automation API records, and what a call may be known by besides."""
    event = call_event("CallStarted")

    got = event_parser.parse_event(json.dumps(as_cloud_event(event) if cloud else event))

    assert CallStarted(str(event["id"]), SERVER_CALL, CORRELATION, GROUP, "") == got


def test_a_call_that_ends() -> None:
    """The same, and how long it took."""
    got = event_parser.parse_event(
        json.dumps(call_event("CallEnded", durationOfCall=71.5, group=None, room={"id": "99"}))
    )

    assert CallEnded("a8f5f015-1db8-410e-b50c-8f37a55f5350", SERVER_CALL, CORRELATION, None, "99", 71.5) == got


@pytest.mark.parametrize("odd", [None, 5, "text", [], {}, {"id": 5}, True])
def test_a_call_is_known_by_its_server_call_id_alone(odd: Any) -> None:
    """Whatever else the event says, or doesn't, the call can be recorded."""
    event = call_event("CallStarted", group=odd, room=odd, correlationId=odd, startedBy=odd)

    got = event_parser.parse_event(json.dumps(event | {"eventTime": odd, "subject": odd}))

    assert isinstance(got, CallStarted)
    assert (SERVER_CALL, None) == (got.server_call_id, got.group_id)


@pytest.mark.parametrize("odd", [None, "", 5, [], "a" * 5000, "\ud800"])
def test_a_call_without_server_call_id_is_refused(odd: Any) -> None:
    """It can't be recorded: a person is to see the event."""
    with pytest.raises(BadEvent, match="servercallid"):
        event_parser.parse_event(json.dumps(call_event("CallStarted", serverCallId=odd)))


def test_the_recording_state_of_today() -> None:
    """Another type than in 2021, a CloudEvent, and the call in place of the conversation."""
    got = event_parser.parse_event(
        callback("RecordingStateChanged", state="active", recordingKind="azureCommunicationServices")
    )

    time = datetime(2025, 6, 13, 19, 3, 17, 813282, UTC)
    identity = "a8f5f015-1db8-410e-b50c-8f37a55f5350"
    assert RecordingStateChanged(identity, time, RECORDING, None, "active", SERVER_CALL) == got


def test_the_recording_state_between_the_two() -> None:
    """In August 2022 the type was still that of 2021, in the new envelope (docs/acs-contract.md#preview-callbacks)."""
    text = callback("CallRecordingStateChanged", state="inactive", startDateTime="2022-08-01T00:00:00+00:00")

    got = event_parser.parse_event(text)

    assert isinstance(got, RecordingStateChanged)
    assert (RECORDING, "inactive") == (got.recording_id, got.state)


def test_a_start_that_failed() -> None:
    """It says why."""
    result = {"code": 500, "subCode": 9999, "message": "Unknown internal server error."}

    got = event_parser.parse_event(callback("StartRecordingFailed", resultInformation=result))

    identity = "a8f5f015-1db8-410e-b50c-8f37a55f5350"
    assert (
        StartRecordingFailed(identity, RECORDING, SERVER_CALL, CORRELATION, 500, 9999, "Unknown internal server error.")
        == got
    )


@pytest.mark.parametrize("odd", [None, 5, "text", [], {"code": "many"}, {"message": ["no"]}])
def test_a_start_that_failed_without_saying_why(odd: Any) -> None:
    """It failed nevertheless, and that must be reported."""
    got = event_parser.parse_event(callback("StartRecordingFailed", resultInformation=odd, recordingId=odd))

    assert isinstance(got, StartRecordingFailed)
    assert (None, None, SERVER_CALL) == (got.code, got.message, got.server_call_id)


@pytest.mark.parametrize(
    ("subject", "server_call", "recording"),
    [
        (f"/recording/call/{CALL}", None, None),
        (f"recording/call/{CALL}", None, None),
        (f"/recording/call/{CALL}/recordingId/{RECORDING}", None, RECORDING),
        (f"/recording/call/{CALL}/serverCallId/{SERVER_CALL}/recordingId/{RECORDING}", SERVER_CALL, RECORDING),
        (f"/Recording/Call/{CALL}/ServerCallId/{SERVER_CALL}/RecordingId/{RECORDING}", SERVER_CALL, RECORDING),
    ],
)
def test_the_subjects_of_all_years(subject: str, server_call: str | None, recording: str | None) -> None:
    """Of April 2021, October 2021 and December 2022: the key is the same."""
    got = parse_file_status(file_status(subject=subject))

    assert (CALL, server_call, recording) == (got.call_id, got.server_call_id, got.recording_id)
    assert got.recording_key == f"20210727T152023608975Z-{CALL}"


def test_the_recording_id_of_the_data_is_second_choice() -> None:
    """With the team's own storage the data names the recording too (docs/acs-contract.md#file-event)."""
    event = sample("file-status-2021")
    event["data"]["recordingId"] = RECORDING

    assert parse_file_status(json.dumps(event)).recording_id == RECORDING


@pytest.mark.parametrize("duration", [None, -1, 10**300, "long"])
def test_a_duration_that_cannot_be_gives_no_end(duration: Any) -> None:
    """Nothing is computed from it."""
    assert parse_file_status(file_status(recordingDurationMs=duration)).end is None


def test_the_end_is_start_and_duration() -> None:
    """In milliseconds."""
    got = parse_file_status(file_status())

    assert got.end == got.start + timedelta(milliseconds=6620)


def test_an_event_may_be_exported_in_part() -> None:
    """What failed to be exported is to be fetched in time; the rest lies where the team wanted it."""
    there = "https://team.blob.core.windows.net/calls/20210727/x/0-video.mp4"
    here = f"https://storage.asm.skype.com/v1/objects/{DOCUMENT}1/content/video"
    event = sample("file-status-2021")
    event["data"] |= {"storageType": "AzureBlob", "recordingId": RECORDING}
    event["data"]["recordingStorageInfo"]["recordingChunks"] = [
        GOOD_CHUNK | {"contentLocation": there},
        {"documentId": DOCUMENT + "1", "index": 1, "contentLocation": here},
        {"documentId": DOCUMENT + "2", "index": 2},
    ]

    got = parse_file_status(json.dumps(event))

    assert [DOCUMENT + "1"] == [c.document_id for c in got.chunks]
    assert [DOCUMENT, DOCUMENT + "2"] == [c.document_id for c in got.exported]
