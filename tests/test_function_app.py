"""function_app.py: every handler called as a plain function, with the process's settings."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import azure.functions as func
import pytest
import pytest_asyncio

import function_app
from recording import app as bootstrap
from recording.app import App
from recording.intake import backlog
from recording.model import event_parser
from recording.model.job import ArchiveJob, ChunkJob
from tests.support.emulator import Control, file_event
from tests.support.facts import announce, body_of, listing, put, raw_queue, stage, sweep, to_archive, with_blobs
from tests.support.faults import FaultyBlobs
from tests.support.forms import FORMS
from tests.support.functions import Out, call, read
from tests.support.source import recording_of

GROUP = "3f2b0e4c-1111-4000-8000-000000000001"
REPEAT = "Repeatability-Request-ID"
DOCUMENT = "0-eus-d12-801b3f3fc462fe8a01e6810cbff729b8"
UNKNOWN = "20260301T100000000000Z-3f2b0e4c-0000-4000-8000-00000000000f"


@pytest_asyncio.fixture(autouse=True)
async def process(app: App, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """A process that has built its app."""
    monkeypatch.setattr(bootstrap, "_app", app)
    monkeypatch.setattr(bootstrap, "_is_prepared", True)
    yield


async def test_the_operations_answer_as_the_service_does(control: Control) -> None:
    """200 and the contract's bodies, from start to stop."""
    placed = await control.call("POST", "calls", {"participants": ["Ada"]})
    status, started = read(await call("start_recording_by_url", {"conversationUrl": placed["conversationUrl"]}))
    ids = {"conversationId": started["conversationId"], "recordingId": started["recordingId"]}

    assert (200, placed["conversationId"]) == (status, ids["conversationId"])
    assert (200, {"recordingState": "active"}) == read(await call("get_recording_state", **ids))
    assert (200, {}) == read(await call("pause_recording", {"operationContext": "lunch"}, **ids))
    assert (200, {"recordingState": "inactive"}) == read(await call("get_recording_state", **ids))
    assert (200, {}) == read(await call("resume_recording", **ids))
    assert (200, {}) == read(await call("stop_recording", **ids))
    ended, known = read(await call("get_recording_state", **ids))
    assert (200, "inactive", ["recordingState", "endedAt"]) == (ended, known["recordingState"], list(known))
    again, restarted = read(await call("start_recording", conversationId=placed["conversationId"]))
    assert (200, ["recordingId"]) == (again, list(restarted))


@pytest.mark.parametrize(
    ("name", "body", "route", "status", "target"),
    [
        ("start_recording", b"{", {"conversationId": GROUP}, 400, "body"),
        ("start_recording", b"[]", {"conversationId": GROUP}, 400, "body"),
        ("start_recording", b"\xff", {"conversationId": GROUP}, 400, "body"),
        ("start_recording", b"{}" + b" " * 70_000, {"conversationId": GROUP}, 413, "body"),
        ("start_recording", {"operationContext": 1}, {"conversationId": GROUP}, 400, "operationContext"),
        ("start_recording", {"recordingStateCallbackUri": "/x"}, {"conversationId": GROUP}, 400, None),
        ("start_recording", {"recordingStateCallbackUri": "http://x.example/"}, {"conversationId": GROUP}, 400, None),
        ("start_recording", b"", {"conversationId": "a/../b"}, 400, "conversationId"),
        ("start_recording", b"", {"conversationId": GROUP, "headers": {REPEAT: "x" * 10_000}}, 400, REPEAT),
        ("start_recording", b"", {"conversationId": GROUP, "headers": {REPEAT: "a\r\nb"}}, 400, REPEAT),
        ("start_recording_by_url", b"{}", {}, 400, "conversationUrl"),
        ("start_recording_by_url", {"conversationUrl": "ftp://x"}, {}, 400, "conversationUrl"),
        ("stop_recording", b"", {"conversationId": GROUP, "recordingId": "../x"}, 400, "recordingId"),
        ("stop_recording", b"", {"conversationId": GROUP, "recordingId": "abc"}, 404, None),
        ("get_recording", b"", {"recordingKey": ".."}, 400, "recordingKey"),
        ("get_recording", b"", {"recordingKey": UNKNOWN}, 404, "recordingKey"),
        ("get_chunk_content", b"", {"recordingKey": UNKNOWN, "index": "x"}, 400, "index"),
        ("get_chunk_content", b"", {"recordingKey": UNKNOWN, "index": "0"}, 404, "recordingKey"),
        ("verify_recording", b"", {"recordingKey": ".."}, 400, "recordingKey"),
        ("verify_recording", b"", {"recordingKey": UNKNOWN}, 404, "recordingKey"),
        ("receive_callback", b"", {}, 400, "body"),
        ("receive_callback", b" " * (4 * 1024 * 1024 + 1), {}, 413, "body"),
        (
            "receive_callback",
            {"eventType": "Microsoft.EventGrid.SubscriptionValidationEvent"},
            {},
            400,
            "validationCode",
        ),
    ],
)
async def test_bad_requests_get_the_contracts_error_body(
    app: App, name: str, body: Any, route: dict[str, Any], status: int, target: str | None
) -> None:
    """Code, message, target and details, with nothing around them, and nothing is written."""
    answered, error = read(await call(name, body, **route))

    assert (status, ["code", "message", "target", "details"]) == (answered, list(error))
    assert (True, []) == (bool(error["code"]) and bool(error["message"]), error["details"])
    if target:
        assert target == error["target"]
    assert ({}, {}) == (await listing(app.settings, "staging"), await listing(app.settings, "quarantine"))
    # What ACS was asked for, and said no to, is on record; what was refused here is not.
    assert int(name == "stop_recording" and status == 404) == len(await listing(app.settings, "archive"))


