"""The callbacks of the Call Automation API about a recording: one CloudEvent each (docs/acs-contract.md#callbacks)."""

from datetime import datetime
from typing import Any

from local.acs import identifiers
from local.acs.clock import timestamp
from local.acs.entities import RecordingChanged, StartFailed

STATE_CHANGED, START_FAILED = "RecordingStateChanged", "StartRecordingFailed"
_TYPE = "Microsoft.Communication."
_RESULT_SINCE, _KIND_SINCE = "2024-09-15", "2024-04-15"


def recording_changed(change: RecordingChanged, now: datetime) -> dict[str, Any]:
    """Return the event of a recording that started, paused, resumed or ended."""
    recording = change.recording
    data: dict[str, Any] = {
        "recordingId": recording.recording_id,
        "state": change.state,
        "startDateTime": _offset(recording.start),
    }
    if recording.api_version >= _KIND_SINCE:
        data["recordingKind"] = "azureCommunicationServices"
    if recording.api_version >= _RESULT_SINCE:
        data["resultInformation"] = {"code": 200, "subCode": 0, "message": ""}
    data |= {
        "version": recording.api_version,
        "callConnectionId": identifiers.recorder_leg(recording.recording_id),
        "serverCallId": recording.call.server_call_id,
        "correlationId": recording.call.correlation_id,
    }
    return _event(STATE_CHANGED, data, now)


def start_failed(failure: StartFailed, now: datetime) -> dict[str, Any]:
    """Return the event of an accepted start that failed; for an unknown call it has fewer details."""
    call = failure.call
    data: dict[str, Any] = {
        "recordingId": failure.recording_id,
        "resultInformation": {"code": failure.code, "subCode": failure.sub_code, "message": failure.message},
        "version": failure.api_version,
        "callConnectionId": identifiers.recorder_leg(failure.recording_id),
        "serverCallId": "" if call is None else call.server_call_id,
        "correlationId": identifiers.new_guid() if call is None else call.correlation_id,
    }
    return _event(START_FAILED, data, now)


def _event(name: str, data: dict[str, Any], now: datetime) -> dict[str, Any]:
    # Real events have no "recordingId/" before the id, unlike a unit test of 2022.
    source = f"calling/recordings/{data['serverCallId']}/{data['recordingId']}/{name}"
    return {
        "id": identifiers.new_guid(),
        "source": source,
        "type": _TYPE + name,
        "data": data | {"publicEventType": _TYPE + name},
        "time": _offset(now),
        "specversion": "1.0",
        "datacontenttype": "application/json",
        "subject": source,
    }


def _offset(moment: datetime) -> str:
    """Render a moment as real events do: with the offset, not Z."""
    return timestamp(moment).replace("Z", "+00:00")
