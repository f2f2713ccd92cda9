"""recording/model/event_parser.py: closed vocabularies fail loudly and to the safe side."""

import json
from typing import Any

import pytest

from recording.errors import BadEvent
from recording.model import event_parser, events
from recording.model.events import CallEnded, CallLegStateChanged, CallStarted, FileStatusUpdated, OtherEvent
from tests.support.events import call_event
from tests.support.forms import base64_of
from tests.support.samples import DOCUMENT, GOOD_CHUNK, file_status, parse_file_status, sample

TEAMS = "https://team.blob.core.windows.net/calls/20210727/x/0-video.mp4"
SERVICE = f"https://storage.asm.skype.com/v1/objects/{DOCUMENT}/content/video"
UNKNOWN = "storageType is unknown; the chunks are fetched"
NOWHERE = "storageType says that the chunks were exported; those without contentLocation are fetched"


def stored(storage_type: Any, location: str | None) -> FileStatusUpdated:
    """Parse a file event whose chunk is somewhere, by its storage type and by its location."""
    event = sample("file-status-2021")
    event["data"]["storageType"] = storage_type
    event["data"]["recordingStorageInfo"]["recordingChunks"] = [GOOD_CHUNK | {"contentLocation": location}]
    return parse_file_status(json.dumps(event))


@pytest.mark.parametrize("location", [None, SERVICE, TEAMS])
@pytest.mark.parametrize("word", ["ACS", "acsstorage", "AzureBlobStorageV2", "s3", "Azure Blob"])
def test_an_unknown_storage_type_is_fetched_and_reported(word: str, location: str | None) -> None:
    """Copy this must never turn into nothing to do."""
    got = stored(word, location)

    assert ([DOCUMENT], (), (UNKNOWN,)) == ([c.document_id for c in got.chunks], got.exported, got.derived)


@pytest.mark.parametrize("location", [None, SERVICE, TEAMS])
@pytest.mark.parametrize(
    "word", ["azureCommunicationServices", "AZURECOMMUNICATIONSERVICES", " azurecommunicationservices", "", None, 5, {}]
)
def test_the_services_storage_is_fetched_in_any_case(word: Any, location: str | None) -> None:
    """The service's own word in any case, or no word at all."""
    got = stored(word, location)

    assert ([DOCUMENT], (), ()) == ([c.document_id for c in got.chunks], got.exported, got.derived)


@pytest.mark.parametrize("word", ["AzureBlob", "azureblob", "AZUREBLOBSTORAGE", "azureBlobStorage "])
def test_a_storage_type_without_the_location_it_implies_is_fetched(word: str) -> None:
    """Only a location in the team's storage says that nothing is left to do."""
    nowhere, failed, exported = stored(word, None), stored(word, SERVICE), stored(word, TEAMS)

    assert ([DOCUMENT], (NOWHERE,)) == ([c.document_id for c in nowhere.chunks], nowhere.derived)
    assert ([DOCUMENT], ()) == ([c.document_id for c in failed.chunks], failed.derived)
    assert ((), [DOCUMENT], ()) == (exported.chunks, [c.document_id for c in exported.exported], exported.derived)


@pytest.mark.parametrize("member", ["eventType", "type"])
@pytest.mark.parametrize("change", [str.upper, str.lower, str.swapcase, lambda name: f" {name}\n"])
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (events.FILE_STATUS_UPDATED, FileStatusUpdated),
        (events.CALL_STARTED, CallStarted),
        (events.CALL_ENDED, CallEnded),
    ],
)
def test_event_types_are_compared_without_case(kind: str, expected: type, change: Any, member: str) -> None:
    """In either schema, and a file event is not taken for an unknown type."""
    event = sample("file-status-2021") if expected is FileStatusUpdated else call_event("CallStarted")
    del event["eventType"]

    got = event_parser.parse_event(json.dumps(event | {member: change(kind)}))

    assert (expected, ()) == (type(got), getattr(got, "derived", ()))


@pytest.mark.parametrize(
    "kind",
    [
        "Microsoft.Communication.RecordingFileStatusUpdatedV2",
        "RecordingFileStatus",
        "x",
        "",
        None,
        5,
        events.CALL_ENDED,
    ],
)
@pytest.mark.parametrize("change", [lambda name: name, str.upper, str.lower])
def test_an_unknown_type_that_carries_recording_chunks_is_handled_as_the_type_it_resembles(
    kind: Any, change: Any
) -> None:
    """Whatever the case of the members' names; it is noted."""
    info = {change("recordingStorageInfo"): {change("recordingChunks"): [GOOD_CHUNK]}}
    event = sample("file-status-2021")

    got = parse_file_status(json.dumps(event | {"eventType": kind, "data": info}))

    assert [DOCUMENT] == [c.document_id for c in got.chunks]
    assert (
        "the type is not Microsoft.Communication.RecordingFileStatusUpdated, but the event announces" in got.derived[0]
    )


