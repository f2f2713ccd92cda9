"""Reads from the source which events the app can log, and which functions it has."""

import ast
import re
from collections.abc import Iterator
from functools import cache

from tests.infra.bicep import ROOT

_LEVELS = {"info", "warning", "error", "exception"}
_EVENT = re.compile(r"[a-z_]+\.[a-z_]+")


def is_logged(event: str) -> bool:
    """Tell whether some line of the app can log this event.

    Where a part of the name is computed, `f"chunk.{entry.outcome}"`, that part must at least be a
    constant of the app.
    """
    patterns, constants = _read()
    return any(
        all(part in constants for part in match.groups())
        for pattern in patterns
        if (match := re.fullmatch(pattern, event)) is not None
    )


def fields(event: str) -> set[str]:
    """Give the names of the fields that the lines of an event have, over all lines that may log it."""
    return {
        keyword.arg
        for call, name in _calls()
        if re.fullmatch(_pattern(name), event)
        for keyword in call.keywords
        if keyword.arg
    }


def functions() -> dict[str, str]:
    """Give the app's functions by name, each with its trigger's decorator.

    From the source, for `FunctionApp.get_functions` can be called once in a process only.
    """
    tree = ast.parse((ROOT / "function_app.py").read_text())
    return {
        node.name: decorator.func.attr
        for node in tree.body
        if isinstance(node, ast.AsyncFunctionDef)
        for decorator in node.decorator_list
        if isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Attribute)
        and (decorator.func.attr == "route" or decorator.func.attr.endswith("_trigger"))
    }


@cache
def _nodes() -> tuple[ast.AST, ...]:
    paths = [ROOT / "function_app.py", *sorted((ROOT / "recording").rglob("*.py"))]
    return tuple(node for path in paths for node in ast.walk(ast.parse(path.read_text())))


def _calls() -> Iterator[tuple[ast.Call, ast.expr]]:
    """Give each call that logs, `logs.info(…)` or `write(…)` with an event's name, and that name."""
    for node in _nodes():
        if isinstance(node, ast.Call) and node.args and _logs(node):
            yield node, node.args[0]


def _logs(call: ast.Call) -> bool:
    match call.func:
        case ast.Attribute(value=ast.Name(id="logs"), attr=level):
            return level in _LEVELS
        case ast.Name(id="write"):  # `write = logs.error if … else logs.info`
            return _EVENT.fullmatch(_pattern(call.args[0]).replace("([a-z_]+)", "x").replace("\\", "")) is not None
    return False


def _pattern(name: ast.expr) -> str:
    match name:
        case ast.Constant(value=str(constant)):
            return re.escape(constant)
        case ast.JoinedStr(values=parts):
            return "".join(_pattern(part) for part in parts)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _pattern(left) + _pattern(right)
        case _:
            return "([a-z_]+)"


@cache
def _read() -> tuple[set[str], set[str]]:
    patterns = {_pattern(name) for _, name in _calls()}
    constants = {node.value for node in _nodes() if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return patterns, constants
