"""Pure: Event Grid, CloudEvents and callback payloads become typed events.

Everything that the service sends arrives here as text and leaves as one of four frozen values.
Member names are compared without case: the 2021 callbacks write `ConversationId`, Event Grid
writes `conversationId` (acs-contract 2.7, 2.8).
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from azure.eventgrid import SystemEventNames
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WrapValidator, model_validator

from recording import layout
from recording.errors import BadEvent

FILE_STATUS_UPDATED = SystemEventNames.AcsRecordingFileStatusUpdatedEventName.value
CALL_LEG_STATE_CHANGED = "Microsoft.Communication.CallLegStateChanged"
CALL_RECORDING_STATE_CHANGED = "Microsoft.Communication.CallRecordingStateChanged"

# 2021-04: /recording/call/{call-id}; later …/recordingId/{id}, then …/serverCallId/{id}/recordingId/{id};
# a server call id is base64 and may hold slashes (acs-contract 3.5).
_SUBJECT = re.compile(
    r"/?recording/call/(?P<call>[^/]+)(?:/serverCallId/(?P<server>.+?))?(?:/recordingId/(?P<recording>[^/]+))?",
    re.IGNORECASE,
)

# A recording key has four digits of year, and a deadline is some days after an event's time.
_YEARS = range(2000, 3000)

CallState = Literal["Establishing", "Established", "Terminating", "Terminated"]


def _or_none(value: Any, read: Callable[[Any], Any]) -> Any:
    try:
        return read(value)
    except ValidationError:
        return None


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("Input should be a number")
    return value


# What is only told on: a new form of it must not cost a recording.
Told = WrapValidator(_or_none)
Index = Annotated[int, BeforeValidator(_no_bool), Field(ge=0, le=layout.LARGEST_INDEX)]


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
    """A recording became active or inactive (acs-contract 2.7); paused reads as inactive."""

    id: str
    time: datetime
    recording_id: str
    conversation_id: str | None
    state: str


@dataclass(frozen=True)
class AnnouncedChunk:
    """One media file that a file event tells of."""

    document_id: str
    index: int
    end_reason: str | None


@dataclass(frozen=True)
class FileStatusUpdated:
    """A recording's files are ready (acs-contract 2.8).

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

    @property
    def recording_key(self) -> str:
        """The key of the recording that the event is about."""
        return layout.recording_key(self.start, self.call_id)


@dataclass(frozen=True)
class OtherEvent:
    """An event of a type that this app has no use for."""

    id: str
    type: str


Event = CallLegStateChanged | RecordingStateChanged | FileStatusUpdated | OtherEvent


class _Fields(BaseModel):
    """Members of a payload, whatever the case of their names."""

    model_config = ConfigDict(
        alias_generator=lambda name: name.replace("_", ""), hide_input_in_errors=True, frozen=True, extra="ignore"
    )

    @model_validator(mode="before")
    @classmethod
    def _fold(cls, value: Any) -> Any:
        return {str(name).lower(): member for name, member in value.items()} if isinstance(value, dict) else value


class _CallLeg(_Fields):
    call_leg_id: str = Field(min_length=1, max_length=256)
    conversation_id: str | None = Field(default=None, min_length=1, max_length=4096)
    call_state: CallState


class _RecordingState(_Fields):
    recording_id: str = Field(min_length=1, max_length=4096)
    conversation_id: str | None = None
    state: str


class _Chunk(_Fields):
    document_id: str
    index: Index
    end_reason: Annotated[str | None, Told] = None


class _Storage(_Fields):
    recording_chunks: list[Any]


class _FileStatus(_Fields):
    recording_storage_info: _Storage
    recording_start_time: Any = None
    recording_duration_ms: Annotated[int | None, Told] = None
    session_end_reason: Annotated[str | None, Told] = None
    recording_id: Annotated[str | None, Told] = None


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
        if kind == CALL_LEG_STATE_CHANGED:
            leg = _CallLeg.model_validate(data)
            if leg.conversation_id is None and leg.call_state != "Establishing":
                raise BadEvent(f"{leg.call_state} without a conversation id")
            return CallLegStateChanged(identity, _time(when), leg.call_leg_id, leg.conversation_id, leg.call_state)
        if kind == CALL_RECORDING_STATE_CHANGED:
            changed = _RecordingState.model_validate(data)
            return RecordingStateChanged(
                identity, _time(when), changed.recording_id, changed.conversation_id, changed.state.lower()
            )
        if kind == FILE_STATUS_UPDATED:
            return _file_status(identity, _time(when), _text(envelope.get("subject")) or "", data)
    except ValidationError as invalid:
        raise BadEvent(_reason(invalid)) from None
    return OtherEvent(identity, kind)


def _file_status(identity: str, when: datetime, subject: str, data: Any) -> FileStatusUpdated:
    file = _FileStatus.model_validate(data)
    named = _SUBJECT.fullmatch(subject)
    if not named or not layout.CALL_ID.fullmatch(named["call"]):
        raise BadEvent("the subject does not name a call: expected /recording/call/{call-id}")
    chunks, problems = _chunks(file.recording_storage_info.recording_chunks)
    if not chunks:
        raise BadEvent("; ".join(problems) or "the event announces no chunk")
    try:
        start = _time(file.recording_start_time, "recordingStartTime")
    except BadEvent as bad:
        # Bytes first: the event's own time names the recording, and a person sees the event in quarantine.
        start, problems = when, (*problems, f"{bad.message}; the event's time stands for it")
    return FileStatusUpdated(
        id=identity,
        time=when,
        call_id=named["call"],
        recording_id=named["recording"] or file.recording_id,
        server_call_id=named["server"],
        start=start,
        duration_ms=file.recording_duration_ms,
        session_end_reason=file.session_end_reason,
        chunks=chunks,
        problems=problems,
    )


def _chunks(entries: list[Any]) -> tuple[tuple[AnnouncedChunk, ...], tuple[str, ...]]:
    """Keep what is good and say what isn't; two documents with one index are both kept."""
    chunks: dict[str, AnnouncedChunk] = {}
    problems: list[str] = []
    for position, entry in enumerate(entries):
        try:
            chunk = _Chunk.model_validate(entry)
        except ValidationError as invalid:
            problems.append(f"chunk entry {position}: {_reason(invalid)}")
            continue
        if not layout.is_document_id(chunk.document_id):
            problems.append(f"chunk entry {position}: documentId is not a document id")
            continue
        known = chunks.setdefault(
            chunk.document_id, AnnouncedChunk(chunk.document_id, chunk.index, chunk.end_reason or None)
        )
        if known.index != chunk.index:
            problems.append(f"chunk entry {position}: the document stands at index {known.index} already")
        elif any(c.index == chunk.index and c is not known for c in chunks.values()):
            problems.append(f"chunk entry {position}: another document has index {chunk.index} too")
    return tuple(sorted(chunks.values(), key=lambda c: (c.index, c.document_id))), tuple(problems)


def _load(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise BadEvent("the event is not JSON") from None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


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


def _reason(invalid: ValidationError) -> str:
    first = invalid.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "data"
    return f"{where}: {first['msg']}"
