"""recording/intake/receive.py: the events of Call Automation: calls, files with locations, the team's own storage."""

import asyncio
import json
import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.core.exceptions import ServiceRequestError

from recording.app import App, assemble
from recording.config.settings import read_settings
from recording.errors import StartInProgress
from recording.model import conversation, layout
from recording.model.tombstone import Tombstone
from recording.storage.blobs import Blobs
from recording.storage.endings import Ending
from tests.support.archives import quarantined
from tests.support.calls import leg_event, outcomes, started
from tests.support.emulator import Control, file_event
from tests.support.events import SERVER_CALL, call_event, callback
from tests.support.facts import body_of, listing, receive, sweep, with_blobs
from tests.support.faults import FaultyBlobs
from tests.support.logs import logged
from tests.support.source import recording_of

DOCUMENT = "0-eus-d12-801b3f3fc462fe8a01e6810cbff729b8"
KEY = "20260301T100000000000Z-3f2b0e4c-0000-4000-8000-000000000001"
ID = "eyJQbGF0Zm9ybUVuZHBvaW50SWQiOiI3ZjQy"
OBJECT = f"https://storage.asm.skype.com/v1/objects/{DOCUMENT}"
STOPPED = datetime(2026, 3, 1, 10, 0, 7, tzinfo=UTC)
TEAMS = "https://team.blob.core.windows.net/calls/20260301/3f2b0e4c/0-video.mp4"


pytestmark = pytest.mark.settings(ACS_API_VERSION="", AUTO_RECORD="all")


def started_event(call: Any, **more: Any) -> dict[str, Any]:
    """Return the event that a call of the emulator started."""
    return call_event("CallStarted", serverCallId=call["serverCallId"]) | more


def today(*locations: str | None, **data: Any) -> dict[str, Any]:
    """Return a file event of the Call Automation API with these content locations."""
    recording = recording_of(*(f"{DOCUMENT}{n}" for n in range(len(locations))))
    event = file_event(recording, eventTime="2026-03-01T10:02:00Z")
    event["subject"] += f"/serverCallId/{SERVER_CALL}/recordingId/{ID}"
    for chunk, location in zip(event["data"]["recordingStorageInfo"]["recordingChunks"], locations, strict=True):
        chunk |= {"contentLocation": location, "metadataLocation": location and f"{location}-metadata"}
    event["data"] |= data
    return event


async def test_a_call_is_recorded_once(app: App, control: Control) -> None:
    """However often the event comes, one after the other or all at once, one recording is started."""
    call = await control.call("POST", "calls", {"participants": ["Ada"]})

    answers = await asyncio.gather(*(receive(app, started_event(call)) for _ in range(10)), return_exceptions=True)
    for _ in range(3):
        await receive(app, started_event(call, id="again"))

    assert [] == [a for a in answers if a != [] and not isinstance(a, StartInProgress)]
    assert (1, ["started"]) == (await started(control), await outcomes(app))


async def test_an_id_without_its_padding_is_the_same_call(app: App, control: Control) -> None:
    """The unpadded and the padded form are the id of one call (docs/acs-contract.md#server-call-id)."""
    call = await control.call("POST", "calls", {"participants": ["Ada"]})
    bare = conversation.from_server_call_id(call["serverCallId"])

    await receive(app, started_event(call))
    await receive(app, started_event(call | {"serverCallId": bare}, id="again"))

    assert (1, ["started"]) == (await started(control), await outcomes(app))


async def test_a_call_that_has_both_events_is_started_once(app: App, control: Control) -> None:
    """The leg's event is for the 2021 preview API, the call's for Call Automation."""
    call = await control.call("POST", "calls", {"participants": ["Ada"]})

    await receive(app, leg_event(call))
    assert 0 == await started(control)
    await receive(app, started_event(call))
    await receive(app, leg_event(call, id="again"))

    assert 1 == await started(control)


