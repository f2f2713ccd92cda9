"""Pure: Event Grid, CloudEvents and callback payloads become typed events.

Everything that the service sends, in 2021 and today, arrives here as text and leaves as one of a
few frozen values. What their `data` holds is read by `payload`.
"""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.eventgrid import SystemEventNames
from pydantic import ValidationError

from recording import announced, layout, payload
from recording.announced import AnnouncedChunk
from recording.errors import BadEvent
from recording.payload import CallState, ChannelType, ContentType, FormatType

FILE_STATUS_UPDATED = SystemEventNames.AcsRecordingFileStatusUpdatedEventName.value
CALL_STARTED = SystemEventNames.AcsCallStartedEventName.value
CALL_ENDED = SystemEventNames.AcsCallEndedEventName.value
CALL_LEG_STATE_CHANGED = "Microsoft.Communication.CallLegStateChanged"
# Until 2022 the first, today the second (acs-contract 3.3).
CALL_RECORDING_STATE_CHANGED = "Microsoft.Communication.CallRecordingStateChanged"
RECORDING_STATE_CHANGED = "Microsoft.Communication.RecordingStateChanged"
START_RECORDING_FAILED = "Microsoft.Communication.StartRecordingFailed"

# 2021-04: /recording/call/{call-id}; later …/recordingId/{id}, then …/serverCallId/{id}/recordingId/{id};
# a server call id is base64 and may hold slashes (acs-contract 3.5).
_SUBJECT = re.compile(
    r"/?recording/call/(?P<call>[^/]+)(?:/serverCallId/(?P<server>.+?))?(?:/recordingId/(?P<recording>[^/]+))?",
    re.IGNORECASE,
)

# A recording key has four digits of year, and a deadline is some days after an event's time.
_YEARS = range(2000, 3000)
_LONGEST_DURATION = timedelta(days=365)


@dataclass(frozen=True)
class CallLegStateChanged:
    """A call leg of the calling app changed state (acs-contract 2.7).

    `conversation_id` is None while `state` is Establishing.
    """

    id: str
    time: datetime
    call_leg_id: str
    conversation_id: str | None
    state: CallState


@dataclass(frozen=True)
class RecordingStateChanged:
    """A recording became active or inactive (acs-contract 2.7, 4.8); paused reads as inactive."""

    id: str
    time: datetime
    recording_id: str
    conversation_id: str | None
    state: str
    server_call_id: str | None = None


@dataclass(frozen=True)
class StartRecordingFailed:
    """A start that the service had taken came to nothing (acs-contract 4.8)."""

    id: str
    recording_id: str | None
    server_call_id: str | None
    correlation_id: str | None
    code: int | None
    sub_code: int | None
    message: str | None


@dataclass(frozen=True)
class CallStarted:
    """A call started; its server call id is what today's API records (acs-contract 4.9)."""

    id: str
    server_call_id: str
    correlation_id: str | None
    group_id: str | None
    room_id: str | None


@dataclass(frozen=True)
class CallEnded:
    """A call ended, and with it its recording (acs-contract 4.6, 4.9)."""

    id: str
    server_call_id: str
    correlation_id: str | None
    group_id: str | None
    room_id: str | None
    seconds: float | None


@dataclass(frozen=True)
class FileStatusUpdated:
    """A recording's files are ready (acs-contract 2.8, 4.9).

    `chunks` are to be ingested; `exported` lie in the team's own storage already (acs-contract 4.12).
    `problems` says which chunk entries could not be understood: the good ones among them are
    ingested all the same, and the event goes to quarantine as well.
    """

    id: str
    time: datetime
    call_id: str
    recording_id: str | None
    server_call_id: str | None
    start: datetime
    duration_ms: int | None
    session_end_reason: str | None
    chunks: tuple[AnnouncedChunk, ...]
    problems: tuple[str, ...] = ()
    exported: tuple[AnnouncedChunk, ...] = ()
    content_type: ContentType | None = None
    channel_type: ChannelType | None = None
    format_type: FormatType | None = None

    @property
    def recording_key(self) -> str:
        """The key of the recording that the event is about."""
        return layout.recording_key(self.start, self.call_id)

    @property
    def end(self) -> datetime | None:
        """When the recording ended, as far as start and duration tell."""
        return end(self.start, self.duration_ms)


@dataclass(frozen=True)
class OtherEvent:
    """An event of a type that this app has no use for."""

    id: str
    type: str


Event = (
    CallLegStateChanged
    | RecordingStateChanged
    | StartRecordingFailed
    | CallStarted
    | CallEnded
    | FileStatusUpdated
    | OtherEvent
)


def parse_all(text: str) -> list[str]:
    """Split a request body into the texts of its events: one object, or an array of them.

    Raises BadEvent if the text isn't JSON or holds neither.
    """
    body = _load(text)
    entries = body if isinstance(body, list) else [body]
    if not all(isinstance(entry, dict) for entry in entries):
        raise BadEvent("the body must be one event or an array of events, each a JSON object")
    if isinstance(body, dict):
        return [text]
    try:
        # In ASCII: an escaped half of a surrogate pair is JSON, but cannot be written in UTF-8.
        return [json.dumps(entry) for entry in entries]
    except RecursionError:
        raise BadEvent("the events are nested too deeply") from None


