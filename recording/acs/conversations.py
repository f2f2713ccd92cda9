"""Recording in api-version 2021-04-15-preview1: /conversations/{conversationId}/recordings.

Statuses and bodies as in acs-contract 2.3. The documentation of April 2021 and the swagger disagree
about the URL root; the former is used here.
"""

from typing import Any, Literal, NoReturn, cast
from urllib.parse import quote

from aiohttp import ClientConnectorError
from azure.core import AsyncPipelineClient
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    ServiceRequestError,
    ServiceRequestTimeoutError,
)
from azure.core.pipeline.policies import AsyncHTTPPolicy, AsyncRetryPolicy, RequestIdPolicy, SansIOHTTPPolicy
from azure.core.rest import AsyncHttpResponse, HttpRequest

from recording import logs
from recording.acs.auth import Resource, policy
from recording.acs.service import State
from recording.errors import BadRequest, Conflict, Misconfigured, NotFound, Throttled, UpstreamFailed

API_VERSION = "2021-04-15-preview1"
# A caller waits for the answer: the platform gives up at 230 s (functions-host.md 1).
_CONNECT_SECONDS, _READ_SECONDS = 10, 60
_REFUSED = (
    "ACS refused this app's credentials ({}); check ACS_CONNECTION_STRING (or the identity's role on the ACS resource) "
    "and this machine's clock"
)

_Method = Literal["GET", "POST", "DELETE"]


class _ConnectRetry(AsyncRetryPolicy[HttpRequest, AsyncHttpResponse]):
    """Repeats what never reached the service, whatever the method, and nothing else.

    azure-core counts an answer that got lost as a failed connection too, and never repeats a POST.
    """

    def __init__(self) -> None:
        super().__init__(retry_total=3, retry_connect=3, retry_read=0, retry_status=0, retry_backoff_factor=0.3)
        self._method_whitelist = frozenset({"GET", "POST", "DELETE"})

    def _is_connection_error(self, err: Exception) -> bool:
        if isinstance(err, ServiceRequestTimeoutError):
            return True
        return isinstance(err, ServiceRequestError) and isinstance(err.inner_exception, ClientConnectorError)


class Conversations:
    """The 2021 recording API; close it with `aclose`."""

    def __init__(self, resource: Resource, credential: AsyncTokenCredential | None = None) -> None:
        self._endpoint = resource.endpoint
        # Only connections that were never made are retried here. A status is the caller's to judge: it has the
        # Retry-After, and this API has no way to tell a repeated start from a second one
        # (acs-contract 2.1: no Repeatability headers).
        policies: list[AsyncHTTPPolicy[Any, Any] | SansIOHTTPPolicy[Any, Any]] = [
            RequestIdPolicy(),
            _ConnectRetry(),
            policy(resource, credential),
        ]
        self._client: AsyncPipelineClient[HttpRequest, AsyncHttpResponse] = AsyncPipelineClient(
            resource.endpoint,
            policies=policies,
            connection_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def start(
        self, conversation_id: str, *, callback_uri: str | None = None, operation_context: str | None = None
    ) -> str:
        """Start recording; both body members as documented in April 2021."""
        body = {"operationContext": operation_context, "recordingStateCallbackUri": callback_uri}
        answer = await self._call("POST", conversation_id, body={k: v for k, v in body.items() if v is not None})
        recording_id = answer.get("recordingId")
        if not isinstance(recording_id, str) or not recording_id:
            raise UpstreamFailed("ACS started a recording but gave no recordingId")
        return recording_id

    async def state(self, conversation_id: str, recording_id: str) -> State:
        """Read the state."""
        answer = await self._call("GET", conversation_id, recording_id)
        state = str(answer.get("recordingState", "")).lower()
        if state not in ("active", "inactive"):
            raise UpstreamFailed("ACS gave a recording state that is neither active nor inactive")
        return cast(State, state)

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
        """Ask for the endpoint's root; any status means that it can be reached."""
        try:
            return (await self._client.send_request(HttpRequest("GET", f"{self._endpoint}/"))).status_code
        except AzureError as failed:
            raise UpstreamFailed(f"ACS could not be reached ({type(failed).__name__})") from failed

    async def _call(
        self, method: _Method, conversation_id: str, *rest: str, body: dict[str, str] | None = None
    ) -> dict[str, Any]:
        parts = ["conversations", conversation_id, "recordings", *rest]
        url = f"{self._endpoint}/{'/'.join(quote(part, safe='') for part in parts)}"
        # A body-less POST sends Content-Length: 0, as the clients of 2021 did (acs-contract 2.3).
        request = HttpRequest(method, url, params={"api-version": API_VERSION}, json=body)
        try:
            response = await self._client.send_request(request)
        except ClientAuthenticationError as failed:
            raise Misconfigured(_REFUSED.format("no token"), code="AcsCredentialsRefused") from failed
        except AzureError as failed:
            raise UpstreamFailed(f"ACS could not be reached ({type(failed).__name__})") from failed
        if response.status_code >= 300:
            _fail(response)
        return _json(response)


def _context(operation_context: str | None) -> dict[str, str] | None:
    return None if operation_context is None else {"operationContext": operation_context}


def _json(response: AsyncHttpResponse) -> dict[str, Any]:
    """Read a body that may be empty, or isn't JSON at all (error pages)."""
    try:
        body = response.json()
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _fail(response: AsyncHttpResponse) -> NoReturn:
    """Turn the service's error into ours; bare and wrapped bodies are understood (acs-contract 2.6, 3.4)."""
    body = _json(response)
    error = body.get("error") if isinstance(body.get("error"), dict) else body
    assert isinstance(error, dict)  # noqa: S101 - for the type checker: one of the two dicts above
    status = response.status_code
    code = str(error.get("code") or "") or None
    message = str(error.get("message") or "") or f"ACS answered with {status}"
    target = str(error.get("target") or "") or None
    if status == 400:
        raise BadRequest(message, code=code, target=target)
    if status == 404:
        raise NotFound(message, code=code, target=target)
    if status == 409:
        raise Conflict(message, code=code, target=target)
    if status in (401, 403):
        # The service's words may repeat what was signed: they go nowhere.
        raise Misconfigured(_REFUSED.format(status), code="AcsCredentialsRefused")
    if status in (429, 503):
        raise Throttled(message, status=status, retry_after=response.headers.get("Retry-After"))
    logs.error("acs.failed", status=status, code=code)
    raise UpstreamFailed(f"ACS failed with {status}: {message}", code=code)
