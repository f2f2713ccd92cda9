"""Pure: parse Event Grid events, CloudEvents and callbacks into typed events.

The input is text from any version of the service, the result one of a few frozen values. `envelope` reads the forms of
an event, `payload` its `data`. A member of a file event that only names may be missing or wrong: a substitute is
derived from what is the same in every delivery of the event, never from a clock.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from recording.errors import BadEvent
from recording.model import events, layout, payload
from recording.model.envelope import Envelope, read_envelope
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
_CALL = re.compile(r"/?recording/call/(?P<id>[^/]+)", re.IGNORECASE)
_SERVER_CALL = re.compile(r".*?/serverCallId/(?P<id>.+?)(?=/recordingId/|\Z)", re.IGNORECASE | re.DOTALL)
_RECORDING = re.compile(r".*/recordingId/(?P<id>[^/]+)", re.IGNORECASE | re.DOTALL)
# A recording key has four digits of year, and a deadline is some days after an event's time.
_YEARS = range(2000, 3000)
_EVENT_TIME = "eventTime (or time)"
# For an event with neither its own time nor that of its recording: constants, since every delivery must give the same.
# A time in the future is never before the receipt, so urgency counts from the receipt.
_TIME_UNKNOWN = datetime(2999, 12, 31, tzinfo=UTC)
_START_UNKNOWN = datetime(2000, 1, 1, tzinfo=UTC)
_LONGEST_TYPE = 256
# Entries that a text lists; it counts the others.
_LISTED = 5

_TYPES = {
    name.lower(): name
    for name in (
        events.FILE_STATUS_UPDATED,
        events.CALL_LEG_STATE_CHANGED,
        events.CALL_RECORDING_STATE_CHANGED,
        events.RECORDING_STATE_CHANGED,
        events.START_RECORDING_FAILED,
        events.CALL_STARTED,
        events.CALL_ENDED,
    )
}


def parse_event(text: str) -> Event:
    """Parse one event of any form; types are compared without case.

    An event that announces chunks is a file event, whatever its type; one of another type that has chunks in another
    form is not ignored. Raises BadEvent with a reason that a person can act on.
    """
    event = read_envelope(text)
    given = (event.type or "").strip()
    kind = _TYPES.get(given.lower(), given)
    identity = layout.event_id(event.id, text)
    try:
        if kind == events.FILE_STATUS_UPDATED:
            return _file_status(identity, event)
        if payload.announces_chunks(event.data):
            note = f"the type is not {events.FILE_STATUS_UPDATED}, but the event announces chunks"
            return _file_status(identity, event, note)
        if kind and payload.mentions_chunks([text, event.data]):
            raise BadEvent("the event is of another type, but has recording chunks in an unknown form")
        if not kind:
            raise BadEvent("the event has neither eventType (Event Grid schema) nor type (CloudEvents)")
        if kind == events.CALL_LEG_STATE_CHANGED:
            leg = payload.CallLeg.model_validate(event.data)
            if leg.conversation_id is None and leg.call_state != "Establishing":
                raise BadEvent(f"{leg.call_state} without a conversation id")
            when, _ = _claimed_time(event.times, _EVENT_TIME)
            return CallLegStateChanged(identity, when, leg.call_leg_id or identity, leg.conversation_id, leg.call_state)
        if kind in (events.CALL_RECORDING_STATE_CHANGED, events.RECORDING_STATE_CHANGED):
            now = payload.RecordingState.model_validate(event.data)
            when, _ = _claimed_time(event.times, _EVENT_TIME)
            return RecordingStateChanged(
                identity, when, now.recording_id, now.conversation_id, now.state.lower(), now.server_call_id
            )
        if kind == events.START_RECORDING_FAILED:
            failed = payload.StartFailed.model_validate(event.data)
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
            call = payload.Call.model_validate(event.data)
            ids = (identity, call.server_call_id, call.correlation_id, call.group.id, call.room.id)
            return CallStarted(*ids) if kind == events.CALL_STARTED else CallEnded(*ids, call.duration_of_call)
    except ValidationError as invalid:
        raise BadEvent(payload.reason(invalid)) from None
    return OtherEvent(identity, kind[:_LONGEST_TYPE])


def _file_status(identity: str, event: Envelope, *notes: str) -> FileStatusUpdated:
    file = payload.FileStatus.model_validate(event.data)
    read = read_chunks(file.recording_storage_info.recording_chunks)
    if not read.chunks:
        raise BadEvent("; ".join(read.problems) or "the event announces no chunk")
    problems = read.problems
    if payload.mentions_more_chunks(event.data):
        problems = (*problems, "it also has recording chunks outside recordingChunks, in an unknown form")
    time, start, about_times = _times(event, file)
    recording_id = _in_subject(_RECORDING, event.subject) or file.recording_id
    server_call_id = _in_subject(_SERVER_CALL, event.subject) or file.server_call_id
    call_id, about_call = _call_id(
        event, file, recording_id=recording_id, server_call_id=server_call_id, chunks=read.chunks
    )
    content_type, channel_type, format_type = file.types
    # One that an entry says is still at ACS is fetched, whatever another entry says of it.
    at_service = tuple(c for c in read.chunks if not is_exported(c, file.storage_type))
    fetched = {c.document_id for c in at_service}
    return FileStatusUpdated(
        id=identity,
        time=time,
        call_id=call_id,
        recording_id=recording_id,
        server_call_id=server_call_id,
        start=start,
        duration_ms=file.recording_duration_ms,
        session_end_reason=file.session_end_reason,
        chunks=at_service,
        problems=problems,
        derived=(*notes, *about_times, *about_call, *_storage_notes(read.chunks, file.storage_type), *read.derived),
        exported=tuple(c for c in read.chunks if c.document_id not in fetched),
        content_type=content_type,
        channel_type=channel_type,
        format_type=format_type,
    )


def _time(value: Any, name: str) -> datetime:
    """Parse a time; one without a zone is UTC."""
    try:
        read = datetime.fromisoformat(value.strip() if isinstance(value, str) else value)
        time = read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise BadEvent(f"the event has no {name} in ISO 8601") from None
    if time.year not in _YEARS:
        raise BadEvent(f"{name} is in the year {time.year}, which is not plausible")
    return time


def _claimed_time(values: Iterable[Any], name: str) -> tuple[datetime | None, str]:
    """Return the first time that can be parsed, or else why there is none."""
    reason = ""
    for value in [one for one in values if one is not None] or [None]:
        try:
            return _time(value, name), ""
        except BadEvent as bad:
            reason = reason or bad.message
    return None, reason


def _times(event: Envelope, file: payload.FileStatus) -> tuple[datetime, datetime, list[str]]:
    """Return the time of a file event and the start of its recording, and what of them is derived.

    They are the same in every delivery: neither depends on the app's clock.
    """
    time, no_time = _claimed_time(event.times, _EVENT_TIME)
    start, no_start = _claimed_time((file.recording_start_time,), "recordingStartTime")
    if time and start:
        return time, start, []
    if time:
        return time, time, [f"{no_start}; using the event time instead"]
    if start:
        end = events.recording_end(start, file.recording_duration_ms)
        return end or start, start, [f"{no_time}; using the {'end' if end else 'start'} of the recording instead"]
    return _TIME_UNKNOWN, _START_UNKNOWN, [f"{no_time}; when it was announced is unknown", f"{no_start}; it is unknown"]


def _call_id(
    event: Envelope,
    file: payload.FileStatus,
    *,
    recording_id: str | None,
    server_call_id: str | None,
    chunks: Iterable[AnnouncedChunk],
) -> tuple[str, list[str]]:
    """Return the id of the call that a file event names, or one derived from what all events of its recording share."""
    named = _CALL.match(event.subject or "")
    for given in (named and named["id"], file.call_id):
        if given and layout.CALL_ID.fullmatch(given):
            return given, []
    known = {
        "the recording id": recording_id and recording_id.rstrip("="),
        "the server call id": server_call_id,
        "the subject": event.subject,
        # The start, which is the other half of a recording key, distinguishes the recordings of a resource.
        "the topic": event.source if _claimed_time((file.recording_start_time,), "")[0] else None,
        "the least document id": min(chunk.document_id for chunk in chunks),
    }
    what, text = next((what, text) for what, text in known.items() if text)
    return layout.derive_id(text), [f"the event does not name its call; an id was derived from {what}"]


def _in_subject(pattern: re.Pattern[str], subject: str | None) -> str | None:
    """Return an id in the subject; None if it is too long for an id."""
    found = pattern.match(subject or "")
    return found["id"] if found and len(found["id"]) <= payload.LONGEST_ID else None


# The paths of the service's storage hosts (docs/acs-contract.md#storage-host); no container has a name of two letters.
_SERVICE_PATH = "/v1/objects/"
# Of a document at ACS, whatever the host (docs/acs-contract.md#storage-host, #2021-download).
_DOCUMENT_PATH = re.compile(r"https?://[^/?#]+(?:/v1/objects|/recording/download)/(?P<id>[^/?#]+)", re.IGNORECASE)
_SERVICE_STORAGE = "azurecommunicationservices"
# Both spellings are the service's own (docs/acs-contract.md#start-request, #file-event).
_TEAM_STORAGE = ("azureblob", "azureblobstorage")


def is_exported(chunk: AnnouncedChunk, storage_type: str | None) -> bool:
    """Return whether a chunk is in the team's own storage: type and location of the storage both say so.

    Where the export failed, the event has the chunk's location on the service's storage host instead, and it must be
    fetched in time (docs/acs-contract.md#own-storage). A chunk is also fetched if the type or the location is missing
    or unknown: what can't be fetched is reported, while a chunk that is mistaken for an exported one is not.

    See docs/acs-contract.md#file-event.
    """
    is_team_storage = storage_type is not None and storage_type.strip().lower() in _TEAM_STORAGE
    return is_team_storage and chunk.content_location is not None and _is_blob_storage(chunk.content_location)


def _storage_notes(chunks: Iterable[AnnouncedChunk], storage_type: str | None) -> list[str]:
    """Describe a storage type that is unknown, or that contradicts the locations of the chunks."""
    known = "" if storage_type is None else storage_type.strip().lower()
    if known and known != _SERVICE_STORAGE and known not in _TEAM_STORAGE:
        return ["storageType is unknown; the chunks are fetched"]
    if known in _TEAM_STORAGE and any(chunk.content_location is None for chunk in chunks):
        return ["storageType says that the chunks were exported; those without contentLocation are fetched"]
    return []


def _is_blob_storage(location: str) -> bool:
    """Return whether this is a container of the team's, in any cloud or in an emulator, not a host of the service."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return False
    host = parts.hostname or ""
    return (".blob." in host or is_loopback(host)) and not parts.path.lower().startswith(_SERVICE_PATH)


@dataclass(frozen=True)
class ReadChunks:
    """The chunks of an event, by index; what may leave bytes unfetched, and what was derived."""

    chunks: tuple[AnnouncedChunk, ...]
    problems: tuple[str, ...]
    derived: tuple[str, ...]


def read_chunks(entries: list[Any]) -> ReadChunks:
    """Read the entries that name a document.

    Two documents with one index are both kept, and so are two indices or two addresses of one document.
    """
    problems: dict[str, list[int]] = defaultdict(list)
    derived: dict[str, list[int]] = defaultdict(list)
    # By document id: the index that was announced, the position of the entry, the chunk.
    found: dict[str, tuple[int | None, int, AnnouncedChunk]] = {}
    others: dict[tuple[str, int], None] = {}
    # By document id: addresses that differ from those of its first entries.
    elsewhere: dict[tuple[str, str | None, str | None], None] = {}
    for position, entry in enumerate(entries):
        try:
            fields = payload.ChunkFields.model_validate(entry)
        except ValidationError as invalid:
            problems[payload.reason(invalid)].append(position)
            continue
        where = _locations(fields, position, problems, derived)
        document = _document(fields.document_id, where["content_location"])
        if document is None:
            problems["documentId is not a document id"].append(position)
            continue
        document_id, source_id = document
        if document_id != fields.document_id:
            derived["documentId is missing or can't be used; another name was derived"].append(position)
        chunk = AnnouncedChunk(document_id, 0, fields.end_reason or None, **where, source_id=source_id)
        index, first, known = found.get(document_id, (fields.index, position, chunk))
        if fields.index is not None and index is not None and fields.index != index:
            others[document_id, fields.index] = None
        filled = _fill(known, chunk)
        found[document_id] = (fields.index if index is None else index, first, filled)
        addresses = chunk.content_location, chunk.metadata_location
        if addresses[0] not in (None, filled.content_location) or addresses[1] not in (None, filled.metadata_location):
            elsewhere[document_id, *addresses] = None
    numbered = {chunk.document_id: chunk for chunk in _number(found.values(), derived)}
    again = [replace(numbered[document_id], index=index) for document_id, index in others]
    again += [
        replace(
            numbered[document_id],
            content_location=content or numbered[document_id].content_location,
            metadata_location=metadata or numbered[document_id].metadata_location,
        )
        for document_id, content, metadata in elsewhere
    ]
    return ReadChunks(
        tuple(sorted((*numbered.values(), *again), key=lambda c: (c.index, c.document_id))),
        _summarize(problems),
        _summarize(derived),
    )


def _number(
    found: Iterable[tuple[int | None, int, AnnouncedChunk]], derived: dict[str, list[int]]
) -> Iterator[AnnouncedChunk]:
    """Set the index of each chunk; one without gets its position among the entries, or the next number that is free."""
    announced = list(found)
    taken = {index for index, _, _ in announced}
    listed: set[int] = set()
    free = 0
    for index, position, chunk in announced:
        if index is None:
            derived["index is missing or can't be used; the position was used"].append(position)
            free = max(free, position)
            while free in taken:
                free += 1
            index, free = min(free, layout.LARGEST_INDEX), free + 1
        elif index in listed:
            derived["another document has this index, too"].append(position)
        listed.add(index)
        yield replace(chunk, index=index)


def _fill(known: AnnouncedChunk, other: AnnouncedChunk) -> AnnouncedChunk:
    """Add to a chunk what only another entry for the same document has."""
    return replace(
        known,
        end_reason=known.end_reason or other.end_reason,
        content_location=known.content_location or other.content_location,
        metadata_location=known.metadata_location or other.metadata_location,
        delete_location=known.delete_location or other.delete_location,
    )


def _document(announced: str | None, location: str | None) -> tuple[str, str | None] | None:
    """Return the id of a document as a name, and as ACS has it where that differs; None if nothing names a document.

    The announced id is the document's. If it is missing, or can be part neither of a name nor of a URL, then the
    location of the bytes names the document.
    """
    located = _DOCUMENT_PATH.match(location or "")
    for given in (announced, located and located["id"]):
        if given and layout.is_document_id(given):
            return given, None
        if given and layout.is_source_id(given):
            return layout.derive_id(given), given
    return None


def _locations(
    chunk: payload.ChunkFields, position: int, problems: dict[str, list[int]], derived: dict[str, list[int]]
) -> dict[str, str | None]:
    """Return the locations of a chunk; one that can't be a URL is omitted."""
    found: dict[str, str | None] = {}
    for name, value, omitted in (
        ("content_location", chunk.content_location, problems),
        ("metadata_location", chunk.metadata_location, problems),
        # Without it no byte stays unfetched.
        ("delete_location", chunk.delete_location, derived),
    ):
        try:
            found[name] = payload.location(value)
        except ValueError as bad:
            found[name] = None
            omitted[f"{name.replace('_l', 'L')} {bad}; omitted"].append(position)
    return found


def _summarize(found: Mapping[str, list[int]]) -> tuple[str, ...]:
    """Describe what is wrong with which entries, in as many texts as there are faults: an event may have thousands."""
    texts = []
    for what, positions in found.items():
        listed = ", ".join(map(str, positions[:_LISTED]))
        more = f" and {len(positions) - _LISTED} more" if len(positions) > _LISTED else ""
        texts.append(f"chunk {'entry' if len(positions) == 1 else 'entries'} {listed}{more}: {what}")
    return tuple(texts)
