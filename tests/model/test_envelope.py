"""recording/model/envelope.py: every form of an event gives the same facts."""

import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recording.errors import BadEvent
from recording.model import event_parser
from recording.model.envelope import MOST_EVENTS, decode, read_envelope, split_events
from tests.support.events import JSON, NEARLY
from tests.support.forms import FORMS, Request
from tests.support.samples import DOCUMENT, parse_file_status, sample

# What the HTTP binding has as its example (docs/acs-contract.md#forms-of-an-event).
ATTRIBUTES = {
    "specversion": "1.0",
    "type": "com.example.someevent",
    "time": "2018-04-05T03:56:24Z",
    "id": "1234-1234-1234",
    "source": "/mycontext/subcontext",
}


def facts_of(request: Request) -> Any:
    """Parse the one event of a request, as the intake and the timer do."""
    [text] = split_events(*request)
    return event_parser.parse_event(text.encode().decode())


@pytest.mark.parametrize("name", ["file-status-2021", "file-status-today", "call-leg-established", "recording-state"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_an_event_gives_the_same_facts(form: str, name: str) -> None:
    """Event Grid schema and CloudEvents in each mode; `data` as an object, a JSON string, in base64, with a mark."""
    event = sample(name) | {"id": "7283825e-f8f1-4c61-a9ea-752c56890500", "topic": "/subscriptions/0"}

    assert event_parser.parse_event(json.dumps(event)) == facts_of(FORMS[form](event))


@given(NEARLY, st.sampled_from(sorted(FORMS)))
@settings(max_examples=150, deadline=None)
def test_any_form_of_any_event_gives_the_same_facts(event: dict[str, Any], form: str) -> None:
    """The same event or the same reason, whatever is in it."""
    event = event | {"id": "an-id", "topic": "/subscriptions/0"}

    def outcome(request: Request) -> Any:
        try:
            return facts_of(request)
        except BadEvent as bad:
            return bad.message

    assert outcome((json.dumps(event).encode(), {})) == outcome(FORMS[form](event))


def test_the_text_of_a_binary_event_is_that_of_a_structured_one() -> None:
    """Its data is kept letter by letter, and the order of the headers is of no matter: its name is a digest of it."""
    data, headers = b'{ "a": 1.50,\r\n "b": "\xc3\xa4" }', {f"ce-{name}": value for name, value in ATTRIBUTES.items()}

    [text] = split_events(data, headers | {"content-type": "application/json; charset=utf-8", "ce-data": "x"})
    [again] = split_events(
        data, dict(reversed([*headers.items()])) | {"Content-Type": "application/json; charset=utf-8"}
    )

    expected = ATTRIBUTES | {"datacontenttype": "application/json; charset=utf-8", "data": {"a": 1.5, "b": "ä"}}
    assert (expected, again) == (json.loads(text), text)
    assert data.decode() in text


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        ("Euro%20%e2%82%ac", "Euro €"),
        ("%41bc", "Abc"),
        ('"a \\"quoted\\" value"', 'a "quoted" value'),
        ("%C0%A0", "%C0%A0"),
        ("100%", "100%"),
        ("a+b", "a+b"),
    ],
)
def test_the_values_of_headers_are_decoded_as_the_specification_says(sent: str, expected: str) -> None:
    """Its own examples; bytes that aren't UTF-8 stay as they are, since a header that only names costs no bytes."""
    [text] = split_events(b"{}", {"ce-type": "a", "ce-subject": sent})

    assert expected == read_envelope(text).subject


def test_binary_data_that_is_not_json_is_kept() -> None:
    """The JSON format's own example: its bytes are `data_base64` in the structured event."""
    [text] = split_events(b"\x80\x01\x00", {"ce-type": "a", "Content-Type": "application/vnd.apache.thrift.binary"})
    [xml] = split_events(b'<much wow="xml"/>', {"ce-type": "a", "Content-Type": "application/xml"})
    [none] = split_events(b"", {"ce-type": "a"})

    assert b"\x80\x01\x00" == base64.b64decode(json.loads(text)["data_base64"])
    assert b'<much wow="xml"/>' == base64.b64decode(json.loads(xml)["data_base64"])
    assert {"type": "a"} == json.loads(none)


