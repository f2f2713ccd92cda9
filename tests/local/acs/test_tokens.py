"""Tests of who signs the callbacks of the Call Automation API, checked as an app would."""

import json
from typing import Any

import jwt
import pytest

from local.acs.identifiers import RESOURCE_ID

from .client import Client, eventually
from .conftest import Inbox

CONFIGURATION = "/calling/.well-known/acsopenidconfiguration"
ISSUER = "https://acscallautomation.communication.azure.com"


async def _tokens(client: Client, inbox: Inbox, count: int = 1) -> list[str | None]:
    """Start and stop a recording with callbacks; return the tokens of the first ones."""
    call = await client.call()
    locator = {"kind": "serverCallLocator", "serverCallId": call["serverCallId"]}
    body = json.dumps({"callLocator": locator, "recordingStateCallbackUri": inbox.url}).encode()
    started = await client.api("POST", "/calling/recordings", body=body, version="2026-03-12")
    await client.api("DELETE", f"/calling/recordings/{started.json['recordingId']}", version="2026-03-12")

    async def enough() -> Any:
        return len(inbox.authorizations) >= count

    await eventually(enough)
    return [value and value.removeprefix("Bearer ") for value in inbox.authorizations[:count]]


async def _claims(client: Client, token: str | None) -> Any:
    """Check a token the documented way: configuration, keys, signature, issuer, audience, time."""
    assert token is not None
    configuration = (await client.raw("GET", CONFIGURATION)).json
    path = configuration["jwks_uri"].removeprefix(client.endpoint)
    keys = jwt.PyJWKSet.from_dict((await client.raw("GET", path)).json)
    key = keys[jwt.get_unverified_header(token)["kid"]]
    algorithms = configuration["id_token_signing_alg_values_supported"]
    return jwt.decode(token, key, algorithms=algorithms, audience=RESOURCE_ID, issuer=configuration["issuer"])


async def test_good(client: Client, inbox: Inbox) -> None:
    """Every callback has a token of its own, valid for five minutes."""
    first, second = await _tokens(client, inbox, 2)
    claims, others = await _claims(client, first), await _claims(client, second)

    assert (ISSUER, RESOURCE_ID) == (claims["iss"], claims["aud"])
    assert claims["exp"] - claims["iat"] == 300
    assert first != second
    assert claims["jti"] != others["jti"]


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("audience", jwt.InvalidAudienceError),
        ("issuer", jwt.InvalidIssuerError),
        ("expired", jwt.ExpiredSignatureError),
        ("key", jwt.InvalidSignatureError),
    ],
)
async def test_bad(client: Client, inbox: Inbox, kind: str, error: type[Exception]) -> None:
    """On request a token is wrong in one respect, and only in that."""
    assert (await client.control("PUT", "/settings", {"callbackToken": kind})).status == 200
    [token] = await _tokens(client, inbox)

    with pytest.raises(error):
        await _claims(client, token)


async def test_none(client: Client, inbox: Inbox) -> None:
    """On request there is no token at all."""
    await client.control("PUT", "/settings", {"callbackToken": "none"})

    assert await _tokens(client, inbox) == [None]


async def test_unknown_kind(client: Client) -> None:
    """A kind of token that there is not is refused."""
    assert (await client.control("PUT", "/settings", {"callbackToken": "x"})).status == 400


async def test_other_issuer(client: Client, inbox: Inbox) -> None:
    """The issuer is a setting, which the configuration and the tokens follow."""
    await client.control("PUT", "/settings", {"issuer": "https://issuer.example"})
    [token] = await _tokens(client, inbox)

    assert (await _claims(client, token))["iss"] == "https://issuer.example"


async def test_public(client: Client) -> None:
    """Configuration and keys need no signature and no api-version; the private half stays here."""
    configuration, keys = await client.raw("GET", CONFIGURATION), await client.raw("GET", "/calling/keys")

    assert (ISSUER, f"{client.endpoint}/calling/keys") == (configuration.json["issuer"], configuration.json["jwks_uri"])
    [key] = keys.json["keys"]
    assert set(key) == {"kty", "use", "alg", "kid", "n", "e"}


async def test_after_a_refusal(client: Client, inbox: Inbox) -> None:
    """A callback that is sent again still has a valid token."""
    inbox.refusals = 1
    [token] = await _tokens(client, inbox)

    assert (await _claims(client, token))["aud"] == RESOURCE_ID
