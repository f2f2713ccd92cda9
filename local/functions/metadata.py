"""The functions of an app as indexed by the worker, validated as by the host (docs/functions-host.md#python-worker)."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.functions.errors import StartError
from local.functions.settings import resolve

TRIGGERS = ("httpTrigger", "eventGridTrigger", "queueTrigger", "timerTrigger")
OUTPUTS = ("http", "queue")

_FUNCTION_NAME = re.compile(r"[a-z][a-z0-9_\-]{0,127}", re.IGNORECASE)
_BINDING_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,127}|\$return")


@dataclass(frozen=True)
class Binding:
    """One binding: its parameter name (or `$return`), its type, and its JSON with settings resolved."""

    name: str
    type: str
    properties: Mapping[str, Any]

    def text(self, name: str, default: str = "") -> str:
        """Return a property as text."""
        return str(self.properties.get(name, default))


@dataclass(frozen=True)
class Function:
    """One function: its trigger and its output bindings."""

    name: str
    id: str
    trigger: Binding
    outputs: tuple[Binding, ...]


def parse(indexed: list[dict[str, Any]], settings: Mapping[str, str]) -> list[Function]:
    """Parse the worker's answer into functions, ordered by name as in the host.

    Raises StartError for a name, trigger or binding that the host wouldn't accept, or that this one doesn't support.
    """
    functions = [_function(entry, settings) for entry in indexed]
    return sorted(functions, key=lambda function: function.name.upper())


def _function(entry: Mapping[str, Any], settings: Mapping[str, str]) -> Function:
    name: str = entry["name"]
    if not _FUNCTION_NAME.fullmatch(name) or name.lower() == "host":
        raise StartError(f"{name!r} isn't a valid function name")
    bindings = [json.loads(raw) for raw in entry["raw_bindings"]]
    names = [binding["name"].lower() for binding in bindings]
    if len(set(names)) < len(names):
        raise StartError(f"Function {name}: two bindings have the same name")
    triggers = [_binding(raw, name, settings) for raw in bindings if raw["type"].lower().endswith("trigger")]
    others = [raw for raw in bindings if not raw["type"].lower().endswith("trigger")]
    if len(triggers) != 1:
        raise StartError(f"Function {name}: it has {len(triggers)} triggers; it must have one")
    if triggers[0].type not in TRIGGERS:
        raise StartError(f"Function {name}: this host doesn't support {triggers[0].type}")
    for raw in others:
        if raw["type"] not in OUTPUTS or raw["direction"].upper() != "OUT":
            raise StartError(
                f"Function {name}: this host supports no {raw['type']} binding of direction {raw['direction']}"
            )
    return Function(
        name=name,
        id=entry["function_id"],
        trigger=triggers[0],
        outputs=tuple(_binding(raw, name, settings) for raw in others),
    )


def _binding(raw: dict[str, Any], function: str, settings: Mapping[str, str]) -> Binding:
    if not _BINDING_NAME.fullmatch(raw["name"]):
        raise StartError(f"Function {function}: {raw['name']!r} isn't a valid binding name")
    # Settings in routes aren't resolved: there `%` is a percent sign.
    resolved = {
        key: resolve(value, settings) if isinstance(value, str) and key != "route" else value
        for key, value in raw.items()
    }
    return Binding(raw["name"], raw["type"], resolved)