@pytest.mark.parametrize(
    ("body", "texts"),
    [
        (b"", [""]),
        (b"[]", []),
        (b"not JSON", ["not JSON"]),
        (b"5", ["5"]),
        (b'[{"a": 1}, 5, null, "x", []]', ['{"a": 1}', "5", "null", '"x"', "[]"]),
        (b"\xff\xfe\xfa", ['{"data_base64": "//76"}']),
    ],
)
def test_what_is_no_event_is_passed_on_for_the_quarantine(body: bytes, texts: list[str]) -> None:
    """One entry that isn't an event costs none of the others; an empty batch has nothing to keep."""
    assert texts == split_events(body)


@pytest.mark.parametrize("wrong", [b"\xe9", b"\xed\xa0\xbd", b"\xff"])
def test_a_byte_that_is_no_letter_costs_no_event(wrong: bytes) -> None:
    """It may be in a label of one of them: all of a request would be in quarantine, for ever."""
    entry = json.dumps(sample("file-status-2021")).replace("CallEnded", "Call@Ended").encode().replace(b"@", wrong)

    first, second = split_events(b"[" + entry + b"," + b'{"type": "x"}' + b"]")
    [binary] = split_events(entry, {"ce-type": "x", "content-type": "application/octet-stream"})

    assert "Call\ufffd" in json.loads(first)["data"]["sessionEndReason"]
    assert '{"type": "x"}' == second
    assert "Call\ufffd" in json.loads(binary)["data"]["data"]["sessionEndReason"]


def test_a_number_of_thousands_of_digits_costs_no_event() -> None:
    """Python reads none."""
    digits = "9" * 5_000
    text = json.dumps(sample("file-status-2021")).replace('"CallEnded"', digits)

    assert [DOCUMENT] == [chunk.document_id for chunk in parse_file_status(text).chunks]
    assert 2 == len(split_events(f"[{text}, {digits}]".encode()))


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=200, deadline=None)
def test_nothing_that_is_sent_raises(body: bytes) -> None:
    """Every body gives texts that can be written in UTF-8, each an event or a BadEvent."""
    for text in (*split_events(body), *split_events(body, {"ce-type": "a", "ce-subject": "\udcff"})):
        text.encode()
        with contextlib.suppress(BadEvent):
            event_parser.parse_event(text)


@pytest.mark.parametrize("depth", [900, 100_000])
def test_a_body_that_is_nested_too_deeply_is_one_text(depth: int) -> None:
    """It is quarantined as a whole."""
    body = b"[" * depth + b"]" * depth

    assert split_events(body) in ([body.decode()], [body.decode()[1:-1]])


def test_a_text_in_texts_is_decoded_to_its_value() -> None:
    """However often it was written as a text."""
    text = json.dumps({"a": 1})
    for _ in range(5):
        text = json.dumps(text)

    assert [{"a": 1}, "x", 5, None] == [decode(text), decode("x"), decode(5), decode(None)]


def test_an_array_of_more_than_event_grid_sends_is_kept_as_one() -> None:
    """Each entry of it would become a blob of the quarantine."""
    assert MOST_EVENTS == len(split_events(b"[" + b",".join([b"1"] * MOST_EVENTS) + b"]", most=MOST_EVENTS))
    body = b"[" + b",".join([b"1"] * (MOST_EVENTS + 1)) + b"]"

    assert [body.decode()] == split_events(body, most=MOST_EVENTS)
    # A file that somebody replays may have more.
    assert MOST_EVENTS + 1 == len(split_events(body))
    with pytest.raises(BadEvent, match="an array of more than 5,000 entries"):
        event_parser.parse_event(body.decode())