def parse(text: str) -> Event:
    """Read one event, in the Event Grid schema or as a CloudEvent.

    Raises BadEvent with a reason that a person can act on.
    """
    body = _load(text)
    if not isinstance(body, dict):
        raise BadEvent("an event is a JSON object")
    envelope = {str(name).lower(): value for name, value in body.items()}
    # CloudEvents have `type` and `time` where the Event Grid schema has `eventType` and `eventTime`.
    kind = envelope.get("eventtype") or envelope.get("type")
    if not isinstance(kind, str) or not kind:
        raise BadEvent("the event has neither eventType (Event Grid schema) nor type (CloudEvents)")
    identity = layout.event_id(_text(envelope.get("id")), text)
    data = envelope.get("data")
    when = envelope.get("eventtime") or envelope.get("time")
    try:
        if kind == FILE_STATUS_UPDATED:
            return _file_status(identity, _time(when), _text(envelope.get("subject")) or "", data)
        if kind == CALL_LEG_STATE_CHANGED:
            leg = payload.CallLeg.model_validate(data)
            if leg.conversation_id is None and leg.call_state != "Establishing":
                raise BadEvent(f"{leg.call_state} without a conversation id")
            return CallLegStateChanged(identity, _time(when), leg.call_leg_id, leg.conversation_id, leg.call_state)
        if kind in (CALL_RECORDING_STATE_CHANGED, RECORDING_STATE_CHANGED):
            now = payload.RecordingState.model_validate(data)
            return RecordingStateChanged(
                identity, _time(when), now.recording_id, now.conversation_id, now.state.lower(), now.server_call_id
            )
        if kind == START_RECORDING_FAILED:
            failed = payload.StartFailed.model_validate(data)
            result = failed.result_information
            return StartRecordingFailed(
                identity,
                failed.recording_id,
                failed.server_call_id,
                failed.correlation_id,
                result.code,
                result.sub_code,
                result.message,
            )
        if kind in (CALL_STARTED, CALL_ENDED):
            call = payload.Call.model_validate(data)
            told = (identity, call.server_call_id, call.correlation_id, call.group.id, call.room.id)
            return CallStarted(*told) if kind == CALL_STARTED else CallEnded(*told, call.duration_of_call)
    except ValidationError as invalid:
        raise BadEvent(payload.reason(invalid)) from None
    return OtherEvent(identity, kind)


def end(start: datetime, duration_ms: int | None) -> datetime | None:
    """Say when a recording ended; None if its duration isn't known, or can't be."""
    if duration_ms is None or not 0 <= duration_ms <= _LONGEST_DURATION / timedelta(milliseconds=1):
        return None
    return start + timedelta(milliseconds=duration_ms)


def _file_status(identity: str, when: datetime, subject: str, data: Any) -> FileStatusUpdated:
    file = payload.FileStatus.model_validate(data)
    named = _SUBJECT.fullmatch(subject)
    if not named or not layout.CALL_ID.fullmatch(named["call"]):
        raise BadEvent("the subject does not name a call: expected /recording/call/{call-id}")
    chunks, problems = announced.read(file.recording_storage_info.recording_chunks)
    if not chunks:
        raise BadEvent("; ".join(problems) or "the event announces no chunk")
    try:
        start = _time(file.recording_start_time, "recordingStartTime")
    except BadEvent as bad:
        # Bytes first: the event's own time names the recording, and a person sees the event in quarantine.
        start, problems = when, (*problems, f"{bad.message}; the event's time stands for it")
    content_type, channel_type, format_type = file.types
    exported = tuple(c for c in chunks if announced.is_exported(c, file.storage_type))
    return FileStatusUpdated(
        id=identity,
        time=when,
        call_id=named["call"],
        recording_id=named["recording"] or file.recording_id,
        server_call_id=named["server"],
        start=start,
        duration_ms=file.recording_duration_ms,
        session_end_reason=file.session_end_reason,
        chunks=tuple(c for c in chunks if c not in exported),
        problems=problems,
        exported=exported,
        content_type=content_type,
        channel_type=channel_type,
        format_type=format_type,
    )


def _load(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise BadEvent("the event is not JSON") from None


def _text(value: Any) -> str | None:
    """Take text that can be written: JSON may hold half of a surrogate pair, which has no UTF-8."""
    try:
        return value if isinstance(value, str) and value.encode() else None
    except UnicodeEncodeError:
        return None


def _time(value: Any, name: str = "eventTime (or time)") -> datetime:
    """Read a time; one without a zone is UTC."""
    try:
        read = datetime.fromisoformat(value)
        time = read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise BadEvent(f"the event has no {name} in ISO 8601") from None
    if time.year not in _YEARS:
        raise BadEvent(f"{name} is in the year {time.year}: that can't be")
    return time
