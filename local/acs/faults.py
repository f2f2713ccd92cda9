"""Injected faults: rules, or chance, make requests to the service API go wrong.

Each request meets the rules in order; the first that matches, has let ``skip`` requests through and
has ``times`` left is applied, before authentication. If there is none, chance decides.
"""

import asyncio
import secrets
from typing import Annotated, Any, Literal, Self

from aiohttp import web
from pydantic import Field, model_validator

from local.acs import chaos, errors
from local.acs.bodies import NotNegative, Positive
from local.acs.contents import BytesContent
from local.acs.journal import ENTRY, UNANSWERED, Handler, is_control
from local.acs.transmission import SHAPE, Shape, end_connection, transmit
from local.chaos import Chaos
from local.rulebook import FaultRule, RuleBook

Kind = Literal[
    "status",
    "refuse",
    "reset",
    "lostAnswer",
    "cut",
    "short",
    "empty",
    "html",
    "slow",
    "hang",
    "redirect",
    "ignoreRange",
    "etag",
    "expired",
    "malformed",
]
_NEEDS = {"status": "status", "slow": "bytes_per_second", "hang": "seconds", "redirect": "location"}
_PAGE = "<!DOCTYPE html><html><head><title>Bad Request</title></head><body><h2>Bad Request</h2></body></html>"
_BROKEN_JSON = '{\r\n  "resourceId": "'


class Rule(FaultRule):
    """One rule as the control plane takes it; ``times`` null means always.

    Fields by kind: status (status, retryAfter, body), refuse (the connection is closed before the body is
    read), reset (it is closed after that), lostAnswer (only after the request has taken effect), cut and
    short (afterBytes, default half), html (status), slow (bytesPerSecond; seconds, after which it goes on
    at full speed), hang (seconds, then the normal answer), redirect (location, in which ``{path}`` stands
    for path and query and ``{other}`` for this server by its other name; status, default 302), etag (etag,
    length: the document has changed), expired, malformed (JSON that breaks off).
    """

    kind: Kind
    status: Annotated[int, Field(ge=200, le=599)] | None = None
    retry_after: str | int | None = None
    body: Any = None
    after_bytes: Annotated[int, Field(ge=0)] | None = None
    bytes_per_second: Positive | None = None
    seconds: Annotated[NotNegative, Field(le=600)] | None = None
    location: str | None = None
    etag: str | None = None
    length: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Self:
        needed = _NEEDS.get(self.kind)
        if needed is not None and getattr(self, needed) is None:
            raise ValueError(f"kind {self.kind} needs {needed}")
        return self


class Faults:
    """Hold the rules and the random faults, and how often each was met; a rule comes before chance."""

    def __init__(self) -> None:
        self._rules = RuleBook[Rule]()
        self.chaos = Chaos(chaos.KINDS)

    def add(self, rules: list[Rule]) -> None:
        """Append rules."""
        self._rules.add(rules)

    def clear(self) -> None:
        """Remove all rules."""
        self._rules.clear()

    def view(self) -> list[dict[str, Any]]:
        """Return the rules as JSON shows them, with ``skipped`` and ``applied`` counts."""
        return self._rules.view()

    def take(self, method: str, path: str) -> Rule | None:
        """Return the rule to apply to a request, and count it."""
        rule = self._rules.take(lambda candidate: candidate.matches(method, path))
        settings = self.chaos.settings
        if rule is not None or settings is None:
            return rule
        kind = self.chaos.decide(chaos.route(method, path), path)
        return None if kind is None else Rule.model_validate(chaos.rule_fields(kind, settings))

    def middleware(self) -> Any:
        """Return the middleware that applies the rules."""

        @web.middleware
        async def faults(request: web.Request, handler: Handler) -> web.StreamResponse:
            rule = None if is_control(request) else self.take(request.method, request.path)
            if rule is None:
                return await handler(request)
            request[ENTRY].fault = rule.kind
            return await _apply(rule, request, handler)

        return faults


async def _apply(rule: Rule, request: web.Request, handler: Handler) -> web.StreamResponse:
    if rule.kind == "refuse":
        return await _disconnect(request)
    if rule.kind == "reset":
        # The body is read first: closing with unread bytes would be the kernel's RST, at a moment of its own.
        await request.read()
        return await _disconnect(request)
    if rule.kind == "lostAnswer":
        request[SHAPE] = Shape(ends_early=True, stop_after=0, reset=True)
        response = await handler(request)
        return response if response.prepared else await _disconnect(request)
    if rule.kind == "hang":
        await asyncio.sleep(rule.seconds or 0)
        return await handler(request)
    answer = _answer(rule, request)
    if answer is not None:
        await request.read()
        return answer
    request[SHAPE] = shape = _shape(rule)
    response = await handler(request)
    if isinstance(response, web.Response) and not response.prepared and isinstance(response.body, bytes):
        headers = {"Content-Type": response.headers["Content-Type"]}
        content = BytesContent(response.body)
        return await transmit(request, content, status=response.status, headers=headers, shape=shape)
    return response


async def _disconnect(request: web.Request) -> web.Response:
    await end_connection(request, reset=True)
    request[UNANSWERED] = True
    return web.Response()


def _answer(rule: Rule, request: web.Request) -> web.Response | None:
    """Return the whole answer of a fault that does not need the handler."""
    match rule.kind:
        case "status":
            status = rule.status or 500
            headers = {} if rule.retry_after is None else {"Retry-After": str(rule.retry_after)}
            if isinstance(rule.body, str):
                return web.Response(status=status, text=rule.body, headers=headers)
            if rule.body is not None:
                return web.json_response(rule.body, status=status, headers=headers)
            answer = errors.answer(request, status, "An injected fault.")
            answer.headers.update(headers)
            return answer
        case "empty":
            return web.Response(status=200, body=b"", content_type="video/mp4")
        case "html":
            return web.Response(status=rule.status or 200, text=_PAGE, content_type="text/html")
        case "redirect":
            location = (rule.location or "").replace("{other}", _other_name(request))
            location = location.replace("{path}", request.raw_path)
            return web.Response(status=rule.status or 302, headers={"Location": location})
        case "expired":
            return errors.answer(request, 404, "The document does not exist or has expired.", target="documentId")
        case "malformed":
            return web.Response(status=200, text=_BROKEN_JSON, content_type="application/json")
        case _:
            pass
    return None


def _other_name(request: web.Request) -> str:
    """Return scheme and authority of this server by the name that the client didn't use."""
    host, _, port = request.host.rpartition(":")
    return f"http://{'127.0.0.1' if host == 'localhost' else 'localhost'}:{port}"


def _shape(rule: Rule) -> Shape:
    match rule.kind:
        case "cut" | "short":
            return Shape(ends_early=True, stop_after=rule.after_bytes, reset=rule.kind == "cut")
        case "slow":
            return Shape(bytes_per_second=rule.bytes_per_second, slow_seconds=rule.seconds)
        case "ignoreRange":
            return Shape(ignore_range=True)
        case "etag":
            return Shape(etag=rule.etag or f'"0x{secrets.token_hex(8).upper()}"', size=rule.length)
        case _:
            pass
    return Shape()
