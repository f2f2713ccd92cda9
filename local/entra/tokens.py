"""The tokens of the tenant, the keys that sign them and change, and tokens that are wrong in one respect.

Signing blocks for a millisecond; making a key takes a tenth of a second and is done once per process.
"""

import base64
import hashlib
import hmac
import json
import time
import uuid
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm

from local.entra.directory import API, PAGE, TENANT, Person, Service

LIFETIME_SECONDS = 3600
Claims = dict[str, Any]
# Each is like a good one but for one respect.
Wrong = Literal[
    "other-key",
    "unsigned",
    "hs256",
    "expired",
    "not-yet",
    "issuer",
    "audience",
    "tenant",
    "id-token",
    "v1",
    "no-role",
    "no-scope",
]
WRONG: tuple[Wrong, ...] = get_args(Wrong)


@dataclass
class Tokens:
    """Signs for one issuer; three keys are published: the one before, the present one, and the next."""

    issuer: str
    number: int = 1

    def rotate(self) -> None:
        """Sign with the next key from now on; Entra ID, too, publishes a key before it signs with it."""
        self.number += 1

    def public_keys(self) -> list[dict[str, Any]]:
        """Return the keys as a JWK set has them."""
        return [_public(number) for number in (self.number - 1, self.number, self.number + 1)]

    def access(self, who: Person | Service, **changes: Any) -> str:
        """Return an access token for the API; a claim that is changed to None is left out."""
        return self.sign(self._access(who) | changes)

    def identity(self, who: Person, nonce: str | None) -> str:
        """Return an id token: it is for the page, and says who signed in."""
        return self.sign(self._common(who) | {"aud": PAGE, "name": who.name, "nonce": nonce})

    def wrong(self, kind: Wrong, who: Person) -> str:
        """Return a token that is wrong in one respect."""
        now, another = int(time.time()), "00000000-0000-4000-8000-00000000e0ff"
        match kind:
            case "other-key":
                return self.sign(self._access(who), key=_key(-1))
            case "unsigned":
                return jwt.encode(self._access(who), "", "none", headers=self._header())
            case "hs256":
                return self._signed_with_public_key(self._access(who))
            case "expired":
                return self.access(who, iat=now - 7200, nbf=now - 7200, exp=now - 3600)
            case "not-yet":
                return self.access(who, nbf=now + 3600, exp=now + 7200)
            case "issuer":
                return self.access(who, iss=self.issuer.replace(TENANT, another))
            case "audience":
                return self.access(who, aud=another)
            case "tenant":
                return self.access(who, tid=another)
            case "id-token":
                return self.identity(who, None)
            case "v1":
                return self.access(who, ver="1.0")
            case "no-role":
                return self.access(who, roles=None)
            case "no-scope":
                return self.access(who, scp=None)

    def sign(self, claims: Claims, *, key: RSAPrivateKey | None = None) -> str:
        """Sign these claims with the present key, or with another one under its name."""
        given = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(given, key or _key(self.number), "RS256", headers=self._header())

    def _access(self, who: Person | Service) -> Claims:
        own: Claims = {"aud": API, "roles": list(who.roles), "uti": uuid.uuid4().hex}
        if isinstance(who, Service):
            own |= {"azp": who.client_id, "azpacr": "1", "idtyp": "app"}
        else:
            own |= {"azp": PAGE, "azpacr": "0", "scp": "access", "name": who.name}
        return self._common(who) | own

    def _common(self, who: Person | Service) -> Claims:
        now = int(time.time())
        times = {"iat": now, "nbf": now, "exp": now + LIFETIME_SECONDS}
        return {"iss": self.issuer, "tid": TENANT, "oid": who.object_id, "sub": who.object_id, "ver": "2.0", **times}

    def _header(self) -> dict[str, Any]:
        return {"kid": _public(self.number)["kid"]}

    def _signed_with_public_key(self, claims: Claims) -> str:
        """Take the public key for a secret that both sides know: PyJWT refuses to do so."""
        secret = _key(self.number).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT", **self._header()}, claims)]
        text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
        signature = base64.urlsafe_b64encode(hmac.digest(secret, text, "sha256")).rstrip(b"=")
        return (text + b"." + signature).decode()


@cache
def _key(number: int) -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


@cache
def _public(number: int) -> dict[str, Any]:
    key = RSAAlgorithm.to_jwk(_key(number).public_key(), as_dict=True)
    # RFC 7517 4.3: `key_ops` and `use` don't go together. Entra ID names no `alg`.
    del key["key_ops"]
    return key | {"use": "sig", "kid": hashlib.sha256(key["n"].encode("ascii")).hexdigest()[:27]}
