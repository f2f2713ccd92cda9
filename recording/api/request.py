"""Read an HTTP request: its body, query, path, and who sends it."""

import contextlib
import os
import re
from collections.abc import Mapping
from contextvars import ContextVar
from ipaddress import ip_address

import azure.functions as func
from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_camel

from recording.errors import BadRequest, LengthRequired, TooLarge
from recording.model.caller import Caller, RepeatKey
from recording.model.envelope import MOST_EVENTS, split_events
from recording.model.record import first_problem
from recording.model.roles import Principal
from recording.workers import compute

LARGEST_BODY = 64 * 1024
# Event Grid sends 1 MiB at most (docs/acs-contract.md#delivery-semantics); base64 and JSON in JSON make it longer.
LARGEST_EVENTS = 4 * 1024 * 1024
LONGEST_KEY = 255
# A list of entity tags, or `*` (RFC 9110, 13.1.1). A weak one never matches.
_TAG = r'(?:W/)?"[\x21\x23-\x7e]{0,200}"'
MATCH = rf"^(?:\*|{_TAG}(?: *, *{_TAG}){{0,9}})$"
# App Service authentication (Easy Auth) names the caller; the name of a function key doesn't reach the app.
_PRINCIPAL = ("x-ms-client-principal-name", "x-ms-client-principal-id")
_REPEAT_KEY = ("Repeatability-Request-ID", "Idempotency-Key")
# The id of the request that this task answers: the log, the trail and the answer have the same.
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


def read_body[Model: BaseModel](model: type[Model], req: func.HttpRequest) -> Model:
    """Read the body; an empty one counts as `{}`.

    Raises BadRequest whose target is the first member that is wrong, and what `read_bytes` raises.
    """
    try:
        return model.model_validate_json(read_bytes(req, most=LARGEST_BODY).strip() or b"{}")
    except ValidationError as invalid:
        raise _bad(invalid, "body") from None


def read_bytes(req: func.HttpRequest, *, most: int) -> bytes:
    """Return the body as it was sent.

    Raises TooLarge for more than `most` bytes, and LengthRequired for a chunked body: the host passes on nothing of it
    (docs/functions-host.md#http), and nothing would mean default options.
    """
    body: bytes = req.get_body()
    if not body and req.headers.get("Transfer-Encoding"):
        raise LengthRequired("send the body with a Content-Length, not chunked", target="body")
    if len(body) > most:
        raise TooLarge(f"the body has more than {most} bytes", target="body")
    return body


async def read_events(req: func.HttpRequest) -> list[str]:
    """Read the events of a callback, in any form (docs/acs-contract.md#forms-of-an-event).

    Each is the text of one event, or of what the body has instead of one, which is for the quarantine. Raises TooLarge,
    LengthRequired, or BadRequest for an empty body.
    """
    body = read_bytes(req, most=LARGEST_EVENTS)
    events = await compute(lambda: split_events(body, req.headers, most=MOST_EVENTS), is_long=len(body) > LARGEST_BODY)
    if events == [""]:
        raise BadRequest("the body is empty", target="body")
    # Equal ones are one event.
    return list(dict.fromkeys(events))


def read_query[Model: BaseModel](model: type[Model], req: func.HttpRequest) -> Model:
    """Read the query parameters.

    Raises BadRequest whose target is the first parameter that is wrong.
    """
    try:
        return model.model_validate(dict(req.params))
    except ValidationError as invalid:
        raise _bad(invalid, "query") from None


def read_match(req: func.HttpRequest) -> frozenset[str] | None:
    """Read `If-Match`: ETags, or `*`; None without it. Raises BadRequest if it is neither."""
    header = req.headers.get("If-Match")
    if header is None:
        return None
    if not re.match(MATCH, header.strip()):
        raise BadRequest('If-Match must be ETags such as "3f2b0e4c", or *', target="If-Match")
    return frozenset(one.strip() for one in header.split(","))


def path_value(req: func.HttpRequest, name: str) -> str:
    """Return the part of the path that the route calls `name`."""
    value: str = req.route_params[name]
    return value


def read_caller(req: func.HttpRequest) -> Caller:
    """Read who is calling with a function key, and the key under which a start may be repeated.

    Only what App Service authentication says is believed: where it is off, anybody can send its headers
    (docs/entra.md#app-service-authentication). Raises BadRequest as `read_repeat_key` does.
    """
    is_authenticated = os.environ.get("WEBSITE_AUTH_ENABLED", "").lower() == "true"
    return caller_of(req, _principal(req.headers) if is_authenticated else None)


def caller_of(req: func.HttpRequest, who: str | None, principal: Principal | None = None) -> Caller:
    """Return who sends a request, and from where; raises BadRequest as `read_repeat_key` does."""
    return Caller(who, read_repeat_key(req), principal, address=_address(req.headers), request_id=request_id.get())


def _address(headers: Mapping[str, str]) -> str | None:
    """Return the address that the platform's front end saw: it appends it to what the request claims.

    See docs/functions-host.md#addresses. Without a front end there is none.
    """
    last = headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
    # With its port: 203.0.113.7:51032, [2001:db8::7]:51032.
    without_port = last[1:].partition("]")[0] if last.startswith("[") else last.partition(":")[0]
    for text in (last, without_port):
        with contextlib.suppress(ValueError):
            return str(ip_address(text))
    return None


def _principal(headers: Mapping[str, str]) -> str | None:
    found = next((headers[name][:256] for name in _PRINCIPAL if headers.get(name)), None)
    # A header may hold bytes that are not UTF-8, read as lone surrogates; JSON can't carry them.
    return found.encode(errors="backslashreplace").decode() if found else None


def read_repeat_key(req: func.HttpRequest) -> RepeatKey | None:
    """Read the key under which a start may be repeated, from the first of its headers.

    Raises BadRequest if one of them is empty, too long or not printable.
    """
    keys = [RepeatKey(name, key) for name in _REPEAT_KEY if (key := req.headers.get(name)) is not None]
    for one in keys:
        if not one.value.strip() or len(one.value) > LONGEST_KEY or not one.value.isprintable():
            raise BadRequest(f"{one.header} must be 1 to {LONGEST_KEY} printable characters", target=one.header)
    return keys[0] if keys else None


def _bad(invalid: ValidationError, whole: str) -> BadRequest:
    where, problem = first_problem(invalid)
    # A missing member is named as in Python (pydantic 2.14.3).
    target = ".".join(map(to_camel, where)) or whole
    return BadRequest(f"{target}: {problem}", target=target)
