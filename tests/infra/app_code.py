"""Reads from the source which events the app can log, and which functions it has."""

import ast
import re
from collections.abc import Iterator
from functools import cache

from tests.infra.snapshots import ROOT

_LEVELS = {"info", "warning", "error", "exception"}
_EVENT = re.compile(r"[a-z_]+\.[a-z_]+")


def is_logged(event: str) -> bool:
    """Return whether some line of the app can log this event.

    The name is written out in the call, or, where it is a parameter, elsewhere in the module.
    """
    return any(_may_be(name, event, module) for module in _modules() for _, name in _calls(module))


def computed_names() -> list[str]:
    """List the names of events that are computed, such as `f"chunk.{outcome}"`: nobody finds these with grep."""
    return [
        ast.unparse(call)
        for module in _modules()
        for call, name in _calls(module)
        if not isinstance(name, ast.Constant | ast.Name)
    ]


def fields(event: str) -> set[str]:
    """Return the names of the fields that the lines of an event have, over all lines that may log it."""
    return {
        field
        for module in _modules()
        for call, name in _calls(module)
        if _may_be(name, event, module)
        for keyword in call.keywords
        for field in ([keyword.arg] if keyword.arg else _members(keyword.value, module))
    }


def functions() -> dict[str, str]:
    """Return the app's functions by name, each with the decorator of its trigger or its doors.

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
        and (ast.unparse(decorator.func.value) == "doors" or decorator.func.attr.endswith("_trigger"))
    }


@cache
def _modules() -> tuple[tuple[ast.AST, ...], ...]:
    paths = [ROOT / "function_app.py", *sorted((ROOT / "recording").rglob("*.py"))]
    return tuple(tuple(ast.walk(ast.parse(path.read_text()))) for path in paths)


def _calls(module: tuple[ast.AST, ...]) -> Iterator[tuple[ast.Call, ast.expr]]:
    """Return each call that logs, `log.info(…)` or `write(…)` with an event's name, and that name."""
    for node in module:
        if isinstance(node, ast.Call) and node.args and _logs(node):
            yield node, node.args[0]


def _may_be(name: ast.expr, event: str, module: tuple[ast.AST, ...]) -> bool:
    if isinstance(name, ast.Name):  # `log.warning(failing, …)`
        return event in _constants(module)
    return isinstance(name, ast.Constant) and name.value == event


def _members(value: ast.expr, module: tuple[ast.AST, ...]) -> Iterator[str]:
    """Return the keys of `**facts`, where `facts` is written out as a dictionary in the same module."""
    if not isinstance(value, ast.Name):
        return
    for node in module:
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if value.id in [one.id for one in targets if isinstance(one, ast.Name)]:
                yield from (str(key.value) for key in node.value.keys if isinstance(key, ast.Constant))


def _logs(call: ast.Call) -> bool:
    match call.func:
        case ast.Attribute(value=ast.Name(id="log"), attr=level):
            return level in _LEVELS
        case ast.Name(id="write"):  # `write = log.error if … else log.info`
            return isinstance(call.args[0], ast.Constant) and _EVENT.fullmatch(str(call.args[0].value)) is not None
        case _:
            pass
    return False


@cache
def _constants(module: tuple[ast.AST, ...]) -> frozenset[str]:
    return frozenset(node.value for node in module if isinstance(node, ast.Constant) and isinstance(node.value, str))
