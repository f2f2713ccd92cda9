"""Failures between this app and ACS: which requests are retried, and the error that each failure becomes.

The same for both APIs: a client sends its requests inside `translated()`, with `ConnectRetry` as its only retry.
"""

import re
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
CONNECT_SECONDS, READ_SECONDS = 10.0, 60.0
REFUSALS = (401, 403)
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
# Of a text that is only passed on, in characters.
_LONGEST_TEXT = 1024
_REFUSED = (
    "ACS refused this app's credentials ({}); check ACS_CONNECTION_STRING (or the identity's role on the ACS resource) "
    "and this machine's clock"
)


class ConnectRetry(AsyncRetryPolicy[HttpRequest, AsyncHttpResponse]):
    """Retries requests that never reached the service, whatever the method, and no others.

    azure-core also counts a lost answer as a failed connection, never retries a POST after one,
    and retries any request whose answer has a Retry-After (docs/acs-contract.md#limits). Here the caller of this app
    decides what to do about a status: it gets the Retry-After.
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
    """Translate what azure-core raises inside this context into errors of this app."""
    try:
        yield
    except ClientAuthenticationError as failed:
        raise credentials_refused(failed.status_code or "no token") from failed
    except HttpResponseError as failed:
        if failed.response is None or (failed.status_code or 0) < 300:
            raise UpstreamFailed("ACS returned an answer that can't be read") from failed
        raise_for(failed.response)
    except AzureError as failed:
        raise UpstreamFailed(f"ACS could not be reached ({type(failed).__name__})") from failed


def credentials_refused(why: int | str) -> Misconfigured:
    """Return the error for refused credentials; not with the service's message, which may repeat what was signed."""
    return Misconfigured(_REFUSED.format(why), code="AcsCredentialsRefused")


def read_json(response: Any) -> dict[str, Any]:
    """Return a body as an object; empty for one that is empty or not JSON, such as an error page."""
    try:
        body = response.json()
    except (ValueError, RecursionError, LookupError):  # LookupError: the charset is unknown
        return {}
    return body if isinstance(body, dict) else {}


def raise_for(response: Any) -> NoReturn:
    """Raise the error of this app for the service's error, in a bare or a wrapped body.

    See docs/acs-contract.md#2021-errors, #preview-errors, #errors.
    """
    body = read_json(response)
    error = body.get("error") if isinstance(body.get("error"), dict) else body
    assert isinstance(error, dict)  # noqa: S101 - for the type checker: one of the two dicts above
    status = response.status_code
    # It becomes a header of the answer.
    named = _CODE.fullmatch(str(error.get("code") or ""))
    code = named[0] if named else None
    # The message may repeat what was sent, and the callback URL has a key of this app in its query.
    message = urls.strip_queries(str(error.get("message") or "")[:_LONGEST_TEXT]) or f"ACS answered with {status}"
    target = str(error.get("target") or "")[:_LONGEST_TEXT] or None
    if status == 400:
        raise BadRequest(message, code=code, target=target)
    if status == 404:
        raise NotFound(message, code=code, target=target)
    if status == 409:
        raise Conflict(message, code=code, target=target)
    if status in REFUSALS:
        raise credentials_refused(status)
    if status in (429, 503):
        raise Throttled(message, status=status, retry_after=response.headers.get("Retry-After"))
    log.error("acs.failed", status=status, code=code)
    raise UpstreamFailed(f"ACS failed with {status}: {message}", code=code)
