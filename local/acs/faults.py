"""The faults that the emulator injects into requests to the service API, before authentication."""

import secrets
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import Field

from local.acs import chaos, errors
from local.acs.contents import BytesContent
from local.acs.journal import ENTRY, Handler, is_control
from local.acs.transmission import SHAPE, Shape, transmit
from local.faults.body import MIDDLE, disconnect
from local.faults.rules import Call, FaultRule, Faults

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
    "label",
    "expired",
    "malformed",
]
_PAGE = "<!DOCTYPE html><html><head><title>Bad Request</title></head><body><h2>Bad Request</h2></body></html>"
_BROKEN_JSON = '{\r\n  "resourceId": "'


class Rule(FaultRule):
    """One rule as the control plane accepts it.

    Fields by kind: status (status, retryAfter, body), refuse (the connection is closed before the body is read), reset
    (it is closed after that), lostAnswer (it is closed after the request has taken effect), cut and short (afterBytes,
    default half; cut ends by RST, short by FIN), html (status), slow (bytesPerSecond; seconds, after which it continues
    at full speed), hang (seconds, then the normal answer), redirect (location, in which ``{path}`` is replaced by path
    and query and ``{other}`` by this server under its other name; status, default 302), etag (etag, length: the
    document has changed), label (contentType: the bytes are as
    always), expired, malformed (truncated JSON).
    """

    kind: Kind
    body: Any = None
    location: str | None = None
    etag: str | None = None
    content_type: str | None = None
    length: Annotated[int, Field(ge=1)] | None = None


class ServiceFaults(Faults[Rule]):
    """Apply rules and random faults to requests to the service API."""

    def __init__(self) -> None:
        super().__init__(Rule, kinds=chaos.KINDS, rule_fields=chaos.rule_fields)

    def middleware(self) -> Any:
        """Return the middleware that does so."""

        @web.middleware
        async def faults(request: web.Request, handler: Handler) -> web.StreamResponse:
            if is_control(request):
                return await handler(request)
            operation = chaos.operation(request.method, request.path)
            rule = self.take(Call(request.method, request.path, operation, request.query))
            if rule is None:
                return await handler(request)
            request[ENTRY].fault = rule.kind
            if rule.kind == "hang":
                await self.hang(rule.seconds or 0)
                return await handler(request)
            return await _apply(rule, request, handler)

        return faults


async def _apply(rule: Rule, request: web.Request, handler: Handler) -> web.StreamResponse:
    if rule.kind == "refuse":
        return await disconnect(request)
    if rule.kind == "reset":
        # The body is read first: with unread bytes the kernel would send an RST at a moment of its own.
        await request.read()
        return await disconnect(request)
    if rule.kind == "lostAnswer":
        request[SHAPE] = Shape(stop_after=0)
        response = await handler(request)
        return response if response.prepared else await disconnect(request)
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


def _answer(rule: Rule, request: web.Request) -> web.Response | None:
    """Return the answer of a fault that doesn't need the handler, None for other faults."""
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
        case "refuse" | "reset" | "lostAnswer" | "cut" | "short" | "slow" | "hang" | "ignoreRange" | "etag" | "label":
            return None


def _other_name(request: web.Request) -> str:
    """Return scheme and authority of this server under the name that the client didn't use."""
    host, _, port = request.host.rpartition(":")
    return f"http://{'127.0.0.1' if host == 'localhost' else 'localhost'}:{port}"


def _shape(rule: Rule) -> Shape:
    match rule.kind:
        case "cut" | "short":
            stop = MIDDLE if rule.after_bytes is None else rule.after_bytes
            return Shape(stop_after=stop, reset=rule.kind == "cut")
        case "slow":
            return Shape(bytes_per_second=rule.bytes_per_second, slow_seconds=rule.seconds)
        case "ignoreRange":
            return Shape(ignore_range=True)
        case "etag":
            return Shape(etag=rule.etag or f'"0x{secrets.token_hex(8).upper()}"', size=rule.length)
        case "label":
            return Shape(content_type=rule.content_type)
        case (
            "status"
            | "refuse"
            | "reset"
            | "lostAnswer"
            | "empty"
            | "html"
            | "hang"
            | "redirect"
            | "expired"
            | "malformed"
        ):
            return Shape()