async def test_a_start_is_repeated_under_its_key(app: App, control: Control) -> None:
    """The same id, one recording; another request under that key is refused and names the header."""
    placed = await control.call("POST", "calls", {"participants": ["Ada"]})
    headers, by_url = {"idempotency-key": GROUP}, {"conversationUrl": placed["conversationUrl"]}

    first, again = [read(await call("start_recording_by_url", by_url, headers=headers)) for _ in range(2)]
    status, error = read(await call("start_recording", conversationId=GROUP, headers=headers))

    assert (200, first) == (first[0], again)
    assert (400, "Idempotency-Key") == (status, error["target"])
    assert 1 == len((await control.call("GET", "recordings"))["recordings"])


async def test_a_repeatable_start_is_told_whether_it_counts(control: Control) -> None:
    """`Repeatability-Result`: accepted, also when it is repeated; rejected for another request under the same id."""
    placed = await control.call("POST", "calls", {"participants": ["Ada"]})
    headers, by_url = {REPEAT: GROUP}, {"conversationUrl": placed["conversationUrl"]}

    answers = [await call("start_recording_by_url", by_url, headers=headers) for _ in range(2)]
    answers.append(await call("start_recording", conversationId=GROUP, headers=headers))

    assert [(200, "accepted"), (200, "accepted"), (400, "rejected")] == [
        (one.status_code, one.headers["Repeatability-Result"]) for one in answers
    ]


async def test_each_answer_has_the_id_of_its_request(caplog: pytest.LogCaptureFixture) -> None:
    """A caller can name it, and the log has it; no cache keeps the answer."""
    good, bad = await call("health"), await call("get_recording", recordingKey="..")

    ids = [one.headers["x-ms-request-id"] for one in (good, bad)]
    assert 2 == len(set(ids))
    assert ids[1] in caplog.text
    assert ("BadRequest", "no-store") == (bad.headers["x-ms-error-code"], bad.headers["Cache-Control"])


