"""recording/telemetry/traces.py: one trace of a recording, made of spans that know nothing of each other."""

import asyncio
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording.errors import NotFound
from recording.telemetry import log, traces
from tests.support.spans import Told, told, trace_of

__all__ = ["told"]
KEY = "20261124T010203000000Z-b7e0"
OTHER = "20261124T040506000000Z-b7e0"


def test_steps_that_know_nothing_of_each_other_are_one_trace(told: Told) -> None:
    """The recording key alone makes the trace, and the parent of everything in it."""
    for name in ("recording.event", "chunk.ingest", "recording.archive"):
        with traces.span(name, KEY):
            pass
    with traces.span("chunk.ingest", OTHER):
        pass

    *mine, other = told.spans()
    assert 1 == len({trace_of(span) for span in mine}) == len({span.parent.span_id for span in mine if span.parent})
    assert 4 == len({span.context.span_id for span in told.spans()})
    assert trace_of(other) != trace_of(mine[0])
    # An app that is updated between an event and its archive goes on with the same trace.
    assert "5168797acbfce1bcef8b0a931b31295a" == f"{trace_of(mine[0]):032x}"


def test_an_event_links_to_the_control_operations(told: Told) -> None:
    """Start and stop are one trace, by the recording id with or without padding; the event's span links there."""
    began = datetime.now(UTC) - timedelta(seconds=2)
    traces.control_span("start", began=began, code="ok", recording_id="eyJQ=", conversationId="Y29udg")
    traces.control_span("stop", began=began, code="ok", recording_id="eyJQ")
    with traces.span("recording.event", KEY, recording_id="eyJQ"):
        pass

    start, stop, event = told.spans()
    assert ["control.start", "control.stop"] == [start.name, stop.name]
    assert trace_of(start) == trace_of(stop) == event.links[0].context.trace_id != trace_of(event)
    assert event.links[0].context.span_id == start.parent.span_id if start.parent else False
    assert start.start_time == int(began.timestamp() * 1e9)


def test_a_start_that_failed_is_told_too(told: Told) -> None:
    """It has made no recording, so it is a trace of its own."""
    for _ in range(2):
        traces.control_span("start", began=datetime.now(UTC), code="NotFound", recording_id=None)

    one, two = told.spans()
    assert (None, None) == (one.parent, two.parent)
    assert trace_of(one) != trace_of(two)
    assert ("NotFound", False) == (one.status.description, one.status.is_ok)


@pytest.mark.parametrize(
    ("failed", "code"),
    [
        (NotFound("https://a.example/?sig=secret"), NotFound.code),
        (ValueError("https://a.example/?sig=secret"), "ValueError"),
        (asyncio.CancelledError(), "CancelledError"),
        (NotFound("none", code="https://a.example/?sig=secret"), "(not shown)"),
    ],
)
def test_a_failure_goes_on_its_way_and_leaves_its_code(told: Told, failed: BaseException, code: str) -> None:
    """The code says what went wrong; the message, which may hold a URL, stays out."""
    with pytest.raises(type(failed)), traces.span("chunk.ingest", KEY):
        raise failed

    [span] = told.spans()
    assert (code, code, False) == ((span.attributes or {})["code"], span.status.description, span.status.is_ok)
    assert span.events == ()
    assert "secret" not in span.to_json()
    assert {("chunk.ingest", code): 1} == told.metrics()["recording.attempts"]


@pytest.mark.parametrize(
    "secret",
    [
        "https://a.blob.core.windows.net/c/b?sv=2026&sig=abc%3D",
        "/recording/download/0-eus-d1-aa?code=abc",
        "sv=2026-01-01&sig=abc",
        "abc%2Bdef%3D",
        "a" * 1000,
        "a\nb",
    ],
)
def test_what_may_hold_a_token_is_not_shown(told: Told, secret: str) -> None:
    """Whoever passes an address by mistake finds that it isn't there, in a span or in a metric."""
    with traces.span("chunk.ingest", KEY, recording_id="eyJQ", documentId=secret):
        log.info("chunk.staged", bytes=secret, chunks=secret)
    traces.control_span("start", began=datetime.now(UTC), code=secret, recording_id="eyJQ", conversationId=secret)

    assert {"(not shown)"} == {(span.attributes or {}).get("documentId", "(not shown)") for span in told.spans()}
    for span in told.spans():
        assert secret not in str(dict(span.attributes or {}))
    assert secret not in str(told.metrics())


