"""Values are converted on their way between functions and queues as the host converts them."""

import pytest

from local.functions.bindings import overlay, queue_messages
from local.functions.values import TypedData


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("string", "plain", [b"plain"]),
        ("string", '{"a":1,"b":"\u00e4"}', ['{\n  "a": 1,\n  "b": "ä"\n}'.encode()]),
        ("string", '[1,"two",{"a":3}]', [b"1", b"two", b'{\n  "a": 3\n}']),
        ("string", '"quoted"', [b'"quoted"']),
        ("json", '["{\\"a\\":1}","x"]', [b'{"a":1}', b"x"]),
        ("json", "[]", []),
        ("bytes", b'{"a":1}', [b'{"a":1}']),
    ],
)
def test_queue_messages(kind: str, value: str | bytes, expected: list[bytes]) -> None:
    """Text that looks like JSON is parsed and arrays are split; bytes and the strings of an array stay untouched."""

    assert expected == queue_messages(TypedData(kind, value))  # type: ignore[arg-type]


def test_invalid_json_output() -> None:
    """Text in braces that isn't JSON can't be written."""

    with pytest.raises(ValueError, match="Expecting"):
        queue_messages(TypedData("string", "{not json}"))


def test_overlay() -> None:
    """Members of a JSON body replace metadata of the same name in any case; arrays and nulls don't."""
    own = {"Id": TypedData("string", "1"), "DequeueCount": TypedData("json", "1")}
    laid = overlay(own, '{"id": "mine", "dequeuecount": 9, "other": true, "list": [1], "none": null}')

    assert {
        "Id": TypedData("string", "mine"),
        "DequeueCount": TypedData("json", "9"),
        "other": TypedData("json", "true"),
    } == laid
    assert own == overlay(own, "not json")
    assert own == overlay(own, "{not json}")
