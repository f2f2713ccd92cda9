"""recording/intake/receive.py: an event becomes facts and one chunk job per chunk, or goes to quarantine."""

import asyncio
import contextlib
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import hypothesis
import pytest
from azure.core.exceptions import AzureError
from hypothesis import HealthCheck, given

from recording.app import App, assemble
from recording.errors import BadEvent
from recording.intake.receive import to_messages
from recording.model import event_parser, layout
from recording.model.envelope import split_events
from recording.model.events import Event, FileStatusUpdated
from recording.model.job import ChunkJob
from recording.notices import Topic
from tests.support.archives import quarantined
from tests.support.emulator import Control, file_event
from tests.support.events import EVENTS, KINDS, MOVED, NEARLY
from tests.support.facts import body_of, listing, receive, sweep
from tests.support.logs import logged
from tests.support.source import recording_of

DOCUMENT = "0-eus-d12-801b3f3fc462fe8a01e6810cbff729b8"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def test_an_event_is_kept_as_received_and_makes_one_job_per_chunk(app: App) -> None:
    """The text of the event is the fact; the jobs have everything that ingest needs."""
    event = file_event(recording_of(DOCUMENT, DOCUMENT + "0"), eventTime="2026-03-01T11:00:00Z")
    text = json.dumps(event, indent=3) + "\n"

    jobs = await receive(app, text)

    key = "20260301T100000000000Z-3f2b0e4c-0000-4000-8000-000000000001"
    assert [(key, DOCUMENT, 0), (key, DOCUMENT + "0", 1)] == [(j.recording_key, j.document_id, j.index) for j in jobs]
    assert text.encode() == await app.clients.blobs.read("staging", layout.event_blob(key, event["id"]))
    assert jobs == [ChunkJob.from_message(message) for message in to_messages(jobs)]


async def test_a_duplicate_gives_the_same_jobs(app: App) -> None:
    """After a crash between the fact and the queue, the event's next delivery queues the jobs; these look first."""
    event = file_event(recording_of(DOCUMENT))

    several = await asyncio.gather(*(receive(app, event) for _ in range(5)))

    [first] = [one for [one] in several if not one.is_again]
    assert [first.again()] * 4 == [one for [one] in several if one.is_again]
    assert 1 == len(await listing(app.settings, "staging"))
    # In another form: a subscription in the other schema, or with other members.
    assert [first.again()] == await receive(app, event | {"dataVersion": "2.0"})


async def test_good_chunks_go_on_and_the_event_is_quarantined(app: App) -> None:
    """An entry that can't be parsed doesn't affect the others."""
    event = file_event(recording_of(DOCUMENT))
    event["data"]["recordingStorageInfo"]["recordingChunks"] += [
        {"documentId": "../../x", "index": 1},
        {"documentId": DOCUMENT + "1", "index": -1},
        {"documentId": DOCUMENT, "index": 0},
        None,
    ]

    jobs = await receive(app, event)

    [kept] = await quarantined(app)
    assert [DOCUMENT, DOCUMENT + "1"] == [j.document_id for j in jobs]
    assert (json.dumps(event), 2) == (kept["event"], len(kept["reasons"]))


async def test_a_start_time_that_cannot_be_costs_no_chunk(app: App) -> None:
    """The recording's key has the event's own time instead; nothing is left to do about the event."""
    event = file_event(recording_of(DOCUMENT) | {"startTime": "0001-01-01T00:00:00"}, eventTime="2026-03-01T11:00:00Z")

    jobs = await receive(app, event)

    assert ["20260301T110000000000Z-3f2b0e4c-0000-4000-8000-000000000001"] == [j.recording_key for j in jobs]
    assert [] == await quarantined(app)


async def test_a_topic_that_is_down_keeps_no_chunk_from_the_timer(app: App) -> None:
    """The event is a fact before the notice of its bad entry is published; that fails, so it is delivered again."""
    down = assemble(app.settings, replace(app.clients, topic=Topic("http://127.0.0.1:9/", "key", None)))
    event = file_event(recording_of(DOCUMENT))
    event["data"]["recordingStorageInfo"]["recordingChunks"].append({"documentId": "../../x", "index": 1})

    with pytest.raises(AzureError):
        await receive(down, event)
    await down.clients.topic.aclose()

    assert 1 == len(await listing(app.settings, "staging"))
    assert [DOCUMENT] == [j.document_id for j in await receive(app, event)]
    assert 1 == len(await quarantined(app))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not JSON",
        "[]",
        "{}",
        '{"eventType": "Microsoft.Communication.RecordingFileStatusUpdated"}',
        json.dumps(file_event(recording_of())),
        json.dumps(file_event(recording_of("../../x"))),
        json.dumps({"eventType": "a", "data": {"RecordingStorageInfo": {"RecordingChunks": ["x"]}}}),
        '{"eventType": "Microsoft.Communication.CallLegStateChanged", "x": "\u00e4\\ud800 \t"}',
    ],
)
async def test_what_cannot_be_understood_is_kept_byte_for_byte(app: App, text: str) -> None:
    """Quarantine has exactly the text and a reason, once; nothing else is written, and nothing is raised."""
    assert [] == await receive(app, text, now=NOW)
    assert [] == await receive(app, text, now=NOW)

    [kept] = await quarantined(app)
    assert (text, True) == (kept["event"], bool(kept["reasons"][0]))
    assert {} == await listing(app.settings, "staging")
    assert next(iter(await listing(app.settings, "quarantine"))).startswith("2026/03/01/sha256-")


