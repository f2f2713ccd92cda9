"""Recording with the 2021 preview API (2021-04-15-preview1): /conversations/{conversationId}/recordings.

Statuses and bodies are in docs/acs-contract.md#2021-operations. The documentation of April 2021 and the Swagger file
disagree about the URL root; this client follows the former.
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
    credentials_refused,
    raise_for,
    read_json,
    translated,
)
from recording.acs.service import UNKNOWN_RECORDING_ID, RecordingStatus, State
from recording.config.resource import Resource
from recording.errors import BadRequest, UpstreamFailed
from recording.model import conversation
from recording.model.options import StartOptions

API_VERSION = "2021-04-15-preview1"
UNKNOWN_CONVERSATION_ID = "00000000-0000-0000-0000-000000000000"

_Method = Literal["GET", "POST", "DELETE"]


class Preview2021:
    """The 2021 preview API; close it with `aclose`."""

    def __init__(
        self,
        resource: Resource,
        credential: AsyncTokenCredential | None = None,
        *,
        connect_timeout: float = CONNECT_SECONDS,
        read_timeout: float = READ_SECONDS,
    ) -> None:
        self._endpoint = resource.endpoint
        # This API can't distinguish a repeated start from a second one (docs/acs-contract.md#2021-base: no
        # Repeatability headers).
        policies: list[AsyncHTTPPolicy[Any, Any] | SansIOHTTPPolicy[Any, Any]] = [
            RequestIdPolicy(),
            ConnectRetry(),
            auth_policy(resource, credential),
        ]
        self._client: AsyncPipelineClient[HttpRequest, AsyncHttpResponse] = AsyncPipelineClient(
            resource.endpoint,
            policies=policies,
            connection_timeout=connect_timeout,
            read_timeout=read_timeout,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    def check(self, conversation_id: str, *, options: StartOptions | None = None) -> None:
        """Raise BadRequest for options and ids that only the Call Automation API supports."""
        if options is not None and (given := options.of_today()):
            raise BadRequest(
                f"{given[0]} is not supported by the 2021 preview API, which ACS_API_VERSION selects", target=given[0]
            )
        conversation.require_2021_id(conversation_id)

    async def start(
        self,
        conversation_id: str,
        *,
        callback_uri: str | None = None,
        operation_context: str | None = None,
        options: StartOptions | None = None,
    ) -> str:
        """Start recording, with the two body members documented in April 2021 and no others."""
        self.check(conversation_id, options=options)
        body = {"operationContext": operation_context, "recordingStateCallbackUri": callback_uri}
        answer = await self._call("POST", conversation_id, body={k: v for k, v in body.items() if v is not None})
        recording_id = answer.get("recordingId")
        if not isinstance(recording_id, str) or not recording_id:
            raise UpstreamFailed("ACS started a recording but returned no recordingId")
        return recording_id

    async def state(self, conversation_id: str, recording_id: str) -> RecordingStatus:
        """Return the state of the recording."""
        answer = await self._call("GET", conversation_id, recording_id)
        state = str(answer.get("recordingState", "")).lower()
        if state not in ("active", "inactive"):
            raise UpstreamFailed("ACS returned a recording state that is neither active nor inactive")
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
        """Request a recording id that doesn't exist; return the HTTP status."""
        status = (await self._send("GET", UNKNOWN_CONVERSATION_ID, UNKNOWN_RECORDING_ID)).status_code
        if status in REFUSALS:
            raise credentials_refused(status)
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
