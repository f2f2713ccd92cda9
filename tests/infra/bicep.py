"""Reads Bicep with a grammar: what a file declares, with literal values as Python values.

There is no compiler on this machine to ask; types and API versions are checked by the workflow.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
FILES = sorted(INFRA.glob("*.bicep"))

_KINDS = {
    "parameter_declaration": "param",
    "variable_declaration": "var",
    "resource_declaration": "resource",
    "module_declaration": "module",
    "output_declaration": "output",
}
_LITERALS = {"string", "object", "array", "number", "boolean", "for_statement", "if_statement"}


@dataclass(frozen=True)
class Expression:
    """Anything that isn't a literal: its text."""

    text: str


@dataclass(frozen=True)
class Declaration:
    """One `param`, `var`, `resource`, `module` or `output`.

    `type` is the text after the name (`Microsoft.Web/sites@2024-04-01`, `identity.bicep`, `string`);
    `value` the literal, the default or the body, `None` if there is none.
    """

    kind: str
    name: str
    type: str
    value: Any
    is_existing: bool
    decorators: str
    node: Node


@cache
def tree(path: Path) -> Node:
    """Parse a file; the caller checks `has_error`."""
    return Parser(Language(tree_sitter_bicep.language())).parse(path.read_bytes()).root_node


def walk(node: Node) -> Iterator[Node]:
    """Give a node and everything below it."""
    yield node
    for child in node.children:
        yield from walk(child)


def text(node: Node | None) -> str:
    """Give the source text of a node."""
    assert node is not None
    assert node.text is not None
    return node.text.decode()


def value(node: Node) -> Any:
    """Turn a literal into a Python value; interpolations stay as `${…}`, a loop is its body."""
    match node.type:
        case "string":
            raw = text(node)
            return raw[3:-3].lstrip("\n") if raw.startswith("'''") else raw[1:-1].replace("\\'", "'")
        case "number":
            return int(text(node))
        case "boolean":
            return text(node) == "true"
        case "array":
            return [value(child) for child in node.named_children if child.type not in {"comment", "decorators"}]
        case "object":
            return dict(pair for child in node.named_children for pair in _property(child))
        case "for_statement":
            return value(_child(node, "body"))
        case "if_statement":
            return value(next(child for child in node.named_children if child.type == "object"))
        case _:
            return Expression(text(node))


def declarations(path: Path, *kinds: str) -> list[Declaration]:
    """List what a file declares, nested resources included; all kinds, or those given."""
    found = (_declaration(node) for node in walk(tree(path)) if node.type in _KINDS)
    return [one for one in found if not kinds or one.kind in kinds]


def one(path: Path, kind: str, name: str) -> Declaration:
    """Find a declaration by its name."""
    return next(found for found in declarations(path, kind) if found.name == name)


def resources(resource_type: str) -> list[tuple[Path, Declaration]]:
    """Find every resource of a type that is made here (not `existing`), whatever its API version."""
    return [
        (path, found)
        for path in FILES
        for found in declarations(path, "resource")
        if found.type.partition("@")[0] == resource_type and not found.is_existing
    ]


def _child(node: Node, field: str) -> Node:
    child = node.child_by_field_name(field)
    assert child is not None
    return child


def _property(node: Node) -> Iterator[tuple[str, Any]]:
    if node.type != "object_property" or node.named_children[0].type == "resource_declaration":
        return
    key, *rest = [child for child in node.named_children if child.type != "comment"]
    yield text(key).strip("'"), value(rest[0])


def _declaration(node: Node) -> Declaration:
    name, *rest = [child for child in node.named_children if child.type != "comment"]
    before = node.prev_named_sibling
    typed = rest[0] if rest and rest[0].type in {"string", "type"} and node.type != "variable_declaration" else None
    body = rest[1:] if typed is not None else rest
    return Declaration(
        kind=_KINDS[node.type],
        name=text(name),
        type=text(typed).strip("'") if typed is not None else "",
        value=value(body[0]) if body else None,
        is_existing=any(child.type == "existing" or text(child) == "existing" for child in node.children),
        decorators=text(before) if before is not None and before.type == "decorators" else "",
        node=node,
    )
