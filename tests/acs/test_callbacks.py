"""recording/acs/callbacks.py: who sends a callback, by the token that ACS signs for it."""

import asyncio
import base64
import hmac
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, get_args
from uuid import UUID

import jwt
import pytest
import pytest_asyncio
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from local.acs import tokens
from local.acs.entities import CallbackToken
from local.acs.identifiers import RESOURCE_ID
from local.acs.server import Emulator
from recording.acs.callbacks import CONFIGURATION, HOST, CallbackAuth
from recording.config.resource import Resource, parse_connection_string
from recording.errors import KeysUnavailable, RecordingError, Unauthorized
from recording.signers import FETCH_SECONDS, LIFE_SECONDS, PAUSE_SECONDS
from tests.support.origin import KEY, Origin, record

ID = UUID(RESOURCE_ID)
KEYS = "/calling/keys"


@cache
def key(name: str) -> RSAPrivateKey:
    """Make a key, once."""
    return generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Signer:
    """The place where ACS's keys are, and what it would sign with; `names` are the keys it has published."""

    origin: Origin
    names: list[str] = field(default_factory=lambda: ["one"])
    now: float = 0.0
    status: int = 200
    configuration: dict[str, Any] = field(default_factory=dict)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer as ACS does."""
        if self.status != 200:
            return web.Response(status=self.status)
        if request.path == CONFIGURATION:
            return web.json_response({"issuer": HOST, "jwks_uri": self.origin.url + KEYS} | self.configuration)
        public = [
            json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key(name).public_key())) | {"kid": name, "use": "sig"}
            for name in self.names
        ]
        return web.json_response({"keys": public})

    @property
    def fetches(self) -> int:
        """Count how often the configuration was asked for."""
        return len([one for one in self.origin.received if one.target == CONFIGURATION])

    def token(self, name: str = "one", *, kid: str | None = None, **claims: Any) -> str:
        """Sign a token; a claim of None is omitted."""
        now = int(time.time())
        said = {"iss": HOST, "aud": RESOURCE_ID, "iat": now, "exp": now + 300} | claims
        given = {claim: value for claim, value in said.items() if value is not None}
        return "Bearer " + jwt.encode(given, key(name), "RS256", headers={"kid": kid or name})


@pytest_asyncio.fixture
async def signer(origin: Origin) -> Signer:
    """Somebody in the place of ACS."""
    running = Signer(origin)
    origin.answer = running.answer
    return running


@pytest_asyncio.fixture
async def checks(signer: Signer) -> AsyncIterator[CallbackAuth]:
    """The check, with a clock that a test moves."""
    made = CallbackAuth(Resource(signer.origin.url, KEY), ID, clock=lambda: signer.now)
    yield made
    await made.aclose()


async def outcome(checks: CallbackAuth, authorization: str | None) -> type[RecordingError] | None:
    """Check a callback: the error, or None if it passes."""
    try:
        await checks.check(authorization)
    except RecordingError as error:
        return type(error)
    return None


@pytest.mark.parametrize("kind", get_args(CallbackToken))
async def test_the_emulators_tokens(acs: Emulator, kind: CallbackToken) -> None:
    """A good token of the service passes; each one that is wrong in one respect doesn't."""
    checks = CallbackAuth(parse_connection_string(acs.connection_string), ID)
    header = await asyncio.to_thread(tokens.authorization, kind, issuer=HOST)
    try:
        found = await outcome(checks, header.get("Authorization"))
    finally:
        await checks.aclose()

    assert (None if kind == "good" else Unauthorized) is found


async def test_the_keys_are_kept(signer: Signer, checks: CallbackAuth) -> None:
    """Configuration and keys are fetched once, however many callbacks come, and at the same time."""
    found = await asyncio.gather(*(outcome(checks, signer.token()) for _ in range(20)))

    assert [None] * 20 == found
    assert [CONFIGURATION, KEYS] == [one.target for one in signer.origin.received]


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "3f2b0e4c-1111-4000-8000-000000000001"},
        {"aud": None},
        {"aud": ""},
        {"aud": 5},
        {"iss": "https://issuer.example"},
        {"iss": None},
        {"exp": None},
        {"exp": 1},
        {"exp": "soon"},
        {"exp": int(time.time()) - 61},
        {"nbf": int(time.time()) + 600},
    ],
)
async def test_claims_that_are_wrong(signer: Signer, checks: CallbackAuth, claims: dict[str, Any]) -> None:
    """Another's resource, another issuer, an old token or one without these claims is refused."""
    assert Unauthorized is await outcome(checks, signer.token(**claims))


