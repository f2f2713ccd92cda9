"""recording/api/request.py: query parameters, and the headers that name the caller and the key of a start."""

from datetime import UTC, datetime
from typing import Any

import azure.functions as func
import pytest

from recording.api import request
from recording.catalogue.browse import ListQuery
from recording.errors import BadRequest
from recording.model.caller import Caller, RepeatKey

KEY = "20210727T152023608975Z-43563209-4ec6-4119-be5b-88398cda2caf"


def asked(**parts: Any) -> func.HttpRequest:
    """Make a request with some query parameters or headers."""
    return func.HttpRequest("POST", "/", body=b"", **parts)


def test_a_query_is_read() -> None:
    """Times come with a zone and are kept in UTC; the limit is a number."""
    params = {"from": "2021-07-27T17:00:00+02:00", "to": "2021-07-28T00:00:00Z", "limit": "5", "cursor": KEY}

    got = request.read_query(ListQuery, asked(params=params))

    expected = (datetime(2021, 7, 27, 15, tzinfo=UTC), datetime(2021, 7, 28, tzinfo=UTC), 5, KEY)
    assert expected == (got.since, got.until, got.limit, got.cursor)


def test_a_query_may_be_empty() -> None:
    """Without parameters a list has everything, 50 at a time; unknown parameters are ignored."""
    got = request.read_query(ListQuery, asked(params={"code": "k"}))

    assert (None, None, 50, None) == (got.since, got.until, got.limit, got.cursor)


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        (None, None),
        ("", None),
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:51032", "203.0.113.7"),
        ("10.0.0.1, 203.0.113.7:51032", "203.0.113.7"),
        ("10.0.0.1,203.0.113.7", "203.0.113.7"),
        ("[2001:db8::7]:51032", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("2001:DB8::7", "2001:db8::7"),
        ("203.0.113.7, unknown", None),
        ("203.0.113.7, forged\r\nline", None),
        ("203.0.113.7,", None),
    ],
)
def test_where_a_request_comes_from_is_what_the_front_end_saw(forwarded: str | None, address: str | None) -> None:
    """It appends the address to what the request claims; anything else is no address."""
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}

    assert address == request.read_caller(asked(headers=headers)).address


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("from", ""),
        ("from", "yesterday"),
        ("from", "2021-07-27T15:00:00"),
        ("from", "0001-01-01T00:00:00+14:00"),
        ("to", "9999-12-31T23:59:59-14:00"),
        ("limit", "0"),
        ("limit", "201"),
        ("limit", "-1"),
        ("limit", "ten"),
        ("limit", "1.5"),
        ("limit", "9" * 5_000),
        ("cursor", ""),
        ("cursor", "x" * 5_000),
        ("state", "done"),
        ("missing", "perhaps"),
    ],
)
def test_a_query_that_is_none(name: str, value: str) -> None:
    """A parameter that can't be understood is a 400 that names it."""
    with pytest.raises(BadRequest) as caught:
        request.read_query(ListQuery, asked(params={name: value}))

    assert name == caught.value.target


@pytest.mark.parametrize("name", ["Repeatability-Request-ID", "Idempotency-Key"])
def test_a_repeat_key_is_read(name: str) -> None:
    """Either header is accepted, in any case; of both, the one that Azure's guidelines name."""
    for key in ("3f2b0e4c-1111-4000-8000-000000000001", "x", " x ", "ü" * 255):
        assert RepeatKey(name, key) == request.read_caller(asked(headers={name.lower(): key})).repeat_key
    both = {"Idempotency-Key": "a", "Repeatability-Request-ID": "b"}
    assert RepeatKey("Repeatability-Request-ID", "b") == request.read_caller(asked(headers=both)).repeat_key
    assert Caller() == request.read_caller(asked())


@pytest.mark.parametrize("name", ["Repeatability-Request-ID", "Idempotency-Key"])
@pytest.mark.parametrize("key", ["", "  ", "x" * 256, "x" * 10_000, "a\r\nb", "a\tb", "\0", "\u2028", "\udcff"])
def test_a_repeat_key_that_is_none(name: str, key: str) -> None:
    """A key that is empty, endless or not printable is a 400 that names its header, and is not repeated.

    So it is beside a good one in the other header.
    """
    other = {"Repeatability-Request-ID": "x", "Idempotency-Key": "x"}
    for headers in ({name: key}, other | {name: key}):
        with pytest.raises(BadRequest) as caught:
            request.read_caller(asked(headers=headers))

        assert (name, False) == (caught.value.target, len(caught.value.message) > 100)
