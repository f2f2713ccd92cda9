"""Recording with the Call Automation API (/calling/recordings), through the official client.

Statuses and bodies are in docs/acs-contract.md#call-automation. The client builds the requests and parses the answers;
signature, time-outs and retries are the same as for the other API. The client's own signature is not used: it signs
`%3D` in a padded recording id where aiohttp sends `=`. Its own retry is not used either: it repeats a start
whenever the answer has a Retry-After (docs/acs-contract.md#limits).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, cast

from azure.communication.callautomation import AzureBlobContainerRecordingStorage, ChannelAffinity

# Public in the other ACS clients, but missing in the __init__ of this one (1.6.0).
from azure.communication.callautomation._shared.models import identifier_from_raw_id
from azure.communication.callautomation.aio import CallAutomationClient
from azure.core.credentials import AzureKeyCredential
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.policies import AsyncHTTPPolicy, RequestIdPolicy, SansIOHTTPPolicy

from recording.acs.auth import auth_policy
from recording.acs.failures import CONNECT_SECONDS, READ_SECONDS, REFUSALS, ConnectRetry, translated
from recording.acs.service import UNKNOWN_RECORDING_ID, RecordingStatus, State
from recording.config.resource import Resource
from recording.errors import UpstreamFailed
from recording.model import conversation
from recording.model.options import StartOptions


class CallAutomation:
    """The Call Automation API; close it with `aclose`."""

    def __init__(
        self,
        resource: Resource,
        credential: AsyncTokenCredential | None = None,
        *,
        api_version: str | None = None,
        connect_timeout: float = CONNECT_SECONDS,
        read_timeout: float = READ_SECONDS,
    ) -> None:
        policies: list[AsyncHTTPPolicy[Any, Any] | SansIOHTTPPolicy[Any, Any]] = [
            RequestIdPolicy(),
            ConnectRetry(),
            auth_policy(resource, credential),
        ]
        key = AzureKeyCredential(resource.access_key) if resource.access_key is not None else None
        # Not `from_connection_string`: that drops http, which an emulator needs
        # (docs/acs-contract.md#connection-string).
        self._client = CallAutomationClient(
            resource.endpoint,
            cast(AzureKeyCredential | AsyncTokenCredential, key or credential),
            api_version=api_version,
            policies=policies,
            connection_timeout=connect_timeout,
            read_timeout=read_timeout,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    def check(self, conversation_id: str, *, options: StartOptions | None = None) -> None:
        """Raise BadRequest for an unsupported kind of conversation id; this API supports every option."""
        conversation.to_locator(conversation_id)

    async def start(
        self,
        conversation_id: str,
        *,
        callback_uri: str | None = None,
        operation_context: str | None = None,
        options: StartOptions | None = None,
    ) -> str:
        """Start recording; this API has no operation context."""
        where = conversation.to_locator(conversation_id)
        locator: dict[str, Any] = {where.kind: where.id}
        with _parsing():
            started = await self._client.start_recording(
                **locator,
                recording_state_callback_url=callback_uri,
                **_options(options or StartOptions()),
                # The client would use a deprecated clock (1.6.0); the Repeatability-Request-ID is the client's.
                headers={"Repeatability-First-Sent": format_datetime(datetime.now(UTC), usegmt=True)},
            )
        if not isinstance(started.recording_id, str) or not started.recording_id:
            raise UpstreamFailed("ACS started a recording but returned no recordingId")
        return started.recording_id

    async def state(self, conversation_id: str, recording_id: str) -> RecordingStatus:
        """Return the state of the recording; this API needs only the recording id."""
        with _parsing():
            found = await self._client.get_recording_properties(recording_id)
        state = _text(found.recording_state).lower()
        if state not in ("active", "inactive"):
            raise UpstreamFailed("ACS returned a recording state that is neither active nor inactive")
        return RecordingStatus(cast(State, state), _text(found.recording_kind) or None)

    async def stop(self, conversation_id: str, recording_id: str, *, operation_context: str | None = None) -> None:
        """End the recording."""
        with translated():
            await self._client.stop_recording(recording_id)

    async def pause(self, conversation_id: str, recording_id: str, *, operation_context: str | None = None) -> None:
        """Pause the recording."""
        with translated():
            await self._client.pause_recording(recording_id)

    async def resume(self, conversation_id: str, recording_id: str, *, operation_context: str | None = None) -> None:
        """Resume the recording."""
        with translated():
            await self._client.resume_recording(recording_id)

    async def ping(self) -> int:
        """Request a recording id that doesn't exist; return the HTTP status."""
        with translated():
            try:
                await self._client.get_recording_properties(UNKNOWN_RECORDING_ID)
            except HttpResponseError as answered:
                if answered.status_code is None or answered.status_code in REFUSALS:
                    raise
                return answered.status_code
        return 200


@contextmanager
def _parsing() -> Iterator[None]:
    """Translate errors where an answer with a body is expected: the client's models fail on anything else."""
    try:
        with translated():
            yield
    except (ValueError, TypeError, AttributeError, RecursionError, LookupError) as failed:
        raise UpstreamFailed("ACS returned an answer that can't be read") from failed


def _options(given: StartOptions) -> dict[str, Any]:
    """Return the options as arguments of the client."""
    ordering, storage = given.audio_channel_participant_ordering, given.external_storage
    url = storage.recording_destination_container_url if storage else None
    return {
        "recording_content_type": given.recording_content_type,
        "recording_channel_type": given.recording_channel_type,
        "recording_format_type": given.recording_format_type,
        "audio_channel_participant_ordering": ordering and [identifier_from_raw_id(one) for one in ordering],
        "channel_affinity": [
            ChannelAffinity(identifier_from_raw_id(one.participant), one.channel)
            for one in given.channel_affinity or ()
        ],
        "pause_on_start": given.pause_on_start,
        "recording_storage": AzureBlobContainerRecordingStorage(url) if url else None,
    }


def _text(value: object) -> str:
    """Return a value as text; the client returns an enumeration for values that it knows."""
    return str(getattr(value, "value", value) or "")