def test_chunks_in_other_forms_are_understood() -> None:
    """One without a list around it, and JSON in a text."""
    event = sample("file-status-2021")
    forms = [GOOD_CHUNK, json.dumps(GOOD_CHUNK), json.dumps([GOOD_CHUNK]), [json.dumps(GOOD_CHUNK)]]

    for form in forms:
        for info in ({"recordingChunks": form}, json.dumps({"recordingChunks": form})):
            event["data"]["recordingStorageInfo"] = info
            for kind in (events.FILE_STATUS_UPDATED, "x"):
                got = parse_file_status(json.dumps(event | {"eventType": kind}))
                assert [DOCUMENT] == [c.document_id for c in got.chunks]


@pytest.mark.parametrize("place", ["recordingStorageInfo", "data"])
def test_chunks_beside_the_list_of_chunks_are_a_problem_and_cost_the_others_nothing(place: str) -> None:
    """The event is in quarantine, too: what nobody understands must be on record."""
    event = sample("file-status-2021")
    event["data"]["recordingStorageInfo"] = {"recordingChunks": [GOOD_CHUNK]}
    parent = event["data"] if place == "data" else event["data"]["recordingStorageInfo"]
    parent["more"] = [GOOD_CHUNK | {"documentId": DOCUMENT + "0"}]

    got = parse_file_status(json.dumps(event))

    assert [DOCUMENT] == [chunk.document_id for chunk in got.chunks]
    assert ("it also has recording chunks outside recordingChunks, in an unknown form",) == got.problems


@pytest.mark.parametrize("chunks", [["x"], [{}], [None], {"documentId": ".."}])
def test_chunks_of_an_unknown_type_that_cannot_be_understood_are_quarantined(chunks: Any) -> None:
    """They are not ignored."""
    data = {"recordingStorageInfo": {"recordingChunks": chunks}}

    with pytest.raises(BadEvent, match=r"^chunk entry 0: "):
        event_parser.parse_event(json.dumps({"eventType": "x", "data": data}))


@pytest.mark.parametrize(
    "form",
    [
        {"recordingStorageInfo": [{"recordingChunks": [GOOD_CHUNK]}]},
        {"recordingChunks": [GOOD_CHUNK]},
        {"RECORDINGCHUNKS": {"0": "x"}},
        {"storage": {"chunks": [{"DocumentId": DOCUMENT}]}},
        {"files": [{"contentLocation": SERVICE}]},
        [GOOD_CHUNK],
        json.dumps(json.dumps({"files": [json.dumps(GOOD_CHUNK)]})),
    ],
)
@pytest.mark.parametrize("member", ["data", "data_base64", "payload"])
@pytest.mark.parametrize("kind", ["x", events.CALL_ENDED, events.CALL_LEG_STATE_CHANGED])
def test_chunks_of_another_type_in_an_unknown_form_are_quarantined(form: Any, member: str, kind: str) -> None:
    """The next version of the service may move them: then they are on record, and can be replayed."""
    text = json.dumps({"id": "1", "type": kind, member: base64_of(form) if member == "data_base64" else form})

    with pytest.raises(BadEvent, match=r"^the event is of another type, but has recording chunks"):
        event_parser.parse_event(text)


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "documentId",
        {"message": "documentId, recordingChunks"},
        {"recordingStorageInfo": None},
        {"recordingStorageInfo": {}},
        {"recordingStorageInfo": {"recordingChunks": []}},
    ],
)
def test_an_unknown_type_without_chunks_is_ignored(data: Any) -> None:
    """There is nothing in it for the app; its type is shortened, since it reaches a log line."""
    got = event_parser.parse_event(json.dumps({"id": "1", "eventType": "x" * 10_000, "data": data}))

    assert OtherEvent("1", "x" * 256) == got


@pytest.mark.parametrize("state", ["established", "ESTABLISHED", "Established"])
def test_a_call_state_is_compared_without_case(state: str) -> None:
    """With AUTO_RECORD it starts a recording."""
    event = sample("call-leg-established")
    event["data"]["CallState"] = state

    got = event_parser.parse_event(json.dumps(event))

    assert isinstance(got, CallLegStateChanged)
    assert "Established" == got.state


@pytest.mark.parametrize("name", ["call-leg-established", "recording-state"])
@pytest.mark.parametrize("odd", [None, "", "yesterday", 5, "0001-01-01T00:00:00Z"])
def test_a_time_that_is_only_logged_quarantines_no_event(name: str, odd: Any) -> None:
    """Neither a start by AUTO_RECORD nor a state depends on it."""
    got = event_parser.parse_event(json.dumps(sample(name) | {"eventTime": odd}))

    assert not isinstance(got, OtherEvent)
    assert getattr(got, "time", "") is None


def test_fields_that_are_only_passed_on_have_a_length() -> None:
    """Texts are shortened; an id that is too long is none, since its beginning would be another id."""
    long = "a" * 1_000_000
    got = parse_file_status(
        file_status(
            chunks=[GOOD_CHUNK | {"endReason": long}],
            sessionEndReason=long,
            subject=f"/recording/call/a/serverCallId/{long}/recordingId/{long}",
        )
    )

    assert (1024, 1024) == (len(got.session_end_reason or ""), len(got.chunks[0].end_reason or ""))
    assert (None, None, "a") == (got.recording_id, got.server_call_id, got.call_id)
