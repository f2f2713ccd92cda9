"""Route templates as the Functions host matches them: ASP.NET Core's `Route`, tried in order, without precedence.

Templates: `{p}`, `{p?}`, `{p=default}`, `{*rest}`, `{p:constraint(args):...}`, several parameters in one segment.
Matching ignores case and a trailing slash; a method that a route doesn't take lets the next one be tried, and none at
all is a 404 (functions-host 1).
"""

import re
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from urllib.parse import unquote_to_bytes

from local.functions.errors import StartError

type Constraint = Callable[[str], bool]

_PARAMETER = re.compile(
    r"(?P<star>\*{0,2})(?P<name>[^:=?*]+)(?P<constraints>(?::\w+(?:\(.*?\))?(?=[:=?]|$))*)"
    r"(?:=(?P<default>[^?]*))?(?P<optional>\?)?",
    re.DOTALL,
)
_CONSTRAINT = re.compile(r":(\w+)(?:\((.*?)\))?(?=:|$)", re.DOTALL)
_LONG = 2**63
_INT = 2**31


@dataclass(frozen=True)
class Parameter:
    """One parameter of a template; a catch-all takes the rest of the path."""

    name: str
    constraints: tuple[Constraint, ...] = ()
    default: str | None = None
    is_optional: bool = False
    is_catch_all: bool = False

    def accepts(self, value: str) -> bool:
        """Tell whether every constraint holds."""
        return all(constraint(value) for constraint in self.constraints)


@dataclass(frozen=True)
class Route:
    """A compiled template with the methods it takes (none given: all) and what it leads to."""

    template: str
    methods: frozenset[str]
    target: str
    pattern: re.Pattern[str]
    parameters: tuple[Parameter, ...]

    def match(self, path: str) -> dict[str, str] | None:
        """Give the route parameters of a decoded path, None when it doesn't match."""
        found = self.pattern.fullmatch(path.strip("/"))
        if found is None:
            return None
        values: dict[str, str] = {}
        for parameter, text in zip(self.parameters, found.groups(), strict=True):
            value = text or parameter.default
            if not value:
                continue
            if not parameter.accepts(value):
                return None
            values[parameter.name] = value
        return values


def find(routes: Iterable[Route], *, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """Give the first route, in the order given, that takes this method and decoded path."""
    for route in routes:
        if route.methods and method.upper() not in route.methods:
            continue
        values = route.match(path)
        if values is not None:
            return route, values
    return None


def compile_route(template: str, *, methods: Iterable[str], target: str) -> Route:
    """Compile a template; raises StartError for one that ASP.NET wouldn't take."""
    parameters: list[Parameter] = []
    pattern = ""
    for segment in _split(template.strip("/"), "/"):
        pattern += _segment_pattern(segment, template=template, parameters=parameters, first=not pattern)
    names = [parameter.name.lower() for parameter in parameters]
    if len(set(names)) < len(names):
        raise StartError(f"Route {template!r}: a parameter stands there twice")
    compiled = re.compile(pattern, re.IGNORECASE | re.DOTALL)
    return Route(template, frozenset(m.upper() for m in methods), target, compiled, tuple(parameters))


def decode_path(raw: str) -> str:
    """Decode a request path as Azure does: `%2F` is a slash before it is routed, then dot segments are taken out.

    The host's own server, Kestrel, would leave `%2F` as it is. Azure's front end has decoded it by then, so that no
    route matches an id with a slash in it (azure-functions-host #3998, #9290).
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


def _segment_pattern(segment: str, *, template: str, parameters: list[Parameter], first: bool) -> str:
    slash = "" if first else "/"
    tokens = _tokens(segment, template)
    if len(tokens) == 1 and isinstance(tokens[0], Parameter):
        parameter = tokens[0]
        parameters.append(parameter)
        if parameter.is_catch_all:
            return f"(?:{slash}(.*))?"
        value = f"{slash}([^/]+)"
        return f"(?:{value})?" if parameter.is_optional or parameter.default is not None else value
    pattern = slash
    for token in tokens:
        if isinstance(token, Parameter):
            parameters.append(token)
            pattern += "([^/]+)"
        else:
            pattern += re.escape(token)
    return pattern


def _tokens(segment: str, template: str) -> list[str | Parameter]:
    tokens: list[str | Parameter] = []
    for index, part in enumerate(re.split(r"(?<!\{)\{(?!\{)((?:[^{}]|\{\{|\}\})*)\}", segment)):
        if index % 2:
            tokens.append(_parameter(part.replace("{{", "{").replace("}}", "}"), template))
        elif part:
            tokens.append(part.replace("{{", "{").replace("}}", "}"))
    return tokens


def _parameter(text: str, template: str) -> Parameter:
    match = _PARAMETER.fullmatch(text)
    if match is None:
        raise StartError(f"Route {template!r}: {{{text}}} isn't a parameter")
    constraints = [_constraint(name, args, template) for name, args in _CONSTRAINT.findall(match["constraints"])]
    return Parameter(
        name=match["name"],
        constraints=tuple(constraints),
        default=match["default"],
        is_optional=match["optional"] is not None,
        is_catch_all=bool(match["star"]),
    )


def _split(template: str, separator: str) -> list[str]:
    """Split at separators outside braces; a regex constraint may hold one."""
    parts, depth = [""], 0
    for character in template:
        depth += {"{": 1, "}": -1}.get(character, 0)
        if character == separator and depth <= 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _constraint(name: str, arguments: str, template: str) -> Constraint:
    simple: dict[str, Constraint] = {
        "int": lambda text: _is_integer(text, _INT),
        "long": lambda text: _is_integer(text, _LONG),
        "bool": lambda text: text.strip().lower() in ("true", "false"),
        "guid": lambda text: _converts(uuid.UUID, text),
        "datetime": lambda text: _converts(datetime.fromisoformat, text),
        "decimal": lambda text: _converts(Decimal, text),
        "double": lambda text: _converts(float, text),
        "float": lambda text: _converts(float, text),
        "alpha": lambda text: re.fullmatch(r"[A-Za-z]*", text) is not None,
        "required": lambda text: bool(text),
    }
    if name in simple:
        return simple[name]
    if name == "regex":
        pattern = re.compile(arguments, re.IGNORECASE)
        return lambda text: pattern.search(text) is not None
    try:
        numbers = [int(argument) for argument in arguments.split(",")]
        return _numeric(name, *numbers)
    except (KeyError, TypeError, ValueError) as error:
        raise StartError(f"Route {template!r}: {name}({arguments}) isn't a constraint") from error


def _numeric(name: str, low: int, high: int | None = None) -> Constraint:
    if (name == "range") != (high is not None) and name != "length":
        raise TypeError("wrong number of arguments")
    top = low if high is None else high
    constraints: dict[str, Constraint] = {
        "minlength": lambda text: len(text) >= low,
        "maxlength": lambda text: len(text) <= low,
        "length": lambda text: low <= len(text) <= top,
        "min": lambda text: _is_integer(text, _LONG) and int(text) >= low,
        "max": lambda text: _is_integer(text, _LONG) and int(text) <= low,
        "range": lambda text: _is_integer(text, _LONG) and low <= int(text) <= top,
    }
    return constraints[name]


def _is_integer(text: str, limit: int) -> bool:
    return re.fullmatch(r"[+-]?[0-9]{1,19}", text) is not None and -limit <= int(text) < limit


def _converts(convert: Callable[[str], object], text: str) -> bool:
    with suppress(ValueError, ArithmeticError):
        convert(text)
        return True
    return False
