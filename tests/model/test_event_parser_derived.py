"""recording/model/event_parser.py: a field that only names never costs bytes."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings

from recording.errors import BadEvent
from recording.model import event_parser, layout
from recording.model.events import FileStatusUpdated
from recording.model.job import ChunkJob
from tests.support.events import JSON, TIMES
from tests.support.samples import (
    CALL,
    DOCUMENT,
    GOOD_CHUNK,
    KEY,
    RECORDING,
    as_cloud_event,
    file_status,
    parse_file_status,
    sample,
)

END = datetime(2021, 7, 27, 15, 20, 30, 228975, UTC)
ODD_TIMES: list[Any] = [
    None,
    "",
    "yesterday",
    "Tue, 27 Jul 2021 15:20:34 GMT",
    1627399234,
    True,
    [],
    {},
    "0001-01-01T00:00:00Z",
]


def digest(text: str) -> str:
    """Derive a name as the layout says it."""
    return f"derived-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


@pytest.mark.parametrize("odd", [*ODD_TIMES, "9999-12-31T23:59:59-14:00"])
def test_an_event_without_a_time_is_taken(odd: Any) -> None:
    """A CloudEvent need not have one: the recording's end stands in, which comes right before the event."""
    got = parse_file_status(file_status(eventTime=odd))

    assert (END, KEY, [DOCUMENT]) == (got.time, got.recording_key, [c.document_id for c in got.chunks])
    [note] = got.derived
    assert note.endswith("; using the end of the recording instead")
    assert () == got.problems


def test_a_cloud_event_without_time_is_taken() -> None:
    """`time` is optional in CloudEvents; without the duration the start stands in."""
    event = as_cloud_event(sample("file-status-2021"))
    del event["time"], event["data"]["recordingDurationMs"]

    got = parse_file_status(json.dumps(event))

    assert (got.start, KEY) == (got.time, got.recording_key)
    assert (
        "the event has no eventTime (or time) in ISO 8601; using the start of the recording instead",
    ) == got.derived


@pytest.mark.parametrize("odd", ODD_TIMES)
def test_an_event_that_says_nothing_of_time_is_taken(odd: Any) -> None:
    """The same key in every delivery, and a time that no receipt can come after: it never makes a chunk late."""
    got = parse_file_status(file_status(eventTime=odd, recordingStartTime=odd))

    assert (f"20000101T000000000000Z-{CALL}", datetime(2999, 12, 31, tzinfo=UTC)) == (got.recording_key, got.time)
    assert [True, True] == [note.endswith("unknown") for note in got.derived]


@pytest.mark.parametrize("odd", [None, "", 1.5, -1, 100_000, 10**300, float("nan"), True, [1], {}, "one"])
def test_a_chunk_without_index_is_taken(odd: Any) -> None:
    """Its position among the entries stands in, or the next number that no other entry has."""
    chunks = [{"documentId": f"0-eus-d1-{n}", "index": index} for n, index in enumerate([2, odd, odd, 0])]
    del chunks[2]["index"]

    got = parse_file_status(file_status(chunks=chunks))

    indexes = {c.document_id[-1]: c.index for c in got.chunks}
    assert {"0": 2, "1": 1, "2": 3, "3": 0} == indexes
    assert ("chunk entries 1, 2: index is missing or can't be used; the position was used",) == got.derived
    assert () == got.problems


SHARED = "/recording/other/x"


@pytest.mark.parametrize(
    ("changes", "source", "what"),
    [
        ({"subject": f"/recording/call/a b/recordingId/{RECORDING}"}, RECORDING, "the recording id"),
        ({"subject": f"/recording/call/../recordingId/{RECORDING}=="}, RECORDING, "the recording id"),
        ({"subject": f"/somewhere/serverCallId/a/b+c=/recordingId/{RECORDING}"}, RECORDING, "the recording id"),
        ({"subject": "/recording/call/a b/serverCallId/a/b+c="}, "a/b+c=", "the server call id"),
        ({"subject": SHARED}, SHARED, "the subject"),
        ({"subject": "/recording/call/" + "a" * 65}, "/recording/call/" + "a" * 65, "the subject"),
        ({"subject": "/recording/call/a%2Fb"}, "/recording/call/a%2Fb", "the subject"),
        ({"subject": None, "topic": "/subscriptions/0"}, "/subscriptions/0", "the topic"),
        ({"subject": 5, "topic": None}, DOCUMENT, "the least document id"),
        ({"subject": "", "topic": "/s", "recordingStartTime": None}, DOCUMENT, "the least document id"),
    ],
)
def test_an_event_that_names_no_call_is_taken(changes: dict[str, Any], source: str, what: str) -> None:
    """A digest of what all events of the recording share stands in, so that they get the same key."""
    got = parse_file_status(file_status(**changes))
    other = parse_file_status(file_status(id="other", sessionEndReason="x", **changes))

    assert (digest(source), [DOCUMENT]) == (got.call_id, [c.document_id for c in got.chunks])
    assert got.recording_key == other.recording_key
    assert layout.is_recording_key(got.recording_key)
    assert f"the event does not name its call; an id was derived from {what}" in got.derived
    assert () == got.problems


