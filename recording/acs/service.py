"""What any generation of the recording API offers, and its typed answers."""

from typing import Literal, Protocol

State = Literal["active", "inactive"]


class RecordingService(Protocol):
    """The recording operations of ACS.

    Each raises BadRequest, NotFound or Conflict as the service said, Throttled with its
    `Retry-After`, Misconfigured for a refused key or identity, UpstreamFailed for the rest.
    """

    async def start(
        self, conversation_id: str, *, callback_uri: str | None = None, operation_context: str | None = None
    ) -> str:
        """Start recording a conversation; the answer is the recording id."""

    async def state(self, conversation_id: str, recording_id: str) -> State:
        """Tell whether the recording is active; paused reads as inactive."""

    async def stop(self, conversation_id: str, recording_id: str, *, operation_context: str | None = None) -> None:
        """End the recording; its files are announced some minutes later."""

    async def pause(self, conversation_id: str, recording_id: str, *, operation_context: str | None = None) -> None:
        """Pause the recording; it stays one recording."""

    async def resume(self, conversation_id: str, recording_id: str, *, operation_context: str | None = None) -> None:
        """Go on with a paused recording."""

    async def ping(self) -> int:
        """Ask the endpoint for anything at all; the answer is the HTTP status."""
