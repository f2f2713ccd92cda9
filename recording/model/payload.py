"""Pure: the members of an event's `data`, as every version of the service writes them.

Member names are compared without case: the 2021 callbacks write `ConversationId`, Event Grid
writes `conversationId` (docs/acs-contract.md#2021-callbacks, #2021-file-event). What is needed to fetch
a chunk is validated; what is only passed on or only names may have any form, and must not cost a recording.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WrapValidator, model_validator

from recording.model import layout
from recording.model.envelope import decode, fold
from recording.model.metadata_file import MetadataFile, Pause, Speaker
from recording.model.options import ChannelType, ContentType, FormatType
from recording.model.record import first_problem

LONGEST_LOCATION = 8192
# Of a metadata file that is read for what it says of its media; a parsed file may take thirty times its size. Larger
# ones are kept unread: a file of a thousand participants has about 100 KB.
LARGEST_READ = 256 * 1024
# Of an id: no id of the service has a quarter of it (docs/acs-contract.md#server-call-id).
LONGEST_ID = 4096
# A year is longer than any chunk: what is longer would not fit into the calendar.
LONGEST_CHUNK = timedelta(days=366)
# Of a text that is only passed on, in characters: it reaches log lines and manifests.
LONGEST_TEXT = 1024

CallState = Literal["Establishing", "Established", "Terminating", "Terminated"]

_WORDS = {word.lower(): word for word in ("audio", "audioVideo", "mixed", "unmixed", "mp4", "mp3", "wav")}
_CALL_STATES = {word.lower(): word for word in get_args(CallState)}


def _or_none(value: Any, read: Callable[[Any], Any]) -> Any:
    try:
        return read(value)
    except ValidationError:
        return None


def _or_empty(value: Any, read: Callable[[Any], Any]) -> Any:
    try:
        return read(value)
    except ValidationError:
        return read({})


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("Input should be a number")
    return value


def _call_state(value: Any) -> Any:
    return _CALL_STATES.get(value.lower(), value) if isinstance(value, str) else value


def _shorten(value: Any) -> Any:
    """Return text that can be written: JSON may have half of a surrogate pair, which is escaped."""
    return value[:LONGEST_TEXT].encode(errors="backslashreplace").decode() if isinstance(value, str) else value


def _one_or_more(value: Any) -> Any:
    """Return a list of entries; one entry may be there without a list."""
    value = decode(value)
    return [value] if isinstance(value, dict) and value else value


def _word(value: Any) -> Any:
    """Return a type as the REST API spells it: events have `AudioVideo` for `audioVideo`.

    See docs/acs-contract.md#file-event.
    """
    return _WORDS.get(value.lower()) if isinstance(value, str) else None


OrNone = WrapValidator(_or_none)
OrEmpty = WrapValidator(_or_empty)
Word = Annotated[str | None, BeforeValidator(_word)]
Index = Annotated[int, BeforeValidator(_no_bool), Field(ge=0, le=layout.LARGEST_INDEX)]
Milliseconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
# By the structure of a file, whose fields may say anything.
Seconds = Annotated[float | None, Field(ge=0, le=LONGEST_CHUNK.total_seconds(), allow_inf_nan=False), OrNone]
ServerCallId = Annotated[str, Field(min_length=1, max_length=LONGEST_ID)]
# An id that is too long is none: its beginning would be another id.
Id = Annotated[str | None, Field(min_length=1, max_length=LONGEST_ID), OrNone]
Text = Annotated[str | None, BeforeValidator(_shorten), OrNone]


class Fields(BaseModel):
    """Members of a payload, whatever the case of their names."""

    model_config = ConfigDict(
        alias_generator=lambda name: name.replace("_", ""), hide_input_in_errors=True, frozen=True, extra="ignore"
    )

    @model_validator(mode="before")
    @classmethod
    def _fold(cls, value: Any) -> Any:
        value = decode(value)
        return fold(value) if isinstance(value, dict) else value


class CallLeg(Fields):
    """`data` of CallLegStateChanged (docs/acs-contract.md#2021-callbacks)."""

    call_leg_id: Annotated[str | None, Field(min_length=1, max_length=256), OrNone] = None
    conversation_id: str | None = Field(default=None, min_length=1, max_length=LONGEST_ID)
    call_state: Annotated[CallState, BeforeValidator(_call_state)]


class Result(Fields):
    """`resultInformation` of the Call Automation API's callbacks (docs/acs-contract.md#callbacks)."""

    code: Annotated[int | None, OrNone] = None
    sub_code: Annotated[int | None, OrNone] = None
    message: Text = None


class RecordingState(Fields):
    """`data` of CallRecordingStateChanged and of RecordingStateChanged.

    See docs/acs-contract.md#2021-callbacks, #preview-callbacks, #callbacks.
    """

    recording_id: str = Field(min_length=1, max_length=LONGEST_ID)
    conversation_id: Id = None
    server_call_id: Id = None
    state: Annotated[str, BeforeValidator(_shorten)]
    result_information: Annotated[Result, OrEmpty] = Result()


class StartFailed(Fields):
    """`data` of StartRecordingFailed: every member may be missing (docs/acs-contract.md#callbacks)."""

    recording_id: Id = None
    server_call_id: Id = None
    correlation_id: Id = None
    result_information: Annotated[Result, OrEmpty] = Result()


class Identity(Fields):
    """A group or a room."""

    id: Annotated[str | None, Field(max_length=LONGEST_ID), OrNone] = None


class Call(Fields):
    """`data` of CallStarted and CallEnded (docs/acs-contract.md#file-event)."""

    server_call_id: ServerCallId
    correlation_id: Id = None
    group: Annotated[Identity, OrEmpty] = Identity()
    room: Annotated[Identity, OrEmpty] = Identity()
    duration_of_call: Annotated[float | None, OrNone] = None


class ChunkFields(Fields):
    """One entry of `recordingChunks`; `location` validates its URLs."""

    document_id: Id = None
    index: Annotated[Index | None, OrNone] = None
    end_reason: Text = None
    content_location: Any = None
    metadata_location: Any = None
    delete_location: Any = None


class Chunks(Fields):
    """`recordingStorageInfo`."""

    recording_chunks: Annotated[list[Any], BeforeValidator(_one_or_more)]


class FileStatus(Fields):
    """`data` of RecordingFileStatusUpdated (docs/acs-contract.md#2021-file-event, #preview-events, #file-event)."""

    recording_storage_info: Chunks
    recording_start_time: Any = None
    recording_duration_ms: Annotated[int | None, OrNone] = None
    session_end_reason: Text = None
    recording_id: Id = None
    server_call_id: Id = None
    call_id: Id = None
    storage_type: Text = None
    recording_content_type: Word = None
    recording_channel_type: Word = None
    recording_format_type: Word = None

    @property
    def types(self) -> tuple[ContentType | None, ChannelType | None, FormatType | None]:
        """Return content, channel and format; in 2021 the first two were swapped.

        See docs/acs-contract.md#2021-metadata-file.
        """
        given = (self.recording_content_type, self.recording_channel_type)
        content = next((word for word in given if word in ("audio", "audioVideo")), None)
        channel = next((word for word in given if word in ("mixed", "unmixed")), None)
        media = self.recording_format_type
        return content, channel, media if media in ("mp4", "mp3", "wav") else None  # type: ignore[return-value]


def announces_chunks(data: Any) -> bool:
    """Return whether the `data` of an event has recording chunks, whatever the type of the event."""
    info = decode(fold(data).get("recordingstorageinfo")) if isinstance(data, dict) else None
    chunks = decode(fold(info).get("recordingchunks")) if isinstance(info, dict) else None
    return isinstance(chunks, list | dict) and bool(chunks)


# What only a file event has (docs/acs-contract.md#file-event).
_OF_CHUNKS = frozenset({"recordingchunks", "documentid", "contentlocation"})


def mentions_chunks(value: Any) -> bool:
    """Return whether a JSON value has something of recording chunks anywhere, in whatever form."""
    left = [value]
    while left:
        match decode(left.pop()):
            case dict() as members:
                if any(member and str(name).lower() in _OF_CHUNKS for name, member in members.items()):
                    return True
                left += members.values()
            case list() as entries:
                left += entries
            case _:
                pass
    return False


def mentions_more_chunks(data: Any) -> bool:
    """Return whether the `data` of a file event has something of recording chunks beside the list of them."""
    members = fold(decode(data))
    info = fold(decode(members.pop("recordingstorageinfo", None)) or {})
    info.pop("recordingchunks", None)
    return mentions_chunks([members, info])


def location(value: Any) -> str | None:
    """Return the URL of a file, None if there is none; `content` checks whether its host is allowed.

    White space around it is not part of it.

    Raises ValueError for an invalid URL, or one that doesn't fit into a queue message.
    """
    value = value.strip() if isinstance(value, str) else value
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or len(value) > LONGEST_LOCATION:
        raise ValueError(f"must be a URL of at most {LONGEST_LOCATION} printable ASCII characters")
    return value


def reason(invalid: ValidationError) -> str:
    """Describe which member is invalid, and how; never its value."""
    where, problem = first_problem(invalid)
    return f"{'.'.join(where) or 'data'}: {problem}"


def _time(value: Any) -> datetime:
    """Read a time, in UTC where it doesn't say; one at the ends of the calendar leaves no room to reckon with."""
    if not isinstance(value, str):
        raise ValueError("Input should be a time")
    time = datetime.fromisoformat(value)
    if not 1 < time.year < 9999:
        raise ValueError("Input should be a time of this calendar")
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)


