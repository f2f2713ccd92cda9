"""recording/model/event_parser.py: what can't be understood is refused with a reason, and nothing else happens."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recording.errors import BadEvent
from recording.model import event_parser
from recording.model.events import AnnouncedChunk, FileStatusUpdated
from tests.support.events import EVENTS, JSON, NEARLY
from tests.support.samples import CALL, DOCUMENT, GOOD_CHUNK, file_status, parse_file_status, sample


def reason(text: str) -> str:
    """Return why an event is rejected."""
    with pytest.raises(BadEvent) as refused:
        event_parser.parse_event(text)
    return refused.value.message


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ({"documentId": "0-eus-d1-b", "index": -1}, "index: Input should be greater than or equal to 0"),
        ({"documentId": "0-eus-d1-b", "index": 100_000}, "index: Input should be less than or equal to 99999"),
        ({"documentId": "0-eus-d1-b", "index": 10**300}, "index: Input should be less than or equal to 99999"),
        ({"documentId": "0-eus-d1-b", "index": 1.5}, "index: Input should be a valid integer, got a number with"),
        ({"documentId": "0-eus-d1-b", "index": float("nan")}, "index: Input should be a finite number"),
        ({"documentId": "0-eus-d1-b", "index": float("inf")}, "index: Input should be a finite number"),
        ({"documentId": "0-eus-d1-b", "index": True}, "index: Value error, Input should be a number"),
        ({"documentId": "0-eus-d1-b", "index": None}, "index: Input should be a valid integer"),
        ({"documentId": "0-eus-d1-b", "index": [1]}, "index: Input should be a valid integer"),
        ({"documentId": "0-eus-d1-b"}, "index: Field required"),
        ({"index": 1}, "documentid: Field required"),
        ({"documentId": None, "index": 1}, "documentid: Input should be a valid string"),
        ({"documentId": 12, "index": 1}, "documentid: Input should be a valid string"),
        ({"documentId": "", "index": 1}, "documentId is not a document id"),
        ({"documentId": "..", "index": 1}, "documentId is not a document id"),
        ({"documentId": "0-eus/../../x", "index": 1}, "documentId is not a document id"),
        ({"documentId": "0-eus-d1-b%2F..", "index": 1}, "documentId is not a document id"),
        ({"documentId": "0-eus-d1-b\n", "index": 1}, "documentId is not a document id"),
        ({"documentId": "0-eus-d1-ü", "index": 1}, "documentId is not a document id"),
        ({"documentId": "0-eus-d1-" + "a" * 120, "index": 1}, "documentId is not a document id"),
        ({"documentId": "a" * 1_000_000, "index": 1}, "documentId is not a document id"),
        ("0-eus-d1-b", "data: Input should be a valid dictionary"),
        (None, "data: Input should be a valid dictionary"),
        ([], "data: Input should be a valid dictionary"),
    ],
)
def test_a_bad_chunk_does_not_cost_the_good_ones(bad: Any, problem: str) -> None:
    """What can't be understood among the chunks is named; the others are accepted."""
    got = parse_file_status(file_status(chunks=[bad, GOOD_CHUNK]))

    assert (AnnouncedChunk(DOCUMENT, 0, "SessionEnded"),) == got.chunks
    assert len(got.problems) == 1
    assert got.problems[0].startswith(f"chunk entry 0: {problem}")


def test_nothing_but_bad_chunks() -> None:
    """An event of which no chunk can be understood is refused with every reason."""
    bad = [{"documentId": "..", "index": 0}, {"documentId": DOCUMENT, "index": -1}]

    expected = "chunk entry 0: documentId is not a document id; chunk entry 1: index: Input should be greater than or"
    assert reason(file_status(chunks=bad)).startswith(expected)


def test_two_documents_with_one_index_are_both_kept() -> None:
    """A duplicate index is named as a problem, but neither document is dropped."""
    got = parse_file_status(file_status(chunks=[GOOD_CHUNK, {"documentId": "0-eus-d1-b", "index": 0}]))

    assert ["0-eus-d1-b", DOCUMENT] == [c.document_id for c in got.chunks]
    assert ("chunk entry 1: another document has index 0 too",) == got.problems


