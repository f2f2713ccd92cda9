"""Functions are checked as the host checks them."""

import json
from typing import Any

import pytest

from local.functions.errors import StartError
from local.functions.metadata import parse

TRIGGER = {"direction": "IN", "type": "queueTrigger", "name": "msg", "queueName": "%Q%"}


def entry(name: str, *bindings: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "function_id": f"id-{name}", "raw_bindings": [json.dumps(b) for b in bindings]}


def test_order_and_settings() -> None:
    """Functions are ordered by name without regard to case, and settings in bindings are resolved."""
    functions = parse([entry(name, TRIGGER) for name in ("b", "C", "a")], {"Q": "jobs"})

    assert [function.name for function in functions] == ["a", "b", "C"]
    assert functions[0].trigger.text("queueName") == "jobs"


@pytest.mark.parametrize(
    ("name", "bindings", "reason"),
    [
        ("1st", [TRIGGER], "isn't a valid function name"),
        ("host", [TRIGGER], "isn't a valid function name"),
        ("f", [], "0 triggers"),
        ("f", [TRIGGER, {**TRIGGER, "name": "other"}], "2 triggers"),
        ("f", [TRIGGER, {"direction": "OUT", "type": "queue", "name": "MSG"}], "same name"),
        ("f", [{**TRIGGER, "type": "blobTrigger"}], "doesn't support blobTrigger"),
        ("f", [TRIGGER, {"direction": "OUT", "type": "table", "name": "t"}], "no table"),
        ("f", [{**TRIGGER, "name": "a-b"}], "isn't a valid binding name"),
        ("f", [{**TRIGGER, "queueName": "%MISSING%"}], "MISSING"),
    ],
)
def test_refused(name: str, bindings: list[dict[str, Any]], reason: str) -> None:
    """A function that the host wouldn't take, or that needs what this one hasn't got, is named with the reason."""

    with pytest.raises(StartError, match=reason):
        parse([entry(name, *bindings)], {"Q": "jobs"})