class _Info(Fields):
    content_type: Word = None
    channel_type: Word = None
    format: Word = None


class _Pause(Fields):
    start_time: Annotated[datetime | None, BeforeValidator(_time), OrNone] = None
    duration: Annotated[Milliseconds | None, OrNone] = None


class _Participant(Fields):
    participant_id: Id = None
    channel: Annotated[Index | None, OrNone] = None


# By which a metadata file is known, as `fold` writes them (docs/acs-contract.md#2021-metadata-file).
_MEMBERS_OF_FILE = {
    "resourceid",
    "callid",
    "chunkdocumentid",
    "chunkindex",
    "chunkstarttime",
    "chunkduration",
    "pauseresumeintervals",
    "recordinginfo",
    "participants",
}


class _File(Fields):
    recording_info: Annotated[_Info, OrEmpty] = _Info()
    chunk_start_time: Annotated[datetime | None, BeforeValidator(_time), OrNone] = None
    chunk_duration: Annotated[Milliseconds | None, OrNone] = None
    pause_resume_intervals: Annotated[tuple[Annotated[_Pause, OrEmpty], ...] | None, OrNone] = None
    participants: Annotated[tuple[Annotated[_Participant, OrEmpty], ...] | None, OrNone] = None


def is_error(parsed: Mapping[str, Any]) -> bool:
    """Return whether an object is what the service sends for an error (docs/acs-contract.md#storage-host).

    A member of a metadata file makes it one, whatever else it has.
    """
    members = fold(parsed).keys()
    return ("error" in members or {"code", "message"} <= members) and not members & _MEMBERS_OF_FILE


