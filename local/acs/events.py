"""The callbacks of the 2021 preview API and the events of both APIs.

See docs/acs-contract.md#2021-callbacks, #2021-file-event, #file-event.
"""

from datetime import datetime
from typing import Any

from local.acs import locations
from local.acs.clock import timestamp
from local.acs.entities import Call, CallLegChanged, Chunk, Hosts, Recording, RecordingChanged
from local.acs.identifiers import RESOURCE_ID, TOPIC, new_guid

CALL_LEG = "Microsoft.Communication.CallLegStateChanged"
RECORDING_STATE = "Microsoft.Communication.CallRecordingStateChanged"
FILE_STATUS = "Microsoft.Communication.RecordingFileStatusUpdated"
CALL_STARTED = "Microsoft.Communication.CallStarted"
CALL_ENDED = "Microsoft.Communication.CallEnded"


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
    """Return the callback of a recording's state; the subject in the service is unknown."""
    recording = change.recording
    conversation = recording.call.conversation_id
    return _callback(
        f"conversations/{conversation}/recordings/{recording.recording_id}/recordingState",
        {
            "RecordingId": recording.recording_id,
            "State": change.state,
            # Only this field has the round-trip format of .NET, with the offset instead of Z.
            "StartDateTime": timestamp(recording.start).replace("Z", "+00:00"),
            "ConversationId": conversation,
        },
        event_type=RECORDING_STATE,
        now=now,
    )


def as_event_grid(callback: dict[str, Any]) -> dict[str, Any]:
    """Return a callback as an Event Grid event, whose envelope has no nulls."""
    return callback | {"id": new_guid(), "topic": TOPIC, "dataVersion": "1.0", "metadataVersion": "1"}


def call_started(call: Call) -> dict[str, Any]:
    """Return the event of a call's start, with its starter and the id for the Call Automation API.

    See docs/acs-contract.md#file-event.
    """
    starter = _starter(call)
    subject = f"call/{call.server_call_id}/startedBy/{starter}"
    return _event(subject, _call(call, starter), event_type=CALL_STARTED, event_id=new_guid(), at=call.started)


def call_ended(call: Call, now: datetime) -> dict[str, Any]:
    """Return the event of a call's end, with its length in seconds."""
    data = _call(call, _starter(call)) | {"durationOfCall": (now - call.started).total_seconds()}
    return _event(f"call/{call.server_call_id}", data, event_type=CALL_ENDED, event_id=new_guid(), at=now)


def file_status_updated(recording: Recording, hosts: Hosts) -> dict[str, Any]:
    """Return the file event of an announced recording, in the format of its API."""
    if recording.announced is None:
        raise ValueError("only an announced recording has a file event")
    subject = f"/recording/call/{recording.call.call_id}"
    if recording.generation == "today":
        subject += f"/serverCallId/{recording.call.server_call_id}/recordingId/{recording.recording_id}"
    data: dict[str, Any] = {
        "recordingStorageInfo": {"recordingChunks": [_chunk(recording, chunk, hosts) for chunk in recording.chunks]},
        "recordingStartTime": timestamp(recording.start),
        "recordingDurationMs": round(sum(chunk.duration_ms for chunk in recording.chunks)),
        "sessionEndReason": recording.session_end_reason,
    }
    if recording.generation == "today":
        data |= _format(recording)
    return _event(subject, data, event_type=FILE_STATUS, event_id=recording.event_id, at=recording.announced)


def _chunk(recording: Recording, chunk: Chunk, hosts: Hosts) -> dict[str, Any]:
    """Return a chunk of a file event; the 2021 preview API has no locations (docs/acs-contract.md#2021-file-event)."""
    fields = {"documentId": chunk.document_id, "index": chunk.index, "endReason": chunk.end_reason}
    return fields if recording.generation == "2021" else fields | locations.of(recording, chunk, hosts).fields()


def _format(recording: Recording) -> dict[str, Any]:
    """Return the format as an event has it, in Pascal case, and whether it was for the customer's storage."""
    asked = recording.format
    fields = {
        "recordingContentType": _pascal(asked.content_type),
        "recordingChannelType": _pascal(asked.channel_type),
        "recordingFormatType": _pascal(asked.format_type),
    }
    if asked.destination is None:
        return fields
    return fields | {"storageType": "AzureBlob", "recordingId": recording.recording_id}


def _pascal(word: str) -> str:
    return word[0].upper() + word[1:]


def _starter(call: Call) -> str:
    # A call without participants also has a starter.
    return call.participants[0].participant_id if call.participants else f"8:acs:{RESOURCE_ID}_{call.call_id}"


def _call(call: Call, starter: str) -> dict[str, Any]:
    room = {} if call.room_id is None else {"room": {"id": call.room_id}}
    return {
        "startedBy": {
            "communicationIdentifier": {"rawId": starter, "communicationUser": {"id": starter}},
            "role": "unknown",
        },
        "serverCallId": call.server_call_id,
        "group": {"id": call.group_id},
        **room,
        "isTwoParty": False,
        "correlationId": call.correlation_id,
        "isRoomsCall": call.room_id is not None,
    }


def _event(subject: str, data: dict[str, Any], *, event_type: str, event_id: str, at: datetime) -> dict[str, Any]:
    return {
        "id": event_id,
        "topic": TOPIC,
        "subject": subject,
        "data": data,
        "eventType": event_type,
        "dataVersion": "1.0",
        "metadataVersion": "1",
        "eventTime": timestamp(at),
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