@pytest.mark.parametrize("subject", [f"/recording/call/{CALL}/", f"recording/call/{CALL}/new/part", "/else", None])
def test_a_call_that_is_named_elsewhere_needs_no_substitute(subject: str | None) -> None:
    """A subject may have new parts, and `data` may name the call."""
    event = json.loads(file_status(subject=subject))
    event["data"]["callId"] = CALL

    got = parse_file_status(json.dumps(event))

    assert (KEY, ()) == (got.recording_key, got.derived)


@pytest.mark.parametrize("given", ["0-eus_d12.801b", "0-eus-d1-" + "a" * 120, "x", "a" * 1024, "0-eus-d1-b:c@d", "..a"])
def test_a_document_id_that_is_not_safe_in_a_path_is_fetched_under_another_name(given: str) -> None:
    """It can be one segment of a URL: the name is a digest of it, and the job has the id for ACS."""
    got = parse_file_status(file_status(chunks=[{"documentId": given, "index": 3}]))

    [chunk] = got.chunks
    assert (digest(given), given, 3) == (chunk.document_id, chunk.source_id, chunk.index)
    assert ("chunk entry 0: documentId is missing or can't be used; another name was derived",) == got.derived
    job = ChunkJob.of(got.recording_key, chunk, got.time)
    assert layout.parse(job.content_blob) is not None
    assert job == ChunkJob.from_message(job.to_message())


@pytest.mark.parametrize("missing", [None, "", 5, "../../x", "a/b", "a" * 5000, "..", "%2e%2e", "a b"])
@pytest.mark.parametrize(
    "where",
    [
        f"https://storage.asm.skype.com/v1/objects/{DOCUMENT}/content/video",
        f"https://a.communication.azure.com/recording/download/{DOCUMENT}?api-version=x",
    ],
)
def test_a_chunk_whose_id_is_only_in_its_location_is_fetched(missing: Any, where: str) -> None:
    """The location of its bytes names the document."""
    got = parse_file_status(file_status(chunks=[{"documentId": missing, "index": 0, "contentLocation": where}]))

    assert [(DOCUMENT, None, where)] == [(c.document_id, c.source_id, c.content_location) for c in got.chunks]
    assert ((), 1) == (got.problems, len(got.derived))


def parsed(value: Any) -> FileStatusUpdated | None:
    """Parse an event; None if it is refused."""
    try:
        return parse_file_status(json.dumps(value))
    except BadEvent:
        return None


@given(TIMES, TIMES, JSON, JSON, JSON, JSON, JSON)
@settings(max_examples=150, deadline=None)
def test_nothing_that_only_names_costs_bytes(
    when: Any, start: Any, subject: Any, topic: Any, index: Any, call: Any, more: Any
) -> None:
    """A document that is named is fetched, whatever else the event says; two deliveries give the same."""
    event = sample("file-status-2021") | {"eventTime": when, "subject": subject, "topic": topic, "id": more}
    event["data"] |= {"recordingStartTime": start, "callId": call, "recordingId": more, "sessionEndReason": more}
    event["data"]["recordingStorageInfo"]["recordingChunks"] = [GOOD_CHUNK | {"index": index}]

    got = parsed(event)

    assert got is not None
    assert ([DOCUMENT], ()) == ([c.document_id for c in got.chunks], got.problems)
    assert layout.is_recording_key(got.recording_key)
    assert event_parser.parse_event(json.dumps(event)) == got
