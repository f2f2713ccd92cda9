"""recording/storage/trail.py: who asked for what, on record before the answer, whatever the result."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import azure.functions as func
import pytest
from aiohttp import web

from local.azurite import Azurite
from recording.api import request
from recording.app import App
from recording.config.account import StorageAccount
from recording.config.settings import Settings
from recording.control.bodies import Operation, StartRecording, StartRecordingByUrl
from recording.control.operations import RecordingControl
from recording.errors import RecordingError
from recording.model.caller import Caller, RepeatKey
from recording.model.trail import TrailEntry
from recording.storage.blobs import Blobs
from recording.storage.starts import StartClaims
from recording.storage.trail import Trail
from tests.support.emulator import Control
from tests.support.facts import body_of, control_with, listing, trail_of, with_blobs
from tests.support.source import serve

GROUP = "3f2b0e4c-1111-4000-8000-000000000001"
NOTHING = Operation()
NOBODY, ADA = Caller(), Caller("ada@contoso.com")
NOW = datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=UTC)


async def facts(app: App) -> list[Any]:
    """Read every fact of the trail, in the order of the operations."""
    return await trail_of(app.settings)


def control_over(app: App, storage: Blobs) -> RecordingControl:
    """Wire the operations with another storage, for which they wait a moment only."""
    claims = StartClaims(storage, look_timeout=0.3)
    return control_with(with_blobs(app, storage), trail=Trail(storage, timeout=0.3), claims=claims)


@asynccontextmanager
async def storage_with(settings: Settings, **changes: Any) -> AsyncIterator[Blobs]:
    """A storage that isn't there, or isn't right."""
    storage = Blobs(settings.model_copy(update=changes))
    yield storage
    await storage.aclose()


def unwritten(caplog: pytest.LogCaptureFixture) -> list[Any]:
    """Read what was logged instead of being written."""
    lines = [r.message for r in caplog.records if r.levelname == "ERROR" and r.message.startswith("trail.not_written ")]
    return [json.loads(line.partition(" ")[2]) for line in lines]


async def test_every_operation_is_on_record(app: App, control: Control) -> None:
    """One fact each: what, when, by whom, on which recording, with which context, and the outcome."""
    call = (await control.call("POST", "calls", {"participants": ["Ada"]}))["conversationId"]
    do, context = app.control, Operation(operation_context="lunch")
    begun = datetime.now(UTC)

    recording_id = (await do.start(ADA, call, StartRecording(operation_context="call 7"))).recording_id
    assert 1 == len(await facts(app))
    await do.pause(ADA, call, recording_id, context)
    await do.get_state(call, recording_id)
    await do.resume(ADA, call, recording_id, NOTHING)
    await do.stop(ADA, call, recording_id, context)

    written = await facts(app)
    contexts = {"start": "call 7", "pause": "lunch", "resume": None, "stop": "lunch"}
    assert [
        {
            "operation": operation,
            "who": "ada@contoso.com",
            "kind": "key",
            "conversationId": call,
            "recordingId": recording_id,
            **({"operationContext": said} if said else {}),
            "outcome": "ok",
            "status": 200,
        }
        for operation, said in contexts.items()
    ] == [{name: value for name, value in one.items() if name != "at"} for one in written]
    times = [begun, *(datetime.fromisoformat(one["at"]) for one in written), datetime.now(UTC)]
    assert sorted(times) == times
    assert {timedelta(0)} == {one.utcoffset() for one in times}


@pytest.mark.parametrize(
    ("fault", "outcome", "status"),
    [
        ({"kind": "status", "status": 404, "body": {"code": "8522", "message": "m"}}, "8522", 404),
        ({"kind": "status", "status": 409, "body": {}}, "Conflict", 409),
        ({"kind": "status", "status": 400, "body": {}}, "BadRequest", 400),
        ({"kind": "status", "status": 429, "body": {}}, "TooManyRequests", 429),
        ({"kind": "status", "status": 503, "body": {}}, "ServiceUnavailable", 503),
        ({"kind": "status", "status": 401, "body": {}}, "AcsCredentialsRefused", 500),
        ({"kind": "status", "status": 500, "body": {}}, "UpstreamFailed", 500),
        ({"kind": "reset"}, "UpstreamFailed", 500),
    ],
)
async def test_every_kind_of_failure_is_on_record(
    app: App, control: Control, fault: dict[str, Any], outcome: str, status: int
) -> None:
    """The fact has the code and the status of the answer; the failure is passed on."""
    await control.call("POST", "faults", {"method": "*", "path": "/conversations/*", "times": 20, **fault})

    with pytest.raises(RecordingError) as start:
        await app.control.start(ADA, GROUP, StartRecording())
    with pytest.raises(RecordingError) as pause:
        await app.control.pause(ADA, GROUP, "abc", NOTHING)

    assert [("start", None, outcome, status), ("pause", "abc", outcome, status)] == [
        (one["operation"], one.get("recordingId"), one["outcome"], one["status"]) for one in await facts(app)
    ]
    assert {(outcome, status)} == {(e.value.error_code, e.value.http_status) for e in (start, pause)}


async def test_what_is_not_foreseen_and_what_is_broken_off_is_on_record_too(app: App) -> None:
    """A bug, or a caller that went away: the operation may have happened."""
    asked = asyncio.Event()

    async def broken() -> None:
        async with app.trail.record(TrailEntry(at=NOW, action="stop")):
            raise RuntimeError("secret detail")

    async def waiting() -> None:
        async with app.trail.record(TrailEntry(at=NOW + timedelta(seconds=1), action="pause")):
            asked.set()
            await asyncio.sleep(60)

    with pytest.raises(RuntimeError):
        await broken()
    running = asyncio.ensure_future(waiting())
    await asked.wait()
    running.cancel()
    await asyncio.wait([running])

    written = await facts(app)
    assert running.cancelled()
    assert [(one, "InternalServerError", 500) for one in ("stop", "pause")] == [
        (one["operation"], one["outcome"], one["status"]) for one in written
    ]
    assert "secret" not in json.dumps(written)


async def test_facts_are_named_by_day_and_never_meet(app: App) -> None:
    """Two operations of the same microsecond are two facts."""
    for _ in range(2):
        async with app.trail.record(TrailEntry(at=NOW, action="stop")):
            pass

    names = list(await listing(app.settings, "archive"))
    assert (2, {"audit/2026/03/01/120000000005-stop"}) == (len(names), {name.rpartition("-")[0] for name in names})


@pytest.mark.parametrize("fails", [False, True])
async def test_a_fact_that_cannot_be_written_is_logged_whole_and_the_answer_stays_true(
    app: App, control: Control, caplog: pytest.LogCaptureFixture, fails: bool
) -> None:
    """The operation has happened by then: its answer is given, or its own failure raised."""
    call = (await control.call("POST", "calls", {"participants": ["Ada"]}))["conversationId"]
    async with storage_with(app.settings, archive_container="nowhere") as storage:
        do = control_over(app, storage)
        if fails:
            with pytest.raises(RecordingError) as failed:
                await do.stop(ADA, call, "abc", Operation(operation_context="7"))
        else:
            started = await do.start(ADA, call, StartRecording(operation_context="7"))

    [line] = unwritten(caplog)
    entry = line["entry"]
    datetime.fromisoformat(entry.pop("at"))
    assert "404 ContainerNotFound" == line["reason"]
    assert {
        "operation": "stop" if fails else "start",
        "who": "ada@contoso.com",
        "kind": "key",
        "conversationId": call,
        "recordingId": "abc" if fails else started.recording_id,
        "operationContext": "7",
        "outcome": failed.value.error_code if fails else "ok",
        "status": failed.value.http_status if fails else 200,
    } == entry


async def test_storage_that_does_not_answer_does_not_hold_the_caller(
    app: App,
    azurite: Azurite,
    control: Control,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whether it hangs or refuses connections, the answer comes after a while, and the fact is in the log."""
    call = (await control.call("POST", "calls", {"participants": ["Ada"]}))["conversationId"]
    recording_id = (await app.control.start(NOBODY, call, StartRecording())).recording_id

    async def hang(request: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    begun = time.monotonic()
    async with serve(hang) as address:
        for blob in (address, "http://127.0.0.1:9"):
            account = StorageAccount.model_validate(
                {"connection_string": f"{azurite.connection_string.partition('BlobEndpoint=')[0]}BlobEndpoint={blob}/x"}
            )
            async with storage_with(app.settings, archive_storage=account) as storage:
                await control_over(app, storage).pause(NOBODY, call, recording_id, NOTHING)

    assert time.monotonic() - begun < 5
    assert "inactive" == (await app.control.get_state(call, recording_id)).recording_state
    assert [("TimeoutError", "pause", recording_id)] * 2 == [
        (one["reason"], one["entry"]["operation"], one["entry"]["recordingId"]) for one in unwritten(caplog)
    ]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"x-ms-client-principal-name": ""}, None),
        ({"x-ms-client-principal-name": "ada@contoso.com", "x-ms-client-principal-id": "1"}, "ada@contoso.com"),
        ({"x-ms-client-principal-name": "", "x-ms-client-principal-id": "1"}, "1"),
        ({"x-ms-client-principal-id": "1"}, "1"),
        ({"x-functions-key": "secret", "authorization": "Bearer secret"}, None),
        ({"x-ms-client-principal-name": "a" * 10_000}, "a" * 256),
        ({"x-ms-client-principal-name": "a\r\nforged {}\u2028"}, "a\r\nforged {}\u2028"),
        ({"x-ms-client-principal-name": "Zo\u00eb \udcff"}, "Zo\u00eb \\udcff"),
    ],
)
async def test_who_called_is_what_the_platform_says(
    app: App,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    headers: dict[str, str],
    expected: str | None,
) -> None:
    """A name that is absurd is cut, one that is no text is escaped; neither forges a log line nor stops the record."""
    caplog.set_level("INFO")
    monkeypatch.setenv("WEBSITE_AUTH_ENABLED", "True")

    caller = request.read_caller(func.HttpRequest("POST", "/", headers=headers, body=b""))

    async with app.trail.record(TrailEntry(at=NOW, action="stop", who=caller.who)):
        pass

    [fact] = await facts(app)
    [line] = [r.message for r in caplog.records if r.message.startswith("recording.stop ")]
    assert expected == fact.get("who")
    assert 1 == len(line.splitlines())


