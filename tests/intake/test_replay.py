"""recording/intake/replay.py: quarantined and dead-lettered events are accepted again; a repeat changes nothing."""

import json
from asyncio import to_thread
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from local.azurite import Azurite
from local.delivery import as_cloud_event
from recording import __main__ as command
from recording import app as bootstrap
from recording.acs.call_automation import CallAutomation
from recording.app import App, assemble
from recording.catalogue.operations import Operations
from recording.catalogue.operations_view import DaysQuery
from recording.config.resource import parse_connection_string
from recording.config.settings import read_settings
from recording.errors import (
    BadRequest,
    Conflict,
    NotFound,
    RecordingError,
    StorageUnavailable,
    TrailUnavailable,
)
from recording.intake import replay
from recording.intake.replay import EventFile, Replay, ReplayResult
from recording.model import job, layout
from recording.model.caller import Caller
from recording.model.job import ChunkJob
from recording.model.roles import OPERATE, Principal
from tests.support.emulator import Control, file_event
from tests.support.events import call_event
from tests.support.facts import body_of, harmed, listing, put, raw_queue, receive, sweep
from tests.support.source import recording_of

DOCUMENT = "0-eus-d12-801b3f3fc462fe8a01e6810cbff729b8"
DAY = datetime(2026, 3, 1, 9, tzinfo=UTC)
OBITUARY = {
    "deadLetterReason": "MaxDeliveryAttemptsExceeded",
    "deliveryAttempts": 30,
    "lastDeliveryOutcome": "Busy",
    "lastHttpStatusCode": 503,
    "publishTime": "2026-03-01T10:30:00Z",
    "lastDeliveryAttemptTime": "2026-03-02T10:30:00Z",
}


@pytest_asyncio.fixture(autouse=True)
async def _own_queue(app: App) -> AsyncIterator[None]:
    """The queue is empty before and after the test."""
    async with raw_queue(app.settings, job.QUEUE) as queue:
        await queue.clear_messages()
        yield
        await queue.clear_messages()


@pytest.fixture
def event() -> dict[str, Any]:
    """A file event of two chunks."""
    return file_event(recording_of(DOCUMENT, DOCUMENT + "0"), eventTime="2026-03-01T11:00:00Z")


def replaying(app: App) -> Replay:
    """Build the replay of an app."""
    return app.replay


async def again(app: App, body: bytes | str, **more: bool) -> list[ReplayResult]:
    """Replay the body of a file."""
    file = EventFile("a file", body.encode() if isinstance(body, str) else body)
    return await replaying(app).run(file, **more)


async def queued(app: App) -> list[ChunkJob]:
    """Receive all jobs from the queue, as the host would."""
    return [
        ChunkJob.from_message(one.text) async for one in app.clients.chunk_queue.receive(limit=1000, hidden_seconds=60)
    ]


async def all_blobs(app: App) -> list[dict[str, str]]:
    """List everything in every container."""
    return [await listing(app.settings, where) for where in ("staging", "archive", "quarantine")]


async def quarantined(app: App, text: str, *, at: datetime = DAY) -> str:
    """Quarantine an event for a reason that this version doesn't have any more; return the blob's name."""
    reasons = ["a form that nobody knew then"]
    await app.quarantine.keep(text, reasons, received_at=at)
    return layout.quarantine_blob(at, layout.event_id(None, text))


async def test_a_document_that_is_listed_twice_is_one_chunk_of_the_answer(app: App, event: dict[str, Any]) -> None:
    """Under two indices it is announced once."""
    info = event["data"]["recordingStorageInfo"]
    info["recordingChunks"][1]["documentId"] = DOCUMENT

    [done] = await again(app, json.dumps(event))

    assert ", 1 chunk queued" in done.detail
    assert [DOCUMENT] == [one.document_id for one in await queued(app)]


