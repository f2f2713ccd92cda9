"""Pure: parse Event Grid events, CloudEvents and callbacks into typed events.

The input is text from any version of the service, the result one of a few frozen values. `payload` parses their `data`.
"""

import json
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from recording.errors import BadEvent
from recording.model import events, layout, payload
from recording.model.events import (
    AnnouncedChunk,
    CallEnded,
    CallLegStateChanged,
    CallStarted,
    Event,
    FileStatusUpdated,
    OtherEvent,
    RecordingStateChanged,
    StartRecordingFailed,
)
from recording.urls import is_loopback

# 2021-04: /recording/call/{call-id}; later …/recordingId/{id}, then …/serverCallId/{id}/recordingId/{id};
# a server call id is base64 and may hold slashes (docs/acs-contract.md#preview-events).
_SUBJECT = re.compile(
    r"/?recording/call/(?P<call>[^/]+)(?:/serverCallId/(?P<server>.+?))?(?:/recordingId/(?P<recording>[^/]+))?",
    re.IGNORECASE,
)
# A recording key has four digits of year, and a deadline is some days after an event's time.
_YEARS = range(2000, 3000)


def split_events(text: str) -> list[str]:
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


def parse_event(text: str) -> Event:
    """Parse one event, in the Event Grid schema or as a CloudEvent.

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
        if kind == events.FILE_STATUS_UPDATED:
            return _file_status(identity, _time(when), _text(envelope.get("subject")) or "", data)
        if kind == events.CALL_LEG_STATE_CHANGED:
            leg = payload.CallLeg.model_validate(data)
            if leg.conversation_id is None and leg.call_state != "Establishing":
                raise BadEvent(f"{leg.call_state} without a conversation id")
            return CallLegStateChanged(identity, _time(when), leg.call_leg_id, leg.conversation_id, leg.call_state)
        if kind in (events.CALL_RECORDING_STATE_CHANGED, events.RECORDING_STATE_CHANGED):
            now = payload.RecordingState.model_validate(data)
            return RecordingStateChanged(
                identity, _time(when), now.recording_id, now.conversation_id, now.state.lower(), now.server_call_id
            )
        if kind == events.START_RECORDING_FAILED:
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
        if kind in (events.CALL_STARTED, events.CALL_ENDED):
            call = payload.Call.model_validate(data)
            ids = (identity, call.server_call_id, call.correlation_id, call.group.id, call.room.id)
            return CallStarted(*ids) if kind == events.CALL_STARTED else CallEnded(*ids, call.duration_of_call)
    except ValidationError as invalid:
        raise BadEvent(payload.reason(invalid)) from None
    return OtherEvent(identity, kind)


def _file_status(identity: str, when: datetime, subject: str, data: Any) -> FileStatusUpdated:
    file = payload.FileStatus.model_validate(data)
    named = _SUBJECT.fullmatch(subject)
    if not named or not layout.CALL_ID.fullmatch(named["call"]):
        raise BadEvent("the subject does not name a call: expected /recording/call/{call-id}")
    chunks, problems = read_chunks(file.recording_storage_info.recording_chunks)
    if not chunks:
        raise BadEvent("; ".join(problems) or "the event announces no chunk")
    try:
        start = _time(file.recording_start_time, "recordingStartTime")
    except BadEvent as bad:
        # Bytes first: the event's own time names the recording, and an operator finds the event in quarantine.
        start, problems = when, (*problems, f"{bad.message}; using the event time instead")
    content_type, channel_type, format_type = file.types
    sorted_out = [(c, is_exported(c, file.storage_type)) for c in chunks]
    return FileStatusUpdated(
        id=identity,
        time=when,
        call_id=named["call"],
        recording_id=named["recording"] or file.recording_id,
        server_call_id=named["server"],
        start=start,
        duration_ms=file.recording_duration_ms,
        session_end_reason=file.session_end_reason,
        chunks=tuple(c for c, exported in sorted_out if not exported),
        problems=problems,
        exported=tuple(c for c, exported in sorted_out if exported),
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
    """Return text that can be encoded; JSON may have half of a surrogate pair, which has no UTF-8."""
    try:
        return value if isinstance(value, str) and value.encode() else None
    except UnicodeEncodeError:
        return None


def _time(value: Any, name: str = "eventTime (or time)") -> datetime:
    """Parse a time; one without a zone is UTC."""
    try:
        read = datetime.fromisoformat(value)
        time = read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise BadEvent(f"the event has no {name} in ISO 8601") from None
    if time.year not in _YEARS:
        raise BadEvent(f"{name} is in the year {time.year}, which is not plausible")
    return time


# The paths of the service's storage hosts (docs/acs-contract.md#storage-host); no container has a name of two letters.
_SERVICE_PATH = "/v1/objects/"


def is_exported(chunk: AnnouncedChunk, storage_type: str | None) -> bool:
    """Return whether a chunk is in the team's own storage: the event then has a `storageType`.

    Where the export failed, the event has the chunk's location on the service's storage host instead, and it must be
    fetched in time (docs/acs-contract.md#own-storage). A chunk of unknown location is fetched, too: a rejected URL is
    reported, while a chunk that is mistaken for an exported one is not.

    See docs/acs-contract.md#file-event.
    """
    if storage_type is None or storage_type.lower() == "azurecommunicationservices":
        return False
    return chunk.content_location is None or _is_blob_storage(chunk.content_location)


def _is_blob_storage(location: str) -> bool:
    """Return whether this is a container of the team's, in any cloud or in an emulator, not a host of the service."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return False
    host = parts.hostname or ""
    return ".blob." in host or (is_loopback(host) and not parts.path.startswith(_SERVICE_PATH))


def _locations(chunk: payload.ChunkFields) -> tuple[dict[str, str | None], list[str]]:
    """Return the locations of a chunk, and the problems of those that are omitted because they are invalid."""
    found: dict[str, str | None] = {}
    wrong: list[str] = []
    for name, value in (
        ("content_location", chunk.content_location),
        ("metadata_location", chunk.metadata_location),
        ("delete_location", chunk.delete_location),
    ):
        try:
            found[name] = payload.location(value)
        except ValueError as bad:
            wrong.append(f"{name.replace('_l', 'L')} {bad}; omitted")
    return found, wrong


def read_chunks(entries: list[Any]) -> tuple[tuple[AnnouncedChunk, ...], tuple[str, ...]]:
    """Return the valid chunks, and the problems of the others.

    Two documents with one index are both kept, and so are two indices of one document.
    """
    chunks: dict[tuple[str, int], AnnouncedChunk] = {}
    first_at: dict[int, str] = {}
    problems: list[str] = []
    for position, entry in enumerate(entries):
        try:
            chunk = payload.ChunkFields.model_validate(entry)
        except ValidationError as invalid:
            problems.append(f"chunk entry {position}: {payload.reason(invalid)}")
            continue
        if not layout.is_document_id(chunk.document_id):
            problems.append(f"chunk entry {position}: documentId is not a document id")
            continue
        where, wrong = _locations(chunk)
        problems += [f"chunk entry {position}: {one}" for one in wrong]
        chunks.setdefault(
            (chunk.document_id, chunk.index),
            AnnouncedChunk(chunk.document_id, chunk.index, chunk.end_reason or None, **where),
        )
        if first_at.setdefault(chunk.index, chunk.document_id) != chunk.document_id:
            problems.append(f"chunk entry {position}: another document has index {chunk.index} too")
    return tuple(sorted(chunks.values(), key=lambda c: (c.index, c.document_id))), tuple(problems)