def test_a_document_at_two_indexes_is_kept_once() -> None:
    """A document at two indexes keeps the first one."""
    got = parse_file_status(file_status(chunks=[GOOD_CHUNK, {"documentId": DOCUMENT, "index": 1}]))

    assert [0] == [c.index for c in got.chunks]
    assert ("chunk entry 1: the document is already listed at index 0",) == got.problems


def test_an_entry_that_is_there_twice_is_one_chunk() -> None:
    """An exact repetition is no problem at all."""
    got = parse_file_status(file_status(chunks=[GOOD_CHUNK, GOOD_CHUNK]))

    assert ((AnnouncedChunk(DOCUMENT, 0, "SessionEnded"),), ()) == (got.chunks, got.problems)


def test_an_index_as_text_is_taken() -> None:
    """An index that comes as a numeral in a string costs no recording."""
    assert [3] == [c.index for c in parse_file_status(file_status(chunks=[GOOD_CHUNK | {"index": "3"}])).chunks]


@pytest.mark.parametrize("odd", [None, 5, 6620.5, float("nan"), 10**300, [], {}, True])
def test_members_that_are_only_told_on_cost_no_recording(odd: Any) -> None:
    """A member that only informs may have any type: the chunks are accepted anyway."""
    chunks = [GOOD_CHUNK | {"endReason": odd}]

    got = parse_file_status(file_status(chunks=chunks, sessionEndReason=odd, recordingDurationMs=odd))

    assert [DOCUMENT] == [c.document_id for c in got.chunks]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the event is not JSON"),
        ("{", "the event is not JSON"),
        ("\ufeff{}", "the event is not JSON"),
        ("[" * 200_000, "the event is not JSON"),
        ("1" * 5_000, "the event is not JSON"),
        ("null", "an event is a JSON object"),
        ("NaN", "an event is a JSON object"),
        ('"text"', "an event is a JSON object"),
        ("[]", "an event is a JSON object"),
        ("{}", "the event has neither eventType (Event Grid schema) nor type (CloudEvents)"),
        ('{"eventType": 5}', "the event has neither eventType (Event Grid schema) nor type (CloudEvents)"),
        ('{"eventType": ["a"]}', "the event has neither eventType (Event Grid schema) nor type (CloudEvents)"),
    ],
)
def test_what_is_no_event(text: str, expected: str) -> None:
    """What isn't an event at all is refused with the reason."""
    assert expected == reason(text)


TIMELESS = "the event has no eventTime (or time) in ISO 8601"
CALLLESS = "the subject does not name a call: expected /recording/call/{call-id}"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"chunks": []}, "the event announces no chunk"),
        ({"chunks": None, "recordingStorageInfo": {}}, "recordingstorageinfo.recordingchunks: Field required"),
        ({"recordingStorageInfo": None}, "recordingstorageinfo: Input should be a valid dictionary or instance of"),
        ({"recordingStorageInfo": {"recordingChunks": {}}}, "recordingstorageinfo.recordingchunks: Input should be a"),
        ({"recordingStorageInfo": {"recordingChunks": "x"}}, "recordingstorageinfo.recordingchunks: Input should be a"),
        ({"data": None}, "data: Input should be a valid dictionary or instance of"),
        ({"data": []}, "data: Input should be a valid dictionary or instance of"),
        ({"data": "text"}, "data: Input should be a valid dictionary or instance of"),
        ({"eventTime": None}, TIMELESS),
        ({"eventTime": ""}, TIMELESS),
        ({"eventTime": "yesterday"}, TIMELESS),
        ({"eventTime": 1627399234}, TIMELESS),
        ({"eventTime": "0001-01-01T00:00:00+14:00"}, TIMELESS),
        ({"eventTime": "9999-12-31T23:59:59-14:00"}, TIMELESS),
        ({"eventTime": "9999-12-31T23:59:59Z"}, "eventTime (or time) is in the year 9999, which is not plausible"),
        ({"eventTime": "0001-01-01T00:00:00Z"}, "eventTime (or time) is in the year 1, which is not plausible"),
        ({"subject": None}, CALLLESS),
        ({"subject": 5}, CALLLESS),
        ({"subject": "/recording/call/"}, CALLLESS),
        ({"subject": "/recording/call/.."}, CALLLESS),
        ({"subject": "/recording/call/a%2Fb"}, CALLLESS),
        ({"subject": "/recording/call/a b"}, CALLLESS),
        ({"subject": f"/recording/call/{CALL}\n"}, CALLLESS),
        ({"subject": f"/recording/call/{CALL}/"}, CALLLESS),
        ({"subject": "/recording/call/" + "a" * 65}, CALLLESS),
        ({"subject": "/recording/call/" + "a" * 1_000_000}, CALLLESS),
        ({"subject": "/somewhere/else"}, CALLLESS),
        ({"subject": f"/recording/call/{CALL}/serverCallId/\ud800"}, CALLLESS),
    ],
)
def test_file_events_that_cannot_be_understood(changes: dict[str, Any], expected: str) -> None:
    """A file event without a required member is refused with a reason that names the part."""
    assert reason(file_status(**changes)).startswith(expected)


