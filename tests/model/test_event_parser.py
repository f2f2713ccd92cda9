"""recording/model/event_parser.py: what the service sends becomes typed events."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from recording.errors import BadEvent
from recording.model import event_parser
from recording.model.events import (
    AnnouncedChunk,
    CallLegStateChanged,
    FileStatusUpdated,
    OtherEvent,
    RecordingStateChanged,
)
from tests.support.samples import (
    CALL,
    CONVERSATION,
    DATA,
    DOCUMENT,
    KEY,
    LEG,
    RECORDING,
    as_cloud_event,
    file_status,
    parse_file_status,
    sample,
    with_case,
)


@pytest.mark.parametrize("pascal", [True, False], ids=["PascalCase", "camelCase"])
@pytest.mark.parametrize("cloud", [True, False], ids=["CloudEvents", "EventGrid"])
@pytest.mark.parametrize(
    ("name", "conversation", "state"),
    [
        ("call-leg-establishing", None, "Establishing"),
        ("call-leg-established", CONVERSATION, "Established"),
        ("call-leg-terminating", CONVERSATION, "Terminating"),
        ("call-leg-terminated", CONVERSATION, "Terminated"),
    ],
)
def test_call_leg(name: str, conversation: str | None, state: str, *, cloud: bool, pascal: bool) -> None:
    """All four documented call-leg states are understood, in either schema and either casing."""
    event = sample(name)
    event["data"] = with_case(event["data"], pascal=pascal)
    text = json.dumps(as_cloud_event(event) if cloud else event)

    got = event_parser.parse_event(text)

    assert isinstance(got, CallLegStateChanged)
    assert (
        datetime(2021, 5, 5, 20, 8, 39, 15796, UTC),
        LEG,
        conversation,
        state,
    ) == (got.time, got.call_leg_id, got.conversation_id, got.state)


def test_an_event_without_id_is_named_by_its_text() -> None:
    """A callback has `id: null`: the same text gets the same safe name, another text another."""
    first, again, other = (
        event_parser.parse_event(json.dumps(sample(name)))
        for name in ("call-leg-established", "call-leg-established", "call-leg-terminated")
    )

    assert first.id.startswith("sha256-")
    assert first.id == again.id != other.id


@pytest.mark.parametrize("given", ["../../etc/passwd", "a/b", "", ".", "a b", "ü", "x" * 129, 7, None, ["a"], {}])
def test_an_event_id_that_is_unsafe_in_a_path_is_replaced(given: Any) -> None:
    """An id that can't be part of a blob's name is replaced by a digest of the event."""
    assert event_parser.parse_event(file_status(id=given)).id.startswith("sha256-")


@pytest.mark.parametrize("pascal", [True, False], ids=["PascalCase", "camelCase"])
def test_recording_state(*, pascal: bool) -> None:
    """The recording-state callback is understood in either casing; its state is lower-cased."""
    event = sample("recording-state")
    event["data"] = with_case(event["data"] | {"State": "Active"}, pascal=pascal)

    got = event_parser.parse_event(json.dumps(event))

    assert isinstance(got, RecordingStateChanged)
    assert (
        datetime(2021, 4, 14, 16, 32, 40, 511500, UTC),
        RECORDING,
        CONVERSATION,
        "active",
    ) == (got.time, got.recording_id, got.conversation_id, got.state)


STORAGE = f"https://storage.asm.skype.com/v1/objects/{DOCUMENT}"
TODAY = AnnouncedChunk(
    DOCUMENT,
    0,
    "SessionEnded",
    content_location=f"{STORAGE}/content/video",
    metadata_location=f"{STORAGE}/content/acsmetadata",
    delete_location=f"https://us-storage.asm.skype.com/v1/objects/{DOCUMENT}",
)


@pytest.mark.parametrize("pascal", [True, False], ids=["PascalCase", "camelCase"])
@pytest.mark.parametrize(
    ("name", "server_call", "recording", "chunk", "types"),
    [
        ("file-status-2021", None, None, AnnouncedChunk(DOCUMENT, 0, "SessionEnded"), (None, None, None)),
        (
            "file-status-today",
            "aHR0cHM6Ly9hcGkuZmxpZ2h0cHJveHkuc2t5cGUuY29t/L2FwaS92Mi9jcA==",
            RECORDING,
            TODAY,
            ("audio", "mixed", "mp3"),
        ),
        ("file-status-cloud-event", None, RECORDING, TODAY, ("audioVideo", "mixed", "mp4")),
    ],
)
def test_file_status(
    name: str,
    server_call: str | None,
    recording: str | None,
    chunk: AnnouncedChunk,
    types: tuple[Any, Any, Any],
    *,
    pascal: bool,
) -> None:
    """The documented file events of both APIs are parsed, in either casing."""
    event = sample(name)
    event["data"] = with_case(event["data"], pascal=pascal)

    expected = FileStatusUpdated(
        id="7283825e-f8f1-4c61-a9ea-752c56890500",
        time=datetime(2021, 7, 27, 15, 20, 34, 219932, UTC),
        call_id=CALL,
        recording_id=recording,
        server_call_id=server_call,
        start=datetime(2021, 7, 27, 15, 20, 23, 608975, UTC),
        duration_ms=6620,
        session_end_reason="CallEnded",
        chunks=(chunk,),
        content_type=types[0],
        channel_type=types[1],
        format_type=types[2],
    )
    assert expected == event_parser.parse_event(json.dumps(event))


def test_the_schemas_agree() -> None:
    """One event gives the same value in the Event Grid schema and as a CloudEvent."""
    event = sample("file-status-today")

    assert event_parser.parse_event(json.dumps(event)) == event_parser.parse_event(json.dumps(as_cloud_event(event)))


def test_the_recording_key_is_of_the_recording() -> None:
    """Every event of a recording gives the same key, whatever else it says."""
    one = parse_file_status(file_status())
    two = parse_file_status(file_status(id="other", eventTime="2021-07-27T19:00:00+02:00"))

    assert [KEY, KEY] == [one.recording_key, two.recording_key]


def test_null_envelope_members() -> None:
    """Members of the envelope that are null or absent but not needed cost nothing."""
    event = sample("file-status-2021") | {"topic": None, "dataVersion": None, "metadataVersion": None, "id": None}
    bare = {name: event[name] for name in ("subject", "data", "eventType", "eventTime")}

    assert parse_file_status(json.dumps(event)).chunks == parse_file_status(json.dumps(bare)).chunks


def test_other_events_are_told_apart() -> None:
    """An event of another type is no error."""
    text = json.dumps({"id": "a", "eventType": "Microsoft.Communication.SMSReceived", "data": None})

    assert OtherEvent("a", "Microsoft.Communication.SMSReceived") == event_parser.parse_event(text)


def test_chunks_are_put_in_order() -> None:
    """Chunks come out by index, whatever their order in the event."""
    chunks = [{"documentId": f"0-eus-d1-{n}", "index": n} for n in (2, 0, 1)]

    got = parse_file_status(file_status(chunks=chunks))

    assert [(0, None), (1, None), (2, None)] == [(c.index, c.end_reason) for c in got.chunks]


def test_parse_all_keeps_one_event_as_it_was_received() -> None:
    """A body of one event is handed on letter by letter."""
    text = (DATA / "call-leg-established.json").read_text()

    assert [text] == event_parser.split_events(text)


def test_parse_all_splits_an_array() -> None:
    """A body of several events gives the text of each, in order."""
    sent = [sample("call-leg-established"), sample("recording-state"), {"eventType": "ü\ud800"}]

    assert sent == [json.loads(text) for text in event_parser.split_events(json.dumps(sent))]


def test_parse_all_gives_text_that_can_be_written() -> None:
    """Half of a surrogate pair, which JSON may hold escaped, stays escaped: it has no UTF-8."""
    [text] = event_parser.split_events('[{"eventType": "\\ud800"}]')

    assert text.encode() == b'{"eventType": "\\ud800"}'
    assert event_parser.parse_event(text).id.startswith("sha256-")


@pytest.mark.parametrize("text", ["", "5", "null", '"text"', "[1]", "[[]]", "[{}, null]", "[" * 200_000])
def test_parse_all_refuses_what_holds_no_events(text: str) -> None:
    """A body that is neither one event nor an array of them is refused."""
    with pytest.raises(BadEvent):
        event_parser.split_events(text)
