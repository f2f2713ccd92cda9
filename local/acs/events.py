"""What the service tells the app: callback payloads and the file event (acs-contract 2.7, 2.8)."""

from datetime import datetime
from typing import Any

from local.acs.clock import timestamp
from local.acs.entities import CallLegChanged, Recording, RecordingChanged
from local.acs.identifiers import TOPIC, new_guid

CALL_LEG = "Microsoft.Communication.CallLegStateChanged"
RECORDING_STATE = "Microsoft.Communication.CallRecordingStateChanged"
FILE_STATUS = "Microsoft.Communication.RecordingFileStatusUpdated"


def call_leg_changed(change: CallLegChanged, now: datetime) -> dict[str, Any]:
    """Return the callback of a call leg; while it is being established it has no conversation id."""
    call = change.call
    return _callback(
        f"callLeg/{call.call_leg_id}/callState",
        {
            "ConversationId": None if change.state == "Establishing" else call.conversation_id,
            "CallLegId": call.call_leg_id,
            "CallState": change.state,
        },
        event_type=CALL_LEG,
        now=now,
    )


def recording_changed(change: RecordingChanged, now: datetime) -> dict[str, Any]:
    """Return the callback of a recording's state; its subject is not known from the service."""
    recording = change.recording
    conversation = recording.call.conversation_id
    return _callback(
        f"conversations/{conversation}/recordings/{recording.recording_id}/recordingState",
        {
            "RecordingId": recording.recording_id,
            "State": change.state,
            # The round-trip form of .NET shows the offset, not Z, in this one field.
            "StartDateTime": timestamp(recording.start).replace("Z", "+00:00"),
            "ConversationId": conversation,
        },
        event_type=RECORDING_STATE,
        now=now,
    )


def as_event_grid(callback: dict[str, Any]) -> dict[str, Any]:
    """Return a callback as an Event Grid event, whose envelope has no nulls."""
    return callback | {"id": new_guid(), "topic": TOPIC, "dataVersion": "1.0", "metadataVersion": "1"}


def file_status_updated(recording: Recording) -> dict[str, Any]:
    """Return the file event of an announced recording: document ids only, no locations (acs-contract 2.8)."""
    chunks = [
        {"documentId": chunk.document_id, "index": chunk.index, "endReason": chunk.end_reason}
        for chunk in recording.chunks
    ]
    if recording.announced is None:
        raise ValueError("only an announced recording has a file event")
    return {
        "id": recording.event_id,
        "topic": TOPIC,
        "subject": f"/recording/call/{recording.call.call_id}",
        "data": {
            "recordingStorageInfo": {"recordingChunks": chunks},
            "recordingStartTime": timestamp(recording.start),
            "recordingDurationMs": round(sum(chunk.duration_ms for chunk in recording.chunks)),
            "sessionEndReason": recording.session_end_reason,
        },
        "eventType": FILE_STATUS,
        "dataVersion": "1.0",
        "metadataVersion": "1",
        "eventTime": timestamp(recording.announced),
    }


def _callback(subject: str, data: dict[str, Any], *, event_type: str, now: datetime) -> dict[str, Any]:
    return {
        "id": None,
        "topic": None,
        "subject": subject,
        "data": data,
        "eventType": event_type,
        "eventTime": timestamp(now),
        "metadataVersion": None,
        "dataVersion": None,
    }
