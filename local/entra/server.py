"""The stand-in's HTTP server, `python -m local entra`: sign in by a click, get tokens, rotate the keys.

`/{tenant}/oauth2/v2.0/authorize` lists the people of directory.py. `/{tenant}/oauth2/v2.0/token` knows the
authorization code with PKCE, refresh tokens and client credentials. `POST /emulator/keys` signs with the next key, and
`POST /emulator/tokens/{kind}` makes a token that is wrong in one respect (`Wrong` in tokens.py).
"""

import argparse
import asyncio
import base64
import contextlib
import hashlib
import html
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

from aiohttp import web

from local import interrupt
from local.entra.directory import API, PAGE, PEOPLE, SCOPE, SERVICES, TENANT, Person, Service
from local.entra.tokens import LIFETIME_SECONDS, WRONG, Tokens

_SHUTDOWN_SECONDS = 1.0
# The session of whoever has signed in, as a browser keeps Entra ID's.
_SESSION = "local-entra-session"
_LOOPBACK = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class _Code:
    """What a person agreed to; the code for it is used once."""

    person: Person
    redirect_uri: str
    challenge: str
    nonce: str | None


class _Refused(Exception):
    """A request that Entra ID refuses: the error of RFC 6749, and a sentence."""

    def __init__(self, error: str, description: str, *, status: int = 400) -> None:
        super().__init__(description)
        self.body = {"error": error, "error_description": description}
        self.status = status


class Entra:
    """Serve the tenant in the current event loop; an async context manager. A port of 0 picks a free one."""

    def __init__(self, port: int = 0) -> None:
        self._port = port
        self._codes: dict[str, _Code] = {}
        self._refresh: dict[str, Person] = {}
        self._exits = contextlib.AsyncExitStack()
        self.tokens = Tokens("")

    @property
    def authority(self) -> str:
        """Return the address in place of https://login.microsoftonline.com."""
        return f"http://127.0.0.1:{self._port}"

    def settings(self) -> dict[str, str]:
        """Return the app settings for this tenant."""
        return {
            "ENTRA_AUTHORITY": self.authority,
            "ENTRA_TENANT_ID": TENANT,
            "ENTRA_API_ID": API,
            "ENTRA_PAGE_ID": PAGE,
        }

    async def __aenter__(self) -> Self:
        application = web.Application()
        own = f"/{TENANT}"
        application.add_routes(
            [
                web.get(f"{own}/v2.0/.well-known/openid-configuration", self._configuration),
                web.get(f"{own}/discovery/v2.0/keys", self._keys),
                web.get(f"{own}/oauth2/v2.0/authorize", self._authorize),
                web.post(f"{own}/oauth2/v2.0/token", self._token),
                web.options(f"{own}/oauth2/v2.0/token", self._preflight),
                web.get(f"{own}/oauth2/v2.0/logout", self._logout),
                web.post("/emulator/keys", self._rotate),
                web.post("/emulator/tokens/{kind}", self._wrong),
            ]
        )
        async with contextlib.AsyncExitStack() as exits:
            runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
            exits.push_async_callback(runner.cleanup)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", self._port).start()
            self._port = runner.addresses[0][1]
            self.tokens.issuer = f"{self.authority}/{TENANT}/v2.0"
            self._exits = exits.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._exits.aclose()

    async def _configuration(self, request: web.Request) -> web.Response:
        own = f"{self.authority}/{TENANT}"
        return web.json_response(
            {
                "issuer": self.tokens.issuer,
                "authorization_endpoint": f"{own}/oauth2/v2.0/authorize",
                "token_endpoint": f"{own}/oauth2/v2.0/token",
                "jwks_uri": f"{own}/discovery/v2.0/keys",
                "id_token_signing_alg_values_supported": ["RS256"],
                "response_types_supported": ["code"],
                "subject_types_supported": ["pairwise"],
            }
        )

    async def _keys(self, request: web.Request) -> web.Response:
        return web.json_response({"keys": await asyncio.to_thread(self.tokens.public_keys)})

    async def _authorize(self, request: web.Request) -> web.Response:
        asked = request.query
        redirect_uri = asked.get("redirect_uri", "")
        if asked.get("client_id") != PAGE or not _is_registered(redirect_uri):
            # Never redirected to: whoever made this address up would get what follows.
            return web.Response(status=400, text="AADSTS50011: the redirect URI is not one of this application")
        try:
            _check_authorization(asked)
        except _Refused as refused:
            raise web.HTTPFound(_with(redirect_uri, refused.body, asked)) from None
        # As with Entra ID, whoever has signed in before is not asked again, unless the application wants it.
        known = "" if asked.get("prompt") == "select_account" else request.cookies.get(_SESSION, "")
        person = PEOPLE.get(asked.get("person", known))
        if person is None:
            return web.Response(text=_choice(asked), content_type="text/html")
        code = secrets.token_urlsafe(32)
        self._codes[code] = _Code(person, redirect_uri, asked["code_challenge"], asked.get("nonce"))
        found = web.HTTPFound(_with(redirect_uri, {"code": code}, asked))
        found.set_cookie(_SESSION, person.login, httponly=True, samesite="Lax")
        raise found

    async def _logout(self, request: web.Request) -> web.Response:
        back = request.query.get("post_logout_redirect_uri", "")
        if not _is_registered(back):
            return web.Response(text="Signed out.")
        found = web.HTTPFound(back)
        found.del_cookie(_SESSION)
        raise found

    async def _token(self, request: web.Request) -> web.Response:
        form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
        try:
            match form.get("grant_type"):
                case "authorization_code":
                    answer = self._redeem(form, request)
                case "refresh_token":
                    answer = self._renew(form, request)
                case "client_credentials":
                    answer = self._for_service(form)
                case _:
                    raise _Refused("unsupported_grant_type", "AADSTS70003: this grant type is not supported")
        except _Refused as refused:
            return web.json_response(refused.body, status=refused.status, headers=_cors(request))
        return web.json_response(answer, headers={**_cors(request), "Cache-Control": "no-store"})

    def _redeem(self, form: Mapping[str, str], request: web.Request) -> dict[str, Any]:
        # A code is used up by its first use, right or wrong.
        code = self._codes.pop(form.get("code", ""), None)
        if code is None or form.get("client_id") != PAGE:
            raise _Refused("invalid_grant", "AADSTS54005: the code is unknown, or was redeemed already")
        if form.get("redirect_uri") != code.redirect_uri:
            raise _Refused("invalid_grant", "AADSTS500112: the redirect URI is not the one of the code")
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != code.challenge:
            raise _Refused("invalid_grant", "AADSTS501481: the code verifier does not match the code challenge")
        _require_origin(request)
        return self._for_person(code.person, code.nonce)

    def _renew(self, form: Mapping[str, str], request: web.Request) -> dict[str, Any]:
        person = self._refresh.pop(form.get("refresh_token", ""), None)
        if person is None or form.get("client_id") != PAGE:
            raise _Refused("invalid_grant", "AADSTS70008: the refresh token is unknown or has expired")
        _require_origin(request)
        return self._for_person(person, None)

    def _for_person(self, person: Person, nonce: str | None) -> dict[str, Any]:
        refresh = secrets.token_urlsafe(32)
        self._refresh[refresh] = person
        return {
            **_answer(self.tokens.access(person)),
            "scope": SCOPE,
            "id_token": self.tokens.identity(person, nonce),
            "refresh_token": refresh,
        }

    def _for_service(self, form: Mapping[str, str]) -> dict[str, Any]:
        service: Service | None = SERVICES.get(form.get("client_id", ""))
        if service is None or form.get("client_secret") != service.secret:
            raise _Refused("invalid_client", "AADSTS7000215: the client secret is wrong", status=401)
        if form.get("scope") != f"{API}/.default":
            raise _Refused("invalid_scope", f"AADSTS70011: the scope must be {API}/.default")
        return _answer(self.tokens.access(service))

    async def _preflight(self, request: web.Request) -> web.Response:
        return web.Response(status=204, headers={**_cors(request), "Access-Control-Allow-Methods": "POST"})

    async def _rotate(self, request: web.Request) -> web.Response:
        self.tokens.rotate()
        return await self._keys(request)

    async def _wrong(self, request: web.Request) -> web.Response:
        kind = next((kind for kind in WRONG if kind == request.match_info["kind"]), None)
        if kind is None:
            return web.json_response({"kinds": WRONG}, status=404)
        return web.json_response(_answer(await asyncio.to_thread(self.tokens.wrong, kind, PEOPLE["ada"])))


