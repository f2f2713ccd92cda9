"""recording/model/job.py: the message on the queue."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from recording.model import layout
from recording.model.events import AnnouncedChunk
from recording.model.job import ChunkJob

KEY = "20210727T152023608975Z-43563209-4ec6-4119-be5b-88398cda2caf"
DOCUMENT = "0-eus-d12-801b3f3fc462fe8a01e6810cbff729b8"
JOB = ChunkJob(recording_key=KEY, document_id=DOCUMENT, index=3, announced_at=datetime(2021, 7, 27, 15, tzinfo=UTC))
# Top-level members that the host lays over the message's own metadata (docs/functions-host.md#queue).
TAKEN = {"id", "insertionTime", "expirationTime", "dequeueCount", "nextVisibleTime", "popReceipt", "queueTrigger"}


def test_a_message_is_nested() -> None:
    """No member of the job has a name that the host would use as the message's metadata."""
    body = json.loads(JOB.to_message())

    assert {
        "chunk": {
            "recordingKey": KEY,
            "documentId": DOCUMENT,
            "index": 3,
            "announcedAt": "2021-07-27T15:00:00Z",
        }
    } == body
    assert not TAKEN & set(body)


def test_the_job_of_an_announced_chunk_says_where_it_lies() -> None:
    """And when it was announced: its deadline counts from there."""
    chunk = AnnouncedChunk(DOCUMENT, 3, "SessionEnded", "https://a/content", "https://a/metadata", "https://a/delete")

    job = ChunkJob.of(KEY, chunk, JOB.announced_at)

    assert job == JOB.model_copy(
        update={"content_location": "https://a/content", "metadata_location": "https://a/metadata"}
    )


def test_locations_survive_the_queue() -> None:
    """Letter by letter, and a message of the longest ones fits into the queue's 64 KiB of base64."""
    placed = JOB.model_copy(
        update={"content_location": "https://a/%2F?x=ü&y=%7E", "metadata_location": "https://a/" + "m" * 8182}
    )

    assert placed == ChunkJob.from_message(placed.to_message())
    longest = placed.model_copy(update={"content_location": placed.metadata_location})
    assert len(longest.to_message()) * 4 / 3 < 64 * 1024


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2999, 1, 1), timezones=st.just(UTC)),
    st.from_regex(layout.DOCUMENT_ID, fullmatch=True).filter(layout.is_document_id),
    st.integers(0, layout.LARGEST_INDEX),
)
def test_a_job_survives_the_queue(start: datetime, document: str, index: int) -> None:
    """What is read is what was written, and its blobs lie under its key."""
    key = layout.recording_key(start, "a-1")
    one = ChunkJob(recording_key=key, document_id=document, index=index, announced_at=start + timedelta(minutes=1))

    again = ChunkJob.from_message(one.to_message())

    assert one == again
    assert all(name.startswith(f"{key}/") for name in (again.content_blob, again.metadata_blob, again.attempts_blob))


@pytest.mark.parametrize(
    "changes",
    [
        {"recordingKey": "../x"},
        {"recordingKey": ""},
        {"recordingKey": None},
        {"documentId": "../x"},
        {"documentId": "forged"},
        {"index": -1},
        {"index": 100_000},
        {"index": 1.5},
        {"index": None},
        {"announcedAt": "yesterday"},
        {"announcedAt": None},
    ],
)
def test_a_message_that_is_not_ours(changes: dict[str, Any]) -> None:
    """A message whose job couldn't be one is refused, and what it says isn't repeated."""
    body = json.loads(JOB.to_message())
    body["chunk"] |= changes

    with pytest.raises(ValidationError) as refused:
        ChunkJob.from_message(json.dumps(body))

    [sent] = changes.values()
    assert f"input_value={sent!r}" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", "null", '{"chunk": null}', '{"chunk": []}', "x" * 70_000])
def test_a_message_that_is_no_job(text: str) -> None:
    """Anything else on the queue is refused too."""
    with pytest.raises(ValidationError):
        ChunkJob.from_message(text)
