"""Ask a host anything at all: does it answer, and what time is it there?"""

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

SECONDS = 5.0
# A signature that is a quarter of an hour off is refused (docs/acs-contract.md#hmac).
_SKEW_LOOK, _SKEW_MOST = timedelta(minutes=2), timedelta(minutes=10)
_CLOCK = "set this machine's clock: timedatectl set-ntp true"


class NotReached(Exception):
    """A host gave no answer; the message says how, and holds nothing of the address."""


@dataclass(frozen=True)
class Answer:
    """What a host answered; `ahead` is how far this machine's clock is before the host's."""

    status: int
    ahead: timedelta | None
    body: bytes


async def ask(url: str, *, login: AsyncTokenCredential | None = None, scope: str = "") -> Answer:
    """Get an address once, without following where it sends us.

    Raises NotReached, or ClientAuthenticationError if the login has no token for the scope.
    """
    policies: list[AsyncBearerTokenCredentialPolicy[Any, Any]] = []
    options: dict[str, Any] = {}
    if login is not None:
        policies = [AsyncBearerTokenCredentialPolicy(login, scope)]
        # A token goes to nobody in the clear, but for this machine.
        options = {"enforce_https": not is_loopback(urlsplit(url).hostname or "")}
    client: AsyncPipelineClient[HttpRequest, AsyncHttpResponse] = AsyncPipelineClient(
        url, policies=policies, connection_timeout=SECONDS, read_timeout=SECONDS
    )
    try:
        async with client:
            begun = datetime.now(UTC)
            response = await client.send_request(HttpRequest("GET", url), **options)
            ended = datetime.now(UTC)
    except (ServiceRequestTimeoutError, ServiceResponseTimeoutError):
        raise NotReached(f"no answer within {SECONDS:g} s") from None
    except ServiceRequestError as failed:
        raise NotReached(_reason(failed.inner_exception)) from None
    except (ServiceResponseError, IncompleteReadError):
        raise NotReached("the connection broke off") from None
    except (ValueError, OverflowError):
        raise NotReached("its name or its port cannot be") from None
    return Answer(response.status_code, _ahead(response, begun + (ended - begun) / 2), response.content)


def _reason(failed: BaseException | None) -> str:
    if isinstance(failed, ClientConnectorDNSError):
        return "its name is not known"
    if isinstance(failed, ClientSSLError):
        return "no TLS connection (its certificate, or it speaks something else)"
    return "no connection"


def _ahead(response: AsyncHttpResponse, here: datetime) -> timedelta | None:
    try:
        there = parsedate_to_datetime(response.headers["Date"])
    except (KeyError, ValueError):
        return None
    # The header has whole seconds, the rest cut off.
    return here - there.astimezone(UTC) - timedelta(seconds=0.5)


async def probe(name: str, url: str, mend: str) -> Finding:
    """Find out whether a host answers, and whether the clocks agree; nothing of the answer counts but its time."""
    host = urlsplit(url).netloc
    try:
        answer = await ask(url)
    except NotReached as failed:
        return Finding(name, "fail", f"{host}: {failed}", mend)
    if answer.ahead is None:
        return Finding(name, "ok", f"{host} answers, and doesn't tell the time")
    apart = abs(answer.ahead)
    if apart <= _SKEW_LOOK:
        return Finding(name, "ok", f"{host} answers, the clocks agree")
    side = "ahead of" if answer.ahead > timedelta(0) else "behind"
    told = f"this clock is {apart / timedelta(minutes=1):.0f} minutes {side} that of {host}"
    return Finding(name, "warn" if apart <= _SKEW_MOST else "fail", told, _CLOCK)
