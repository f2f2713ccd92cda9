"""HTTP triggers: the request as Python gets it, the response as the client gets it (docs/functions-host.md#http)."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web
from multidict import CIMultiDict

from local.functions.metadata import Function
from local.functions.values import Outcome, TypedData

BODY_LIMIT = 104_857_600
"""Bytes (ScriptConstants.DefaultMaxRequestBodySize of the host); a larger body gets a 413."""

# aiohttp sets these itself.
_OWN_HEADERS = ("content-length", "transfer-encoding")


def split_target(target: str) -> tuple[str, str]:
    """Split a request target into raw path and query; scheme and host of an absolute URI are dropped."""
    path, _, query = target.partition("#")[0].partition("?")
    if not path.startswith("/"):
        path = "/" + path.partition("://")[2].partition("/")[2]
    return path, query


async def read_body(request: web.Request) -> bytes | None:
    """Read the body if the request declares its length; as in the host, a chunked body isn't passed on."""
    return await request.read() if request.content_length else None


def to_data(request: web.Request, *, route_values: Mapping[str, str], body: bytes | None) -> TypedData:
    """Convert a request to the data that the worker expects."""
    path, query = split_target(request.raw_path)
    suffix = f"?{query}" if query else ""
    return TypedData(
        "http",
        {
            "method": request.method,
            "url": f"{request.scheme}://{request.host}{path}{suffix}",
            "headers": _joined(request.headers.items()),
            "query": query_values(query),
            "params": dict(route_values),
            "body": body,
        },
    )


def query_values(query: str) -> dict[str, str]:
    """Parse a query string: join repeated values with a comma, drop empty ones, ignore the case of names."""
    joined: dict[str, tuple[str, list[str]]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        joined.setdefault(name.lower(), (name, []))[1].append(value)
    values = {name: ",".join(parts) for name, parts in joined.values()}
    return {name: value for name, value in values.items() if value}


def to_response(function: Function, outcome: Outcome) -> web.Response:
    """Convert the outcome of a function to the response: 500 without a body for a failure."""
    if not outcome.ok:
        return web.Response(status=500)
    binding = next((output for output in function.outputs if output.type == "http"), None)
    if binding is None:
        return web.Response(status=200)
    data = outcome.returned if binding.name == "$return" else outcome.outputs.get(binding.name)
    if data is None:
        return web.Response(status=200)
    if data.kind != "http":
        # The real host makes a response of a str, too; the app returns HttpResponse only.
        return web.Response(status=500)
    try:
        return _from_http(data.value)
    except ValueError:
        # An invalid status or a header with a line break: the host answers 500, too.
        return web.Response(status=500)


def _from_http(value: Mapping[str, Any]) -> web.Response:
    headers: CIMultiDict[str] = CIMultiDict()
    for name, text in value["headers"].items():
        # Of headers that differ only in case, the first is kept (AccumulateDuplicateHeader).
        if name.lower() not in _OWN_HEADERS and name not in headers:
            headers[name] = text
    return _checked(int(value["status"]), headers, value["body"])


def _checked(status: int, headers: CIMultiDict[str], body: bytes) -> web.Response:
    if not 200 <= status <= 999:
        raise ValueError(f"{status} isn't a valid status")
    if any(character in text for item in headers.items() for text in item for character in "\r\n\0"):
        raise ValueError("a header has a line break")
    return web.Response(status=status, headers=headers, body=body)


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in pairs:
        key = name.lower()
        joined[key] = f"{joined[key]},{value}" if key in joined else value
    return joined
