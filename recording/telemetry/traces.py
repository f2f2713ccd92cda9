"""Traces and metrics of recordings, by OpenTelemetry.

Many invocations in many processes work on a recording, over hours, and nothing passed between them
could carry a trace context. So its trace id is derived, as the SHA-256 of its key: events, all
attempts at all chunks and the jobs that archive it compute the same trace id.

    recording.event     one file event; it links to the trace of the control operations
    chunk.ingest        one attempt at one chunk
    recording.archive   one attempt to archive the recording, by its job or by the timer
    control.start …     one control operation, in a trace derived from the recording id

Control operations have no recording key, only the recording id. The file event of the Call Automation API has both
(docs/acs-contract.md#file-event), so it links the two traces. That of the 2021 preview API has no recording id
(docs/acs-contract.md#2021-file-event): there nothing links to the control operations.

Metrics are counted from log lines, so that metrics and alerts agree.
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
# Ids, times and codes; neither a URL nor a percent-encoded signature matches.
_PLAIN = re.compile(r"[\w .:@+=,-]{1,256}")
# The fields of a log line that become attributes of the span around it.
_SPAN_FIELDS = ("attempts", "blocks", "blocksCompared", "bytes", "chunks", "complete", "duplicate", "stagedBefore")
_COUNTERS = {
    "recording.attempts": "Steps that ended, by step and by code: ok or the error's",
    "recording.bytes.staged": "Bytes of the chunks that were committed and proved",
    "recording.chunks.lost": "Chunks that are not proved to be in storage, permanently",
    "recording.archived": "Recordings that were archived, complete or not",
}
# Each shows a field of the line `archive.ran`.
_GAUGES = {"recording.chunks.in_flight": "chunksInFlight", "recording.hours.left": "leastHoursLeft"}


@dataclass(frozen=True)
class _Started:
    """The telemetry of this process once it is on; `latest` has the figures of the last timer run."""

    providers: "Providers"
    tracer: Tracer
    counters: dict[str, Counter]
    latest: dict[str, float] = field(default_factory=dict)


_started: _Started | None = None


def start(where: Literal["auto", "console", "off"], connection_string: str | None) -> None:
    """Turn telemetry on for this process, once: `auto` sends it to Application Insights where that is set.

    Raises nothing: the app fetches recordings without telemetry, too.
    """
    if _started or where == "off" or (where == "auto" and not connection_string):
        return
    try:
        # Imported late: the SDK takes 50 ms, the exporter as long again.
        from recording.telemetry import exporters

        start_with(exporters.console() if where == "console" else exporters.insights(str(connection_string)))
    except Exception as failed:
        log.warning("telemetry.not_started", reason=type(failed).__name__)


def start_with(providers: "Providers") -> None:
    """Turn telemetry on with these providers."""
    global _started
    meter = providers.metrics.get_meter(_SCOPE)
    counters = {name: meter.create_counter(name, description=text) for name, text in _COUNTERS.items()}
    _started = _Started(providers, providers.traces.get_tracer(_SCOPE), counters)
    for name in _GAUGES:
        meter.create_observable_gauge(name, [_observer(_started.latest, name)])
    log.subscribers.append(_on_log)


def stop() -> None:
    """Send what is waiting, and turn telemetry off."""
    global _started
    if _started:
        log.subscribers.remove(_on_log)
        stopped, _started = _started, None
        stopped.providers.traces.shutdown()
        stopped.providers.metrics.shutdown()


@contextmanager
def span(name: str, recording_key: str, *, recording_id: str | None = None, **attributes: Value) -> Iterator[None]:
    """Time a step of a recording, in its trace; `recording_id` links to the trace of its control operations."""
    if not _started:
        yield
        return
    links = [Link(_root(_control_subject(recording_id)))] if recording_id else []
    shown = _shown(recordingKey=recording_key, recordingId=recording_id, **attributes)
    mine = _started.tracer.start_span(name, _within(recording_key), attributes=shown, links=links)
    # An exception's message and traceback may have a URL: only its code is shown.
    with trace.use_span(mine, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        code = "ok"
        try:
            yield
        except BaseException as failed:
            code = failed.error_code if isinstance(failed, RecordingError) else type(failed).__name__
            raise
        finally:
            _conclude(name, mine, code)


def control_span(operation: str, *, began: datetime, code: str, recording_id: str | None, **attributes: Value) -> None:
    """Report a control operation that has ended: only then the recording id of a start is known."""
    if not _started:
        return
    name = f"control.{operation}"
    mine = _started.tracer.start_span(
        name,
        _within(_control_subject(recording_id)) if recording_id else Context(),
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


def _control_subject(recording_id: str) -> str:
    # An id may have its padding or not (docs/acs-contract.md#2021-recording-id).
    return f"control {recording_id.rstrip('=')}"


def _within(subject: str) -> Context:
    return trace.set_span_in_context(NonRecordingSpan(_root(subject)), Context())


def _root(subject: str) -> SpanContext:
    """Derive the trace and the parent of all its spans, which itself is never sent."""
    digest = sha256(subject.encode()).digest()
    trace_id, span_id = int.from_bytes(digest[:16]), int.from_bytes(digest[16:24])
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _shown(**attributes: Value) -> dict[str, str | int | float | bool]:
    """Return numbers and plain words; anything else, such as a URL with a token, is not shown."""
    known = {name: value for name, value in attributes.items() if value is not None}
    return {n: "(not shown)" if isinstance(v, str) and not _PLAIN.fullmatch(v) else v for n, v in known.items()}


def _on_log(event: str, fields: dict[str, object]) -> None:
    """Count a log line, and add its fields to the current span."""
    known = {name: value for name in _SPAN_FIELDS if isinstance(value := fields.get(name), str | int | float)}
    trace.get_current_span().set_attributes(_shown(**known))
    match event:
        case "chunk.staged":
            _count("recording.bytes.staged", known.get("bytes"))
        case "chunk.lost" | "chunk.unproved":
            _count("recording.chunks.lost", 1, outcome=event.removeprefix("chunk."))
        case "recording.archived":
            _count("recording.archived", 1, complete=known.get("complete"))
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
        # Reported once: of several instances only the one whose timer ran last has the figure.
        return [Observation(latest.pop(name))] if name in latest else []

    return observe