@pytest.mark.parametrize("name", ["start_recording", "stop_recording", "pause_recording", "resume_recording"])
async def test_who_called_is_on_record_for_good_and_bad(app: App, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The principal that the platform authenticated, with the answer's own status."""
    monkeypatch.setenv("WEBSITE_AUTH_ENABLED", "True")
    headers = {"X-MS-CLIENT-PRINCIPAL-NAME": "ada@contoso.com", "x-functions-key": "secret"}

    answer = await call(name, headers=headers, conversationId=GROUP, recordingId="abc")

    [blob] = await listing(app.settings, "archive")
    fact = await body_of(app.settings, "archive", blob)
    code = json.loads(answer.get_body())["code"]
    assert ("ada@contoso.com", 404, code) == (fact["who"], answer.status_code, fact["outcome"])
    assert (404, False) == (fact["status"], "secret" in json.dumps(fact))


async def test_an_archived_recording_is_verified(app: App, control: Control) -> None:
    """200 with a verdict: intact, and after a chunk was changed, what is wrong with it."""
    [one] = await stage(app, await control.recording(1000))
    await sweep(app)
    intact = read(await call("verify_recording", recordingKey=one.recording_key))
    [chunk] = [name for name in await listing(app.settings, "archive") if name.endswith(".mp4")]
    await put(app.settings, "archive", chunk, b"x" * 1000)

    status, verdict = read(await call("verify_recording", recordingKey=one.recording_key))

    assert (200, True, one.recording_key) == (intact[0], intact[1]["ok"], intact[1]["recordingKey"])
    assert (200, False) == (status, verdict["ok"])
    assert "SHA-256" in verdict["chunks"][0]["problems"][0]


@pytest.mark.parametrize(("status", "code"), [(429, "TooManyRequests"), (503, "ServiceUnavailable")])
async def test_the_services_retry_after_is_passed_on(control: Control, status: int, code: str) -> None:
    """A caller that has to wait learns for how long."""
    rule = {"method": "POST", "kind": "status", "status": status, "retryAfter": "17", "body": {}}
    await control.call("POST", "faults", rule)

    answer = await call("start_recording", conversationId=GROUP)

    assert ((status, code), "17") == (
        (answer.status_code, json.loads(answer.get_body())["code"]),
        answer.headers["Retry-After"],
    )


async def test_refused_credentials_are_our_fault_and_stay_secret(control: Control) -> None:
    """401 from the service is a 500 that says what to check, and repeats nothing of what was signed."""
    rule = {"method": "POST", "kind": "status", "status": 401, "body": {"code": "x", "message": "HMAC-SHA256 abc"}}
    await control.call("POST", "faults", rule)

    status, error = read(await call("start_recording", conversationId=GROUP))

    assert (500, "AcsCredentialsRefused", False) == (status, error["code"], "HMAC" in json.dumps(error))


async def test_an_unexpected_error_has_a_body_too(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """500 with the bare body; what happened is in the log, and not in the answer."""

    async def broken() -> App:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(function_app, "ready", broken)

    status, error = read(await call("list_recordings"))

    assert (500, "InternalServerError", []) == (status, error["code"], error["details"])
    assert "secret" not in json.dumps(error)
    assert 'request.failed {"function": "list_recordings", "requestId": ' in caplog.text
    assert "secret detail" in caplog.text


async def test_a_missing_setting_is_said_in_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever calls a misconfigured app learns which setting to fix."""
    monkeypatch.setattr(bootstrap, "_app", None)
    monkeypatch.setattr(bootstrap, "_is_prepared", False)
    for name in ("AzureWebJobsStorage", "ACS_CONNECTION_STRING", "ACS_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)

    for name in ("health", "list_recordings"):
        status, error = read(await call(name))
        assert (500, "Misconfigured", True) == (status, error["code"], "AzureWebJobsStorage" in error["message"])


async def test_content_is_a_redirect_that_is_not_cached(app: App, control: Control) -> None:
    """302 to a signed link."""
    [one] = await stage(app, await control.recording(1000))

    answer = await call("get_chunk_content", recordingKey=one.recording_key, index="0")

    assert (302, "no-store") == (answer.status_code, answer.headers["Cache-Control"])
    assert "sig=" in urlsplit(answer.headers["Location"]).query


async def test_recordings_are_listed_and_shown(app: App, control: Control) -> None:
    """Members are named as in the contract; what is not known is omitted."""
    [one] = await stage(app, await control.recording(1000))
    await sweep(app)

    status, listed = read(await call("list_recordings", params={"limit": "5"}))
    _, shown = read(await call("get_recording", recordingKey=one.recording_key))
    bad, error = read(await call("list_recordings", params={"limit": "x"}))

    [summary] = listed["recordings"]
    assert (200, ["recordings"], "archived") == (status, list(listed), summary["state"])
    assert (one.document_id, True) == (shown["chunks"][0]["documentId"], shown["complete"])
    assert (400, "limit") == (bad, error["target"])


async def test_a_recording_can_be_stopped_while_storage_hangs(
    app: App, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a cold start the containers weren't checked yet; control doesn't wait for that."""
    placed = await control.call("POST", "calls", {"participants": ["Ada"]})
    _, started = read(await call("start_recording", {}, conversationId=placed["conversationId"]))

    hanging = FaultyBlobs(app.settings).on("create_containers", hangs=30)
    monkeypatch.setattr(bootstrap, "_app", with_blobs(app, hanging))
    monkeypatch.setattr(bootstrap, "_is_prepared", False)
    monkeypatch.setattr(function_app, "ready_if_possible", partial(bootstrap.ready_if_possible, timeout=0.2))
    ids = {"conversationId": placed["conversationId"], "recordingId": started["recordingId"]}

    assert (200, {}) == read(await call("stop_recording", **ids))
    await hanging.aclose()


async def test_health_is_200_or_503(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe goes by the status."""
    well = read(await call("health"))

    down = FaultyBlobs(app.settings).on("create_containers", raises=ConnectionRefusedError)
    monkeypatch.setattr(bootstrap, "_app", with_blobs(app, down))
    ill = read(await call("health"))
    await down.aclose()

    assert [(200, "ok"), (503, "unhealthy")] == [(status, body["status"]) for status, body in (well, ill)]


@pytest.mark.parametrize("as_array", [True, False])
async def test_a_callback_is_taken_as_an_object_or_an_array(app: App, as_array: bool) -> None:
    """Both forms of the 2021 callbacks are accepted, and what can't be understood is quarantined, not refused."""
    event: Any = file_event(recording_of(DOCUMENT))
    body = [event, {"eventType": "x", "\ud800": 1}, {}] if as_array else event
    jobs = Out()
    text = json.dumps(body).encode()

    answer = await function_app.receive_callback(func.HttpRequest("POST", "/", body=text), jobs)

    assert (200, {}) == read(answer)
    assert [DOCUMENT] == [ChunkJob.from_message(message).document_id for message in jobs.value]
    assert (1, int(as_array)) == (
        len(await listing(app.settings, "staging")),
        len(await listing(app.settings, "quarantine")),
    )


async def test_a_callback_of_many_events_does_not_wait_for_the_writes_of_each(app: App) -> None:
    """Event Grid waits for 30 s, and to accept an event takes two: most are on their queue, dozens to a message."""
    events = [file_event(recording_of(DOCUMENT) | {"callId": str(uuid4())}, event_id=str(uuid4())) for _ in range(400)]
    async with raw_queue(app.settings, backlog.QUEUE) as queue:
        await queue.clear_messages()
    jobs = Out()

    answer = await function_app.receive_callback(func.HttpRequest("POST", "/", body=json.dumps(events).encode()), jobs)

    assert (200, {}) == read(answer)
    messages = [one async for one in app.clients.event_queue.receive(limit=1000, hidden_seconds=30)]
    deferred = [text for message in messages for text in backlog.parse_message(message.text)]
    kept = await listing(app.settings, "staging")
    assert len(jobs.value) == len(kept) == 400 - len(deferred)
    assert len(messages) + len(kept) < 100


@pytest.mark.parametrize("form", ["binary", "batched", "byte-order mark", "data_base64", "data as a JSON string"])
async def test_a_callback_is_taken_in_every_form(app: App, form: str) -> None:
    """The timer reads from the fact in staging what was announced."""
    event = file_event(recording_of(DOCUMENT), event_id="an-id")
    body, headers = FORMS[form](event)
    jobs = Out()

    answer = await function_app.receive_callback(func.HttpRequest("POST", "/", body=body, headers=headers), jobs)

    [message] = jobs.value
    expected = event_parser.parse_event(json.dumps(event))
    key = ChunkJob.from_message(message).recording_key
    assert ((200, {}), DOCUMENT) == (read(answer), ChunkJob.from_message(message).document_id)
    [kept] = (await app.recordings.load(key)).events
    assert expected == replace(kept, received_at=None)


@pytest.mark.parametrize("body", [b"not JSON", b"[1]", b"\xff", b'{"eventType": 5}', b'["a"]'])
async def test_what_is_no_event_is_quarantined_not_refused(app: App, body: bytes) -> None:
    """A sender may not repeat what was answered with 400."""
    assert (200, {}) == read(await call("receive_callback", body))

    assert 1 == len(await listing(app.settings, "quarantine"))


async def test_an_event_goes_all_the_way(app: App, control: Control) -> None:
    """Event, queue message, chunk, archive: each function passes on what the next one needs."""
    recording = await control.recording(1000)
    jobs, again = Out(), Out()

    await function_app.receive_event(json.dumps(file_event(recording)), jobs)
    for message in jobs.value:
        await function_app.ingest_chunk(func.QueueMessage(body=message.encode()))
    await function_app.archive_recordings(None, again)
    for key in await to_archive(app):
        message = ArchiveJob(recording_key=key).to_message()
        await function_app.archive_recording(func.QueueMessage(body=message.encode()))

    [manifest] = [name for name in await listing(app.settings, "archive") if name.endswith("recording.json")]
    assert (1, []) == (len(jobs.value), again.value)
    assert (await body_of(app.settings, "archive", manifest))["complete"]


async def test_deferred_events_are_accepted(app: App, control: Control) -> None:
    """Each event of the message leaves its fact and its jobs; a foreign message is rejected."""
    recordings = [await control.recording(1000), await control.recording(1000, 2000)]
    held = backlog.format_message([json.dumps(file_event(one, event_id=one["callId"])) for one in recordings])
    jobs = Out()

    await function_app.take_events(func.QueueMessage(body=held.encode()), jobs)

    documents = [chunk["documentId"] for one in recordings for chunk in one["chunks"]]
    assert documents == [ChunkJob.from_message(message).document_id for message in jobs.value]
    assert 2 == len(await listing(app.settings, "staging"))
    with pytest.raises(ValueError, match="events"):
        await function_app.take_events(func.QueueMessage(body=b'{"foreign": 1}'), jobs)


async def test_the_timer_takes_the_events_that_the_queue_gave_up(app: App, control: Control) -> None:
    """They are no chunk's yet: without it nobody would know of them."""
    recording = await control.recording(1000)
    held = backlog.format_message([json.dumps(file_event(recording))])
    await app.clients.event_poison.create()
    await app.clients.event_poison.send(held)
    jobs = Out()

    await function_app.archive_recordings(None, jobs)
    await app.clients.event_poison.delete_queue()

    assert [recording["chunks"][0]["documentId"]] == [
        ChunkJob.from_message(message).document_id for message in jobs.value
    ]


@pytest.mark.parametrize("function", ["ingest_chunk", "ingest_bulk"])
async def test_a_message_that_comes_again_is_known_as_such(
    app: App, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    """By the count that the host gives with it: then the chunk may be there, whatever became of the process."""
    seen: list[bool] = []

    async def run(_: Any, *, is_redelivered: bool = False, **more: Any) -> None:
        seen.append(is_redelivered)

    class Message(func.QueueMessage):
        count: int | None

        @property
        def dequeue_count(self) -> int | None:
            return self.count

    monkeypatch.setattr(app.ingest, "run", run)
    key = "20260301T100000000000Z-3f2b0e4c"
    one = ChunkJob(recording_key=key, document_id=DOCUMENT, index=0, announced_at=datetime.now(UTC))
    for count in (None, 1, 2, 5):
        message = Message(body=one.to_message().encode())
        message.count = count
        await getattr(function_app, function)(message)

    assert [False, False, True, True] == seen


async def test_what_an_ingest_raises_reaches_the_queue(app: App, control: Control) -> None:
    """The queue tries again only what fails."""
    [one] = await announce(app, await control.recording(1000))
    await control.fault("expired", "/recording/download/*")

    with pytest.raises(Exception, match="no such document"):
        await function_app.ingest_chunk(func.QueueMessage(body=one.to_message().encode()))
    with pytest.raises(ValueError, match="chunk"):
        await function_app.ingest_chunk(func.QueueMessage(body=b'{"foreign": 1}'))
