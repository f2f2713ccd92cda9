"""Conversions that the host makes on the way out of a function: queue messages from outputs."""

import json
from typing import Any

from local.functions.values import TypedData


def queue_messages(data: TypedData) -> list[bytes]:
    """Turn the value of a queue output into message bodies, as the host's collector does.

    Text that looks like JSON is parsed: an array becomes one message per element, an object is written again with
    indentation. Bytes, other text and the strings of an array go through untouched (functions-host 3; ReadAsEnumerable
    in FunctionBinding.cs). Raises ValueError for text that looks like JSON and isn't. Dates in objects, which .NET may
    write in another form, stay as they are.
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
    """Give an event's trigger metadata: its `data`."""
    return {"data": TypedData("json", json.dumps(event["data"], ensure_ascii=False))} if "data" in event else {}


def lay_over(metadata: dict[str, TypedData], body: str) -> dict[str, TypedData]:
    """Lay the top-level members of a JSON object over trigger metadata, whatever their case.

    So a queue message with a member `id` changes `msg.id`: a known defect of the host that apps must live with
    (functions-host 3; webjobs-sdk-extensions issue 882). Arrays and nulls are left out.
    """
    if not (body.lstrip().startswith("{") and body.rstrip().endswith("}")):
        return metadata
    try:
        members = json.loads(body)
    except ValueError:
        return metadata
    laid = dict(metadata)
    keys = {key.lower(): key for key in metadata}
    for name, value in members.items():
        if value is None or isinstance(value, list):
            continue
        key = keys.setdefault(name.lower(), name)
        laid[key] = TypedData("string", value) if isinstance(value, str) else TypedData("json", json.dumps(value))
    return laid


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
    # Newtonsoft's JToken.ToString() indents by two spaces and leaves non-ASCII characters as they are.
    return json.dumps(element, indent=2, ensure_ascii=False)