async def test_clocks_may_differ_a_little(signer: Signer, checks: CallbackAuth) -> None:
    """A token that ended a moment ago by our clock has perhaps not ended by ACS's."""
    assert None is await outcome(checks, signer.token(exp=int(time.time()) - 10))


def signed_with_public_key(claims: dict[str, Any]) -> str:
    """Take the public key for a secret that both sides know: the classic confusion, which PyJWT refuses to make."""
    secret = key("one").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT", "kid": "one"}, claims)]
    text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    signature = base64.urlsafe_b64encode(hmac.digest(secret, text, "sha256")).rstrip(b"=")
    return (text + b"." + signature).decode()


def forged(signer: Signer) -> dict[str, str | None]:
    """Make what might be tried instead of a good token."""
    good = signer.token().removeprefix("Bearer ")
    head, body, signature = good.split(".")
    claims = {"iss": HOST, "aud": RESOURCE_ID, "exp": int(time.time()) + 300}
    public = jwt.algorithms.RSAAlgorithm.to_jwk(key("one").public_key())
    return {
        "nothing": None,
        "empty": "",
        "no token": "Bearer ",
        "another scheme": f"Basic {good}",
        "no scheme": good,
        "not a token": "Bearer nonsense",
        "two parts": f"Bearer {head}.{body}",
        "no signature": f"Bearer {head}.{body}.",
        "another's signature": f"Bearer {head}.{body}.{signer.token('two', kid='one').rpartition('.')[2]}",
        "a body that was changed": f"Bearer {head}.{body[:-4]}AAAA.{signature}",
        "unsigned": "Bearer " + jwt.encode(claims, "", "none", headers={"kid": "one"}),
        "signed with the public key": "Bearer " + signed_with_public_key(claims),
        "another algorithm": "Bearer " + jwt.encode(claims, key("one"), "RS512", headers={"kid": "one"}),
        "no kid": "Bearer " + jwt.encode(claims, key("one"), "RS256"),
        "brings its own key": "Bearer "
        + jwt.encode(claims, key("two"), "RS256", headers={"kid": "two", "jwk": json.loads(public)}),
        "no text": "Bearer \udcff.\udcff.\udcff",
        "deep": f"Bearer {'W1tb' * 8000}.{body}.{signature}",
    }


async def test_forgeries(signer: Signer, checks: CallbackAuth) -> None:
    """Whatever is tried is refused as the sender's fault, and nothing of it is repeated."""
    for name, header in forged(signer).items():
        with pytest.raises(Unauthorized) as refused:
            await checks.check(header)
        assert (401, "Unauthorized", "Authorization") == (
            refused.value.http_status,
            refused.value.error_code,
            refused.value.target,
        ), name
        assert not header or len(header) < 20 or header[7:27] not in refused.value.message, name

    assert None is await outcome(checks, signer.token())


async def test_a_new_key_is_asked_for(signer: Signer, checks: CallbackAuth) -> None:
    """A token that names a key nobody has seen leads to the keys being fetched again, once the pause is over."""
    assert None is await outcome(checks, signer.token())
    signer.names = ["two"]

    assert Unauthorized is await outcome(checks, signer.token("two"))
    signer.now += PAUSE_SECONDS
    assert None is await outcome(checks, signer.token("two"))
    assert Unauthorized is await outcome(checks, signer.token("one")), "a key that was taken back is no good"
    assert 2 == signer.fetches