async def test_a_quarantined_event_that_is_valid_by_now_is_accepted(app: App, event: dict[str, Any]) -> None:
    """The fact has its original text, and both chunks are on the queue as the host reads them."""
    text = json.dumps(event, indent=3) + "\n"
    name = await quarantined(app, text)

    [done] = await replaying(app).run(await replay.read_blob(app.clients.blobs, name))

    key = "20260301T100000000000Z-3f2b0e4c-0000-4000-8000-000000000001"
    assert ("accepted", f"{key}, 2 chunks queued", True) == (done.outcome, done.detail, done.ok)
    assert text.encode() == await app.clients.blobs.read("staging", layout.event_blob(key, event["id"]))
    assert [(key, DOCUMENT, 0), (key, DOCUMENT + "0", 1)] == [
        (one.recording_key, one.document_id, one.index) for one in await queued(app)
    ]


async def test_replay_repairs_what_is_in_quarantine_under_the_new_rules(app: App, event: dict[str, Any]) -> None:
    """What names nothing, is written in another form or has no type that is known; on its old day, and only once."""
    nameless = {"eventType": "x", "data": {"recordingStorageInfo": event["data"]["recordingStorageInfo"]}}
    texts = [
        json.dumps(event | {"eventTime": None, "subject": None}),
        "\ufeff" + json.dumps([event | {"id": "2", "data": json.dumps(event["data"])}]),
        json.dumps(nameless),
    ]
    for text in texts:
        found = await replay.read_blob(app.clients.blobs, await quarantined(app, text))
        [done] = await replaying(app).run(found)

        assert ("accepted", True) == (done.outcome, done.ok)
        assert [DOCUMENT, DOCUMENT + "0"] == [one.document_id for one in await queued(app)]
        async with raw_queue(app.settings, job.QUEUE) as queue:
            await queue.clear_messages()
    kept = [name for name in await listing(app.settings, "quarantine") if not name.startswith("replayed/")]
    assert 3 == len(kept)


async def test_twice_changes_nothing(app: App, event: dict[str, Any]) -> None:
    """Facts are written once; the jobs are queued again, as for any duplicate."""
    name = await quarantined(app, json.dumps(event))
    found = await replay.read_blob(app.clients.blobs, name)
    first = await replaying(app).run(found)
    before, jobs = await all_blobs(app), await queued(app)

    assert first == await replaying(app).run(found)

    assert (before, [one.again() for one in jobs]) == (await all_blobs(app), await queued(app))


async def test_an_event_that_arrived_by_itself_is_a_duplicate(app: App, event: dict[str, Any]) -> None:
    """So an unnecessary replay does no harm."""
    text = json.dumps(event)
    jobs = await receive(app, text)
    before = await all_blobs(app)

    assert [True] == [one.ok for one in await again(app, text)]

    assert before == await all_blobs(app)
    assert [job.document_id for job in jobs] == [job.document_id for job in await queued(app)]


async def test_an_archived_recording_stays_as_it_is(app: App, control: Control) -> None:
    """Its manifest is the same after the replayed jobs and the timer have run."""
    event = file_event(await control.recording(1000, 2000))
    for one in await receive(app, event):
        await app.ingest.run(one)
    await sweep(app)
    archived = await listing(app.settings, "archive")

    assert [True] == [one.ok for one in await again(app, json.dumps(event))]
    for one in await queued(app):
        await app.ingest.run(one)
    await sweep(app)

    assert (archived, {}) == (await listing(app.settings, "archive"), await listing(app.settings, "staging"))


@pytest.mark.parametrize("schema", ["EventGridSchema", "CloudEventSchemaV1_0"])
async def test_dead_letters_are_taken_in_both_schemas(app: App, event: dict[str, Any], schema: str) -> None:
    """An array of events with the reason why each was given up; in CloudEvents these members are lower case.

    See docs/acs-contract.md#delivery-semantics.
    """
    other = event | {"id": "other", "subject": "/recording/call/other"}
    if schema == "EventGridSchema":
        letters = [one | OBITUARY for one in (event, other)]
    else:
        letters = [as_cloud_event(one) | {k.lower(): v for k, v in OBITUARY.items()} for one in (event, other)]

    done = await again(app, json.dumps(letters, indent=2))

    assert ["accepted", "accepted"] == [one.outcome for one in done]
    assert 4 == len(await queued(app))
    keys = {one.detail.partition(",")[0] for one in done}
    assert keys == {name.partition("/")[0] for name in await listing(app.settings, "staging")}
    kept = await app.clients.blobs.read("staging", layout.event_blob(done[0].detail.partition(",")[0], event["id"]))
    assert kept is not None
    assert b"MaxDeliveryAttemptsExceeded" in kept


