"""The signed tokens in callbacks of Call Automation, and the keys to check them (docs/acs-contract.md#callbacks)."""

import hashlib
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import RSAAlgorithm

from local.acs.entities import CallbackToken
from local.acs.identifiers import RESOURCE_ID, new_guid
from local.acs.service import Service

LIFETIME = timedelta(minutes=5)
CONFIGURATION_PATH, KEYS_PATH = "/calling/.well-known/acsopenidconfiguration", "/calling/keys"
_ALGORITHM = "RS256"


def is_public(request: web.Request) -> bool:
    """Return whether a request is for the OpenID configuration or the keys, which are public."""
    return request.path in (CONFIGURATION_PATH, KEYS_PATH)


def routes(service: Service) -> list[web.RouteDef]:
    """Return the OpenID configuration and the keys."""

    async def configuration(request: web.Request) -> web.Response:
        return web.json_response(
            {
                "issuer": service.settings.issuer,
                "jwks_uri": f"{request.scheme}://{request.host}{KEYS_PATH}",
                "id_token_signing_alg_values_supported": [_ALGORITHM],
                "subject_types_supported": ["public"],
            }
        )

    async def keys(request: web.Request) -> web.Response:
        return web.json_response({"keys": [_public_key()]})

    return [
        web.get(CONFIGURATION_PATH, configuration, allow_head=False),
        web.get(KEYS_PATH, keys, allow_head=False),
    ]


def authorization(kind: CallbackToken, *, issuer: str) -> dict[str, str]:
    """Return the header of one callback, with a new token; all kinds but ``good`` are wrong in one respect.

    Blocks: the first call makes a key. The time is the real one, as in a signed request.
    """
    if kind == "none":
        return {}
    now = datetime.now(UTC)
    issued = now - 2 * LIFETIME if kind == "expired" else now
    claims = {
        "iss": "https://issuer.example" if kind == "issuer" else issuer,
        "aud": new_guid() if kind == "audience" else RESOURCE_ID,
        "iat": issued,
        "nbf": issued,
        "exp": issued + LIFETIME,
        "jti": new_guid(),
    }
    key = _key("other" if kind == "key" else "own")
    return {"Authorization": "Bearer " + jwt.encode(claims, key, _ALGORITHM, headers={"kid": _public_key()["kid"]})}


@cache
def _key(name: str) -> RSAPrivateKey:
    # Once per process: making a key takes longer than starting an emulator.
    return generate_private_key(public_exponent=65537, key_size=2048)


def _public_key() -> dict[str, Any]:
    key = RSAAlgorithm.to_jwk(_key("own").public_key(), as_dict=True)
    # RFC 7517 4.3: `key_ops` and `use` don't go together.
    del key["key_ops"]
    return key | {"use": "sig", "alg": _ALGORITHM, "kid": hashlib.sha256(key["n"].encode("ascii")).hexdigest()[:40]}
