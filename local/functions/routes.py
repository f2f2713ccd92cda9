"""Route templates as the Functions host matches them: ASP.NET Core's `Route`, tried in order, without precedence.

A segment of a template is text or one parameter, `{name}`; a template with anything else of ASP.NET's keeps the host
from starting. Matching ignores case and a trailing slash. When a route doesn't accept the method, the next one is
tried; if none accepts it, the answer is 404 (docs/functions-host.md#http).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from local.functions.errors import StartError

_PARAMETER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True)
class Route:
    """A compiled template with the methods it accepts (empty: all) and the name of its function."""

    methods: frozenset[str]
    target: str
    pattern: re.Pattern[str]

    def match(self, path: str) -> dict[str, str] | None:
        """Return the route parameters of a decoded path, None when it doesn't match."""
        found = self.pattern.fullmatch(path.strip("/"))
        return None if found is None else found.groupdict()


def find(routes: Iterable[Route], *, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """Return the first route, in the order given, that accepts this method and decoded path."""
    for route in routes:
        if route.methods and method.upper() not in route.methods:
            continue
        values = route.match(path)
        if values is not None:
            return route, values
    return None


def compile_route(template: str, *, methods: Iterable[str], target: str) -> Route:
    """Compile a template; raises StartError for one that this host doesn't support."""
    segments = template.strip("/").split("/")
    names = [found[1].lower() for segment in segments if (found := _PARAMETER.fullmatch(segment))]
    if len(set(names)) < len(names):
        raise StartError(f"Route {template!r}: two parameters have the same name")
    pattern = re.compile("/".join(_pattern(segment, template) for segment in segments), re.IGNORECASE)
    return Route(frozenset(method.upper() for method in methods), target, pattern)


def decode_path(raw: str) -> str:
    """Decode a request path as Azure does: `%2F` is a slash before it is routed, then dot segments are removed.

    The host's own server, Kestrel, doesn't decode `%2F`, but Azure's front end does so before: no route matches an id
    with a slash in it (azure-functions-host #3998, #9290).
    """
    decoded = "/".join(_decode_segment(segment) for segment in re.split("/|%2F", raw, flags=re.IGNORECASE))
    kept: list[str] = []
    segments = decoded.split("/")
    for segment in segments:
        if segment == "..":
            if len(kept) > 1:
                kept.pop()
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/".join(kept)


def _decode_segment(segment: str) -> str:
    # Bytes that aren't UTF-8 stay percent-encoded, as in Kestrel's UrlDecoder.
    try:
        return unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        return segment


def _pattern(segment: str, template: str) -> str:
    if found := _PARAMETER.fullmatch(segment):
        return f"(?P<{found[1]}>[^/]+)"
    if "{" in segment or "}" in segment:
        raise StartError(f"Route {template!r}: {segment!r} is neither text nor a {{name}}, which is all this host has")
    return re.escape(segment)