async def test_what_is_still_invalid_is_not_written_twice(app: App) -> None:
    """It stays where it is, whenever it is replayed; the reason is that of this version."""
    name = await quarantined(app, '{"eventType": "Microsoft.Communication.RecordingFileStatusUpdated"}')
    before = await all_blobs(app)

    [done] = await replaying(app).run(await replay.read_blob(app.clients.blobs, name))

    assert ("invalid", False) == (done.outcome, done.ok)
    assert "nobody knew then" not in done.detail
    assert (before, []) == (await all_blobs(app), await queued(app))


async def test_a_partially_valid_event_is_partially_accepted(app: App, event: dict[str, Any]) -> None:
    """The good chunk is queued, the other is reported again; the quarantine has the event once, on its old day."""
    event["data"]["recordingStorageInfo"]["recordingChunks"][1]["documentId"] = "../x"
    name = await quarantined(app, json.dumps(event))
    in_quarantine = await listing(app.settings, "quarantine")

    for _ in range(2):
        [done] = await replaying(app).run(await replay.read_blob(app.clients.blobs, name))
        assert ("partially accepted", False) == (done.outcome, done.ok)
        assert [DOCUMENT] == [one.document_id for one in await queued(app)]
    [done] = await again(app, json.dumps(event))

    assert "partially accepted" == done.outcome
    assert in_quarantine == await listing(app.settings, "quarantine")


async def test_events_of_other_kinds(app: App) -> None:
    """One that the app knows is accepted, one that it doesn't use is ignored; both are ok."""
    leg = {"callLegId": "leg", "callState": "Establishing"}
    known = {"id": "1", "eventType": "Microsoft.Communication.CallLegStateChanged", "data": leg}
    other = {"id": "2", "eventType": "Microsoft.Communication.ChatMessageReceived", "data": {}}

    done = await again(app, json.dumps([known | {"eventTime": "2026-03-01T11:00:00Z"}, other]))

    assert [("accepted", "CallLegStateChanged", True), ("ignored", True)] == [
        (done[0].outcome, done[0].detail, done[0].ok),
        (done[1].outcome, done[1].ok),
    ]


def records_all(app: App, environment: dict[str, str]) -> App:
    """Return the app with the Call Automation API and AUTO_RECORD."""
    return assemble(read_settings(environment | {"ACS_API_VERSION": "", "AUTO_RECORD": "all"}), app.clients)


async def test_a_call_that_still_cannot_be_named_is_not_written_twice(app: App, environment: dict[str, str]) -> None:
    """It isn't accepted: a person has to inspect it, but only once."""
    name = await quarantined(app, json.dumps(call_event("CallStarted", serverCallId="not base64!")))
    before = await all_blobs(app)

    [done] = await replaying(records_all(app, environment)).run(await replay.read_blob(app.clients.blobs, name))

    assert ("invalid", before) == (done.outcome, await all_blobs(app))


async def test_a_replayed_start_is_claimed_now(app: App, environment: dict[str, str], control: Control) -> None:
    """A claim with the time of the event would look as if its owner had died: another worker would start, too."""
    placed = await control.call("POST", "calls", {"participants": ["Ada"]})
    name = await quarantined(app, json.dumps(call_event("CallStarted", serverCallId=placed["serverCallId"])))
    service = CallAutomation(parse_connection_string(environment["ACS_CONNECTION_STRING"]))
    today = assemble(records_all(app, environment).settings, replace(app.clients, service=service))

    [done] = await replaying(today).run(await replay.read_blob(app.clients.blobs, name))
    await service.aclose()

    [claimed] = [blob for blob in await listing(app.settings, "archive") if blob.endswith("-claim.json")]
    age = datetime.now(UTC) - datetime.fromisoformat((await body_of(app.settings, "archive", claimed))["at"])
    assert ("accepted", True) == (done.outcome, age < timedelta(minutes=1))


