"""recording/telemetry/traces.py: a recording's way from its start into the archive, as its operators see it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from local import trace as local_trace
from local.acs.server import Emulator
from recording.app import App
from recording.control.bodies import Operation, StartRecordingByUrl
from recording.errors import ChunkError
from recording.model.caller import Caller
from recording.telemetry import exporters
from tests.support.emulator import Control
from tests.support.facts import receive, sweep, until
from tests.support.spans import Told, told, trace_of

__all__ = ["told"]
FILE_EVENT = "Microsoft.Communication.RecordingFileStatusUpdated"
SIZES = [3000, 2000]


@pytest.fixture(params=["2021", "today"])
def environment(environment: dict[str, str], acs: Emulator, request: pytest.FixtureRequest) -> dict[str, str]:
    """The app settings for each generation of the API."""
    if request.param == "2021":
        return environment
    hosts = ",".join(url.removeprefix("http://") for url in (acs.storage_url, acs.region_url))
    return environment | {"ACS_API_VERSION": "", "CONTENT_HOSTS": hosts}


@pytest_asyncio.fixture
async def events(control: Control) -> AsyncIterator[list[dict[str, Any]]]:
    """The file events that the emulator delivers, as Event Grid does."""
    received: list[dict[str, Any]] = []

    async def take(request: web.Request) -> web.Response:
        body = await request.json()
        if request.headers.get("aeg-event-type") == "SubscriptionValidation":
            return web.json_response({"validationResponse": body[0]["data"]["validationCode"]})
        received.extend(body)
        return web.Response()

    application = web.Application()
    application.router.add_post("/events", take)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}/events"
    wanted = {"name": "trace", "endpoint": endpoint, "includedEventTypes": [FILE_EVENT]}
    await control.call("POST", "subscriptions", wanted)
    yield received
    await runner.cleanup()


async def recorded(app: App, control: Control, events: list[dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    """Start and stop a recording, both through us, and return its id and its file event."""
    media = {"kind": "filler", "chunkBytes": SIZES}
    call = await control.call("POST", "calls", {"participants": ["Ada"], "media": media})
    caller = Caller(who="ada@example.com")
    url = {"conversation_url": call["conversationUrl"]}
    whose = url if app.settings.uses_preview_2021 else {"server_call_id": call["serverCallId"]}
    started = await app.control.start_by_url(caller, StartRecordingByUrl(**whose))
    await app.control.stop(caller, str(started.conversation_id), started.recording_id, Operation())

    async def is_announced() -> bool:
        return bool(events)

    await until(is_announced)
    return started.recording_id, events[0]


async def test_a_recording_is_one_trace_from_event_to_archive(
    app: App, control: Control, events: list[dict[str, Any]], told: Told
) -> None:
    """Event, a failed and two good attempts, and the archive: one trace and one parent, though nothing is passed on."""
    recording_id, event = await recorded(app, control, events)
    first, second = await receive(app, event)
    await control.fault("expired", "/*", times=2)  # content and metadata file
    with pytest.raises(ChunkError):
        await app.ingest.run(first)
    for job in (first, second):
        await app.ingest.run(job)
    await sweep(app)

    own = [span for span in told.spans() if not span.name.startswith("control.")]
    expected = ["recording.event", "chunk.ingest", "chunk.ingest", "chunk.ingest", "recording.archive"]
    assert expected == [span.name for span in own]
    assert 1 == len({trace_of(span) for span in own}) == len({span.parent.span_id for span in own if span.parent})
    assert {first.recording_key} == {(span.attributes or {})["recordingKey"] for span in own}
    assert ["ok", "SourceGone", "ok", "ok", "ok"] == [(span.attributes or {})["code"] for span in own]
    assert [None, None, *SIZES, None] == [(span.attributes or {}).get("bytes") for span in own]

    start, stop = told.spans("control.")
    assert trace_of(start) == trace_of(stop) != trace_of(own[0])
    assert [recording_id] * 2 == [(span.attributes or {})["recordingId"] for span in (start, stop)]
    # The event of the 2021 preview API has no recording id (docs/acs-contract.md#2021-file-event).
    known = [] if app.settings.uses_preview_2021 else [trace_of(start)]
    assert known == [link.context.trace_id for link in own[0].links]


async def test_what_a_recording_went_through_is_counted(
    app: App, control: Control, events: list[dict[str, Any]], told: Told
) -> None:
    """Attempts by code, bytes, and what the timer sees: chunks in flight and the hours that are left, then none."""
    _, event = await recorded(app, control, events)
    first, second = await receive(app, event)
    await control.fault("expired", "/*", times=2)  # content and metadata file
    with pytest.raises(ChunkError):
        await app.ingest.run(first)
    await app.ingest.run(second)
    await sweep(app)
    waiting = told.metrics()
    await app.ingest.run(first)
    await sweep(app)
    done = told.metrics()

    steps = {("chunk.ingest", "SourceGone"): 1, ("chunk.ingest", "ok"): 1}
    assert steps == {of: count for of, count in waiting["recording.attempts"].items() if of[0] == "chunk.ingest"}
    assert ({(): 2000}, {(): 1}) == (waiting["recording.bytes.staged"], waiting["recording.chunks.in_flight"])
    hours = app.settings.retention.total_seconds() / 3600
    assert hours - 1 < waiting["recording.hours.left"][()] <= hours
    assert ({(): 0}, False) == (done["recording.chunks.in_flight"], "recording.hours.left" in done)
    assert {(True,): 1} == done["recording.archived"]


async def test_a_trace_is_printed_from_end_to_end_without_a_secret(
    app: App, control: Control, events: list[dict[str, Any]], told: Told
) -> None:
    """What `python -m local trace` makes of the lines that the console shows.

    Neither a key, nor a URL, nor who asked for it is in a trace: it may be read by many.
    """
    _, event = await recorded(app, control, events)
    jobs = await receive(app, event)
    for job in jobs:
        await app.ingest.run(job)
    await sweep(app)

    printed = local_trace.show(local_trace.read(exporters.line(span) for span in told.spans()))
    own = ["recording.event", "chunk.ingest", "chunk.ingest", "recording.archive"]
    before = ["control.start", "control.stop"]
    expected = [*own, *before] if app.settings.uses_preview_2021 else [*before, *own]
    assert expected == [row.split()[5] for row in printed.splitlines() if row.startswith("  +")]
    assert printed.startswith(f"recording {jobs[0].recording_key}, trace ")

    shown = "".join(span.to_json() for span in told.spans()) + str(told.metrics())
    key = app.settings.resource().access_key
    assert key
    for secret in (str(key), "http://", "https://", "sig=", "AccountKey", "ada@example.com"):
        assert secret not in shown