def test_a_subject_of_many_parts_is_read_at_once() -> None:
    """A subject made to keep a regular expression busy is refused in no time."""
    subject = "/recording/call/a/serverCallId/" + "/recordingId/x" * 20_000 + "\n/"

    assert reason(file_status(subject=subject)) == CALLLESS


@pytest.mark.parametrize("depth", [900, 3_000, 9_000])
def test_deep_nesting_elsewhere_is_no_matter(depth: int) -> None:
    """Members that nobody reads may be nested as deeply as the JSON parser accepts."""
    text = file_status().replace('"CallEnded"', '{"a":' * depth + "1" + "}" * depth)

    try:
        got = parse_file_status(text)
    except BadEvent as bad:
        assert bad.message == "the event is not JSON"  # noqa: PT017 - either is right, by the parser's own limit
    else:
        assert [DOCUMENT] == [c.document_id for c in got.chunks]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"ConversationId": None}, "Established without a conversation id"),
        ({"ConversationId": ""}, "conversationid: String should have at least 1 character"),
        ({"ConversationId": "a" * 5_000}, "conversationid: String should have at most 4096 characters"),
        ({"ConversationId": 5}, "conversationid: Input should be a valid string"),
        ({"CallLegId": None}, "calllegid: Input should be a valid string"),
        ({"CallLegId": ""}, "calllegid: String should have at least 1 character"),
        ({"CallState": "Sleeping"}, "callstate: Input should be 'Establishing', 'Established', 'Terminating' or"),
        ({"CallState": None}, "callstate: Input should be 'Establishing', 'Established', 'Terminating' or"),
    ],
)
def test_call_leg_events_that_cannot_be_understood(changes: dict[str, Any], expected: str) -> None:
    """A call-leg event without a required member is refused with a reason that names the part."""
    event = sample("call-leg-established")
    event["data"] |= changes

    assert reason(json.dumps(event)).startswith(expected)


def test_a_reason_never_repeats_what_was_sent() -> None:
    """The reason names the member, not its value: that may be a secret or very long."""
    event = sample("call-leg-established")
    event["data"]["CallState"] = "s3cret"

    assert "s3cret" not in reason(json.dumps(event))


def is_taken_or_refused(text: str) -> bool:
    """Check that a text is either an event or a BadEvent; anything else is raised."""
    try:
        for one in event_parser.split_events(text):
            event = event_parser.parse_event(one)
            if isinstance(event, FileStatusUpdated):
                assert event.chunks or event.exported
                for chunk in (*event.chunks, *event.exported):
                    assert (chunk.content_location or "").isascii()
                assert event.end is None or event.end >= event.start
                f"{event.recording_id}{event.server_call_id}".encode()
                assert event.recording_key.endswith(event.call_id)
            event.id.encode("ascii")
    except BadEvent as bad:
        bad.message.encode()
    return True


@given(NEARLY | EVENTS | st.lists(NEARLY | EVENTS, max_size=3) | JSON)
@settings(max_examples=250, deadline=None)
def test_no_json_does_more_than_be_refused(value: Any) -> None:
    """Whatever JSON comes, it is an event or a BadEvent."""
    assert is_taken_or_refused(json.dumps(value))


@given(st.text())
@settings(max_examples=100, deadline=None)
def test_no_text_does_more_than_be_refused(text: str) -> None:
    """Whatever text comes, it is an event or a BadEvent."""
    assert is_taken_or_refused(text)
