"""Pure: the JSON bodies of the recording operations.

Requests are strict: a wrong type is a 400 that names the member. Unknown members are ignored, as the service does.
"""

import re
from datetime import datetime
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
    ValidationInfo,
    field_validator,
)

from recording import urls
from recording.errors import BadRequest
from recording.model.keeping import ClassName
from recording.model.options import StartOptions
from recording.model.record import Body

# Live ids have 162 characters, unpadded base64url; some spec examples are padded
# (docs/acs-contract.md#2021-recording-id), and those of the Call Automation API may hold + and / too
# (docs/acs-contract.md#operations).
_RECORDING_ID = re.compile(r"[A-Za-z0-9+/_-]{1,1024}={0,2}")


CallbackUri = Annotated[str, Field(max_length=2048), AfterValidator(urls.require_https)]
# A name that the caller gives, such as a case number. It is kept and logged here: in the record of the operation, and,
# of a start, as the recording's `reference`, by which it is found. It is sent to the 2021 preview API. The Call
# Automation API takes none for recordings (docs/acs-contract.md#operations), so it is never sent there.
OperationContext = Annotated[str, Field(max_length=5000)]


class Operation(Body):
    """Body of state, stop, pause and resume: optional, as documented in April 2021."""

    operation_context: OperationContext | None = None


class StartRecording(Operation, StartOptions):
    """Body of `POST /conversations/{conversationId}/recordings`."""

    recording_state_callback_uri: CallbackUri | None = None
    retention_class: ClassName | None = None


class StartRecordingByUrl(StartRecording):
    """Body of `POST /recordings`: either a URL or a server call id names the conversation."""

    server_call_id: Annotated[str, Field(min_length=1, max_length=4096)] | None = Field(
        default=None, examples=["aHR0cHM6Ly9jb252LmV4YW1wbGUvY2FsbA=="]
    )
    conversation_url: Annotated[str | None, Field(min_length=1, max_length=3000, validate_default=True)] = None

    @field_validator("conversation_url")
    @classmethod
    def _is_one(cls, url: str | None, given: ValidationInfo) -> str | None:
        if (url is None) == (given.data.get("server_call_id") is None):
            raise ValueError("give either conversationUrl or, with the Call Automation API, serverCallId")
        return url


class RecordingStarted(Body):
    """Answer of start; `conversationId` if the app encoded it."""

    recording_id: str
    conversation_id: str | None = None


class RecordingStateAnswer(Body):
    """Answer of state: a paused recording is inactive, and so is one that has ended, which has a time.

    See docs/acs-contract.md#2021-states.
    """

    recording_state: Literal["active", "inactive"]
    recording_kind: str | None = None
    ended_at: datetime | None = None


def require_recording_id(recording_id: str) -> str:
    """Return the recording id if it has the form of one; what it holds is opaque.

    Raises BadRequest (target recordingId).
    """
    if not _RECORDING_ID.fullmatch(recording_id):
        raise BadRequest(
            "the recording id must be the base64 text in the answer of start, at most 1,024 characters",
            target="recordingId",
        )
    return recording_id
