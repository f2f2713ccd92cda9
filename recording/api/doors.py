"""The doors of the HTTP API, and the table of what is behind them, from which openapi.py is made.

Behind the door of keys the host asks for a function key, and a key opens its function. Behind the door of tokens, which
is `/v1`, the host lets everybody through; the app itself validates an access token of Entra ID and its roles, and a key
opens nothing. One handler serves both: `list_recordings`, and `v1_list_recordings` at `/v1/recordings`.

The host tries functions in the order of their names, without precedence (docs/functions-host.md#http). Hence `v1` is a
segment of its own, and no template begins with a parameter.
"""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

import azure.functions as func
from pydantic import BaseModel

from recording.api.request import caller_of, read_caller
from recording.api.response import responds
from recording.entra import AccessTokens
from recording.errors import Forbidden, NotFound
from recording.model.caller import Caller
from recording.model.roles import Principal, Roles

Door = Literal["key", "token", "anybody"]
_LEVELS = {"key": func.AuthLevel.FUNCTION, "token": func.AuthLevel.ANONYMOUS, "anybody": func.AuthLevel.ANONYMOUS}

type Handler = Callable[[func.HttpRequest, Caller], Awaitable[func.HttpResponse]]
# What azure-functions makes of a function: it can be called like it, and takes decorators for more bindings.
type Registered = Any


@dataclass(frozen=True)
class Shape:
    """What an operation takes and answers with: a model, any JSON (`Anything`), or nothing.

    `statuses` are those of good answers; `errors` those of refusals, beside what door, path, query and body imply.
    A `repeatable` one takes the headers of a start that happens once; a file is saved by browsers. One with
    an ETag takes `If-Match` where it changes something. One that is polled says with a 202 when to ask again.
    """

    answer: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    statuses: tuple[int, ...] = (200,)
    errors: tuple[int, ...] = ()
    repeatable: bool = False
    is_file: bool = False
    has_etag: bool = False
    is_polled: bool = False


@dataclass(frozen=True)
class Endpoint:
    """One function behind a door; `path` has no slash before it, and `roles` are those that `/v1` admits."""

    name: str
    function: Registered
    method: str
    path: str
    door: Door
    roles: Roles
    shape: Shape
    summary: str


class Doors:
    """Registers the operations of an app; `tokens` gives what validates tokens, None while `/v1` is off."""

    def __init__(self, app: func.FunctionApp, *, tokens: Callable[[], AccessTokens | None]) -> None:
        self._app = app
        self._tokens = tokens
        self.endpoints: list[Endpoint] = []

    def both(self, method: str, path: str, shape: Shape, *, roles: Roles) -> Callable[[Handler], Registered]:
        """Register an operation at both doors; at `/v1` one of `roles` is needed."""

        def register(handler: Handler) -> Registered:
            async def with_key(req: func.HttpRequest) -> func.HttpResponse:
                return await handler(req, read_caller(req))

            self.token(method, path, shape, roles=roles)(handler)
            with_key.__name__, with_key.__doc__ = handler.__name__, handler.__doc__
            return self._register("key", method, path, shape)(with_key)

        return register

    def token(self, method: str, path: str, shape: Shape, *, roles: Roles) -> Callable[[Handler], Registered]:
        """Register an operation at `/v1` alone: one for which it must be known who asks; without roles, for anybody."""

        def register(handler: Handler) -> Registered:
            async def with_token(req: func.HttpRequest) -> func.HttpResponse:
                principal = await self._principal(req, roles)
                who = principal.name or principal.object_id
                return await handler(req, caller_of(req, who, principal))

            with_token.__name__, with_token.__doc__ = f"v1_{handler.__name__}", handler.__doc__
            return self._register("token", method, f"v1/{path}", shape, roles)(with_token)

        return register

    def key(self, method: str, path: str, shape: Shape) -> Callable[..., Registered]:
        """Register a function at the door of keys alone: one that other services call."""
        return self._register("key", method, path, shape)

    def anybody(self, method: str, path: str, shape: Shape) -> Callable[..., Registered]:
        """Register a function that needs neither key nor token: it tells nothing about a recording."""
        return self._register("anybody", method, path, shape)

    def page(self, path: str) -> Callable[..., Registered]:
        """Register what browsers show: it is no operation, so it isn't described, and it tells nothing."""

        def register(function: Callable[..., Awaitable[func.HttpResponse]]) -> Registered:
            # Link checkers ask with HEAD, which the host keeps apart from GET.
            return self._app.route(path, methods=["GET", "HEAD"], auth_level=_LEVELS["anybody"])(responds(function))

        return register

    def _register(
        self, door: Door, method: str, path: str, shape: Shape, roles: Roles = frozenset()
    ) -> Callable[..., Registered]:
        def register(function: Callable[..., Awaitable[func.HttpResponse]]) -> Registered:
            name, said = function.__name__, inspect.getdoc(function) or ""
            registered = self._app.route(path, methods=[method], auth_level=_LEVELS[door])(responds(function))
            summary = said.partition("\n")[0]
            self.endpoints.append(Endpoint(name, registered, method, path, door, roles, shape, summary))
            return registered

        return register

    async def _principal(self, req: func.HttpRequest, roles: Roles) -> Principal:
        """Return who asks; raises NotFound while `/v1` is off, Unauthorized, or Forbidden for a missing role."""
        tokens = self._tokens()
        if tokens is None:
            raise NotFound("/v1 is off: set ENTRA_TENANT_ID and ENTRA_API_ID (docs/entra.md#setting-it-up)")
        principal = await tokens.principal(req.headers.get("Authorization"))
        if roles and not principal.roles & roles:
            needed = " or ".join(sorted(roles))
            raise Forbidden(f"this operation needs the role {needed}, and the token has none of these")
        return principal
