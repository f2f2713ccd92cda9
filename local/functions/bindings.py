"""Conversions by the host: outputs to queue messages, events and messages to trigger metadata."""

import json
from typing import Any

from local.functions.values import TypedData


def queue_messages(data: TypedData) -> list[bytes]:
    """Turn the value of a queue output into message bodies, as the host's collector does.

    Text that looks like JSON is parsed: an array becomes one message per element, an object is serialized again with
    indentation. Bytes, other text and the strings of an array aren't changed (docs/functions-host.md#queue;
    ReadAsEnumerable in FunctionBinding.cs). Raises ValueError for text that looks like JSON and isn't. Dates in
    objects, which .NET may format differently, aren't changed either.
    """
    if data.kind == "bytes":
        return [data.value]
    text: str = data.value
    if data.kind != "json" and not _looks_like_json(text):
        return [text.encode()]
    value = json.loads(text)
    elements = value if isinstance(value, list) else [value]
    return [_text(element).encode() for element in elements]


def event_grid_data(event: dict[str, Any]) -> dict[str, TypedData]:
    """Return the trigger metadata of an event: its `data`."""
    return {"data": TypedData("json", json.dumps(event["data"], ensure_ascii=False))} if "data" in event else {}


def overlay(metadata: dict[str, TypedData], body: str) -> dict[str, TypedData]:
    """Overlay trigger metadata with the top-level members of a JSON object, whatever their case.

    So a queue message with a member `id` changes `msg.id`: a known defect of the host that apps must expect
    (docs/functions-host.md#queue; webjobs-sdk-extensions issue 882). Arrays and nulls are omitted.
    """
    if not (body.lstrip().startswith("{") and body.rstrip().endswith("}")):
        return metadata
    try:
        members = json.loads(body)
    except ValueError:
        return metadata
    overlaid = dict(metadata)
    keys = {key.lower(): key for key in metadata}
    for name, value in members.items():
        if value is None or isinstance(value, list):
            continue
        key = keys.setdefault(name.lower(), name)
        overlaid[key] = TypedData("string", value) if isinstance(value, str) else TypedData("json", json.dumps(value))
    return overlaid


def _looks_like_json(text: str) -> bool:
    trimmed = text.strip()
    return (trimmed[:1], trimmed[-1:]) in {("{", "}"), ("[", "]")}


def _text(element: Any) -> str:
    match element:
        case None:
            return ""
        case str():
            return element
        case bool():
            return str(element)
        case _:
            pass
    # Newtonsoft's JToken.ToString() indents by two spaces and doesn't escape non-ASCII characters.
    return json.dumps(element, indent=2, ensure_ascii=False)