@given(st.text())
def test_any_address_is_not_plain(text: str) -> None:
    """No text with a path or a query in it is shown."""
    for address in (f"https://{text}", f"{text}?sig=x", f"{text}&sig=x", f"/{text}"):
        assert {"a": "(not shown)"} == traces._shown(a=address)


def test_log_lines_add_their_numbers_to_the_span_around_them(told: Told) -> None:
    """How large, how many blocks: the span has what the log has; outside of a span nothing happens."""
    with traces.span("chunk.ingest", KEY):
        log.info("chunk.staging", recordingKey=KEY, bytes=3000, blocks=3, stagedBefore=1)
        log.warning("block.retried", block=2, attempt=1, reason="https://a.example/?sig=secret")
    log.info("recording.archived", chunks=7)

    [span] = told.spans()
    expected = {"recordingKey": KEY, "bytes": 3000, "blocks": 3, "stagedBefore": 1, "code": "ok"}
    assert expected == dict(span.attributes or {})


async def test_steps_side_by_side_keep_apart(told: Told) -> None:
    """One event loop works on many chunks: a line goes to the span of its own task, and of those it has started."""
    both_inside = asyncio.Barrier(2)

    async def ingest(key: str, size: int) -> None:
        with traces.span("chunk.ingest", key):
            await both_inside.wait()
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.to_thread(log.info, "chunk.staging", bytes=size))

    await asyncio.gather(ingest(KEY, 1), ingest(OTHER, 2))

    found = {(span.attributes or {})["recordingKey"]: (span.attributes or {})["bytes"] for span in told.spans()}
    assert {KEY: 1, OTHER: 2} == found


def test_what_is_logged_is_counted(told: Told) -> None:
    """Metrics are made of the lines that the alerts count, so they can't disagree."""
    log.info("chunk.staged", recordingKey=KEY, bytes=1000)
    log.info("chunk.staged", recordingKey=KEY, bytes=500)
    log.error("chunk.lost", recordingKey=KEY)
    log.error("chunk.lost", recordingKey=KEY)
    log.error("chunk.unproved", recordingKey=KEY)
    log.info("recording.archived", recordingKey=KEY, complete=True)
    log.error("recording.archived", recordingKey=KEY, complete=False)

    assert {
        "recording.bytes.staged": {(): 1500},
        "recording.chunks.lost": {("lost",): 2, ("unproved",): 1},
        "recording.archived": {(True,): 1, (False,): 1},
    } == told.metrics()


def test_the_timers_numbers_are_told_once(told: Told) -> None:
    """Of many instances the one whose timer ran last knows; what another saw an hour ago must not be reported again."""
    log.info("archive.ran", chunksInFlight=9, leastHoursLeft=20)
    log.info("archive.ran", chunksInFlight=3, leastHoursLeft=7.5)

    assert {"recording.chunks.in_flight": {(): 3}, "recording.hours.left": {(): 7.5}} == told.metrics()
    assert {} == told.metrics()


def test_with_nothing_in_flight_no_time_is_left(told: Told) -> None:
    """A run that has nothing to wait for says so; the time that is left isn't zero then but none."""
    log.info("archive.ran", chunksInFlight=0, leastHoursLeft=None)

    assert {"recording.chunks.in_flight": {(): 0}} == told.metrics()


@pytest.mark.parametrize(
    ("where", "connection_string"), [("auto", None), ("auto", ""), ("off", "InstrumentationKey=x")]
)
def test_telemetry_that_is_off_does_nothing(where: Any, connection_string: str | None) -> None:
    """Without an address, or switched off, nothing is created, subscribed or exported."""
    traces.start(where, connection_string)

    with traces.span("chunk.ingest", KEY):
        traces.control_span("start", began=datetime.now(UTC), code="ok", recording_id="eyJQ")
    traces.stop()

    assert (None, []) == (traces._started, log.subscribers)


def test_telemetry_that_is_off_loads_no_sdk() -> None:
    """A cold start pays for it only where it is on."""
    code = "import sys; from recording.telemetry import traces; traces.start('auto', None); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()

    assert "opentelemetry.trace" in loaded
    assert not [one for one in loaded if one.startswith(("opentelemetry.sdk", "azure.monitor"))]


def test_it_is_turned_on_once(told: Told) -> None:
    """A second start changes nothing: no span is exported twice."""
    traces.start("console", None)

    with traces.span("chunk.ingest", KEY):
        log.info("chunk.staged", bytes=1)

    assert 1 == len(told.spans())
    assert {(): 1} == told.metrics()["recording.bytes.staged"]
