"""Recording in api-version 2021-04-15-preview1: /conversations/{conversationId}/recordings.

Statuses and bodies as in docs/acs-contract.md#2021-operations. The documentation of April 2021 and the swagger disagree
about the URL root; the former is used here.
"""

from typing import Any, Literal, cast
from urllib.parse import quote

from azure.core import AsyncPipelineClient
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.pipeline.policies import AsyncHTTPPolicy, RequestIdPolicy, SansIOHTTPPolicy
from azure.core.rest import AsyncHttpResponse, HttpRequest

from recording.acs.auth import auth_policy
from recording.acs.failures import (
    CONNECT_SECONDS,
    READ_SECONDS,
    REFUSALS,
    ConnectRetry,
    raise_for,
    read_json,
    refused,
    translated,
)
from recording.acs.service import NO_RECORDING, RecordingStatus, State
from recording.config.resource import Resource
from recording.errors import BadRequest, UpstreamFailed
from recording.model import conversation
from recording.model.options import StartOptions

API_VERSION = "2021-04-15-preview1"
NO_CONVERSATION = "00000000-0000-0000-0000-000000000000"

_Method = Literal["GET", "POST", "DELETE"]


class Preview2021:
    """The 2021 recording API; close it with `aclose`."""

    def __init__(self, resource: Resource, credential: AsyncTokenCredential | None = None) -> None:
        self._endpoint = resource.endpoint
        # This API has no way to tell a repeated start from a second one (docs/acs-contract.md#2021-base: no
        # Repeatability headers).
        policies: list[AsyncHTTPPolicy[Any, Any] | SansIOHTTPPolicy[Any, Any]] = [
            RequestIdPolicy(),
            ConnectRetry(),
            auth_policy(resource, credential),
        ]
        self._client: AsyncPipelineClient[HttpRequest, AsyncHttpResponse] = AsyncPipelineClient(
            resource.endpoint,
            policies=policies,
            connection_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    def check(self, conversation_id: str, *, options: StartOptions | None = None) -> None:
        """Raise BadRequest for what today's API has and this one hasn't."""
        if options is not None and (given := options.of_today()):
            raise BadRequest(f"{given[0]} is not in the API of 2021, which ACS_API_VERSION asks for", target=given[0])
        conversation.require_2021_id(conversation_id)

    async def start(
        self,
        conversation_id: str,
        *,
        callback_uri: str | None = None,
        operation_context: str | None = None,
        options: StartOptions | None = None,
    ) -> str:
        """Start recording; both body members as documented in April 2021, and no others."""
        self.check(conversation_id, options=options)
        body = {"operationContext": operation_context, "recordingStateCallbackUri": callback_uri}
        answer = await self._call("POST", conversation_id, body={k: v for k, v in body.items() if v is not None})
        recording_id = answer.get("recordingId")
        if not isinstance(recording_id, str) or not recording_id:
            raise UpstreamFailed("ACS started a recording but gave no recordingId")
        return recording_id

    async def state(self, conversation_id: str, recording_id: str) -> RecordingStatus:
        """Read the state."""
        answer = await self._call("GET", conversation_id, recording_id)
        state = str(answer.get("recordingState", "")).lower()
        if state not in ("active", "inactive"):
            raise UpstreamFailed("ACS gave a recording state that is neither active nor inactive")
        return RecordingStatus(cast(State, state))

    async def stop(self, conversation_id: str, recording_id: str, *, operation_context: str | None = None) -> None:
        """End the recording."""
        await self._call("DELETE", conversation_id, recording_id, body=_context(operation_context))

    async def pause(self, conversation_id: str, recording_id: str, *, operation_context: str | None = None) -> None:
        """Pause the recording."""
        await self._call("POST", conversation_id, recording_id, "Pause", body=_context(operation_context))

    async def resume(self, conversation_id: str, recording_id: str, *, operation_context: str | None = None) -> None:
        """Resume the recording."""
        await self._call("POST", conversation_id, recording_id, "Resume", body=_context(operation_context))

    async def ping(self) -> int:
        """Ask for a recording that isn't there."""
        status = (await self._send("GET", NO_CONVERSATION, NO_RECORDING)).status_code
        if status in REFUSALS:
            raise refused(status)
        return status

    async def _call(
        self, method: _Method, conversation_id: str, *rest: str, body: dict[str, str] | None = None
    ) -> dict[str, Any]:
        response = await self._send(method, conversation_id, *rest, body=body)
        if response.status_code >= 300:
            raise_for(response)
        return read_json(response)

    async def _send(
        self, method: _Method, conversation_id: str, *rest: str, body: dict[str, str] | None = None
    ) -> AsyncHttpResponse:
        parts = ["conversations", conversation_id, "recordings", *rest]
        url = f"{self._endpoint}/{'/'.join(quote(part, safe='') for part in parts)}"
        # A body-less POST sends Content-Length: 0, as the clients of 2021 did (docs/acs-contract.md#2021-operations).
        request = HttpRequest(method, url, params={"api-version": API_VERSION}, json=body)
        with translated():
            return await self._client.send_request(request)


def _context(operation_context: str | None) -> dict[str, str] | None:
    return None if operation_context is None else {"operationContext": operation_context}
