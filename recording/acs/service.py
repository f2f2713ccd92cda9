"""What any generation of the recording API offers, and its typed answers."""

from dataclasses import dataclass
from typing import Literal, Protocol

from recording.model.options import StartOptions

State = Literal["active", "inactive"]

# A recording that isn't there: a GET of it is harmless, and has to be signed like any other.
NO_RECORDING = "bm8tc3VjaC1yZWNvcmRpbmc"


@dataclass(frozen=True)
class RecordingStatus:
    """What the service says of a recording; `kind` only in today's API (docs/acs-contract.md#status)."""

    state: State
    kind: str | None = None


class RecordingService(Protocol):
    """The recording operations of ACS.

    Each raises BadRequest, NotFound or Conflict as the service said, Throttled with its
    `Retry-After`, Misconfigured for a refused key or identity, UpstreamFailed for the rest.
    """

    def check(self, conversation_id: str, *, options: StartOptions | None = None) -> None:
        """Raise BadRequest for a kind of id (target conversationId) or an option that this API doesn't take."""

    async def start(
        self,
        conversation_id: str,
        *,
        callback_uri: str | None = None,
        operation_context: str | None = None,
        options: StartOptions | None = None,
    ) -> str:
        """Start recording a conversation; the answer is the recording id."""

    async def state(self, conversation_id: str, recording_id: str) -> RecordingStatus:
        """Tell whether the recording is active; paused reads as inactive."""

    async def stop(self, conversation_id: str, recording_id: str, *, operation_context: str | None = None) -> None:
        """End the recording; its files are announced some minutes later."""

    async def pause(self, conversation_id: str, recording_id: str, *, operation_context: str | None = None) -> None:
        """Pause the recording; it stays one recording."""

    async def resume(self, conversation_id: str, recording_id: str, *, operation_context: str | None = None) -> None:
        """Go on with a paused recording."""

    async def ping(self) -> int:
        """Ask for a recording that isn't there; the answer is the HTTP status, other than 401 and 403."""
