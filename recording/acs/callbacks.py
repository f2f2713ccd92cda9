"""Authentication of callbacks, by the token that ACS signs for each (docs/acs-contract.md#callbacks).

A token proves the sender, not the body: whoever has a token can send it again within its five minutes,
with any body. A repeated callback does no harm: the state of a recording is only logged, a
file event is a fact that is written once under its own id, and a start is claimed once for a call.

The 2021 preview API signs nothing: its callbacks are protected only by the function key in their URL.
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
# ACS changes its keys without notice: they are fetched again after this long, and when a token names an unknown one.
# But any number of tokens may name a key that doesn't exist: hence a pause between two requests in any case.
LIFE_SECONDS, PAUSE_SECONDS = 24 * 60 * 60.0, 30.0
FETCH_SECONDS = 5.0
# The clock of this machine may differ from that of ACS by so much.
_LEEWAY_SECONDS = 60


@dataclass(frozen=True)
class _Signer:
    """The issuer of valid tokens, and the keys that they are signed with."""

    issuer: str
    keys: Mapping[str | None, jwt.PyJWK]


class CallbackAuth:
    """Checks that callbacks come from ACS, for the resource with `resource_id`; close it with `aclose`."""

    def __init__(
        self,
        resource: Resource,
        resource_id: UUID | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        fetch_timeout: float = FETCH_SECONDS,
    ) -> None:
        self._audience = str(resource_id) if resource_id else None
        # An emulator on this machine signs with its own key; on loopback nobody else can answer.
        is_emulator = urls.is_loopback(urlsplit(resource.endpoint).hostname or "")
        self._configuration = (resource.endpoint if is_emulator else HOST) + CONFIGURATION
        self._clock = clock
        self._fetch_timeout = fetch_timeout
        self._lock = asyncio.Lock()
        self._signer: _Signer | None = None
        self._asked: float | None = None
        self._failed = False
        policies: list[AsyncHTTPPolicy[Any, Any] | SansIOHTTPPolicy[Any, Any]] = [ConnectRetry()]
        self._client: AsyncPipelineClient[HttpRequest, AsyncHttpResponse] = AsyncPipelineClient(
            HOST, policies=policies, connection_timeout=fetch_timeout, read_timeout=fetch_timeout
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def check(self, authorization: str | None) -> None:
        """Accept a callback if its `Authorization` header has a valid token of ACS for this resource.

        Raises Unauthorized, or UpstreamFailed while ACS's keys can't be fetched: ACS may send the callback again.
        """
        if self._audience is None:
            return
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthorized("a callback must carry a token of ACS", target="Authorization")
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            signer = await self._signer_for(kid)
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
        except (jwt.PyJWTError, ValueError, RecursionError) as invalid:
            # Only the kind of failure: its message may repeat the token.
            raise Unauthorized(f"the token is invalid ({type(invalid).__name__})", target="Authorization") from None

    async def _signer_for(self, kid: str | None) -> _Signer:
        """Return the keys, fetched again if they are old or this one isn't among them."""
        if self._signer is None or self._is_due(kid):
            async with self._lock:
                if self._is_due(kid):
                    await self._renew()
        if self._signer is None or (self._failed and kid not in self._signer.keys):
            raise UpstreamFailed("the keys for ACS's tokens could not be fetched; send the callback again")
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
            log.error("callback.keys_not_fetched", reason=type(failed).__name__, next="known keys stay valid")
            return
        self._signer, self._failed = _Signer(issuer, {key.key_id: key for key in keys.keys}), False

    async def _get(self, url: str) -> dict[str, Any]:
        async with asyncio.timeout(2 * self._fetch_timeout):
            response = await self._client.send_request(HttpRequest("GET", url))
        if response.status_code != 200:
            raise ValueError(f"status {response.status_code}")
        return read_json(response)