async def test_with_the_api_of_2021_a_call_that_starts_is_only_logged(
    app: App, environment: dict[str, str], control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    """With that API the leg's event starts the recording."""
    caplog.set_level(logging.INFO, "recording")
    call = await control.call("POST", "calls", {"participants": ["Ada"]})
    old = assemble(read_settings(environment | {"ACS_API_VERSION": "2021-04-15-preview1"}), app.clients)

    await receive(old, started_event(call))

    assert (0, 1) == (await started(control), len(logged(caplog, "call.started")))


async def test_unless_it_is_asked_for_nothing_is_recorded(
    app: App, environment: dict[str, str], control: Control
) -> None:
    """AUTO_RECORD is off by default."""
    call = await control.call("POST", "calls", {"participants": ["Ada"]})
    del environment["AUTO_RECORD"]

    await receive(assemble(read_settings(environment), app.clients), started_event(call))

    assert 0 == await started(control)
    assert ["calls"] == [name.partition("/")[0] for name in await listing(app.settings, "archive")]


async def test_a_call_that_is_over_is_refused_for_good(app: App, control: Control) -> None:
    """The outcome is recorded; later deliveries don't ask ACS again."""
    call = await control.call("POST", "calls", {"participants": ["Ada"]})
    await control.call("DELETE", f"calls/{call['callId']}")
    await control.call("DELETE", "requests")

    await receive(app, started_event(call))
    await receive(app, started_event(call))

    starts = [r for r in (await control.call("GET", "requests"))["requests"] if r["method"] == "POST"]
    assert (["refused"], 1) == (await outcomes(app), len(starts))


@pytest.mark.parametrize("server_call", ["not base64!", "aHR0cDovL3g=", "../../x"])
async def test_a_call_that_cannot_be_named_is_kept(app: App, control: Control, server_call: str) -> None:
    """An invalid id goes to quarantine, for a person to inspect."""
    await receive(app, call_event("CallStarted", serverCallId=server_call))

    [kept] = await quarantined(app)
    assert "serverCallId" in kept["reasons"][0]
    assert 0 == await started(control)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (json.dumps(call_event("CallEnded", durationOfCall=71.5, correlationId=None)), "call.ended"),
        (callback("RecordingStateChanged", state="inactive"), "recording.changed"),
    ],
)
async def test_what_is_only_told_is_logged(app: App, caplog: pytest.LogCaptureFixture, text: str, line: str) -> None:
    """Nothing is written for it: a recording that is inactive may be paused (docs/acs-contract.md#states)."""
    caplog.set_level(logging.INFO, "recording")

    await receive(app, text)

    assert 1 == len(logged(caplog, line))
    assert ({}, {}) == (await listing(app.settings, "staging"), await listing(app.settings, "archive"))


