"""Authentication by HMAC-SHA256 or Entra ID, as azure-core policies (docs/acs-contract.md#authentication)."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlsplit

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.pipeline import PipelineRequest
from azure.core.pipeline.policies import AsyncBearerTokenCredentialPolicy, SansIOHTTPPolicy
from azure.core.rest import HttpRequest
from yarl import URL

from recording.config.resource import Resource
from recording.errors import Misconfigured

# The double slash is intentional (docs/acs-contract.md#entra-id).
SCOPE = "https://communication.azure.com//.default"


def sign(method: str, url: str, body: bytes, *, host: str, key: str, date: str) -> dict[str, str]:
    """Return the headers that authenticate one request (docs/acs-contract.md#hmac).

    `url` is signed as it is sent, with its percent-encoding; `host` is the ACS resource's authority,
    whatever host has the bytes; `key` is base64; `date` is RFC 1123 in GMT.
    """
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    content_hash = base64.b64encode(hashlib.sha256(body).digest()).decode()
    text = f"{method.upper()}\n{target}\n{date};{host};{content_hash}"
    digest = hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()
    signature = base64.b64encode(digest).decode()
    return {
        "x-ms-date": date,
        "x-ms-content-sha256": content_hash,
        "Authorization": f"HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={signature}",
    }


class HmacPolicy(SansIOHTTPPolicy[HttpRequest, Any]):
    """Signs each request, and each retry of it again: the date is part of the signature."""

    def __init__(self, resource: Resource) -> None:
        assert resource.access_key is not None  # noqa: S101 - chosen by `auth_policy` below
        self._authority = resource.authority
        self._key = resource.access_key

    def on_request(self, request: PipelineRequest[HttpRequest]) -> None:
        """Add the three headers to the request, and `x-ms-host` if it goes to another host."""
        http = request.http_request
        content = http.content
        body = content.encode() if isinstance(content, str) else content
        date = format_datetime(datetime.now(UTC), usegmt=True)
        # aiohttp sends URLs as yarl writes them (`%7E` as `~`): what is signed must be what is sent.
        http.url = str(URL(http.url))
        http.headers.update(sign(http.method, http.url, body or b"", host=self._authority, key=self._key, date=date))
        if urlsplit(http.url).netloc != self._authority:
            http.headers["x-ms-host"] = self._authority


def auth_policy(
    resource: Resource, credential: AsyncTokenCredential | None
) -> HmacPolicy | AsyncBearerTokenCredentialPolicy[Any, Any]:
    """Return HMAC if there is a key, else the app's identity."""
    if resource.access_key is not None:
        return HmacPolicy(resource)
    if credential is None:
        raise Misconfigured("set ACS_CONNECTION_STRING, or ACS_ENDPOINT for the app's managed identity")
    if not resource.endpoint.lower().startswith("https://"):
        # azure-core wouldn't send the token either, but would raise on the first call, as for a failed connection.
        raise Misconfigured("ACS_ENDPOINT must be an https URL: a token is not sent unencrypted")
    return AsyncBearerTokenCredentialPolicy(credential, SCOPE)
