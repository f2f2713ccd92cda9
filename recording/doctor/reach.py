"""Send a request to a host: does it answer, and which time does it have?"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from aiohttp import ClientConnectorDNSError, ClientSSLError
from azure.core import AsyncPipelineClient
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import (
    IncompleteReadError,
    ServiceRequestError,
    ServiceRequestTimeoutError,
    ServiceResponseError,
    ServiceResponseTimeoutError,
)
from azure.core.pipeline.policies import AsyncBearerTokenCredentialPolicy
from azure.core.rest import AsyncHttpResponse, HttpRequest

from recording.doctor.finding import Finding
from recording.urls import is_loopback

# A signature that is 15 minutes off is refused (docs/acs-contract.md#hmac).
_SKEW_WARN, _SKEW_FAIL = timedelta(minutes=2), timedelta(minutes=10)
_CLOCK = "set this machine's clock: timedatectl set-ntp true"


class NotReached(Exception):
    """A host gave no answer; the message has the reason, and no part of the URL."""


@dataclass(frozen=True)
class Answer:
    """The answer of a host; `ahead` is how far this machine's clock is ahead of the host's."""

    status: int
    ahead: timedelta | None
    body: bytes


async def ask(url: str, *, login: AsyncTokenCredential | None = None, scope: str = "", timeout: float = 5.0) -> Answer:
    """Get a URL once, without following redirects.

    Raises NotReached, or ClientAuthenticationError if the login has no token for the scope.
    """
    policies: list[AsyncBearerTokenCredentialPolicy[Any, Any]] = []
    options: dict[str, Any] = {}
    if login is not None:
        policies = [AsyncBearerTokenCredentialPolicy(login, scope)]
        # A token is sent without TLS to this machine only.
        options = {"enforce_https": not is_loopback(urlsplit(url).hostname or "")}
    client: AsyncPipelineClient[HttpRequest, AsyncHttpResponse] = AsyncPipelineClient(
        url, policies=policies, connection_timeout=timeout, read_timeout=timeout
    )
    try:
        async with client:
            begun = datetime.now(UTC)
            response = await client.send_request(HttpRequest("GET", url), **options)
            ended = datetime.now(UTC)
    except (ServiceRequestTimeoutError, ServiceResponseTimeoutError):
        raise NotReached(f"no answer within {timeout:g} s") from None
    except ServiceRequestError as failed:
        raise NotReached(_reason(failed.inner_exception)) from None
    except (ServiceResponseError, IncompleteReadError):
        raise NotReached("the connection broke off") from None
    except (ValueError, OverflowError):
        raise NotReached("its name or port is invalid") from None
    return Answer(response.status_code, _ahead(response, begun + (ended - begun) / 2), response.content)


def _reason(failed: BaseException | None) -> str:
    if isinstance(failed, ClientConnectorDNSError):
        return "its name is not known"
    if isinstance(failed, ClientSSLError):
        return "no TLS connection (its certificate is invalid, or it doesn't use TLS)"
    return "no connection"


def _ahead(response: AsyncHttpResponse, now: datetime) -> timedelta | None:
    try:
        there = parsedate_to_datetime(response.headers["Date"])
    except (KeyError, ValueError):
        return None
    # The header has whole seconds, rounded down.
    return now - there.astimezone(UTC) - timedelta(seconds=0.5)


async def probe(name: str, url: str, fix: str) -> Finding:
    """Return whether a host answers, with any status, and whether the clocks agree."""
    host = urlsplit(url).netloc
    try:
        answer = await ask(url)
    except NotReached as failed:
        return Finding(name, "fail", f"{host}: {failed}", fix)
    if answer.ahead is None:
        return Finding(name, "ok", f"{host} answers, without a time")
    apart = abs(answer.ahead)
    if apart <= _SKEW_WARN:
        return Finding(name, "ok", f"{host} answers, the clocks agree")
    side = "ahead of" if answer.ahead > timedelta(0) else "behind"
    apart_by = f"this clock is {apart / timedelta(minutes=1):.0f} minutes {side} that of {host}"
    return Finding(name, "warn" if apart <= _SKEW_FAIL else "fail", apart_by, _CLOCK)
