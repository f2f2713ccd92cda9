"""Exporters of spans and metrics: to Application Insights, or to the console as lines.

Logs are not exported here: the Functions host forwards them, and the alerts count what it forwards
(infra/alerts.bicep). `telemetryMode` in host.json and PYTHON_ENABLE_OPENTELEMETRY stay unset: with
these the host stops forwarding and leaves the logs to the app.

Of Microsoft's distro (azure-monitor-opentelemetry) only the exporter is used. The distro would also
send the logs a second time, and instrument azure-core: each of the hundreds of requests for a chunk would be a
span, with its URL, which may have a token. For the same reason no provider becomes the global one.

Spans are sent in the background, within a second, and nothing waits for them: a flush at the end of
each invocation would make chunks as slow as Application Insights. The spans that a killed process had not
sent are missing in the trace; the facts in storage are not affected.
"""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

_SPANS_MS = 1000
_METRICS_MS = 15_000
# At its end a process waits for what is being sent: not for minutes, if Application Insights hangs or is down.
SEND_SECONDS, _RETRIES = 5.0, 1
# Statistics about the exporter itself and its remote configuration go to hosts that the operator has not allowed;
# the metric about the resource needs the global provider, and logs an error each time because there is none.
_UNWANTED = (
    "STATSBEAT_DISABLED_ALL",
    "SDKSTATS_DISABLED",
    "CONTROLPLANE_DISABLED",
    "OPENTELEMETRY_RESOURCE_METRIC_DISABLED",
)


@dataclass(frozen=True)
class Providers:
    """The providers of spans and of metrics, with their exporters."""

    traces: TracerProvider
    metrics: MeterProvider


def providers(processor: SpanProcessor, readers: Sequence[MetricReader] = ()) -> Providers:
    """Return providers that send every span to `processor`, and let `readers` collect the metrics."""
    # The name that the host uses in Application Insights.
    site = os.environ.get("WEBSITE_SITE_NAME", "acs-call-recording")
    resource = Resource({SERVICE_NAME: site, SERVICE_INSTANCE_ID: os.environ.get("WEBSITE_INSTANCE_ID", "local")})
    # There are only a few spans per chunk: keep each.
    traces = TracerProvider(sampler=ALWAYS_ON, resource=resource)
    traces.add_span_processor(processor)
    return Providers(traces, MeterProvider(readers, resource=resource))


def insights(connection_string: str, *, send_timeout: float = SEND_SECONDS) -> Providers:
    """Return providers for Application Insights, with the identity in APPLICATIONINSIGHTS_AUTHENTICATION_STRING if set.

    Raises ValueError for an invalid connection string.
    """
    for name in _UNWANTED:
        os.environ.setdefault(f"APPLICATIONINSIGHTS_{name}", "true")
    from azure.monitor.opentelemetry.exporter import AzureMonitorMetricExporter, AzureMonitorTraceExporter

    options: dict[str, Any] = {
        "connection_string": connection_string,
        # An instance's disk is deleted with it: spans kept there would never be sent.
        "disable_offline_storage": True,
        "timeout": send_timeout,
        "read_timeout": send_timeout,
        "retry_total": _RETRIES,
    }
    spans, numbers = AzureMonitorTraceExporter(**options), AzureMonitorMetricExporter(**options)
    reader = PeriodicExportingMetricReader(numbers, export_interval_millis=_METRICS_MS)
    return providers(BatchSpanProcessor(spans, schedule_delay_millis=_SPANS_MS), [reader])


def console() -> Providers:
    """Return providers that print each span when it ends, as a line on stderr; metrics are not printed."""
    return providers(SimpleSpanProcessor(ConsoleSpanExporter(out=sys.stderr, formatter=line)))


def line(span: ReadableSpan) -> str:
    """Return a span as `span {"name": …}`, which `python -m local trace` reads."""
    began, ended = (span.start_time or 0) / 1e9, (span.end_time or 0) / 1e9
    fields = {
        "name": span.name,
        "traceId": f"{span.context.trace_id:032x}",
        "spanId": f"{span.context.span_id:016x}",
        "parentId": f"{span.parent.span_id:016x}" if span.parent else None,
        "links": [f"{link.context.trace_id:032x}" for link in span.links],
        "start": datetime.fromtimestamp(began, UTC).isoformat(timespec="milliseconds"),
        "ms": round((ended - began) * 1000, 1),
        "attributes": dict(span.attributes or {}),
    }
    return f"span {json.dumps(fields)}\n"
