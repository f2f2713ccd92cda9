"""recording/telemetry/exporters.py: what Application Insights gets, and what the console shows."""

import asyncio
import gzip
import json
import os
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from azure.core.settings import settings as azure_settings
from opentelemetry import metrics, trace

from local import trace as local_trace
from recording.telemetry import exporters, log, traces
from tests.support.facts import until

KEY = "20261124T010203000000Z-b7e0"


class Insights:
    """The ingestion endpoint of Application Insights: keeps what it gets."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self.status = 200
        self.held: asyncio.Event | None = None

    async def take(self, request: web.Request) -> web.Response:
        """Take one batch; answer when the test releases it, if it holds it."""
        if self.held:
            await self.held.wait()
        body = await request.read()
        text = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
        items = json.loads(text)
        self.items += items
        answer = {"itemsReceived": len(items), "itemsAccepted": len(items), "errors": []}
        return web.json_response(answer, status=self.status)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """List the items received of a kind."""
        return [item for item in self.items if item["data"]["baseType"] == kind]


@pytest.fixture
def unset() -> Iterator[None]:
    """Take away what `insights` puts into the environment."""
    before = dict(os.environ)
    yield
    traces.stop()
    os.environ.clear()
    os.environ.update(before)


@pytest_asyncio.fixture
async def insights(unset: None) -> AsyncIterator[tuple[Insights, str]]:
    """Run the endpoint; with it comes a connection string that leads there."""
    kept, app = Insights(), web.Application()
    app.router.add_post("/{version:.*}/track", kept.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    key = "00000000-0000-0000-0000-000000000001"
    yield kept, f"InstrumentationKey={key};IngestionEndpoint=http://127.0.0.1:{port}/"
    await asyncio.to_thread(traces.stop)
    await runner.cleanup()


async def test_application_insights_gets_spans_without_being_asked_to_wait(insights: tuple[Insights, str]) -> None:
    """A span arrives by itself, under the recording's trace id, with its ids and its code, and never as a log line."""
    kept, connection_string = insights
    traces.start("auto", connection_string)

    with traces.span("chunk.ingest", KEY, documentId="0-eus-d1-aa", index=0):
        log.info("chunk.staged", recordingKey=KEY, bytes=1500, sha256="00")

    async def has_come() -> bool:
        return bool(kept.of("RemoteDependencyData"))

    await until(has_come)
    [item] = kept.of("RemoteDependencyData")
    told = item["data"]["baseData"]
    expected = {"recordingKey": KEY, "documentId": "0-eus-d1-aa", "index": "0", "bytes": "1500", "code": "ok"}
    assert ("chunk.ingest", True, expected) == (told["name"], told["success"], told["properties"])
    assert f"{traces._root(KEY).trace_id:032x}" == item["tags"]["ai.operation.id"]
    assert kept.of("MessageData") == []
    assert kept.of("ExceptionData") == []


async def test_application_insights_gets_metrics_at_the_end(insights: tuple[Insights, str]) -> None:
    """What was counted since the last time is sent before the process ends."""
    kept, connection_string = insights
    traces.start("auto", connection_string)
    log.info("chunk.staged", bytes=1500)
    log.info("archive.ran", chunksInFlight=3, leastHoursLeft=7.5)

    await asyncio.to_thread(traces.stop)

    found = {
        metric["name"]: metric["value"]
        for item in kept.of("MetricData")
        for metric in item["data"]["baseData"]["metrics"]
        if metric["name"].startswith("recording.")
    }
    expected = {"recording.bytes.staged": 1500, "recording.chunks.in_flight": 3, "recording.hours.left": 7.5}
    assert expected == found


async def test_an_endpoint_that_fails_costs_nothing(insights: tuple[Insights, str]) -> None:
    """Application Insights may be down: the step goes on at once, and so does the end of the process."""
    kept, connection_string = insights
    kept.status = 400
    traces.start("auto", connection_string)

    async with asyncio.timeout(5):
        with traces.span("chunk.ingest", KEY):
            pass
        await asyncio.to_thread(traces.stop)


@pytest.mark.parametrize("status", [200, 503])
async def test_a_process_ends_though_the_endpoint_hangs_or_is_down(insights: tuple[Insights, str], status: int) -> None:
    """The libraries' own time-out is five minutes a try, and ten tries with longer and longer pauses."""
    assert exporters.SEND_SECONDS <= 5
    kept, connection_string = insights
    kept.status, kept.held = status, asyncio.Event() if status == 200 else None
    traces.start_with(exporters.insights(connection_string, send_timeout=0.2))
    with traces.span("chunk.ingest", KEY):
        pass

    try:
        async with asyncio.timeout(10):
            await asyncio.to_thread(traces.stop)
    finally:
        if kept.held:
            kept.held.set()


async def test_nothing_else_is_watched(insights: tuple[Insights, str]) -> None:
    """Requests of the Azure clients are no spans: their URLs may hold tokens."""
    traces.start("auto", insights[1])

    assert not azure_settings.tracing_enabled()
    assert "Proxy" in type(trace.get_tracer_provider()).__name__
    assert "Proxy" in type(metrics.get_meter_provider()).__name__


@pytest.mark.usefixtures("unset")
@pytest.mark.parametrize("wrong", ["nonsense", "InstrumentationKey=no-guid"])
def test_a_wrong_connection_string_costs_the_traces_only(wrong: str, caplog: pytest.LogCaptureFixture) -> None:
    """The app starts nevertheless, and its log says why there are no traces, without the string."""
    traces.start("auto", wrong)

    with traces.span("chunk.ingest", KEY):
        pass
    [message] = [record.getMessage() for record in caplog.records if record.name == "recording"]
    assert message == 'telemetry.not_started {"reason": "ValueError"}'


@pytest.mark.usefixtures("unset")
def test_the_console_shows_a_span_as_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """One line a span, when it ends, whatever an id from outside looks like."""
    traces.start("console", None)

    with traces.span("recording.event", KEY, recording_id="eyJQ", eventId='a\n"b', chunks=2):
        pass

    [line] = capsys.readouterr().err.splitlines()
    event, _, text = line.partition(" ")
    told = json.loads(text)
    assert ("span", "recording.event") == (event, told["name"])
    assert [traces._root("control eyJQ").trace_id] == [int(link, 16) for link in told["links"]]
    expected = {"recordingKey": KEY, "recordingId": "eyJQ", "eventId": "(not shown)", "chunks": 2, "code": "ok"}
    assert expected == told["attributes"]
    assert abs((datetime.now(UTC) - datetime.fromisoformat(told["start"])).total_seconds()) < 60
    assert [told] == local_trace.read([line])


@pytest.mark.usefixtures("unset")
def test_the_service_is_named_as_the_host_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """In Application Insights host and app are one role."""
    monkeypatch.setenv("WEBSITE_SITE_NAME", "func-abc")

    assert exporters.console().traces.resource.attributes["service.name"] == "func-abc"


def test_the_host_goes_on_forwarding_logs() -> None:
    """The alerts count log lines as the host forwards them; each of these would end that."""
    root = Path(__file__).resolve().parents[2]
    host, infra = json.loads((root / "host.json").read_text()), (root / "infra" / "function-app.bicep").read_text()

    assert "telemetryMode" not in host
    for name in ("PYTHON_ENABLE_OPENTELEMETRY", "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY"):
        assert name not in infra
