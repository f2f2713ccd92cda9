"""recording/model/event_parser.py: an event whose recordingStartTime can't be read is accepted anyway."""

from typing import Any

import pytest

from tests.support.samples import CALL, DOCUMENT, GOOD_CHUNK, file_status, parse_file_status

STARTLESS = "the event has no recordingStartTime in ISO 8601"


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (None, STARTLESS),
        (True, STARTLESS),
        (1627399234, STARTLESS),
        (1e300, STARTLESS),
        ("", STARTLESS),
        ("0001-01-01T00:00:00+14:00", STARTLESS),
        ("0900-01-01T00:00:00Z", "recordingStartTime is in the year 900, which is not plausible"),
    ],
)
def test_a_start_that_cannot_be_read_costs_no_recording(start: Any, expected: str) -> None:
    """The event's own time names the recording, and the problem is listed."""
    got = parse_file_status(file_status(recordingStartTime=start))

    assert (got.time, [DOCUMENT]) == (got.start, [c.document_id for c in got.chunks])
    assert got.recording_key == f"{got.time:%Y%m%dT%H%M%S%f}Z-{CALL}"
    assert (f"{expected}; using the event time instead",) == got.problems


def test_a_start_and_a_chunk_that_cannot_be_read_are_both_told() -> None:
    """One problem doesn't hide another."""
    got = parse_file_status(file_status(chunks=[None, GOOD_CHUNK], recordingStartTime=None))

    assert (2, [DOCUMENT]) == (len(got.problems), [c.document_id for c in got.chunks])