async def test_a_start_that_failed_is_an_error(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """A call that was to be recorded isn't: the log has its ids and the reason."""
    await receive(app, callback("StartRecordingFailed", resultInformation={"code": 500, "message": "no\nway"}))

    [line] = logged(caplog, "recording.start_failed")
    assert (ID, SERVER_CALL, 500, "no\nway") == (
        line["recordingId"],
        line["serverCallId"],
        line["code"],
        line["message"],
    )
    assert [logging.ERROR] == [r.levelno for r in caplog.records if "start_failed" in r.getMessage()]


async def test_a_job_says_where_its_chunk_lies(app: App) -> None:
    """Exactly as the event has it (docs/acs-contract.md#storage-host)."""
    [job] = await receive(app, today(f"{OBJECT}/content/video"))

    assert (f"{OBJECT}/content/video", f"{OBJECT}/content/video-metadata") == (
        job.content_location,
        job.metadata_location,
    )


async def test_a_location_that_cannot_be_one_goes_to_quarantine_too(app: App) -> None:
    """The chunk is accepted without it, and the event is in quarantine."""
    [job] = await receive(app, today("https://x/\ny"))

    [kept] = await quarantined(app)
    assert job.content_location is None
    assert 2 == len(kept["reasons"])  # its metadata file's has the line break too


async def test_an_announced_recording_has_ended(app: App) -> None:
    """The event of Call Automation has the recording's id."""
    server_call = "aHR0cHM6Ly9hcGkuZmxpZ2h0cHJveHkuc2t5cGUuY29tL2M/aT0xPg=="
    event = today(f"{OBJECT}/content/video")
    event["subject"] = event["subject"].replace(SERVER_CALL, server_call)
    await receive(app, event)

    found = await app.endings.find(ID)
    assert found is not None
    assert ("announced", conversation.from_server_call_id(server_call)) == (found.evidence, found.conversation_id)
    assert "2026-03-01T10:00:06.620000+00:00" == found.at.isoformat()


async def test_a_server_call_id_that_is_none_costs_no_chunk(app: App) -> None:
    """The ending is noted without the call."""
    jobs = await receive(app, today(f"{OBJECT}/content/video"))

    found = await app.endings.find(ID)
    assert found is not None
    assert (1, None) == (len(jobs), found.conversation_id)


async def test_an_archive_that_is_down_keeps_no_chunk_from_staging(
    app: App, environment: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Only the chunks can be lost; the timer notes the ending from them."""
    storage = Blobs(read_settings(environment | {"ARCHIVE_CONTAINER": "not-there"}))

    jobs = await receive(assemble(app.settings, replace(app.clients, blobs=storage)), today(f"{OBJECT}/content/video"))
    await storage.aclose()

    assert (1, 1) == (len(jobs), len(logged(caplog, "ending.not_noted")))
    assert 1 == len(await listing(app.settings, "staging"))


async def test_what_was_exported_is_kept_as_a_fact_only(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """It is in the team's own storage (docs/acs-contract.md#own-storage): nothing is copied, nothing can be lost."""
    caplog.set_level(logging.INFO, "recording")
    event = today(TEAMS, storageType="AzureBlob", recordingId=ID)
    stopped = Ending(recording_id=ID, at=STOPPED, evidence="stopped through us")
    await app.endings.note(stopped)

    assert [] == await receive(app, event)
    assert [] == await receive(app, event)

    name = f"exports/2026/03/01/{KEY}-{event['id']}.json"
    assert event == await body_of(app.settings, "archive", name)
    assert {} == await listing(app.settings, "staging")
    lines = logged(caplog, "recording.exported")
    assert [(KEY, ID, [f"{DOCUMENT}0"], False), (KEY, ID, [f"{DOCUMENT}0"], True)] == [
        (line["recordingKey"], line["recordingId"], line["documentIds"], line["duplicate"]) for line in lines
    ]
    report = await sweep(app)
    assert ([], []) == (report.archived, report.incomplete)


async def test_an_export_of_an_erased_recording_comes_again_until_that_is_known(app: App) -> None:
    """Its facts in the archive would stay for good: unlike a chunk it has no deadline, and no job looks at it again."""
    stone = Tombstone(erasure=layout.key_digest(KEY), at=STOPPED, reason="objection")
    await app.tombstones.write(stone)
    app.tombstones._silent_until = float("inf")
    broken = FaultyBlobs(app.settings).on("read", name="archive/tombstones/", raises=ServiceRequestError("down"))

    with pytest.raises(ServiceRequestError):
        await receive(with_blobs(app, broken), today(TEAMS, storageType="AzureBlob", recordingId=ID))
    await broken.aclose()
    assert [] == await receive(app, today(TEAMS, storageType="AzureBlob", recordingId=ID))

    assert [layout.tombstone_blob(stone.erasure)] == list(await listing(app.settings, "archive"))


async def test_two_exports_under_one_event_id_are_both_kept(app: App) -> None:
    """As in staging: the content of each event must be kept."""
    await receive(app, today(TEAMS, storageType="AzureBlob"))
    await receive(app, today(TEAMS, TEAMS, storageType="AzureBlob"))

    assert 2 == len([name for name in await listing(app.settings, "archive") if name.startswith("exports/")])


async def test_a_failed_export_is_ingested(app: App) -> None:
    """It is on the service's storage host for 24 hours (docs/acs-contract.md#own-storage): it is a normal chunk."""
    jobs = await receive(app, today(f"{OBJECT}/content/video", storageType="AzureBlob", recordingId=ID))

    assert [f"{DOCUMENT}0"] == [job.document_id for job in jobs]
    assert [f"endings/{layout.recording_digest(ID)}.json"] == list(await listing(app.settings, "archive"))


async def test_an_export_that_failed_in_part_is_both(app: App) -> None:
    """Each chunk by itself: one in the team's storage has no deadline, the other is ingested."""
    event = today(TEAMS, f"{OBJECT}/content/video", storageType="AzureBlob", recordingId=ID)

    jobs = await receive(app, event)

    assert [(f"{DOCUMENT}1", 1)] == [(job.document_id, job.index) for job in jobs]
    assert [layout.event_blob(KEY, event["id"])] == list(await listing(app.settings, "staging"))
    assert event == await body_of(app.settings, "archive", layout.export_blob(KEY, event["id"]))


async def test_an_export_that_cannot_be_put_on_record_comes_again(app: App, environment: dict[str, str]) -> None:
    """There is no other fact of it."""
    storage = Blobs(read_settings(environment | {"ARCHIVE_CONTAINER": "not-there"}))

    with pytest.raises(Exception, match="ContainerNotFound"):
        await receive(
            assemble(app.settings, replace(app.clients, blobs=storage)), today(TEAMS, storageType="AzureBlob")
        )
    await storage.aclose()


async def test_what_is_still_at_the_service_is_kept_though_the_export_cannot_be_put_on_record(app: App) -> None:
    """It has a deadline, and the archive may be silent for hours; the event comes again for the rest."""
    event = today(TEAMS, f"{OBJECT}/content/video", storageType="AzureBlob", recordingId=ID)
    app.tombstones._silent_until = float("inf")
    for name in ("archive/tombstones/", "archive/exports/"):
        broken = FaultyBlobs(app.settings)
        for step in ("read", "create"):
            broken.on(step, name=name, raises=ServiceRequestError("down"))
        with pytest.raises(ServiceRequestError):
            await receive(with_blobs(app, broken), event)
        await broken.aclose()

        assert [layout.event_blob(KEY, event["id"])] == list(await listing(app.settings, "staging"))
        assert not [name for name in await listing(app.settings, "archive") if name.startswith("exports/")]

    assert [f"{DOCUMENT}1"] == [job.document_id for job in await receive(app, event)]
    assert event == await body_of(app.settings, "archive", layout.export_blob(KEY, event["id"]))
