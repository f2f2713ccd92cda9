"""recording/control/bodies.py: the bodies of our HTTP API, and how they are read."""

import json
from datetime import UTC, datetime
from typing import Any

import azure.functions as func
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from recording.api import request, response
from recording.control import bodies
from recording.control.bodies import (
    Operation,
    RecordingStarted,
    RecordingStateAnswer,
    StartRecording,
    StartRecordingByUrl,
)
from recording.errors import BadRequest, Conflict, RecordingError, Throttled

URI = "recordingStateCallbackUri"
MODELS: list[type[BaseModel]] = [Operation, StartRecording, StartRecordingByUrl]


def read[Model: BaseModel](model: type[Model], body: bytes) -> Model:
    """Read the body of a request."""
    return request.read_body(model, func.HttpRequest("POST", "/", body=body))


def refused(model: type[BaseModel], body: bytes) -> BadRequest:
    """Read a body that isn't one."""
    with pytest.raises(BadRequest) as caught:
        read(model, body)
    return caught.value


def test_a_body_is_read() -> None:
    """Every member is accepted, and unknown members are ignored."""
    body = {"operationContext": "ü 😀 \n", URI: "https://app.contoso.com/cb?code=1", "more": [1]}

    got = read(StartRecording, json.dumps(body).encode())

    expected = StartRecording(
        operation_context="ü 😀 \n", recording_state_callback_uri="https://app.contoso.com/cb?code=1"
    )
    assert expected == got


@pytest.mark.parametrize("body", [b"", b"  \r\n\t", b"{}", b' {"operationContext": null} '])
def test_a_body_may_be_empty(body: bytes) -> None:
    """Stop, pause and resume came with no body at all in 2021."""
    assert Operation() == read(Operation, body)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"nonsense",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b"{'a': 1}",
        b'{"operationContext": "\xff"}',
        b"[" * 60_000,
        b"null",
        b"[]",
        b'"text"',
        b"5",
        b"NaN",
        b'{"operationContext": "\\ud800"}',
        b"{}{}",
        b"{} x",
        b"\0",
    ],
)
@pytest.mark.parametrize("model", MODELS)
def test_what_is_no_body(model: type[BaseModel], body: bytes) -> None:
    """A body that isn't a JSON object is a 400 about the body."""
    error = refused(model, body)

    assert (400, "BadRequest") == (error.http_status, error.error_code)
    assert error.target in ("body", "operationContext")
    assert "\ud800" not in error.message


@pytest.mark.parametrize("wrong", [5, True, 1.5, [], {}, ["a"], "a" * 5_001])
def test_an_operation_context_of_the_wrong_type(wrong: Any) -> None:
    """What isn't text, or is too long, is refused and not bent into text."""
    assert refused(Operation, json.dumps({"operationContext": wrong}).encode()).target == "operationContext"


@pytest.mark.parametrize(
    "uri",
    [
        "https://app.contoso.com/cb",
        "HTTPS://app.contoso.com",
        "https://app.contoso.com:8443/cb?a=b#c",
        "https://ünïcode.example/ü",
        "https://" + "a" * 2_000,
        "http://localhost:7071/callbacks",
        "http://LOCALHOST/callbacks",
        "http://127.0.0.1:7071/callbacks",
        "http://127.8.8.8/callbacks",
        "http://[::1]:7071/callbacks",
    ],
)
def test_callback_uris_that_are_taken(uri: str) -> None:
    """An absolute https URI is accepted, and http on this machine."""
    assert uri == read(StartRecording, json.dumps({URI: uri}).encode()).recording_state_callback_uri


@pytest.mark.parametrize(
    "uri",
    [
        "",
        " ",
        "/not/absolute/url",
        "cb",
        "app.contoso.com/cb",
        "//app.contoso.com/cb",
        "https:",
        "https://",
        "https:///cb",
        "https://:443/cb",
        "https:app.contoso.com",
        "http://app.contoso.com/cb",
        "http://127.0.0.1.evil.example/cb",
        "http://localhost.evil.example/cb",
        "http://127.0.0.1@evil.example/cb",
        "http://0.0.0.0/cb",
        "http://10.0.0.1/cb",
        "http://2130706433/cb",
        "ftp://127.0.0.1/cb",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://app.contoso.com/c b",
        "https://app.contoso.com/cb\r\nX-Forged: 1",
        "\thttps://app.contoso.com/cb",
        "https://[::1/cb",
        "https://app.contoso.com:99999/cb",
        "https://app.contoso.com:port/cb",
        "https://" + "a" * 2_048,
        5,
        True,
        [],
        ["https://app.contoso.com/cb"],
        {},
    ],
)
def test_callback_uris_that_are_not(uri: Any) -> None:
    """Anything else is a 400 that names the member."""
    assert URI == refused(StartRecording, json.dumps({URI: uri}).encode()).target


