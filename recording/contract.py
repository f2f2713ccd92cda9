"""The JSON bodies of our HTTP API, and how they are read.

Requests are strict: a wrong type is a 400 that names the member. Members that we don't know are
ignored, as the service does. Errors are the bare body of the 2021 contract (acs-contract 2.6).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.alias_generators import to_camel

from recording import address, layout
from recording.errors import BadRequest, RecordingError
from recording.options import StartOptions

LARGEST_BODY = 64 * 1024
LONGEST_KEY = 255
# Live ids have 162 characters, unpadded base64url; some spec examples are padded (acs-contract 2.4), and today's
# may hold + and / too (acs-contract 4.1).
_RECORDING_ID = re.compile(r"[A-Za-z0-9+/_-]{1,1024}={0,2}")


CallbackUri = Annotated[str, Field(max_length=2048), AfterValidator(address.check)]
OperationContext = Annotated[str, Field(max_length=5000)]


class _Body(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, strict=True, hide_input_in_errors=True, frozen=True
    )


def _check_key(text: str) -> str:
    if not layout.is_recording_key(text):
        raise ValueError("must be the cursor of the page before")
    return text


def _in_utc(time: datetime) -> datetime:
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be a time from year 1 to 9999 in UTC") from None


Time = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class Operation(_Body):
    """Body of state, stop, pause and resume: optional, as documented in April 2021."""

    operation_context: OperationContext | None = None


class StartRecording(Operation, StartOptions):
    """Body of `POST /conversations/{conversationId}/recordings`."""

    recording_state_callback_uri: CallbackUri | None = None


class StartRecordingByUrl(StartRecording):
    """Body of `POST /recordings`: either tells the conversation."""

    server_call_id: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    conversation_url: Annotated[str | None, Field(min_length=1, max_length=3000, validate_default=True)] = None

    @field_validator("conversation_url")
    @classmethod
    def _is_one(cls, url: str | None, given: ValidationInfo) -> str | None:
        if (url is None) == (given.data.get("server_call_id") is None):
            raise ValueError("give conversationUrl or, with today's API, serverCallId; one of them")
        return url


class ListQuery(BaseModel):
    """Query of `GET /recordings`: times in ISO 8601, `cursor` from the page before."""

    model_config = ConfigDict(hide_input_in_errors=True, frozen=True)

    since: Time | None = Field(default=None, alias="from")
    until: Time | None = Field(default=None, alias="to")
    limit: int = Field(default=50, ge=1, le=200)
    cursor: Annotated[str, AfterValidator(_check_key)] | None = None


class RecordingStarted(_Body):
    """Answer of start; `conversationId` where we encoded it."""

    recording_id: str
    conversation_id: str | None = None


class RecordingState(_Body):
    """Answer of state: paused reads as inactive (acs-contract 2.5), and so does ended, with when it ended."""

    recording_state: Literal["active", "inactive"]
    recording_kind: str | None = None
    ended_at: datetime | None = None


class RecordingSummary(_Body):
    """A recording in a list."""

    recording_key: str
    state: Literal["ingesting", "staged", "archived", "incomplete", "absent"]
    call_id: str
    recording_start_time: datetime
    chunks: int
    bytes: int


class RecordingList(_Body):
    """A page of recordings, newest first; `cursor` asks for the next page."""

    recordings: list[RecordingSummary]
    cursor: str | None = None


class Check(_Body):
    """One thing that the app needs, and what to do if it can't be reached."""

    name: Literal["blob", "queue", "acs"]
    ok: bool
    detail: str
    mend: str | None = None


class Health(_Body):
    """Answer of `GET /health`."""

    status: Literal["ok", "unhealthy"]
    checks: list[Check]


def read[Model: BaseModel](model: type[Model], body: bytes) -> Model:
    """Read a request body; an empty one counts as `{}`.

    Raises BadRequest whose target is the first member that is wrong.
    """
    if len(body) > LARGEST_BODY:
        raise BadRequest(f"the body has more than {LARGEST_BODY} bytes", target="body")
    try:
        return model.model_validate_json(body.strip() or b"{}")
    except ValidationError as invalid:
        raise _bad(invalid, "body") from None


def read_query[Model: BaseModel](model: type[Model], params: Mapping[str, str]) -> Model:
    """Read query parameters.

    Raises BadRequest whose target is the first parameter that is wrong.
    """
    try:
        return model.model_validate(dict(params))
    except ValidationError as invalid:
        raise _bad(invalid, "query") from None


def _bad(invalid: ValidationError, whole: str) -> BadRequest:
    first = invalid.errors(include_input=False, include_url=False)[0]
    # A member that is missing is named as in Python (pydantic 2.14.3).
    target = ".".join(to_camel(str(part)) for part in first["loc"]) or whole
    return BadRequest(f"{target}: {first['msg']}", target=target)


def check_recording_id(recording_id: str) -> str:
    """Return the recording id if it can be one; it is opaque to us otherwise.

    Raises BadRequest (target recordingId).
    """
    if not _RECORDING_ID.fullmatch(recording_id):
        raise BadRequest(
            "the recording id must be the base64 text that start answered with, at most 1,024 characters",
            target="recordingId",
        )
    return recording_id


@dataclass(frozen=True)
class RepeatKey:
    """The key under which a start may be repeated, and the header that it came in."""

    header: str
    value: str


def repeat_key(headers: Mapping[str, str]) -> RepeatKey | None:
    """Read the key under which a start may be repeated: `Repeatability-Request-ID` or `Idempotency-Key`.

    Raises BadRequest for one that is empty or absurdly long.
    """
    for name in ("Repeatability-Request-ID", "Idempotency-Key"):
        key = headers.get(name)
        if key is not None:
            if not key.strip() or len(key) > LONGEST_KEY or not key.isprintable():
                raise BadRequest(f"{name} must be 1 to {LONGEST_KEY} printable characters", target=name)
            return RepeatKey(name, key)
    return None


def error_body(error: RecordingError) -> dict[str, Any]:
    """Write an error as the contract does: code, message, target, details."""
    return {"code": error.error_code, "message": error.message, "target": error.target, "details": []}
