"""Who sends a callback: the token that ACS signs for each one of today's API (docs/acs-contract.md#callbacks).

A token says who sends, not what: whoever holds one can send it again within its five minutes, and
with any body. No harm comes of a callback that is sent twice: a recording's state is only logged, a
file event is a fact that is written once under its own id, and a start is claimed once for a call.

The API of 2021 signs nothing, so there the function key in the callback's address is all there is.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import jwt
from azure.core import AsyncPipelineClient
from azure.core.exceptions import AzureError
from azure.core.pipeline.policies import AsyncHTTPPolicy, SansIOHTTPPolicy
from azure.core.rest import AsyncHttpResponse, HttpRequest

from recording import urls
from recording.acs.failures import ConnectRetry, read_json
from recording.config.resource import Resource
from recording.errors import Unauthorized, UpstreamFailed
from recording.telemetry import log

HOST = "https://acscallautomation.communication.azure.com"
CONFIGURATION = "/calling/.well-known/acsopenidconfiguration"
# ACS changes its keys without a word: they are asked for again after this long, and when a token names another.
# But a key that nobody has can stand in any number of tokens: between two requests lies a pause, whatever comes.
LIFE_SECONDS, PAUSE_SECONDS = 24 * 60 * 60.0, 30.0
_FETCH_SECONDS = 5
# How far this machine's clock and ACS's may be apart.
_LEEWAY_SECONDS = 60


@dataclass(frozen=True)
class _Signer:
    """Whose tokens are good, and the keys that they are signed with."""

    issuer: str
    keys: Mapping[str | None, jwt.PyJWK]


class CallbackAuth:
    """Checks who sends a callback, where `resource_id` says for whom it must be; close it with `aclose`."""

    def __init__(
        self, resource: Resource, resource_id: UUID | None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._audience = str(resource_id) if resource_id else None
        # An emulator on this machine signs with a key of its own; nobody else can answer there.
        is_here = urls.is_loopback(urlsplit(resource.endpoint).hostname or "")
        self._configuration = (resource.endpoint if is_here else HOST) + CONFIGURATION
        self._clock = clock
        self._lock = asyncio.Lock()
        self._signer: _Signer | None = None
        self._asked: float | None = None
        self._failed = False
        policies: list[AsyncHTTPPolicy[Any, Any] | SansIOHTTPPolicy[Any, Any]] = [ConnectRetry()]
        self._client: AsyncPipelineClient[HttpRequest, AsyncHttpResponse] = AsyncPipelineClient(
            HOST, policies=policies, connection_timeout=_FETCH_SECONDS, read_timeout=_FETCH_SECONDS
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def check(self, authorization: str | None) -> None:
        """Let a callback pass if its `Authorization` header is ACS's for this resource.

        Raises Unauthorized, or UpstreamFailed while ACS's keys are out of reach: ACS may send again.
        """
        if self._audience is None:
            return
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthorized("a callback must bear ACS's token", target="Authorization")
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            signer = await self._signer_of(kid)
            if kid not in signer.keys:
                raise jwt.InvalidKeyError
            jwt.decode(
                token,
                signer.keys[kid],
                algorithms=["RS256"],
                audience=self._audience,
                issuer=signer.issuer,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud"]},
            )
        except (jwt.PyJWTError, ValueError, RecursionError) as bad:
            # The kind of failure is enough; what is said of it may repeat the token.
            raise Unauthorized(f"the token is not good ({type(bad).__name__})", target="Authorization") from None

    async def _signer_of(self, kid: str | None) -> _Signer:
        """Give the keys, asked for again if they are old or this one isn't among them."""
        if self._signer is None or self._is_due(kid):
            async with self._lock:
                if self._is_due(kid):
                    await self._renew()
        if self._signer is None or (self._failed and kid not in self._signer.keys):
            raise UpstreamFailed("the keys of ACS's tokens could not be fetched; send the callback again")
        return self._signer

    def _is_due(self, kid: str | None) -> bool:
        if self._asked is None:
            return True
        age = self._clock() - self._asked
        is_known = self._signer is not None and kid in self._signer.keys
        return age >= (LIFE_SECONDS if is_known and not self._failed else PAUSE_SECONDS)

    async def _renew(self) -> None:
        self._asked, self._failed = self._clock(), True
        try:
            configuration = await self._get(self._configuration)
            keys = jwt.PyJWKSet.from_dict(await self._get(urls.require_https(str(configuration.get("jwks_uri")))))
            issuer = str(configuration.get("issuer") or "")
            if not issuer:
                raise ValueError("no issuer")
        except (AzureError, TimeoutError, ValueError, jwt.PyJWTError) as failed:
            log.error("callback.keys_not_fetched", reason=type(failed).__name__, next="known keys stay good")
            return
        self._signer, self._failed = _Signer(issuer, {key.key_id: key for key in keys.keys}), False

    async def _get(self, url: str) -> dict[str, Any]:
        async with asyncio.timeout(2 * _FETCH_SECONDS):
            response = await self._client.send_request(HttpRequest("GET", url))
        if response.status_code != 200:
            raise ValueError(f"status {response.status_code}")
        return read_json(response)
