"""recording/telemetry/log.py: one event name and its fields, on one line."""

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

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
    """Whatever a field contains, the message is one line that can be written and read back."""
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


def extracted(record: logging.LogRecord) -> dict[str, Any]:
    """Read a line's fields as every query does: `parse_json(substring(message, indexof(message, "{")))`.

    The message is what the worker hands to the host: the text that a formatter makes of the record, which has a
    traceback behind it if the record has one. `parse_json` gives text that isn't JSON back as text, so that each
    field of it is empty.
    """
    message = logging.Formatter().format(record)
    try:
        found = json.loads(message[message.index("{") :])
    except ValueError:
        return {}
    assert isinstance(found, dict)
    return found


def failing(depth: int, text: str) -> None:
    """Raise from so many calls down."""
    if depth:
        failing(depth - 1, text)
    raise LookupError(text)


@pytest.mark.parametrize(
    "text",
    ["what", 'a "quoted" {brace}', "two\nlines", "\ud800 é 🎥" * 3000, "https://a.example/x?sig=secret&se=1 failed"],
    ids=["plain", "quoted", "lines", "long", "address"],
)
def test_an_exception_brings_its_traceback_as_a_field(caplog: pytest.LogCaptureFixture, text: str) -> None:
    """What nobody expected is logged with where it came from, and queries still read the other fields."""
    try:
        failing(50, text)
    except LookupError:
        log.exception("recording.not_archived", recordingKey="k", next="the next run tries again")

    [record] = caplog.records
    found = extracted(record)
    assert (logging.ERROR, "k", "the next run tries again") == (record.levelno, found["recordingKey"], found["next"])
    assert text.startswith("\ud800") or "in failing" in found["traceback"]
    assert text.startswith("\ud800") or "LookupError: " in found["traceback"]
    assert "secret" not in record.getMessage()


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.text(max_size=20) | st.lists(st.text(), max_size=5)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_line_is_never_cut_off(caplog: pytest.LogCaptureFixture, fields: dict[str, Any]) -> None:
    """However long its fields are, a line ends below the length at which its JSON would lose its end."""
    caplog.clear()
    long = {name: value * 4_000 for name, value in fields.items()}
    with caplog.at_level(logging.INFO, "recording"):
        log.info("event.quarantined", blob="2026/11/24/x.json", **long)

    [record] = caplog.records
    assert len(record.getMessage()) < 32_768
    assert {"blob": "2026/11/24/x.json"}.items() <= extracted(record).items()
    assert extracted(record).keys() == {"blob", *fields}


def test_a_long_field_keeps_its_beginning(caplog: pytest.LogCaptureFixture) -> None:
    """What had to be shortened says so by its last character."""
    reasons = [f"recordingChunks[{index}].documentId is missing" for index in range(2000)]
    with caplog.at_level(logging.INFO, "recording"):
        log.error("event.quarantined", blob="b", reasons=reasons)

    [record] = caplog.records
    shown = extracted(record)["reasons"]
    assert shown.startswith('["recordingChunks[0].documentId is missing", ')
    assert shown.endswith("…")
