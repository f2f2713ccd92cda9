"""recording/acs/failures.py: what the service refuses, and the error that follows, with either API."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from recording.acs.call_automation import CallAutomation
from recording.acs.preview_2021 import Preview2021
from recording.config.resource import Resource
from recording.errors import (
    BadRequest,
    Conflict,
    Misconfigured,
    NotFound,
    RecordingError,
    Throttled,
    UpstreamFailed,
)
from tests.acs.calls import CALLS, CONVERSATION, JSON, RECORDING, Call, Client
from tests.support.origin import KEY, Origin, record

# What each API answers to stop, pause and resume (docs/acs-contract.md#2021-operations, #operations).
DONE = {Preview2021: (200, 200, 200), CallAutomation: (204, 202, 202)}


@pytest_asyncio.fixture(params=[Preview2021, CallAutomation], ids=["2021", "today"])
async def service(request: pytest.FixtureRequest, origin: Origin) -> AsyncIterator[Client]:
    """The client of either API, with a server behind it that does as the test says."""
    kind: type[Client] = request.param
    client = kind(Resource(origin.url, KEY))
    yield client
    await client.aclose()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            {"code": "8527", "message": "Invalid join identity.", "target": "call", "details": [None]},
            ("8527", "Invalid join identity.", "call"),
        ),
        (
            {"error": {"code": "8527", "message": "Invalid join identity.", "target": None}},
            ("8527", "Invalid join identity.", None),
        ),
        ({"code": 8527, "message": "numeric"}, ("8527", "numeric", None)),
        # It becomes a header of this app's answer.
        ({"code": "a\r\nb: c", "message": "odd"}, ("BadRequest", "odd", None)),
        ({"code": "a" * 65, "message": "m" * 2000}, ("BadRequest", "m" * 1024, None)),
        ({"code": "\ud800", "message": "odd"}, ("BadRequest", "odd", None)),
        ({"error": {"code": "BadRequest", "message": ""}}, ("BadRequest", "ACS answered with 400", None)),
        ({"error": "text"}, ("BadRequest", "ACS answered with 400", None)),
        ({}, ("BadRequest", "ACS answered with 400", None)),
        ([], ("BadRequest", "ACS answered with 400", None)),
        (None, ("BadRequest", "ACS answered with 400", None)),
    ],
)
async def test_error_bodies(service: Client, origin: Origin, body: Any, expected: tuple[str, str, str | None]) -> None:
    """The service's code, message and target are passed on, from a bare body or a wrapped one."""
    origin.replies((400, json.dumps(body).encode(), JSON))

    with pytest.raises(BadRequest) as caught:
        await service.start(CONVERSATION)

    assert expected == (caught.value.error_code, caught.value.message, caught.value.target)


async def test_a_message_may_repeat_the_callback_address(service: Client, origin: Origin) -> None:
    """It has a function key in its query, and the message goes to the caller, the log and the record of the start."""
    said = 'The field RecordingStateCallbackUri is invalid: "https://app.example/callbacks?code=s3cret" (why?)'
    origin.replies((400, json.dumps({"code": "BadRequest", "message": said}).encode(), JSON))

    with pytest.raises(BadRequest) as caught:
        await service.start(CONVERSATION, callback_uri="https://app.example/callbacks?code=s3cret")

    assert said.replace("?code=s3cret", "?…") == caught.value.message


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "application/json"),
        (b"<!DOCTYPE html><html></html>", "text/html"),
        (b"{", "application/json"),
        (b"\xff\xfe", "application/json; charset=utf-8"),
        (b"{}", "application/json; charset=nonsense"),
        (b"{}", "application/json; charset=hex"),
        (b"{}", "application/json; charset=rot13"),
        (b"[" * 100_000, "application/json"),
    ],
)
async def test_error_bodies_that_are_none(service: Client, origin: Origin, body: bytes, kind: str) -> None:
    """An error whose body can't be read is still an error."""
    origin.replies((404, body, {"Content-Type": kind}))

    with pytest.raises(NotFound, match="ACS answered with 404"):
        await service.state(CONVERSATION, RECORDING)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    ("status", "error", "ours"),
    [
        (400, BadRequest, 400),
        (404, NotFound, 404),
        (409, Conflict, 409),
        (401, Misconfigured, 500),
        (403, Misconfigured, 500),
        (429, Throttled, 429),
        (503, Throttled, 503),
        (302, UpstreamFailed, 500),
        (405, UpstreamFailed, 500),
        (500, UpstreamFailed, 500),
        (502, UpstreamFailed, 500),
    ],
)
async def test_statuses(
    service: Client, origin: Origin, call: Call, status: int, error: type[RecordingError], ours: int
) -> None:
    """Each status becomes ours, and is asked for once: a repeated start could be a second one."""
    origin.replies((status, b'{"code":"c","message":"m"}', {**JSON, "Location": "/elsewhere"}))

    with pytest.raises(error) as caught:
        await call(service)

    assert (type(caught.value), ours, 1) == (error, caught.value.http_status, len(origin.received))


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_for_the_caller(service: Client, origin: Origin, call: Call, status: int) -> None:
    """What the service says of waiting is kept for the caller, who waits; the client doesn't."""
    origin.replies((status, b"", {"Retry-After": "17"}))
    started = time.monotonic()

    with pytest.raises(Throttled) as caught:
        await call(service)

    assert ("17", 1) == (caught.value.retry_after, len(origin.received))
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("status", [401, 403])
async def test_no_secret_in_a_refusal(service: Client, origin: Origin, status: int) -> None:
    """What the service says of a refused signature may repeat it: nothing of that is passed on."""

    async def repeat(request: web.Request) -> web.StreamResponse:
        said = {"error": {"code": "401", "message": request.headers["Authorization"], "target": KEY}}
        return web.json_response(said, status=status)

    origin.answer = repeat

    with pytest.raises(Misconfigured) as caught:
        await service.start(CONVERSATION)

    shown = f"{caught.value!r} {caught.value.message} {caught.value.target} {caught.value.error_code}"
    assert not any(secret in shown for secret in ("HMAC", "Signature", KEY))
    assert "ACS_CONNECTION_STRING" in shown


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"nonsense", b'{"recordingId": ""}', b"[" * 60_000])
async def test_a_start_without_an_id(service: Client, origin: Origin, body: bytes) -> None:
    """A start that gives no id is a failure of the service."""
    origin.replies((200, body, JSON))

    with pytest.raises(UpstreamFailed, match=r"returned no recordingId|that can't be read"):
        await service.start(CONVERSATION)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"recordingState": "paused"}', b'{"recordingState": null}'])
