"""Pure: the forms in which an event comes, and what they have in common.

Event Grid schema or CloudEvents 1.0; one event, an array of them, or one whose attributes are HTTP headers; `data` as
an object, as a JSON text or in base64 (docs/acs-contract.md#forms-of-an-event). What can't be read as an event is
passed on as well, so that quarantine keeps it.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from recording.errors import BadEvent

# Of one request (docs/acs-contract.md#delivery-semantics): an array of more entries is not of Event Grid.
MOST_EVENTS = 5000
_HEADER = "ce-"
# The body has the data, and its Content-Type the type of the data (docs/acs-contract.md#forms-of-an-event).
_NOT_A_HEADER = ("data", "data_base64", "datacontenttype")
_QUOTED = re.compile(r'"(.*)"', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
# Python refuses a number of more than 4,300 digits, and with it the whole event. No member needs as many.
_MOST_DIGITS = 1000
_JSON = json.JSONDecoder(parse_int=lambda digits: int(digits) if len(digits) <= _MOST_DIGITS else None)


@dataclass(frozen=True)
class Envelope:
    """An event whose `data` isn't parsed; `source` is the topic in the Event Grid schema.

    `times` has what the event says of its time in the members of both schemas.
    """

    id: str | None
    type: str | None
    times: tuple[Any, ...]
    subject: str | None
    source: str | None
    data: Any


def read_envelope(text: str) -> Envelope:
    """Read the envelope of one event; raises BadEvent if the text isn't a JSON object."""
    body = decode(text)
    if not isinstance(body, dict):
        if isinstance(body, list) and len(body) > MOST_EVENTS:
            raise BadEvent(
                f"it is an array of more than {MOST_EVENTS:,} entries; a request has at most that many events"
            )
        raise BadEvent("the event is not JSON" if isinstance(body, str) else "an event is a JSON object")
    members = fold(body)
    return Envelope(
        id=_text(members.get("id")),
        type=_text(members.get("eventtype")) or _text(members.get("type")),
        times=(members.get("eventtime"), members.get("time")),
        subject=_text(members.get("subject")),
        source=_text(members.get("topic")) or _text(members.get("source")),
        data=_data(members),
    )


def split_events(body: bytes, headers: Mapping[str, str] | None = None, *, most: int | None = None) -> list[str]:
    """Split a request body into the texts of its events; raises nothing.

    An array of more than `most` entries is not split, so that quarantine keeps it as one. An event in CloudEvents'
    binary mode gets the text of the same event in structured mode. What isn't text gets that of an event with nothing
    but `data_base64`.
    """
    named = {name.lower(): value for name, value in (headers or {}).items()}
    attributes = _attributes(named)
    text = _decode_text(body)
    value = decode(text)
    is_labelled = named.get("content-type", "").strip().lower().startswith("application/cloudevents")
    if "type" in attributes and not (is_labelled and _has_type(value)):
        return [_to_structured(attributes, named.get("content-type"), body, text)]
    if text is None:
        return [json.dumps({"data_base64": base64.b64encode(body).decode()})]
    if not isinstance(value, list) or (most and len(value) > most):
        return [text]
    try:
        # In ASCII: an escaped half of a surrogate pair is JSON, but cannot be written in UTF-8.
        return [json.dumps(entry) for entry in value]
    except RecursionError:
        return [text]


def decode(value: Any) -> Any:
    """Return the JSON value that a text has, however often it was written as a text; other text as it is."""
    while isinstance(value, str):
        try:
            value = _JSON.decode(value.removeprefix("\ufeff"))
        except (ValueError, RecursionError):
            break
    return value


def fold(members: Mapping[Any, Any]) -> dict[str, Any]:
    """Return members by their names in lower case; of names that differ only in case, one that is null counts less."""
    folded: dict[str, Any] = {}
    for name, member in members.items():
        if member is not None or str(name).lower() not in folded:
            folded[str(name).lower()] = member
    return folded


def _data(members: Mapping[str, Any]) -> Any:
    """Return `data`, or what `data_base64` has; whichever is an object, or is there at all."""
    given = decode(members.get("data"))
    encoded = members.get("data_base64")
    if isinstance(given, dict) or not isinstance(encoded, str):
        return given
    try:
        # Either alphabet, padded or not, and with line breaks: the result must be JSON anyway.
        raw = base64.b64decode(encoded.translate(str.maketrans("-_", "+/")).rstrip("=") + "==")
    except (binascii.Error, ValueError):
        return given
    decoded = decode(_decode_text(raw))
    return decoded if given is None or isinstance(decoded, dict) else given


def _decode_text(body: bytes) -> str | None:
    """Return the text of a body in any encoding of Unicode, without its byte-order mark; None if it isn't text.

    Bytes that are no letters of it become U+FFFD in JSON: one in a label must not cost its event, or others beside it.
    """
    encoding = json.detect_encoding(body)
    try:
        return body.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError:
        text = body.decode(encoding, errors="replace").removeprefix("\ufeff")
        return text if isinstance(decode(text), dict | list) else None


def _attributes(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the attributes that are headers, by name, in the order of their names."""
    named = {name.removeprefix(_HEADER): value for name, value in sorted(headers.items()) if name.startswith(_HEADER)}
    return {name: _header_value(value) for name, value in named.items() if name not in _NOT_A_HEADER}


def _header_value(value: str) -> str:
    """Decode the value of a header: perhaps a quoted string, and percent-encoded; one that is neither as it is."""
    if quoted := _QUOTED.fullmatch(value.strip()):
        value = _ESCAPED.sub(r"\1", quoted[1])
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError:
        return value


def _to_structured(attributes: dict[str, str], content_type: str | None, body: bytes, text: str | None) -> str:
    """Return the text of an event in structured mode; its data as it was received, letter by letter."""
    members = attributes | ({"datacontenttype": content_type} if content_type else {})
    if text is not None and not isinstance(decode(text), str):
        # It is a JSON value by itself, so it is one here.
        return f'{json.dumps(members)[:-1]}, "data": {text}}}'
    return json.dumps(members | ({"data_base64": base64.b64encode(body).decode()} if body else {}))


def _has_type(value: Any) -> bool:
    """Return whether a body is an event in structured mode, or an array."""
    return isinstance(value, list) or (isinstance(value, dict) and _text(fold(value).get("type")) is not None)


def _text(value: Any) -> str | None:
    """Return text, None if there is none; JSON may have half of a surrogate pair, which is escaped."""
    return value.encode(errors="backslashreplace").decode() or None if isinstance(value, str) else None
