"""recording/model/event_parser.py: what can't be understood is refused with a reason, and nothing else happens."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recording.errors import BadEvent
from recording.model import event_parser, layout
from recording.model.envelope import split_events
from recording.model.events import AnnouncedChunk, FileStatusUpdated
from tests.support.events import EVENTS, JSON, NEARLY
from tests.support.samples import DOCUMENT, GOOD_CHUNK, file_status, parse_file_status, sample


def reason(text: str) -> str:
    """Return why an event is rejected."""
    with pytest.raises(BadEvent) as refused:
        event_parser.parse_event(text)
    return refused.value.message


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ({"index": 1}, "documentId is not a document id"),
        ({"documentId": None, "index": 1}, "documentId is not a document id"),
        ({"documentId": 12, "index": 1}, "documentId is not a document id"),
        ({"documentId": "", "index": 1}, "documentId is not a document id"),
        ({"documentId": "..", "index": 1}, "documentId is not a document id"),
        ({"documentId": "0-eus/../../x", "index": 1}, "documentId is not a document id"),
        ({"documentId": "0-eus-d1-b%2F..", "index": 1}, "documentId is not a document id"),
        ({"documentId": "0-eus-d1-b\n", "index": 1}, "documentId is not a document id"),
        ({"documentId": "0-eus-d1-ü", "index": 1}, "documentId is not a document id"),
        ({"documentId": "a" * 1_000_000, "index": 1}, "documentId is not a document id"),
        ("0-eus-d1-b", "data: Input should be a valid dictionary"),
        (None, "data: Input should be a valid dictionary"),
        ([], "data: Input should be a valid dictionary"),
    ],
)
def test_a_bad_chunk_does_not_cost_the_good_ones(bad: Any, problem: str) -> None:
    """What names no document is listed with its reason; the others are taken."""
    got = parse_file_status(file_status(chunks=[bad, GOOD_CHUNK]))

    assert (AnnouncedChunk(DOCUMENT, 0, "SessionEnded"),) == got.chunks
    assert len(got.problems) == 1
    assert got.problems[0].startswith(f"chunk entry 0: {problem}")


def test_nothing_but_bad_chunks() -> None:
    """An event of which no chunk can be understood is refused with every reason."""
    bad = [{"documentId": "..", "index": 0}, {"documentId": "a/b", "index": 1}, 5]

    expected = "chunk entries 0, 1: documentId is not a document id; chunk entry 2: data: Input should be a valid dict"
    assert reason(file_status(chunks=bad)).startswith(expected)


def test_thousands_of_bad_chunks_make_one_reason() -> None:
    """It lists some of them and counts the others: it reaches a log line."""
    got = parse_file_status(file_status(chunks=[*[None] * 9000, GOOD_CHUNK]))

    [problem] = got.problems
    assert problem.startswith("chunk entries 0, 1, 2, 3, 4 and 8995 more: data: ")


def test_two_documents_with_one_index_are_both_kept() -> None:
    """A duplicate index is noted; both documents are fetched."""
    got = parse_file_status(file_status(chunks=[GOOD_CHUNK, {"documentId": "0-eus-d1-b", "index": 0}]))

    assert [("0-eus-d1-b", 0), (DOCUMENT, 0)] == [(c.document_id, c.index) for c in got.chunks]
    assert ((), ("chunk entry 1: another document has this index, too",)) == (got.problems, got.derived)


def test_a_document_at_two_indices_is_kept_at_both() -> None:
    """The manifest lists it once, at both; nothing of it is a problem."""
    got = parse_file_status(file_status(chunks=[{"documentId": "0-a", "index": i} for i in (1, 0, 1)]))

    assert ([0, 1], ()) == ([c.index for c in got.chunks], got.problems)


def test_what_only_another_entry_says_of_a_document_is_used() -> None:
    """The first entry has no location of the bytes: the Call Automation API can't fetch them without."""
    where = {"contentLocation": "https://a.asm.skype.com/v1/objects/x/content/video"}

    [got] = parse_file_status(file_status(chunks=[GOOD_CHUNK, GOOD_CHUNK | where])).chunks

    assert where["contentLocation"] == got.content_location


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


def test_half_of_a_surrogate_pair_is_escaped() -> None:
    """A manifest with it could never be written."""
    odd = "Ended\ud83d"
    got = parse_file_status(file_status(chunks=[GOOD_CHUNK | {"endReason": odd}], sessionEndReason=odd))

    assert (r"Ended\ud83d", r"Ended\ud83d") == (got.session_end_reason, got.chunks[0].end_reason)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the event is not JSON"),
        ("{", "the event is not JSON"),
        ("\ufeff{}", "the event has neither eventType (Event Grid schema) nor type (CloudEvents)"),
        ("[" * 200_000, "the event is not JSON"),
        ("1" * 5_000, "an event is a JSON object"),
        ("null", "an event is a JSON object"),
        ("NaN", "an event is a JSON object"),
        ('"text"', "the event is not JSON"),
        ("[]", "an event is a JSON object"),
        ("{}", "the event has neither eventType (Event Grid schema) nor type (CloudEvents)"),
        ('{"eventType": 5}', "the event has neither eventType (Event Grid schema) nor type (CloudEvents)"),
        ('{"eventType": ["a"]}', "the event has neither eventType (Event Grid schema) nor type (CloudEvents)"),
    ],
)
def test_what_is_no_event(text: str, expected: str) -> None:
    """What isn't an event at all is refused with the reason."""
    assert expected == reason(text)


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
    ],
)
def test_file_events_that_cannot_be_understood(changes: dict[str, Any], expected: str) -> None:
    """A file event that names no chunk is refused with a reason that names the part."""
    assert reason(file_status(**changes)).startswith(expected)


def test_a_subject_of_many_parts_is_read_at_once() -> None:
    """A subject made to keep a regular expression busy takes no time."""
    for subject in (
        "/recording/call/a/serverCallId/" + "/recordingId/x" * 20_000 + "\n/",
        "/serverCallId/" * 20_000,
        "/recordingId/" * 20_000,
    ):
        begun = time.monotonic()
        parse_file_status(file_status(subject=subject))
        assert time.monotonic() - begun < 0.5


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
        for one in split_events(text.encode(errors="surrogatepass")):
            event = event_parser.parse_event(one)
            if isinstance(event, FileStatusUpdated):
                assert event.chunks or event.exported
                for chunk in (*event.chunks, *event.exported):
                    assert (chunk.content_location or "").isascii()
                assert event.end is None or event.end >= event.start
                f"{event.recording_id}{event.server_call_id}{event.derived}{event.session_end_reason}".encode()
                "".join(chunk.end_reason or "" for chunk in event.chunks).encode()
                assert layout.is_recording_key(event.recording_key)
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