@pytest.mark.parametrize("setting", [None, "", "False", "0"])
async def test_a_name_in_a_header_counts_only_where_the_platform_sets_it(
    monkeypatch: pytest.MonkeyPatch, setting: str | None
) -> None:
    """Without App Service authentication nothing removes these headers from a request: anybody can send them."""
    monkeypatch.delenv("WEBSITE_AUTH_ENABLED", raising=False)
    if setting is not None:
        monkeypatch.setenv("WEBSITE_AUTH_ENABLED", setting)
    headers = {"x-ms-client-principal-name": "ada@contoso.com", "x-ms-client-principal-id": "1"}

    assert None is request.read_caller(func.HttpRequest("POST", "/", headers=headers, body=b"")).who


async def test_no_secret_is_on_record(
    app: App, control: Control, caplog: pytest.LogCaptureFixture, environment: dict[str, str]
) -> None:
    """Neither the key of the request nor a URL, which may carry a token, nor a key of the app is kept or logged."""
    caplog.set_level("INFO")
    call = await control.call("POST", "calls", {"participants": ["Ada"]})
    body: dict[str, Any] = {
        "conversation_url": call["conversationUrl"],
        "recording_state_callback_uri": "https://app.contoso.com/cb?code=TOKEN",
    }
    with_key = Caller(repeat_key=RepeatKey("Idempotency-Key", "KEY-OF-THE-REQUEST"))

    await app.control.start_by_url(with_key, StartRecordingByUrl(**body))
    with pytest.raises(RecordingError):
        await app.control.start_by_url(NOBODY, StartRecordingByUrl(**body))

    names = await listing(app.settings, "archive")
    kept = json.dumps([[name, await body_of(app.settings, "archive", name)] for name in names]) + caplog.text
    key = environment["ACS_CONNECTION_STRING"].rpartition("accesskey=")[2]
    # Two records of the starts, the claim and the outcome of one of them, and in which conversation it was.
    assert (2, 5) == (len(await facts(app)), len(names))
    assert [] == [secret for secret in ("TOKEN", "KEY-OF-THE-REQUEST", call["conversationUrl"], key) if secret in kept]


async def test_starts_are_found_by_their_day(app: App) -> None:
    """Each recording's own start, whatever else was asked for on that day; a record that is damaged costs no other."""
    for operation, recording, day in (("start", "a", 0), ("stop", "a", 0), ("start", None, 0), ("start", "b", 1)):
        async with app.trail.record(TrailEntry(at=NOW + timedelta(days=day), action=operation, recording_id=recording)):
            pass
    await app.clients.blobs.create("archive", "audit/2026/03/01/120000000005-start-bad.json", b"{")

    assert {"a": NOW} == await app.trail.starts_on([NOW.replace(hour=1)])
    assert {"a", "b"} == set(await app.trail.starts_on([NOW, NOW + timedelta(days=1), NOW - timedelta(days=1)]))
