"""The stand-in for Entra ID refuses what Entra ID refuses: the page and services are written against it."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import jwt
import pytest
import pytest_asyncio

from local.entra.directory import API, PAGE, PEOPLE, SCOPE, SERVICES, TENANT
from local.entra.server import Entra

# The example of RFC 7636, appendix B.
VERIFIER, CHALLENGE = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
HOME = "http://127.0.0.1:7071/"
ORIGIN = {"Origin": "http://127.0.0.1:7071"}
ASKED = {
    "client_id": PAGE,
    "response_type": "code",
    "redirect_uri": HOME,
    "scope": f"openid {SCOPE}",
    "state": "a state",
    "nonce": "a nonce",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}


class Browser:
    """What a browser does at the stand-in."""

    def __init__(self, entra: Entra, http: aiohttp.ClientSession) -> None:
        self.entra, self._http = entra, http
        self._place = f"{entra.authority}/{TENANT}/oauth2/v2.0"

    async def authorize(self, **changes: str) -> tuple[int, str, dict[str, str]]:
        """Ask for a code: the status, the page's text, and what the redirect carries."""
        url = f"{self._place}/authorize"
        async with self._http.get(url, params=ASKED | changes, allow_redirects=False) as answer:
            values = parse_qs(urlsplit(answer.headers.get("Location", "")).query)
            return answer.status, await answer.text(), {name: value for name, [value] in values.items()}

    async def code(self) -> str:
        """Sign Ada in."""
        return (await self.authorize(person="ada"))[2]["code"]

    async def token(self, headers: Any = None, **form: str) -> tuple[int, Any]:
        """Ask for tokens."""
        async with self._http.post(f"{self._place}/token", data=form, headers=headers) as answer:
            return answer.status, await answer.json()

    async def redeem(self, code: str, headers: dict[str, str] | None = None, **changes: str) -> tuple[int, Any]:
        """Redeem a code as the page does."""
        form = {"grant_type": "authorization_code", "client_id": PAGE, "redirect_uri": HOME, "code_verifier": VERIFIER}
        return await self.token(ORIGIN if headers is None else headers, **form | {"code": code} | changes)


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[Browser]:
    """A browser, and the tenant."""
    async with Entra() as entra, aiohttp.ClientSession() as http:
        yield Browser(entra, http)


def claims(token: str) -> dict[str, Any]:
    """Read a token without checking it."""
    found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return found


async def test_a_person_is_chosen_by_a_click(browser: Browser) -> None:
    """The list has everybody, and a click carries the request on."""
    status, text, _ = await browser.authorize()

    assert 200 == status
    assert [True] * len(PEOPLE) == [f"person={login}" in text and one.name in text for login, one in PEOPLE.items()]


async def test_a_code_gives_tokens_for_two_audiences(browser: Browser) -> None:
    """The access token is for the API and has roles and scope; the id token is for the page and has the nonce."""
    _, _, values = await browser.authorize(person="grace")

    status, answer = await browser.redeem(values["code"])

    access, identity = claims(answer["access_token"]), claims(answer["id_token"])
    assert (200, "a state") == (status, values["state"])
    assert (API, "access", ["Recordings.Manage"], "2.0") == (
        access["aud"],
        access["scp"],
        access["roles"],
        access["ver"],
    )
    assert (PAGE, "a nonce", False) == (identity["aud"], identity["nonce"], "roles" in identity)


async def test_a_code_is_used_once(browser: Browser) -> None:
    """Also if its first use was wrong."""
    code, other = await browser.code(), await browser.code()

    assert [200, 400] == [(await browser.redeem(code))[0] for _ in range(2)]
    assert 400 == (await browser.redeem(other, code_verifier="x" * 43))[0]
    assert 400 == (await browser.redeem(other))[0]


@pytest.mark.parametrize(
    ("changes", "headers", "error"),
    [
        ({"code_verifier": "x" * 43}, ORIGIN, "AADSTS501481"),
        ({"redirect_uri": "http://localhost:7071/"}, ORIGIN, "AADSTS500112"),
        ({"client_id": API}, ORIGIN, "AADSTS54005"),
        ({}, {}, "AADSTS9002327"),
        ({}, {"Origin": "https://evil.example"}, "AADSTS9002327"),
    ],
)
async def test_a_code_is_redeemed_only_by_the_page_that_asked(
    browser: Browser, changes: dict[str, str], headers: dict[str, str], error: str
) -> None:
    """With the verifier of its challenge, its redirect address, and from its origin."""
    status, answer = await browser.redeem(await browser.code(), headers, **changes)

    assert (400, True) == (status, answer["error_description"].startswith(error))


@pytest.mark.parametrize(
    "changes",
    [{"client_id": API}, {"redirect_uri": "https://evil.example/"}, {"redirect_uri": "http://127.0.0.1:7071/other"}],
)
async def test_nobody_is_sent_to_another_address(browser: Browser, changes: dict[str, str]) -> None:
    """The answer is a page, not a redirect."""
    status, text, values = await browser.authorize(person="ada", **changes)

    assert (400, True, {}) == (status, "AADSTS50011" in text, values)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "openid"}, "invalid_scope"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": ""}, "invalid_request"),
    ],
)
async def test_a_wrong_request_is_told_to_the_page(browser: Browser, changes: dict[str, str], error: str) -> None:
    """With the state, so that the page knows its own request."""
    status, _, values = await browser.authorize(person="ada", **changes)

    assert (302, error, "a state", False) == (status, values["error"], values["state"], "code" in values)


async def test_a_refresh_token_is_used_once(browser: Browser) -> None:
    """It gives the same person's tokens, and another refresh token."""
    _, first = await browser.redeem(await browser.code())
    form = {"grant_type": "refresh_token", "client_id": PAGE, "refresh_token": first["refresh_token"]}

    status, second = await browser.token(ORIGIN, **form)

    assert (200, PEOPLE["ada"].object_id) == (status, claims(second["access_token"])["oid"])
    assert 400 == (await browser.token(ORIGIN, **form))[0]


async def test_a_service_signs_in_with_its_secret(browser: Browser) -> None:
    """Its token says that it is an application's, and has no scope."""
    service = next(iter(SERVICES.values()))
    form = {
        "grant_type": "client_credentials",
        "client_id": service.client_id,
        "client_secret": service.secret,
        "scope": f"{API}/.default",
    }

    status, answer = await browser.token(**form)

    found = claims(answer["access_token"])
    assert (200, "app", False, list(service.roles)) == (status, found["idtyp"], "scp" in found, found["roles"])
    assert [401, 400] == [
        (await browser.token(**form | wrong))[0] for wrong in ({"client_secret": "guess"}, {"scope": SCOPE})
    ]


async def test_keys_are_published_before_they_sign(browser: Browser) -> None:
    """At a rotation the next key becomes the present one; the one before stays for tokens that are still valid."""

    def ids() -> list[str]:
        return [key["kid"] for key in browser.entra.tokens.public_keys()]

    before = ids()
    browser.entra.tokens.rotate()

    assert before[1:] == ids()[:2]
    assert before[2] == jwt.get_unverified_header(browser.entra.tokens.access(PEOPLE["ada"]))["kid"]
