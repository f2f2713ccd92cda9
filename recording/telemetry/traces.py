"""Traces and metrics of recordings, by OpenTelemetry.

A recording is worked on by many invocations in many processes, over hours, with nothing passed
along that a trace could travel with. So its trace id is derived, as the SHA-256 of its key: an
event, every attempt at every chunk and the archive's runs find the same trace by themselves.

    recording.event     one file event; it links to the trace of the control operations
    chunk.ingest        one attempt at one chunk
    recording.archive   one run of the timer that finished the recording
    control.start …     one control operation, in a trace derived from the recording id

Control operations know no recording key, only the recording id. Today's file event tells both
(docs/acs-contract.md#file-event), so it holds the link between the two traces. That of 2021 tells no recording id
(docs/acs-contract.md#2021-file-event): nothing links to its control operations.

What counts is counted where it is logged, so that metrics and alerts see the same lines.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, CallbackT, Counter, Observation
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, Status, StatusCode, TraceFlags, Tracer

from recording.errors import RecordingError
from recording.telemetry import log

if TYPE_CHECKING:
    from recording.telemetry.exporters import Providers

Value = str | int | float | bool | None

_SCOPE = "acs-call-recording"
# Ids, times and codes. Neither a URL nor a percent-encoded signature is one of these.
_PLAIN = re.compile(r"[\w .:@+=,-]{1,256}")
# What a log line inside a span adds to it.
_NOTED = ("attempts", "blocks", "blocksCompared", "bytes", "chunks", "complete", "duplicate", "stagedBefore")
_COUNTERS = {
    "recording.attempts": "Steps that ended, by step and by code: ok or the error's",
    "recording.bytes.staged": "Bytes of the chunks that were committed and proved",
    "recording.chunks.lost": "Chunks that are not proved to be in our storage, for good",
    "recording.archived": "Recordings that were archived, by whether they are complete",
}
# Each shows a field of the line `archive.ran`.
_GAUGES = {"recording.chunks.in_flight": "chunksInFlight", "recording.hours.left": "leastHoursLeft"}


@dataclass(frozen=True)
class _Started:
    """What a process tells with, once telemetry is on; `latest` is what the timer's last run saw."""

    providers: "Providers"
    tracer: Tracer
    counters: dict[str, Counter]
    latest: dict[str, float] = field(default_factory=dict)


_started: _Started | None = None


def start(where: Literal["auto", "console", "off"], connection_string: str | None) -> None:
    """Turn telemetry on for this process, once: `auto` sends it to Application Insights where that is set.

    Raises nothing: an app that can't be watched still has recordings to fetch.
    """
    if _started or where == "off" or (where == "auto" and not connection_string):
        return
    try:
        # Only here: the SDK takes 50 ms to import, the exporter as long again.
        from recording.telemetry import exporters

        begin(exporters.console() if where == "console" else exporters.insights(str(connection_string)))
    except Exception as failed:
        log.warning("telemetry.not_started", reason=type(failed).__name__)


def begin(providers: "Providers") -> None:
    """Turn telemetry on, to go where these lead."""
    global _started
    meter = providers.metrics.get_meter(_SCOPE)
    counters = {name: meter.create_counter(name, description=text) for name, text in _COUNTERS.items()}
    _started = _Started(providers, providers.traces.get_tracer(_SCOPE), counters)
    for name in _GAUGES:
        meter.create_observable_gauge(name, [_observer(_started.latest, name)])
    log.listeners.append(_hear)


def stop() -> None:
    """Turn telemetry off; what is waiting is sent before."""
    global _started
    if _started:
        log.listeners.remove(_hear)
        here, _started = _started, None
        here.providers.traces.shutdown()
        here.providers.metrics.shutdown()


@contextmanager
def span(name: str, recording_key: str, *, recording_id: str | None = None, **attributes: Value) -> Iterator[None]:
    """Time a step of a recording, in its trace; `recording_id` links to the trace of its control operations."""
    if not _started:
        yield
        return
    links = [Link(_root(_control(recording_id)))] if recording_id else []
    shown = _shown(recordingKey=recording_key, recordingId=recording_id, **attributes)
    mine = _started.tracer.start_span(name, _within(recording_key), attributes=shown, links=links)
    # An exception's message and traceback may hold a URL: its code must do.
    with trace.use_span(mine, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        code = "ok"
        try:
            yield
        except BaseException as failed:
            code = failed.error_code if isinstance(failed, RecordingError) else type(failed).__name__
            raise
        finally:
            _conclude(name, mine, code)


def control(operation: str, *, began: datetime, code: str, recording_id: str | None, **attributes: Value) -> None:
    """Tell of a control operation that is over: only then is it known which recording a start has made."""
    if not _started:
        return
    name = f"control.{operation}"
    mine = _started.tracer.start_span(
        name,
        _within(_control(recording_id)) if recording_id else Context(),
        attributes=_shown(recordingId=recording_id, **attributes),
        start_time=int(began.timestamp() * 1e9),
    )
    _conclude(name, mine, code)
    mine.end()


def _conclude(step: str, mine: trace.Span, code: str) -> None:
    shown = _shown(code=code)
    mine.set_attributes(shown)
    mine.set_status(Status(StatusCode.OK) if code == "ok" else Status(StatusCode.ERROR, str(shown["code"])))
    _count("recording.attempts", 1, step=step, code=code)


def _control(recording_id: str) -> str:
    # It may come with or without padding (docs/acs-contract.md#2021-recording-id).
    return f"control {recording_id.rstrip('=')}"


def _within(subject: str) -> Context:
    return trace.set_span_in_context(NonRecordingSpan(_root(subject)), Context())


def _root(subject: str) -> SpanContext:
    """Derive a trace and the parent of all its spans, which is itself never sent."""
    digest = sha256(subject.encode()).digest()
    trace_id, span_id = int.from_bytes(digest[:16]), int.from_bytes(digest[16:24])
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _shown(**attributes: Value) -> dict[str, str | int | float | bool]:
    """Keep numbers and plain words; anything else, such as an address with a token in it, is not shown."""
    known = {name: value for name, value in attributes.items() if value is not None}
    return {n: "(not shown)" if isinstance(v, str) and not _PLAIN.fullmatch(v) else v for n, v in known.items()}


def _hear(event: str, fields: dict[str, object]) -> None:
    """Take from a log line what counts."""
    noted = {name: value for name in _NOTED if isinstance(value := fields.get(name), str | int | float)}
    trace.get_current_span().set_attributes(_shown(**noted))
    match event:
        case "chunk.staged":
            _count("recording.bytes.staged", noted.get("bytes"))
        case "chunk.lost" | "chunk.unproved":
            _count("recording.chunks.lost", 1, outcome=event.removeprefix("chunk."))
        case "recording.archived":
            _count("recording.archived", 1, complete=noted.get("complete"))
        case "archive.ran" if _started:
            seen = {name: fields.get(shown) for name, shown in _GAUGES.items()}
            _started.latest.update({name: value for name, value in seen.items() if isinstance(value, int | float)})
        case _:
            pass


def _count(name: str, amount: Value, **attributes: Value) -> None:
    if _started and isinstance(amount, int | float):
        _started.counters[name].add(amount, _shown(**attributes))


def _observer(latest: dict[str, float], name: str) -> CallbackT:
    def observe(_: CallbackOptions) -> list[Observation]:
        # Told once: of several instances only the one whose timer ran last knows.
        return [Observation(latest.pop(name))] if name in latest else []

    return observe
