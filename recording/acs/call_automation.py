"""Recording in today's Call Automation API: /calling/recordings, through the official client.

Statuses and bodies as in docs/acs-contract.md#call-automation. The client makes the requests and reads the answers;
they are signed, timed out and repeated as those of any API here. Its own signature is not used: it signs
`%3D` in a padded recording id where aiohttp sends `=`. Its own retry is not used: it repeats a start
whenever the answer has a Retry-After (docs/acs-contract.md#limits).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, cast

from azure.communication.callautomation import AzureBlobContainerRecordingStorage, ChannelAffinity

# Public in the other clients of ACS, and forgotten in this one's __init__ (1.6.0).
from azure.communication.callautomation._shared.models import identifier_from_raw_id
from azure.communication.callautomation.aio import CallAutomationClient
from azure.core.credentials import AzureKeyCredential
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.policies import AsyncHTTPPolicy, RequestIdPolicy, SansIOHTTPPolicy

from recording.acs.auth import auth_policy
from recording.acs.failures import CONNECT_SECONDS, READ_SECONDS, REFUSALS, ConnectRetry, translated
from recording.acs.service import NO_RECORDING, RecordingStatus, State
from recording.config.resource import Resource
from recording.errors import UpstreamFailed
from recording.model import conversation
from recording.model.options import StartOptions


class CallAutomation:
    """Today's recording API; close it with `aclose`."""

    def __init__(
        self, resource: Resource, credential: AsyncTokenCredential | None = None, *, api_version: str | None = None
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
            connection_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    def check(self, conversation_id: str, *, options: StartOptions | None = None) -> None:
        """Raise BadRequest for an id of no kind that there is; every option is this API's own."""
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
        with _reading():
            started = await self._client.start_recording(
                **locator,
                recording_state_callback_url=callback_uri,
                **_options(options or StartOptions()),
                # The client's own clock is a deprecated one (1.6.0); the id beside this is the client's.
                headers={"Repeatability-First-Sent": format_datetime(datetime.now(UTC), usegmt=True)},
            )
        if not isinstance(started.recording_id, str) or not started.recording_id:
            raise UpstreamFailed("ACS started a recording but gave no recordingId")
        return started.recording_id

    async def state(self, conversation_id: str, recording_id: str) -> RecordingStatus:
        """Read the state; the recording id is enough."""
        with _reading():
            found = await self._client.get_recording_properties(recording_id)
        state = _text(found.recording_state).lower()
        if state not in ("active", "inactive"):
            raise UpstreamFailed("ACS gave a recording state that is neither active nor inactive")
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
        """Ask for a recording that isn't there."""
        with translated():
            try:
                await self._client.get_recording_properties(NO_RECORDING)
            except HttpResponseError as answered:
                if answered.status_code is None or answered.status_code in REFUSALS:
                    raise
                return answered.status_code
        return 200


@contextmanager
def _reading() -> Iterator[None]:
    """As `ours`, where an answer with a body is expected: the client's models choke on anything else."""
    try:
        with translated():
            yield
    except (ValueError, TypeError, AttributeError, RecursionError) as failed:
        raise UpstreamFailed("ACS gave an answer that can't be read") from failed


def _options(given: StartOptions) -> dict[str, Any]:
    """Write the options as the client takes them."""
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
    """Read what the client gives as text or, where it knows the value, as an enumeration."""
    return str(getattr(value, "value", value) or "")