async def test_other_events_are_acknowledged_and_forgotten(app: App) -> None:
    """Nothing is written for an event type that the app has no use for."""
    await receive(app, {"eventType": "Microsoft.Communication.SMSReceived", "id": "1", "data": {}})

    assert ({}, {}) == (await listing(app.settings, "staging"), await listing(app.settings, "quarantine"))


@given(value=NEARLY | EVENTS | MOVED)
@hypothesis.settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
async def test_any_json_is_kept_queued_or_quarantined_never_dropped(app: App, value: Any) -> None:
    """Nothing raises; what can't be parsed is in quarantine unchanged, and what is ignored announces nothing."""
    text = json.dumps(value)
    understood: Event | None = None
    with contextlib.suppress(BadEvent):
        understood = event_parser.parse_event(text)
    file = understood if isinstance(understood, FileStatusUpdated) else None

    starting = assemble(app.settings.model_copy(update={"auto_record": "all"}), app.clients)
    jobs = await receive(starting, text, now=NOW)

    kept = await app.clients.blobs.read("quarantine", layout.quarantine_blob(NOW, layout.event_id(None, text)))
    assert (kept is not None) == (understood is None or (file is not None and file.problems != ()))
    assert kept is None or text == json.loads(kept)["event"]
    announced = dict.fromkeys(chunk.document_id for chunk in (file.chunks if file else ()))
    assert list(announced) == [one.document_id for one in jobs]
    assert kept or {DOCUMENT, DOCUMENT + "0"} & named_documents(value) <= {one.document_id for one in jobs} | {
        chunk.document_id for chunk in (file.exported if file else ())
    }
    for one in jobs:
        assert [name async for name in app.clients.blobs.list_blobs("staging", f"{one.recording_key}/events/")]


def named_documents(value: Any) -> set[str]:
    """List the documents that an event's chunks name; those of an event with another meaning in the plainest way."""
    if isinstance(value, dict) and value.get("eventType") not in KINDS[1:]:
        return set(_documents_in(value))
    try:
        chunks = value["data"]["recordingStorageInfo"]["recordingChunks"]
        return {chunk["documentId"] for chunk in chunks if isinstance(chunk["documentId"], str)}
    except (TypeError, KeyError, IndexError):
        return set()


def _documents_in(value: Any) -> Iterator[str]:
    """Walk the document ids anywhere in an event."""
    if isinstance(value, dict) and isinstance(value.get("documentId"), str):
        yield value["documentId"]
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _documents_in(inner)


async def test_what_was_derived_stands_in_the_manifest_and_in_the_log(
    app: App, control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    """Of an event in binary mode without time, index and start, of an unknown type: its bytes are archived."""
    recording = await control.recording(1000)
    event = file_event(recording)
    del event["data"]["recordingStartTime"], event["data"]["recordingStorageInfo"]["recordingChunks"][0]["index"]
    headers = {"ce-type": "Microsoft.Communication.RecordingFilesReady", "ce-id": "1", "ce-source": "/subscriptions/0"}
    headers |= {"ce-subject": event["subject"], "ce-specversion": "1.0", "content-type": "application/json"}
    [text] = split_events(json.dumps(event["data"]).encode(), headers)

    for one in await receive(app, text):
        await app.ingest.run(one)
    report = await sweep(app)

    [name] = [name for name in await listing(app.settings, "archive") if name.endswith("recording.json")]
    manifest = await body_of(app.settings, "archive", name)
    [line] = logged(caplog, "event.derived")
    assert ([manifest["recordingKey"]], True) == (report.archived, manifest["complete"])
    assert (4, manifest["notes"]) == (len(line["notes"]), sorted(line["notes"]))
    assert [] == await quarantined(app)


@pytest.mark.parametrize("member", ["eventType", "id", "subject", "topic"])
async def test_a_field_of_a_megabyte_makes_no_long_log_line(
    app: App, caplog: pytest.LogCaptureFixture, member: str
) -> None:
    """Nor a name that storage refuses."""
    caplog.set_level(logging.INFO, "recording")
    for event in (file_event(recording_of(DOCUMENT)), {"eventType": "a", "id": "1"}):
        await receive(app, event | {member: "x" * 900_000})

    assert caplog.records
    assert max(len(record.getMessage()) for record in caplog.records) < 1000
