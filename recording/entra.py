"""Who sends a request to `/v1`: the Entra ID access token in it, validated here (docs/entra.md#checks).

Nothing is taken from a header that only a setting of the platform would make trustworthy.
"""

import time
from collections.abc import Callable
from typing import Any, Literal
from uuid import UUID

from recording.model.roles import ROLES, Principal
from recording.signers import FETCH_SECONDS, Signers, refused

# The delegated permission of the API, without which a person's token isn't meant for it.
SCOPE = "access"
_LONGEST_NAME = 256


class AccessTokens:
    """Validates access tokens of one tenant for one API; close it with `aclose`."""

    def __init__(
        self,
        authority: str,
        tenant: UUID,
        api: UUID,
        *,
        clock: Callable[[], float] = time.monotonic,
        fetch_timeout: float = FETCH_SECONDS,
    ) -> None:
        self._tenant, self._api = str(tenant), str(api)
        self._issuer = f"{authority.rstrip('/')}/{tenant}/v2.0"
        self._signers = Signers(
            f"{self._issuer}/.well-known/openid-configuration", clock=clock, fetch_timeout=fetch_timeout
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._signers.aclose()

    async def principal(self, authorization: str | None) -> Principal:
        """Return whom the token in an `Authorization` header stands for; roles that this app doesn't know are left out.

        Raises Unauthorized, with the kind of failure only, or KeysUnavailable while Entra's keys can't be fetched.
        """
        claims = await self._signers.claims(
            authorization, audience=self._api, issuer=self._issuer, require=("ver", "tid", "oid")
        )
        if claims["ver"] != "2.0":
            raise refused("version")
        if claims["tid"] != self._tenant:
            raise refused("tenant")
        if not isinstance(claims["oid"], str) or not claims["oid"]:
            raise refused("object id")
        given = claims.get("roles")
        roles = frozenset(role for role in ROLES if isinstance(given, list) and role in given)
        return Principal(_kind(claims), claims["oid"][:_LONGEST_NAME], _name(claims), roles)


def _kind(claims: dict[str, Any]) -> Literal["person", "service"]:
    """Return `person` or `service`; an id token, or a token for another purpose, stands for neither."""
    scopes = claims.get("scp")
    if claims.get("idtyp") == "app" and scopes is None:
        return "service"
    if claims.get("idtyp") != "app" and isinstance(scopes, str) and SCOPE in scopes.split():
        return "person"
    raise refused("scope")


def _name(claims: dict[str, Any]) -> str | None:
    """Return what to show: a person's name, or the application's id of a service."""
    found = next((claims[name] for name in ("name", "azp") if isinstance(claims.get(name), str)), None)
    # JSON may hold lone surrogates, which can't be written as UTF-8.
    return found[:_LONGEST_NAME].encode(errors="backslashreplace").decode() if found else None
