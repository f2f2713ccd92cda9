"""Spans that were sent."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from recording.telemetry import exporters, traces


@dataclass(frozen=True)
class Told:
    """What was told since the test began."""

    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader

    def spans(self, name: str = "") -> list[ReadableSpan]:
        """List the spans, the one that ended first first."""
        return [span for span in self.exporter.get_finished_spans() if span.name.startswith(name)]

    def metrics(self) -> dict[str, dict[tuple[Any, ...], Any]]:
        """List the metrics since the last time: {name: {values of the attributes: value}}."""
        data = self.reader.get_metrics_data()
        return {
            metric.name: {
                tuple((p.attributes or {}).values()): getattr(p, "value", None) for p in metric.data.data_points
            }
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


@pytest.fixture
def told() -> Iterator[Told]:
    """Turn telemetry on for a test, and keep what it tells."""
    kept = Told(InMemorySpanExporter(), InMemoryMetricReader())
    traces.start_with(exporters.providers(SimpleSpanProcessor(kept.exporter), [kept.reader]))
    yield kept
    traces.stop()


def trace_of(span: ReadableSpan) -> int:
    """Give the span's trace."""
    return int(span.context.trace_id)
