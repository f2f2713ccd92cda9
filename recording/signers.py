"""Who signs tokens, and with which keys: those that an OpenID provider (ACS, Entra ID) publishes.

A provider changes its keys without notice: they are fetched again after a day, and when a token names an unknown one.
But any number of tokens may name a key that doesn't exist: hence a pause between two requests in any case. PyJWT's own
client of such keys blocks the event loop.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from azure.core import AsyncPipelineClient
from azure.core.exceptions import AzureError
from azure.core.pipeline.policies import AsyncHTTPPolicy, AsyncRetryPolicy, SansIOHTTPPolicy
from azure.core.rest import AsyncHttpResponse, HttpRequest

from recording import urls
from recording.errors import KeysUnavailable, Unauthorized
from recording.telemetry import log

LIFE_SECONDS, PAUSE_SECONDS = 24 * 60 * 60.0, 30.0
FETCH_SECONDS = 5.0
# The clock of this machine may differ from that of a provider by so much.
_LEEWAY_SECONDS = 60
# What is said of a token that PyJWT refuses; its own message may repeat the token. Anything else is its form.
_KINDS: tuple[tuple[type[jwt.PyJWTError], str], ...] = (
    (jwt.InvalidAlgorithmError, "algorithm"),
    (jwt.InvalidKeyError, "key"),
    (jwt.InvalidSignatureError, "signature"),
    (jwt.ExpiredSignatureError, "expired"),
    (jwt.ImmatureSignatureError, "not valid yet"),
    (jwt.InvalidIssuerError, "issuer"),
    (jwt.InvalidAudienceError, "audience"),
    (jwt.MissingRequiredClaimError, "a claim is missing"),
)


@dataclass(frozen=True)
class Signer:
    """The issuer that a provider names, and its keys by their ids."""

    issuer: str
    keys: Mapping[str | None, jwt.PyJWK]


class Signers:
    """The signer behind the OpenID configuration at `configuration`, kept and renewed; close it with `aclose`."""

    def __init__(
        self,
        configuration: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        fetch_timeout: float = FETCH_SECONDS,
    ) -> None:
        self.configuration = configuration
        self._clock = clock
        self._fetch_timeout = fetch_timeout
        self._lock = asyncio.Lock()
        self._signer: Signer | None = None
        self._asked: float | None = None
        self._failed = False
        # Requests that never reached the provider, and no others: after a failure there is a pause.
        retry = AsyncRetryPolicy[HttpRequest, AsyncHttpResponse](
            retry_total=3, retry_connect=3, retry_read=0, retry_status=0, retry_backoff_factor=0.3
        )
        policies: list[AsyncHTTPPolicy[Any, Any] | SansIOHTTPPolicy[Any, Any]] = [retry]
        self._client: AsyncPipelineClient[HttpRequest, AsyncHttpResponse] = AsyncPipelineClient(
            configuration, policies=policies, connection_timeout=fetch_timeout, read_timeout=fetch_timeout
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def claims(
        self, authorization: str | None, *, audience: str, issuer: str | None = None, require: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """Return the claims of the token in an `Authorization` header.

        It is signed with RS256 and a key of the signer, for `audience`, by `issuer` (None: the one that the provider
        names), valid now, and has the claims of `require`. Raises Unauthorized, with the kind of failure only, or
        KeysUnavailable while the keys can't be fetched.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthorized("send one header Authorization: Bearer, with a token", target="Authorization")
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            signer = await self._signer_for(kid)
            if kid not in signer.keys:
                raise jwt.InvalidKeyError
            found: dict[str, Any] = jwt.decode(
                token,
                signer.keys[kid],
                algorithms=["RS256"],
                audience=audience,
                issuer=issuer or signer.issuer,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", *require]},
            )
        except (jwt.PyJWTError, ValueError, RecursionError) as invalid:
            kind = next((kind for error, kind in _KINDS if isinstance(invalid, error)), "form")
            raise refused(kind) from None
        return found

    async def _signer_for(self, kid: str | None) -> Signer:
        """Return the keys, fetched again if they are old or this one isn't among them."""
        if self._signer is None or self._is_due(kid):
            async with self._lock:
                if self._is_due(kid):
                    await self._renew()
        if self._signer is None or (self._failed and kid not in self._signer.keys):
            raise KeysUnavailable("the keys that check the token could not be fetched; it may be valid")
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
            configuration = await self._get(self.configuration)
            keys = jwt.PyJWKSet.from_dict(await self._get(urls.require_https(str(configuration.get("jwks_uri")))))
            issuer = str(configuration.get("issuer") or "")
            if not issuer:
                raise ValueError("no issuer")
        except (AzureError, TimeoutError, ValueError, RecursionError, jwt.PyJWTError) as failed:
            reason = type(failed).__name__
            log.error("token.keys_not_fetched", at=self.configuration, reason=reason, next="known keys stay valid")
            return
        self._signer, self._failed = Signer(issuer, {key.key_id: key for key in keys.keys}), False

    async def _get(self, url: str) -> dict[str, Any]:
        async with asyncio.timeout(2 * self._fetch_timeout):
            response = await self._client.send_request(HttpRequest("GET", url))
        if response.status_code != 200:
            raise ValueError(f"status {response.status_code}")
        body = response.json()
        return body if isinstance(body, dict) else {}


def refused(kind: str) -> Unauthorized:
    """Return the error for a token: the kind of failure, and nothing of the token."""
    return Unauthorized(f"the token is invalid ({kind})", target="Authorization")
