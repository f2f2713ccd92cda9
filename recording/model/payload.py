"""Pure: the members of an event's `data`, as every generation of the service writes them.

Member names are compared without case: the 2021 callbacks write `ConversationId`, Event Grid
writes `conversationId` (docs/acs-contract.md#2021-callbacks, #2021-file-event). What a chunk cannot be fetched without
is checked; what is only told on may have any form, and must not cost a recording.
"""

import json
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WrapValidator, model_validator

from recording.model import layout

LONGEST_LOCATION = 8192

CallState = Literal["Establishing", "Established", "Terminating", "Terminated"]
ContentType = Literal["audio", "audioVideo"]
ChannelType = Literal["mixed", "unmixed"]
FormatType = Literal["mp4", "mp3", "wav"]

_WORDS = {word.lower(): word for word in ("audio", "audioVideo", "mixed", "unmixed", "mp4", "mp3", "wav")}


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


def _word(value: Any) -> Any:
    """Write a type as the REST API does: events write `AudioVideo` for `audioVideo`.

    See docs/acs-contract.md#file-event.
    """
    return _WORDS.get(value.lower()) if isinstance(value, str) else None


OrNone = WrapValidator(_or_none)
OrEmpty = WrapValidator(_or_empty)
Word = Annotated[str | None, BeforeValidator(_word)]
Index = Annotated[int, BeforeValidator(_no_bool), Field(ge=0, le=layout.LARGEST_INDEX)]
ServerCallId = Annotated[str, Field(min_length=1, max_length=4096)]


class Fields(BaseModel):
    """Members of a payload, whatever the case of their names."""

    model_config = ConfigDict(
        alias_generator=lambda name: name.replace("_", ""), hide_input_in_errors=True, frozen=True, extra="ignore"
    )

    @model_validator(mode="before")
    @classmethod
    def _fold(cls, value: Any) -> Any:
        return {str(name).lower(): member for name, member in value.items()} if isinstance(value, dict) else value


class CallLeg(Fields):
    """`data` of CallLegStateChanged (docs/acs-contract.md#2021-callbacks)."""

    call_leg_id: str = Field(min_length=1, max_length=256)
    conversation_id: str | None = Field(default=None, min_length=1, max_length=4096)
    call_state: CallState


class Result(Fields):
    """`resultInformation` of today's callbacks (docs/acs-contract.md#callbacks)."""

    code: Annotated[int | None, OrNone] = None
    sub_code: Annotated[int | None, OrNone] = None
    message: Annotated[str | None, OrNone] = None


class RecordingState(Fields):
    """`data` of CallRecordingStateChanged and of today's RecordingStateChanged.

    See docs/acs-contract.md#2021-callbacks, #preview-callbacks, #callbacks.
    """

    recording_id: str = Field(min_length=1, max_length=4096)
    conversation_id: str | None = None
    server_call_id: Annotated[str | None, OrNone] = None
    state: str
    result_information: Annotated[Result, OrEmpty] = Result()


class StartFailed(Fields):
    """`data` of StartRecordingFailed: nothing in it is sure to be there (docs/acs-contract.md#callbacks)."""

    recording_id: Annotated[str | None, OrNone] = None
    server_call_id: Annotated[str | None, OrNone] = None
    correlation_id: Annotated[str | None, OrNone] = None
    result_information: Annotated[Result, OrEmpty] = Result()


class Identity(Fields):
    """A group or a room."""

    id: Annotated[str | None, OrNone] = None


class Call(Fields):
    """`data` of CallStarted and CallEnded (docs/acs-contract.md#file-event)."""

    server_call_id: ServerCallId
    correlation_id: Annotated[str | None, OrNone] = None
    group: Annotated[Identity, OrEmpty] = Identity()
    room: Annotated[Identity, OrEmpty] = Identity()
    duration_of_call: Annotated[float | None, OrNone] = None


class ChunkFields(Fields):
    """One entry of `recordingChunks`; where it lies is read by `location`."""

    document_id: str
    index: Index
    end_reason: Annotated[str | None, OrNone] = None
    content_location: Any = None
    metadata_location: Any = None
    delete_location: Any = None


class Chunks(Fields):
    """`recordingStorageInfo`."""

    recording_chunks: list[Any]


class FileStatus(Fields):
    """`data` of RecordingFileStatusUpdated (docs/acs-contract.md#2021-file-event, #preview-events, #file-event)."""

    recording_storage_info: Chunks
    recording_start_time: Any = None
    recording_duration_ms: Annotated[int | None, OrNone] = None
    session_end_reason: Annotated[str | None, OrNone] = None
    recording_id: Annotated[str | None, OrNone] = None
    storage_type: Annotated[str | None, OrNone] = None
    recording_content_type: Word = None
    recording_channel_type: Word = None
    recording_format_type: Word = None

    @property
    def types(self) -> tuple[ContentType | None, ChannelType | None, FormatType | None]:
        """Content, channel and format; in 2021 the first two stood in each other's place.

        See docs/acs-contract.md#2021-metadata-file.
        """
        told = (self.recording_content_type, self.recording_channel_type)
        content = next((word for word in told if word in ("audio", "audioVideo")), None)
        channel = next((word for word in told if word in ("mixed", "unmixed")), None)
        media = self.recording_format_type
        return content, channel, media if media in ("mp4", "mp3", "wav") else None  # type: ignore[return-value]


def location(value: Any) -> str | None:
    """Read where a file lies; None where nothing is said. Whether it may be asked is `content`'s to say.

    Raises ValueError for what can't be an address; it would have to fit into a queue message, too.
    """
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or len(value) > LONGEST_LOCATION:
        raise ValueError(f"must be an address of at most {LONGEST_LOCATION} printable ASCII characters")
    return value


def reason(invalid: ValidationError) -> str:
    """Say which member is wrong, and how; never what it held."""
    first = invalid.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "data"
    return f"{where}: {first['msg']}"


class _Info(Fields):
    content_type: Word = None
    channel_type: Word = None
    format: Word = None


class _File(Fields):
    recording_info: Annotated[_Info, OrEmpty] = _Info()


def read_metadata_file(body: bytes) -> dict[str, str]:
    """Read `content_type`, `channel_type` and `format`, as far as they're known, in today's words.

    Of 2021 the first two stand in each other's place (docs/acs-contract.md#surprises): a word tells itself which
    it is. A file that can't be read says nothing, and is archived as it is.
    """
    try:
        info = _File.model_validate(json.loads(body)).recording_info
    except (ValidationError, ValueError, RecursionError):
        return {}
    told = (info.content_type, info.channel_type)
    found = {
        "content_type": next((word for word in told if word in ("audio", "audioVideo")), None),
        "channel_type": next((word for word in told if word in ("mixed", "unmixed")), None),
        "format": info.format if info.format in ("mp4", "mp3", "wav") else None,
    }
    return {name: word for name, word in found.items() if word}