def read_metadata_file(body: bytes) -> dict[str, str]:
    """Return `content_type`, `channel_type` and `format`, where known, as the Call Automation API spells them.

    Also `duration_ms`, the sum of the pauses as `paused_ms`, and all that `parse_metadata_file` finds, as `said`, where
    there is room for it. In 2021 the types were swapped
    (docs/acs-contract.md#surprises), but the value shows which it is. A file that can't be parsed has none of them, and
    is archived unchanged.
    """
    file = _parse_file(body)
    info = file.recording_info
    given = (info.content_type, info.channel_type)
    paused = sum(pause.duration or 0 for pause in file.pause_resume_intervals or ())
    found = {
        "content_type": next((word for word in given if word in ("audio", "audioVideo")), None),
        "channel_type": next((word for word in given if word in ("mixed", "unmixed")), None),
        "format": info.format if info.format in ("mp4", "mp3", "wav") else None,
        "duration_ms": file.chunk_duration and f"{file.chunk_duration:.0f}",
        "paused_ms": paused and f"{paused:.0f}",
        "said": _said(file).to_note(),
    }
    return {name: word for name, word in found.items() if word}


def parse_metadata_file(body: bytes) -> MetadataFile:
    """Return what a metadata file says of the time of its chunk and of the participants, each once."""
    return _said(_parse_file(body))


def _parse_file(body: bytes) -> _File:
    """Parse a metadata file; one that can't be parsed, or is too large, says nothing."""
    try:
        return _File.model_validate(json.loads(body) if len(body) <= LARGEST_READ else {})
    except (ValidationError, ValueError, RecursionError):
        return _File()


def _said(file: _File) -> MetadataFile:
    longest = LONGEST_CHUNK / timedelta(milliseconds=1)
    pauses = [
        Pause(start=one.start_time, ms=min(one.duration or 0, longest))
        for one in file.pause_resume_intervals or ()
        if one.start_time
    ]
    speakers = [
        Speaker(id=one.participant_id, channel=one.channel) for one in file.participants or () if one.participant_id
    ]
    return MetadataFile(
        start=file.chunk_start_time,
        duration_ms=file.chunk_duration if file.chunk_duration is None else min(file.chunk_duration, longest),
        pauses=tuple(sorted(pauses, key=lambda pause: pause.start)),
        speakers=tuple({one.id: one for one in speakers}.values()),
    )