def test_the_reason_is_said() -> None:
    """The message says what is asked for."""
    error = refused(StartRecording, json.dumps({URI: "http://app.contoso.com/cb"}).encode())

    expected = (
        f"{URI}: Value error, must be an absolute https URI (http is allowed only for the loopback of this machine)"
    )
    assert expected == error.message


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"conversationUrl": None},
        {"conversationUrl": ""},
        {"conversationUrl": 5},
        {"conversationUrl": None, "serverCallId": None},
        {"conversationUrl": "https://conv.test/", "serverCallId": "aHR0cHM6Ly94"},
    ],
)
def test_a_conversation_is_needed(body: Any) -> None:
    """Start by URL needs the URL or a server call id, and not both: they could be two calls."""
    assert refused(StartRecordingByUrl, json.dumps(body).encode()).target == "conversationUrl"


@pytest.mark.parametrize("server_call_id", ["", 5, [], "a" * 4_097])
def test_a_server_call_id_of_the_wrong_type(server_call_id: Any) -> None:
    """What can't be a server call id is refused by its own name."""
    body = {"serverCallId": server_call_id}

    assert refused(StartRecordingByUrl, json.dumps(body).encode()).target == "serverCallId"


def test_one_of_them_is_enough() -> None:
    """Either names the conversation."""
    assert "aHR0cHM6Ly94" == read(StartRecordingByUrl, b'{"serverCallId": "aHR0cHM6Ly94"}').server_call_id
    assert "https://x" == read(StartRecordingByUrl, b'{"conversationUrl": "https://x"}').conversation_url


def test_a_conversation_url_that_is_too_long() -> None:
    """A URL that no id could be made of is refused."""
    body = json.dumps({"conversationUrl": "https://" + "a" * 3_000}).encode()

    assert refused(StartRecordingByUrl, body).target == "conversationUrl"


def test_a_body_that_is_too_large() -> None:
    """A body above 64 KiB is refused before it is read."""
    error = refused(Operation, b'{"operationContext": "' + b"a" * 70_000 + b'"}')

    assert ("the body has more than 65536 bytes", "body") == (error.message, error.target)


def test_what_was_sent_is_not_repeated() -> None:
    """The error names the member, not its value."""
    error = refused(StartRecording, json.dumps({URI: "http://s3cret"}).encode())

    assert "s3cret" not in json.dumps(response.error_body(error))


@given(st.binary(max_size=200) | st.dictionaries(st.text(), st.text()).map(lambda d: json.dumps(d).encode()))
def test_no_bytes_do_more_than_be_refused(body: bytes) -> None:
    """Whatever the bytes, they are a body or a BadRequest whose answer can be written."""
    try:
        read(StartRecordingByUrl, body)
    except BadRequest as bad:
        json.dumps(response.error_body(bad)).encode()


@pytest.mark.parametrize(
    "good", ["a", "eyJhIjoxfQ", "eyJhIjoxfQ==", "eyJhIjoxfQ=", "A-Z_0", "a" * 162, "a+b/c=", "a" * 1_024]
)
def test_recording_ids_that_are_taken(good: str) -> None:
    """Base64 of either alphabet is accepted, padded or not."""
    assert good == bodies.require_recording_id(good)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        ".",
        "..",
        "a%2Fb",
        "../b",
        "a b",
        "a=b",
        "===",
        "a===",
        "a\n",
        "ü",
        "a" * 1_025,
        "a?b",
        "a#b",
        "a:pause",
    ],
)
def test_recording_ids_that_are_not(bad: str) -> None:
    """What is no base64 is refused: a dot, a colon, or what ends a path."""
    with pytest.raises(BadRequest) as caught:
        bodies.require_recording_id(bad)

    assert caught.value.target == "recordingId"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            BadRequest("no", target="body"),
            {"code": "BadRequest", "message": "no", "target": "body", "details": []},
        ),
        (Conflict("no", code="8527"), {"code": "8527", "message": "no", "target": None, "details": []}),
        (
            Throttled("wait", status=429, retry_after="7"),
            {"code": "TooManyRequests", "message": "wait", "target": None, "details": []},
        ),
        (
            RecordingError("ü"),
            {"code": "InternalServerError", "message": "ü", "target": None, "details": []},
        ),
    ],
)
def test_errors_are_bare(error: RecordingError, expected: dict[str, Any]) -> None:
    """An error body is the 2021 contract's, with nothing around it."""
    assert expected == response.error_body(error)


def test_answers_are_in_camel_case() -> None:
    """Members are named as the service names them; absent ones are omitted."""
    ended = datetime(2026, 3, 1, tzinfo=UTC)
    assert [
        '{"recordingId":"a"}',
        '{"recordingState":"active","recordingKind":"teams"}',
        '{"recordingState":"inactive","endedAt":"2026-03-01T00:00:00Z"}',
    ] == [
        RecordingStarted(recording_id="a").model_dump_json(by_alias=True, exclude_none=True),
        RecordingStateAnswer(recording_state="active", recording_kind="teams").model_dump_json(
            by_alias=True, exclude_none=True
        ),
        RecordingStateAnswer(recording_state="inactive", ended_at=ended).model_dump_json(
            by_alias=True, exclude_none=True
        ),
    ]
