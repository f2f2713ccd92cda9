"""The operations that every version of the recording API offers, and their typed answers."""

from dataclasses import dataclass
from typing import Literal, Protocol

from recording.model.options import StartOptions

State = Literal["active", "inactive"]

# A recording id that doesn't exist: a GET of it is harmless, and has to be signed like any other.
UNKNOWN_RECORDING_ID = "bm8tc3VjaC1yZWNvcmRpbmc"


@dataclass(frozen=True)
class RecordingStatus:
    """The state of a recording; `kind` only in the Call Automation API (docs/acs-contract.md#status)."""

    state: State
    kind: str | None = None


class RecordingService(Protocol):
    """The recording operations of ACS.

    Each raises BadRequest, NotFound or Conflict as the service answered, Throttled with its
    `Retry-After`, Misconfigured for a refused key or identity, UpstreamFailed for everything else.
    """

    def check(self, conversation_id: str, *, options: StartOptions | None = None) -> None:
        """Raise BadRequest for a kind of id (target conversationId) or an option that this API doesn't support."""

    async def start(
        self,
        conversation_id: str,
        *,
        callback_uri: str | None = None,
        operation_context: str | None = None,
        options: StartOptions | None = None,
    ) -> str:
        """Start recording a conversation; return the recording id."""

    async def state(self, conversation_id: str, recording_id: str) -> RecordingStatus:
        """Return the state of the recording; a paused one is inactive."""

    async def stop(self, conversation_id: str, recording_id: str, *, operation_context: str | None = None) -> None:
        """End the recording; its files are announced some minutes later."""

    async def pause(self, conversation_id: str, recording_id: str, *, operation_context: str | None = None) -> None:
        """Pause the recording; it remains one recording."""

    async def resume(self, conversation_id: str, recording_id: str, *, operation_context: str | None = None) -> None:
        """Resume a paused recording."""

    async def ping(self) -> int:
        """Request a recording id that doesn't exist; return the HTTP status, which is neither 401 nor 403."""