async def test_words_from_outside_do_not_reach_the_terminal(
    environment: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither control characters nor lone surrogates; the events behind are printed, too."""
    hostile = {"id": "1", "eventType": "\x1b[2J\r\ud800", "data": {}}
    (tmp_path / "events.json").write_text(json.dumps([hostile, hostile]))

    assert 0 == await run(environment, tmp_path, str(tmp_path / "events.json"))

    *lines, _ = capsys.readouterr().out.split("\n")[:-1]
    assert ["nothing to do for \ufffd[2J\ufffd\\ud800"] * 2 == [line.partition("events.json  ")[2] for line in lines]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b"5", b"[1]", b'["x"]', b'{"reasons": [], "received_at": "x"}', b"[" * 100_000]
)
async def test_a_damaged_file_is_told(app: App, body: bytes) -> None:
    """The result says so, and nothing is written."""
    before = await all_blobs(app)

    [done] = await again(app, body)

    assert not done.ok
    assert (before, []) == (await all_blobs(app), await queued(app))


async def test_a_byte_order_mark_is_no_damage(app: App, event: dict[str, Any]) -> None:
    """An editor may have added it."""
    assert ["accepted"] == [one.outcome for one in await again(app, b"\xef\xbb\xbf" + json.dumps(event).encode())]


async def test_a_dry_run_changes_nothing(app: App, event: dict[str, Any]) -> None:
    """The results say what would be accepted, and what still can't be parsed."""
    before = await all_blobs(app)

    done = await again(app, json.dumps([event, {"id": "x"}]), dry_run=True)

    assert ["accepted", "invalid"] == [one.outcome for one in done]
    assert done[0].detail.endswith("2 chunks")
    assert (before, []) == (await all_blobs(app), await queued(app))


async def test_storage_that_fails_holds_up_no_other_event(
    azurite: Any, environment: dict[str, str], event: dict[str, Any]
) -> None:
    """The failure is reported, and the next replay accepts the event."""
    key_of_first = "20260301T100000000000Z-3f2b0e4c*"
    rule = {"kind": "status", "status": 403, "operation": "PutBlob", "path": f"*{key_of_first}*", "times": 1}
    other = event | {"id": "other", "subject": "/recording/call/other"}
    async with harmed(azurite, environment, rule) as (app, _):
        first = await again(app, json.dumps([event, other]))
        second = await again(app, json.dumps([event, other]))

    assert (["failed", "accepted"], ["accepted", "accepted"]) == (
        [o.outcome for o in first],
        [o.outcome for o in second],
    )
    assert "sig" not in first[0].detail


@asynccontextmanager
async def dead_letter_container(app: App, name: str) -> AsyncIterator[App]:
    """A container for dead letters in the quarantine's account, read as the quarantine container."""
    settings = app.settings.model_copy(update={"quarantine_container": name})
    there = await bootstrap.open_app(settings)
    yield there
    await there.aclose()


async def run(environment: dict[str, str], folder: Path, *arguments: str) -> int:
    """Run the command in a thread: it has its own event loop."""
    file = folder / "settings-of-the-test"
    file.write_text(json.dumps({"Values": environment}))
    return await to_thread(command.main, ["replay", *arguments, "--settings", str(file)])


async def test_a_folder_is_replayed_and_told(
    app: App, environment: dict[str, str], event: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It prints a line for each event and the totals; the status is 0 if all were accepted, otherwise 1."""
    inner = tmp_path / "letters" / "2026"
    inner.mkdir(parents=True)
    (inner / "one.json").write_text(json.dumps([event | OBITUARY]))
    (inner / "two.json").write_text(json.dumps(event | {"id": "2"}))
    (inner / "notes.txt").write_text("not an event")

    assert 0 == await run(environment, tmp_path, str(tmp_path / "letters"))
    first, second, last = capsys.readouterr().out.splitlines()
    assert first.startswith(f"accepted           {inner / 'one.json'}  20260301T10")
    assert second.startswith(f"accepted           {inner / 'two.json'}  20260301T10")
    assert "All 2 events were accepted" == last
    assert 4 == len(await queued(app))

    (inner / "three.json").write_text("{")
    assert 1 == await run(environment, tmp_path, str(tmp_path / "letters"), "--dry-run")
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith(f"invalid            {inner / 'three.json'}  ")
    assert "1 of 3 events were not accepted (dry run: nothing was changed)" == lines[-1]
    assert [] == await queued(app)


async def test_what_is_not_there_is_told(
    app: App, environment: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The status for a file, a blob or the events of an empty folder is 1, for a container 2."""
    (tmp_path / "empty").mkdir()

    for arguments, told in (
        ([str(tmp_path / "no.json")], "No such file"),
        ([str(tmp_path / "empty")], "no .json file in this folder"),
        (["--blob", "2026/03/01/no.json"], "there is no such blob"),
    ):
        assert 1 == await run(environment, tmp_path, *arguments)
        assert told in capsys.readouterr().out
    assert 2 == await run(environment, tmp_path, "--day", "2026-03-01", "--dead-letter-container", "no-such-place")
    assert "storage could not be read (404 ContainerNotFound)\n" == capsys.readouterr().err


async def test_a_day_of_the_quarantine_and_of_the_dead_letters(
    app: App, environment: dict[str, str], event: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Events of other days are omitted; Event Grid writes month and day without leading zeros.

    See docs/acs-contract.md#delivery-semantics.
    """
    for number, at in enumerate((DAY, DAY + timedelta(days=1))):
        await quarantined(app, json.dumps(event | {"id": f"quarantined-{number}"}), at=at)
    name = environment["QUARANTINE_CONTAINER"].replace("quarantine", "letters")
    async with dead_letter_container(app, name) as letters:
        for number, folder in enumerate(("2026/3/1/9", "2026/3/1/10", "2026/3/10/1", "2026/11/3/1")):
            body = json.dumps([event | OBITUARY | {"id": f"letter-{number}"}]).encode()
            await put(letters.settings, "quarantine", f"RECORDING-FILES/{folder}/{number}.json", body)

    assert 0 == await run(environment, tmp_path, "--day", "2026-03-01", "--dead-letter-container", name)

    *_, last = capsys.readouterr().out.splitlines()
    assert "All 3 events were accepted" == last
    assert {"quarantined-0.json", "letter-0.json", "letter-1.json"} == {
        blob.rpartition("/")[2] for blob in await listing(app.settings, "staging")
    }
    assert 0 == await run(environment, tmp_path, "--day", "2026-03-05")
    assert "There was no event to be accepted\n" == capsys.readouterr().out


async def test_a_blob_of_the_dead_letters(
    app: App, environment: dict[str, str], event: dict[str, Any], tmp_path: Path
) -> None:
    """By the name that the log line or the portal has."""
    name = environment["QUARANTINE_CONTAINER"].replace("quarantine", "letters")
    async with dead_letter_container(app, name) as letters:
        await put(letters.settings, "quarantine", "A/2026/3/1/9/x.json", json.dumps([event | OBITUARY]).encode())

    more = ["--dead-letter-container", name]
    assert 0 == await run(environment, tmp_path, "--blob", "A/2026/3/1/9/x.json", *more)

    assert 2 == len(await queued(app))


@pytest.mark.parametrize("arguments", [[], ["--day", "yesterday"], ["--dry-run"], ["--settings", "x"]])
def test_a_wrong_command_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The status is 2, and the usage is printed."""
    with pytest.raises(SystemExit) as ended:
        command.main(["replay", *arguments])

    assert ended.value.code == 2
    assert "usage: python -m recording" in capsys.readouterr().err


EDSGER = Caller("Edsger", principal=Principal("person", "o-1", "Edsger", frozenset({OPERATE})))


def key_of(blob: str) -> str:
    """Return the key of a quarantined event."""
    return str(layout.quarantine_key(blob))


async def trail(app: App) -> list[dict[str, Any]]:
    """Read what the trail has of replays, the oldest first."""
    names = [name for name in await listing(app.settings, "archive") if "-replay-" in name]
    return [await body_of(app.settings, "archive", name) for name in sorted(names)]


async def test_an_operator_replays_an_event_of_the_quarantine(app: App, event: dict[str, Any]) -> None:
    """It is accepted as by the command, who asked stands on the trail, and it is listed no more."""
    name = await quarantined(app, json.dumps(event))

    done = await app.replay.quarantined(EDSGER, key_of(name), reason="a form that is known now")

    [one] = done.events
    assert ("accepted", [DOCUMENT, DOCUMENT + "0"]) == (one.outcome, [job.document_id for job in await queued(app)])
    [fact] = await trail(app)
    assert ("Edsger", one.recording_key, "a form that is known now", "ok", key_of(name)) == (
        fact["who"],
        fact["recordingKey"],
        fact["reason"],
        fact["outcome"],
        fact["details"]["eventKey"],
    )
    assert [] == (await at_its_time(app).quarantined(DaysQuery())).events


def at_its_time(app: App) -> Operations:
    """Return what an operator looks at, on the day of the events."""
    return assemble(app.settings, app.clients, clock=lambda: DAY).operations


async def test_an_event_that_is_replayed_twice_is_accepted_twice_without_a_change(
    app: App, event: dict[str, Any]
) -> None:
    """Facts are written once."""
    name = await quarantined(app, json.dumps(event))
    await app.replay.quarantined(EDSGER, key_of(name))
    before = [await listing(app.settings, where) for where in ("staging", "quarantine")]

    again = await app.replay.quarantined(EDSGER, key_of(name))

    assert ["accepted"] == [one.outcome for one in again.events]
    assert before == [await listing(app.settings, where) for where in ("staging", "quarantine")]


async def test_an_event_that_is_still_not_understood_says_why_and_changes_nothing(app: App) -> None:
    """It stays where it is, and on the list."""
    name = await quarantined(app, "no event at all")
    before = await all_blobs(app)

    with pytest.raises(Conflict, match="still not understood: ") as refused:
        await app.replay.quarantined(EDSGER, key_of(name))

    assert ("NotUnderstood", 409) == (refused.value.error_code, refused.value.http_status)
    assert before == await all_blobs(app)
    assert [key_of(name)] == [one.event_key for one in (await at_its_time(app).quarantined(DaysQuery())).events]


async def test_an_event_that_is_not_in_quarantine_is_not_replayed(app: App) -> None:
    """By its key alone: no other blob can be named."""
    wrong: list[tuple[str, type[RecordingError]]] = [
        ("../starts/x", BadRequest),
        ("", BadRequest),
        ("20260301-sha256-0123456789ABCDEF0123456789ABCDEF", BadRequest),
        ("20260301-sha256-0123456789abcdef0123456789abcdef", NotFound),
    ]

    for key, error in wrong:
        with pytest.raises(error) as refused:
            await app.replay.quarantined(EDSGER, key)
        assert "eventKey" == refused.value.target

    assert [] == await trail(app)


async def test_without_its_fact_nothing_is_replayed(
    azurite: Azurite, environment: dict[str, str], app: App, event: dict[str, Any]
) -> None:
    """What can't be put on record is not done."""
    name = await quarantined(app, json.dumps(event))
    rule = {"kind": "status", "operation": "PutBlob", "path": "*/audit/*", "status": 503, "times": None}
    async with harmed(azurite, environment, rule, retry_total=0) as (hampered, _):
        with pytest.raises(TrailUnavailable):
            await hampered.replay.quarantined(EDSGER, key_of(name))

    assert {} == await listing(app.settings, "staging")
    assert [] == await queued(app)


async def test_a_replay_that_storage_cuts_short_can_be_repeated(
    azurite: Azurite, environment: dict[str, str], app: App, event: dict[str, Any]
) -> None:
    """It is still listed, and that it failed is on record."""
    name = await quarantined(app, json.dumps(event))
    rule = {"kind": "status", "operation": "PutBlob", "path": "*/events/*", "status": 503, "times": None}
    async with harmed(azurite, environment, rule, retry_total=0) as (hampered, _):
        with pytest.raises(StorageUnavailable):
            await hampered.replay.quarantined(EDSGER, key_of(name))

    assert ["ok", "StorageUnavailable"] == [fact["outcome"] for fact in await trail(app)]
    assert 1 == len((await at_its_time(app).quarantined(DaysQuery())).events)
    assert ["accepted"] == [one.outcome for one in (await app.replay.quarantined(EDSGER, key_of(name))).events]
