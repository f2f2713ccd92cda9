"""The traces in a log are shown a recording at a time."""

import json
from pathlib import Path
from typing import Any

import pytest

from local import trace

KEY = "20261124T010203000000Z-b7e0"


def span(name: str, second: int, *, of: str, links: tuple[str, ...] = (), **attributes: Any) -> str:
    """Write a span as the app prints it."""
    told = {
        "name": name,
        "traceId": of,
        "spanId": f"{second:016x}",
        "parentId": "1" * 16,
        "links": links,
        "start": f"2026-11-24T01:02:{second:02}.000+00:00",
        "ms": 12.5,
        "attributes": attributes,
    }
    return f"span {json.dumps(told)}"


LOG = [
    span("chunk.ingest", 7, of="a", recordingKey=KEY, documentId="d-1", index=0, code="ok"),
    "2026-11-24T01:02:05.000Z INFO receive_event: recording.announced {}",
    # Core Tools puts the time first.
    "[2026-11-24T01:02:05.100Z] " + span("recording.event", 5, of="a", links=("c",), recordingKey=KEY, code="ok"),
    span("control.start", 1, of="c", recordingId="r", code="ok"),
    span("control.start", 3, of="other", code="Conflict"),
    span("control.stop", 4, of="c", recordingId="r", code="ok"),
    'a line about span {"name": that is none',
    'span {"name": "broken by span {"name": "another"}',
]


def test_a_recording_is_shown_from_its_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its control operations come first, for its event links to them; what belongs to no recording comes last."""
    log = tmp_path / "functions.log"
    log.write_text("\n".join(LOG))

    assert 0 == trace.main([str(log)])

    shown = capsys.readouterr().out.splitlines()
    assert [
        f"recording {KEY}, trace a",
        "  +   0.000 s      12.5 ms  control.start      ok",
        "  +   3.000 s      12.5 ms  control.stop       ok",
        "  +   4.000 s      12.5 ms  recording.event    ok",
        "  +   6.000 s      12.5 ms  chunk.ingest       ok           documentId=d-1 index=0",
        "",
        "trace other, to which no recording links",
        "  +   0.000 s      12.5 ms  control.start      Conflict",
    ] == shown


def test_a_log_without_spans_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty answer would look like a recording that nobody worked on."""
    log = tmp_path / "functions.log"
    log.write_text("nothing\n")

    assert 1 == trace.main([str(log)])
    assert "TELEMETRY=console" in capsys.readouterr().out
