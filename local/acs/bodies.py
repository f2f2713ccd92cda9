"""The JSON bodies of requests to the emulator, parsed and validated."""

import json
import uuid
from dataclasses import fields
from typing import Annotated, Any, Literal, Self, get_type_hints
from urllib.parse import urlsplit

from aiohttp import web
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic.alias_generators import to_camel

from local.acs.entities import (
    MAXIMUM_CHANNELS,
    MINIMUM_CHUNK_BYTES,
    ChannelType,
    ContentType,
    Format,
    Generation,
    Media,
    Settings,
    formats,
)
from local.acs.errors import BadRequest
from local.acs.filler import MINIMUM_BYTES, FileType, Filler, Form


def absolute_uri(value: str) -> str:
    """Return the URI; raises ValueError unless it is absolute with http or https."""
    parts = urlsplit(value)
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an absolute http or https URI")
    return value


def _guid(value: str) -> str:
    return str(uuid.UUID(value))


Uri = Annotated[str, AfterValidator(absolute_uri)]
Name = Annotated[str, Field(min_length=1, max_length=256)]
Names = Annotated[list[Name], Field(max_length=350)]  # Participants per call, docs/acs-contract.md#limits.
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class ServiceBody(BaseModel):
    """A body of the service API: unknown fields are ignored."""

    model_config = ConfigDict(alias_generator=to_camel, strict=True, hide_input_in_errors=True)


class OperationBody(ServiceBody):
    """The body of stop, pause and resume; ``operationContext`` is accepted and ignored.

    See docs/acs-contract.md#2021-operations.
    """

    operation_context: str | None = None


class StartBody(OperationBody):
    """The body of start."""

    recording_state_callback_uri: Uri | None = None


class ControlBody(BaseModel):
    """A body of the control plane: an unknown field is an error."""

    model_config = ConfigDict(alias_generator=to_camel, strict=True, extra="forbid", hide_input_in_errors=True)


class MediaBody(ControlBody):
    """What a recording is made of: encoded media in its format ("video"), or filler with the size of each chunk."""

    kind: Literal["video", "filler"] = "video"
    chunk_bytes: list[Annotated[int, Field(ge=MINIMUM_BYTES)]] = []
    form: Form = "complete"

    @model_validator(mode="after")
    def _sizes_belong_to_filler(self) -> Self:
        if (self.kind == "filler") != bool(self.chunk_bytes):
            raise ValueError("chunkBytes must be given for filler, and only for filler")
        if self.form != "complete" and not self.chunk_bytes:
            raise ValueError("only filler has another form")
        return self

    def media(self) -> Media:
        """Return the typed value."""
        return Media(tuple(self.chunk_bytes), self.form)


class CallBody(ControlBody):
    """A call to place."""

    participants: Names
    callback_uri: Uri | None = None
    group_id: Annotated[str, AfterValidator(_guid)] | None = None
    room_id: Name | None = None
    media: MediaBody = MediaBody()


class ParticipantBody(ControlBody):
    """A participant who joins a call."""

    display_name: Name


class RecordingBody(ControlBody):
    """A finished recording to make, by default one of the 2021 preview API.

    ``channels`` are names of participants, or ids of people who never joined.
    """

    media: MediaBody
    participants: Names = ["Ada Lovelace", "Grace Hopper"]
    duration_seconds: Annotated[float, Field(ge=0, le=7 * 86400, allow_inf_nan=False)] = 10.0
    announce: bool = True
    generation: Generation = "2021"
    content_type: ContentType | None = None
    channel_type: ChannelType = "mixed"
    format_type: FileType = "mp4"
    channels: Annotated[list[Name], Field(max_length=MAXIMUM_CHANNELS)] = []
    destination: Uri | None = None

    @model_validator(mode="after")
    def _has_what_there_is(self) -> Self:
        if not self._formats():
            raise ValueError(
                "the format must be mixed audioVideo as mp4, mixed audio as mp3 or wav, or unmixed audio as wav"
            )
        if self.generation == "2021" and self.format() != Format():
            raise ValueError("the 2021 preview API records mixed mp4 only")
        for size in self.media.chunk_bytes:
            Filler(size, seed=0, file_type=self.format_type, channels=MAXIMUM_CHANNELS, form=self.media.form)
        return self

    def format(self) -> Format:
        """Return the typed value; the channels are still names."""
        return Format(*self._formats()[0], tuple(self.channels), self.destination)

    def _formats(self) -> list[tuple[ContentType, ChannelType, FileType]]:
        return formats(self.content_type, self.channel_type, self.format_type)


class AnnounceBody(ControlBody):
    """How often to publish a file event again."""

    times: Annotated[int, Field(ge=1, le=1000)] = 1


class AdvanceBody(ControlBody):
    """How far to move the clock."""

    advance_seconds: Annotated[float, Field(ge=0, le=366 * 86400, allow_inf_nan=False)]


_BOUNDS: dict[str, Any] = {
    "chunk_maximum_bytes": Annotated[int, Field(ge=MINIMUM_CHUNK_BYTES)],
    "retention_hours": Positive,
    "announce_delay_seconds": NotNegative,
}
_TYPES = get_type_hints(Settings) | _BOUNDS
_SETTINGS: dict[str, Any] = {setting.name: (_TYPES[setting.name] | None, None) for setting in fields(Settings)}
# All settings; those that are absent keep their value.
SettingsBody = create_model("SettingsBody", __base__=ControlBody, **_SETTINGS)


async def read[Body: BaseModel](request: web.Request, model: type[Body], *, optional: bool = False) -> Body:
    """Parse a request's body; raises BadRequest, which names the field. An optional body may be empty."""
    raw = await request.read()
    return parse(b"{}" if optional and not raw.strip() else raw, model)


def parse[Body: BaseModel](raw: bytes, model: type[Body]) -> Body:
    """Parse JSON into a body; raises BadRequest, which names the field."""
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise _refusal(error) from None


def parse_list[Body: BaseModel](raw: bytes, model: type[Body]) -> list[Body]:
    """Parse a JSON array of bodies; raises BadRequest, which names the element and the field."""
    try:
        return TypeAdapter(list[model]).validate_json(raw)  # type: ignore[valid-type]  # a type made at run time
    except ValidationError as error:
        raise _refusal(error) from None


def _refusal(error: ValidationError) -> BadRequest:
    first = error.errors(include_url=False, include_input=False)[0]
    target = ".".join(str(part) for part in first["loc"]) or None
    return BadRequest(f"The request contains invalid data: {first['msg']}.", target=target)


async def read_json(request: web.Request) -> Any:
    """Return any JSON value of a request; raises BadRequest if it is not JSON."""
    try:
        return json.loads(await request.read())
    except (ValueError, RecursionError):
        raise BadRequest("The request contains invalid data: it is not JSON.") from None
