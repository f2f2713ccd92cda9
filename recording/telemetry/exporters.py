"""Where spans and metrics go: to Application Insights, or to the console as lines.

Logs don't go this way: the Functions host forwards them, and the alerts count them as it does
(infra/alerts.bicep). `telemetryMode` in host.json and PYTHON_ENABLE_OPENTELEMETRY stay unset, for
with them the host stops forwarding and leaves the logs to the app.

Of Microsoft's distro (azure-monitor-opentelemetry) only the exporter is used. The distro would also
send the logs, a second time, and instrument azure-core: each of a chunk's hundreds of requests would be a
span, with its URL, which may hold a token. For the same reason no provider is made the global one.

Spans leave in the background, within a second, and nothing waits for them: a flush at the end of
each invocation would make chunks as slow as Application Insights is. What a killed process hadn't
sent is missing in the trace; what happened is in storage all the same, as facts.
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
# A process that ends waits for what is being sent: not for minutes, if Application Insights hangs or is down.
_SEND_SECONDS, _RETRIES = 5.0, 1
# Statistics about the exporter itself and its remote configuration go to addresses that nobody has allowed;
# the metric about the resource asks the global provider, and logs an error each time for there is none.
_UNWANTED = (
    "STATSBEAT_DISABLED_ALL",
    "SDKSTATS_DISABLED",
    "CONTROLPLANE_DISABLED",
    "OPENTELEMETRY_RESOURCE_METRIC_DISABLED",
)


@dataclass(frozen=True)
class Providers:
    """The makers of spans and of metrics, and with them where both go."""

    traces: TracerProvider
    metrics: MeterProvider


def providers(processor: SpanProcessor, readers: Sequence[MetricReader] = ()) -> Providers:
    """Send every span through `processor`, and have metrics fetched by `readers`."""
    # As the host names itself in Application Insights.
    site = os.environ.get("WEBSITE_SITE_NAME", "acs-call-recording")
    resource = Resource({SERVICE_NAME: site, SERVICE_INSTANCE_ID: os.environ.get("WEBSITE_INSTANCE_ID", "local")})
    # A few spans a chunk: each is wanted.
    traces = TracerProvider(sampler=ALWAYS_ON, resource=resource)
    traces.add_span_processor(processor)
    return Providers(traces, MeterProvider(readers, resource=resource))


def insights(connection_string: str) -> Providers:
    """Send to Application Insights; with the identity that APPLICATIONINSIGHTS_AUTHENTICATION_STRING names, if it does.

    Raises ValueError for a connection string that is none.
    """
    for name in _UNWANTED:
        os.environ.setdefault(f"APPLICATIONINSIGHTS_{name}", "true")
    from azure.monitor.opentelemetry.exporter import AzureMonitorMetricExporter, AzureMonitorTraceExporter

    options: dict[str, Any] = {
        "connection_string": connection_string,
        # An instance's disk goes with it: nothing is kept there to be sent later.
        "disable_offline_storage": True,
        "timeout": _SEND_SECONDS,
        "read_timeout": _SEND_SECONDS,
        "retry_total": _RETRIES,
    }
    spans, numbers = AzureMonitorTraceExporter(**options), AzureMonitorMetricExporter(**options)
    reader = PeriodicExportingMetricReader(numbers, export_interval_millis=_METRICS_MS)
    return providers(BatchSpanProcessor(spans, schedule_delay_millis=_SPANS_MS), [reader])


def console() -> Providers:
    """Print each span when it ends, as a line on stderr; metrics aren't printed."""
    return providers(SimpleSpanProcessor(ConsoleSpanExporter(out=sys.stderr, formatter=line)))


def line(span: ReadableSpan) -> str:
    """Write a span as `span {"name": …}`, which `python -m local trace` reads."""
    began, ended = (span.start_time or 0) / 1e9, (span.end_time or 0) / 1e9
    told = {
        "name": span.name,
        "traceId": f"{span.context.trace_id:032x}",
        "spanId": f"{span.context.span_id:016x}",
        "parentId": f"{span.parent.span_id:016x}" if span.parent else None,
        "links": [f"{link.context.trace_id:032x}" for link in span.links],
        "start": datetime.fromtimestamp(began, UTC).isoformat(timespec="milliseconds"),
        "ms": round((ended - began) * 1000, 1),
        "attributes": dict(span.attributes or {}),
    }
    return f"span {json.dumps(told)}\n"
