"""What goes wrong between us and ACS: what is tried again, and which error of ours each failure becomes.

One place for every generation of the API: a client asks inside `ours()`, with `ConnectRetry` as its
only retry.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from aiohttp import ClientConnectorError
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceRequestTimeoutError,
)
from azure.core.pipeline.policies import AsyncRetryPolicy
from azure.core.rest import AsyncHttpResponse, HttpRequest

from recording import urls
from recording.errors import BadRequest, Conflict, Misconfigured, NotFound, Throttled, UpstreamFailed
from recording.telemetry import log

# A caller waits for the answer: the platform gives up at 230 s (docs/functions-host.md#http).
CONNECT_SECONDS, READ_SECONDS = 10, 60
REFUSALS = (401, 403)
_REFUSED = (
    "ACS refused this app's credentials ({}); check ACS_CONNECTION_STRING (or the identity's role on the ACS resource) "
    "and this machine's clock"
)


class ConnectRetry(AsyncRetryPolicy[HttpRequest, AsyncHttpResponse]):
    """Repeats what never reached the service, whatever the method, and nothing else.

    azure-core counts an answer that got lost as a failed connection too, never repeats a POST for one,
    and repeats any request whose answer has a Retry-After (docs/acs-contract.md#limits). A status is the caller's
    to judge: it is handed the Retry-After.
    """

    def __init__(self) -> None:
        super().__init__(retry_total=3, retry_connect=3, retry_read=0, retry_status=0, retry_backoff_factor=0.3)
        self._method_whitelist = frozenset({"GET", "POST", "DELETE"})

    def _is_connection_error(self, err: Exception) -> bool:
        if isinstance(err, ServiceRequestTimeoutError):
            return True
        return isinstance(err, ServiceRequestError) and isinstance(err.inner_exception, ClientConnectorError)


@contextmanager
def translated() -> Iterator[None]:
    """Turn what azure-core raises in here into our errors."""
    try:
        yield
    except ClientAuthenticationError as failed:
        raise refused(failed.status_code or "no token") from failed
    except HttpResponseError as failed:
        if failed.response is None or (failed.status_code or 0) < 300:
            raise UpstreamFailed("ACS gave an answer that can't be read") from failed
        raise_for(failed.response)
    except AzureError as failed:
        raise UpstreamFailed(f"ACS could not be reached ({type(failed).__name__})") from failed


def refused(why: int | str) -> Misconfigured:
    """Say that our credentials were refused; the service's words may repeat what was signed: they go nowhere."""
    return Misconfigured(_REFUSED.format(why), code="AcsCredentialsRefused")


def read_json(response: Any) -> dict[str, Any]:
    """Read a body that may be empty, or isn't JSON at all (error pages)."""
    try:
        body = response.json()
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def raise_for(response: Any) -> NoReturn:
    """Turn the service's error into ours; bare and wrapped bodies are understood.

    See docs/acs-contract.md#2021-errors, #preview-errors, #errors.
    """
    body = read_json(response)
    error = body.get("error") if isinstance(body.get("error"), dict) else body
    assert isinstance(error, dict)  # noqa: S101 - for the type checker: one of the two dicts above
    status = response.status_code
    code = str(error.get("code") or "") or None
    # It may repeat what was sent, and the callback address has a key of ours in its query.
    message = urls.strip_queries(str(error.get("message") or "")) or f"ACS answered with {status}"
    target = str(error.get("target") or "") or None
    if status == 400:
        raise BadRequest(message, code=code, target=target)
    if status == 404:
        raise NotFound(message, code=code, target=target)
    if status == 409:
        raise Conflict(message, code=code, target=target)
    if status in REFUSALS:
        raise refused(status)
    if status in (429, 503):
        raise Throttled(message, status=status, retry_after=response.headers.get("Retry-After"))
    log.error("acs.failed", status=status, code=code)
    raise UpstreamFailed(f"ACS failed with {status}: {message}", code=code)