def _answer(token: str) -> dict[str, Any]:
    return {"token_type": "Bearer", "expires_in": LIFETIME_SECONDS, "access_token": token}


def _is_registered(redirect_uri: str) -> bool:
    """Return whether an address is the page's: `/` of this machine, on any port, for ports are chosen at a start."""
    parts = urlsplit(redirect_uri)
    return parts.scheme == "http" and parts.hostname in _LOOPBACK and (parts.path, parts.query) == ("/", "")


def _check_authorization(asked: Mapping[str, str]) -> None:
    if asked.get("response_type") != "code":
        raise _Refused("unsupported_response_type", "AADSTS70007: the response type must be code")
    if SCOPE not in asked.get("scope", "").split():
        raise _Refused("invalid_scope", f"AADSTS70011: the scope must contain {SCOPE}")
    if asked.get("code_challenge_method") != "S256" or len(asked.get("code_challenge", "")) != 43:
        raise _Refused("invalid_request", "AADSTS9002325: a code challenge of the method S256 is required")


def _require_origin(request: web.Request) -> None:
    if not _cors(request):
        raise _Refused("invalid_request", "AADSTS9002327: a page's code is redeemed by a cross-origin request only")


def _cors(request: web.Request) -> dict[str, str]:
    origin = request.headers.get("Origin", "")
    return {"Access-Control-Allow-Origin": origin} if _is_registered(f"{origin}/") else {}


def _with(redirect_uri: str, values: Mapping[str, str], asked: Mapping[str, str]) -> str:
    state = {"state": asked["state"]} if "state" in asked else {}
    mark = "#" if asked.get("response_mode") == "fragment" else "?"
    return f"{redirect_uri}{mark}{urlencode({**values, **state})}"


def _choice(asked: Mapping[str, str]) -> str:
    rows = (
        f'<li><a href="?{html.escape(urlencode({**asked, "person": person.login}))}">'
        f"{html.escape(person.name)}</a><br>{html.escape(', '.join(person.roles))}</li>"
        for person in PEOPLE.values()
    )
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Sign in</title>
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<style>body{{font:1rem/1.5 system-ui,sans-serif;max-width:26rem;margin:12vh auto;padding:0 1rem}}</style>
<h1>Who signs in?</h1><p>This stands in for Entra ID, on this machine only.</p><ul>{"".join(rows)}</ul></html>"""


async def _run(port: int) -> int:
    async with Entra(port) as entra:
        for name, value in entra.settings().items():
            print(f"{name}={value}", flush=True)
        await asyncio.Event().wait()
    return 0


def main(argv: list[str]) -> int:
    """Run the stand-in until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m local entra", description=__doc__)
    parser.add_argument("--port", type=int, default=8090, help="0 picks a free port (default: %(default)s)")
    return interrupt.run(_run(parser.parse_args(argv).port))