async def test_a_state_that_is_none(service: Client, origin: Origin, body: bytes) -> None:
    """An unknown state is a failure of the service."""
    origin.replies((200, body, JSON))

    with pytest.raises(UpstreamFailed, match=r"neither active nor inactive|that can't be read"):
        await service.state(CONVERSATION, RECORDING)


async def test_a_state_in_another_casing(service: Client, origin: Origin) -> None:
    """Enumerations of the service changed their casing over the years."""
    origin.replies((200, b'{"recordingState": "Inactive"}', JSON))

    assert (await service.state(CONVERSATION, RECORDING)).state == "inactive"


@pytest.mark.parametrize("body", [b"", b"{}"])
async def test_an_empty_answer(service: Client, origin: Origin, body: bytes) -> None:
    """Stop, pause and resume may answer with nothing."""
    for name, status in zip(("stop", "pause", "resume"), DONE[type(service)], strict=True):
        origin.replies((status, b"" if status == 204 else body, {}))
        await CALLS[name](service)

    assert len(origin.received) == 3


EITHER = pytest.mark.parametrize("kind", [Preview2021, CallAutomation], ids=["2021", "today"])


@EITHER
@pytest.mark.parametrize("name", ["start", "stop"])
async def test_a_service_that_comes_up_again(kind: type[Client], name: str, unused_tcp_port: int) -> None:
    """A connection that was never made is tried again, whatever the operation."""
    client = kind(Resource(f"http://127.0.0.1:{unused_tcp_port}", KEY))
    calling = asyncio.ensure_future(CALLS[name](client))
    await asyncio.sleep(0.3)
    async with record(port=unused_tcp_port) as late:
        late.replies((DONE[kind][0] if name == "stop" else 200, b'{"recordingId": "r"}', JSON))
        try:
            await calling
        finally:
            await client.aclose()

        assert len(late.received) == 1


@EITHER
async def test_nobody_listens(kind: type[Client], unused_tcp_port: int) -> None:
    """A refused connection is tried again for a moment, then said; no address is shown."""
    client = kind(Resource(f"http://127.0.0.1:{unused_tcp_port}", KEY))
    try:
        with pytest.raises(UpstreamFailed) as caught:
            await client.start(CONVERSATION)
    finally:
        await client.aclose()

    assert (500, "UpstreamFailed") == (caught.value.http_status, caught.value.error_code)
    assert caught.value.message == "ACS could not be reached (ServiceRequestError)"


@pytest.mark.parametrize(("name", "times"), [("start", 1), ("pause", 1), ("resume", 1), ("state", 2), ("stop", 2)])
async def test_an_answer_that_is_lost(service: Client, origin: Origin, name: str, times: int) -> None:
    """A POST whose answer got lost may have happened: it isn't sent twice. aiohttp repeats GET and DELETE once."""

    async def lose(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    origin.answer = lose

    with pytest.raises(UpstreamFailed, match="ACS could not be reached"):
        await CALLS[name](service)

    assert times == len(origin.received)


@EITHER
async def test_a_service_that_hangs(kind: type[Client], origin: Origin) -> None:
    """The wait for an answer is bounded, and not begun again."""

    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(5)
        return web.Response()

    origin.answer = hang
    client = kind(Resource(origin.url, KEY), read_timeout=0.2)
    try:
        with pytest.raises(UpstreamFailed, match="Timeout"):
            await client.pause(CONVERSATION, RECORDING)
    finally:
        await client.aclose()

    assert len(origin.received) == 1