async def test_bad_tokens_do_not_make_us_ask(signer: Signer, checks: CallbackAuth) -> None:
    """A flood of tokens with made-up keys costs one fetch in each pause, and known keys pass meanwhile."""
    for _ in range(3):
        for number in range(20):
            assert Unauthorized is await outcome(checks, signer.token("two", kid=f"made-up-{number}"))
        assert None is await outcome(checks, signer.token())
        signer.now += PAUSE_SECONDS

    assert 3 == signer.fetches


async def test_keys_grow_old(signer: Signer, checks: CallbackAuth) -> None:
    """After a day the keys are fetched again, though every token is good."""
    for _ in range(3):
        assert None is await outcome(checks, signer.token())
        assert None is await outcome(checks, signer.token())
        signer.now += LIFE_SECONDS

    assert 3 == signer.fetches


@pytest.mark.parametrize(
    "broken",
    [
        {"status": 500},
        {"status": 404},
        {"status": 302},
        {"configuration": {"jwks_uri": None}},
        {"configuration": {"jwks_uri": "http://keys.example/"}},
        {"configuration": {"jwks_uri": "file:///etc/passwd"}},
        {"configuration": {"issuer": None}},
        {"configuration": {"issuer": ""}},
        {"names": []},
    ],
)
async def test_keys_that_are_out_of_reach(signer: Signer, checks: CallbackAuth, broken: dict[str, Any]) -> None:
    """It isn't the sender's fault: the answer is a failure of ours, so that the callback is sent again."""
    well = Signer(signer.origin)
    for name, value in broken.items():
        setattr(signer, name, value)

    assert [KeysUnavailable] * 5 == [await outcome(checks, signer.token()) for _ in range(5)]
    assert 1 == signer.fetches
    for name in broken:
        setattr(signer, name, getattr(well, name))
    signer.now += PAUSE_SECONDS
    assert None is await outcome(checks, signer.token())


async def test_keys_that_are_known_stay_good(signer: Signer, checks: CallbackAuth) -> None:
    """An outage of the place where keys are doesn't stop callbacks; only a key that is new can't be judged."""
    assert None is await outcome(checks, signer.token())
    signer.status = 503
    signer.now += LIFE_SECONDS

    assert None is await outcome(checks, signer.token())
    assert KeysUnavailable is await outcome(checks, signer.token("two"))


async def test_nobody_answers(unused_tcp_port: int) -> None:
    """A place that can't be reached at all is a failure of ours, too; a callback without a token is not."""
    checks = CallbackAuth(Resource(f"http://127.0.0.1:{unused_tcp_port}", KEY), ID)
    some = "Bearer " + jwt.encode({}, key("one"), "RS256", headers={"kid": "one"})
    try:
        assert [KeysUnavailable, Unauthorized] == [await outcome(checks, some), await outcome(checks, None)]
    finally:
        await checks.aclose()


async def test_a_place_that_hangs() -> None:
    """The wait is bounded: ACS waits for our answer."""
    assert FETCH_SECONDS <= 5
    released = asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        await released.wait()
        return web.Response()

    async with record() as origin:
        origin.answer = hang
        checks = CallbackAuth(Resource(origin.url, KEY), ID, fetch_timeout=0.2)
        begun = time.monotonic()
        found = await outcome(checks, Signer(origin).token())
        released.set()
        await checks.aclose()

    assert KeysUnavailable is found
    assert time.monotonic() - begun < 3


async def test_without_an_id_everything_passes(signer: Signer) -> None:
    """The 2021 preview API signs nothing: without a resource id no token is required, and no key is fetched."""
    checks = CallbackAuth(Resource(signer.origin.url, KEY), None)

    assert [None, None] == [await outcome(checks, None), await outcome(checks, "Bearer nonsense")]
    assert [] == signer.origin.received
    await checks.aclose()


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("https://contoso.communication.azure.com", HOST),
        ("https://localhost.evil.example", HOST),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
    ],
)
async def test_whose_keys_are_asked_for(endpoint: str, expected: str) -> None:
    """Microsoft's, whatever the resource; an emulator's only on this machine."""
    checks = CallbackAuth(Resource(endpoint, KEY), ID)
    await checks.aclose()

    assert expected + CONFIGURATION == checks._signers.configuration
