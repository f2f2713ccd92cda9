"""recording/telemetry/log.py: one event name and its fields, on one line."""

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recording.config.resource import Resource
from recording.telemetry import log

LEVELS = [(log.info, logging.INFO), (log.warning, logging.WARNING), (log.error, logging.ERROR)]


def fields(caplog: pytest.LogCaptureFixture, event: str) -> object:
    """Read the fields of the one line back."""
    [record] = caplog.records
    name, _, text = record.getMessage().partition(" ")
    assert name == event
    return json.loads(text)


@pytest.mark.parametrize(("write", "level"), LEVELS)
def test_a_line(caplog: pytest.LogCaptureFixture, write: Callable[..., None], level: int) -> None:
    """A line is an event name, and its fields as JSON, under a logger that the host forwards."""
    with caplog.at_level(logging.DEBUG, "recording"):
        write("chunk.staged", recordingKey="k", bytes=1_500_000_000, reason=None, ok=True)

    [record] = caplog.records
    expected = 'chunk.staged {"recordingKey": "k", "bytes": 1500000000, "reason": null, "ok": true}'
    assert (expected, level, "recording") == (record.getMessage(), record.levelno, record.name)


@pytest.mark.parametrize(
    "forged",
    [
        "a\nchunk.staged {}",
        "a\r\nchunk.staged {}",
        "a\x0bb",
        "a\x0cb",
        "a\x1cb",
        "a\x85b",
        "a\u2028b",
        "a\u2029b",
        'a"} chunk.staged {"b": "',
        "a\x1b[2Jb",
        "a\x00b",
        "%s %d %(name)s {x}",
        "\ud800",
    ],
)
def test_an_id_from_outside_cannot_forge_a_line(caplog: pytest.LogCaptureFixture, forged: str) -> None:
    """Whatever stands in a field, the message is one line that can be written and read back."""
    with caplog.at_level(logging.INFO, "recording"):
        log.info("event.ignored", eventId=forged)

    [record] = caplog.records
    assert [record.getMessage()] == record.getMessage().splitlines()
    assert record.getMessage().encode().isascii()
    assert {"eventId": forged} == fields(caplog, "event.ignored")


@given(st.text(alphabet=st.characters()))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_text_survives(caplog: pytest.LogCaptureFixture, text: str) -> None:
    """Any text at all is read back as it was."""
    caplog.clear()
    with caplog.at_level(logging.INFO, "recording"):
        log.info("event.ignored", eventId=text)

    assert {"eventId": text} == fields(caplog, "event.ignored")


def test_values_of_any_kind(caplog: pytest.LogCaptureFixture) -> None:
    """What JSON doesn't know is written as text; a resource doesn't show its key."""
    with caplog.at_level(logging.INFO, "recording"):
        log.info("x", at=datetime(2021, 7, 27, tzinfo=UTC), resource=Resource("https://a.example", "c2VjcmV0"))

    expected = {"at": "2021-07-27 00:00:00+00:00", "resource": "Resource(endpoint='https://a.example')"}
    assert expected == fields(caplog, "x")


def test_an_exception_brings_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    """What nobody expected is logged with where it came from."""
    try:
        raise LookupError("what")
    except LookupError:
        log.exception("request.failed", function="health")

    [record] = caplog.records
    assert ('request.failed {"function": "health"}', logging.ERROR) == (record.getMessage(), record.levelno)
    assert record.exc_info is not None
    assert record.exc_info[0] is LookupError
