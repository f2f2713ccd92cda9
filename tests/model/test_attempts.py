"""recording/model/attempts.py: when a chunk that failed is tried again."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording.model import attempts
from recording.model.attempts import Attempts, Failure

NOW = datetime(2021, 7, 27, 15, 20, 34, tzinfo=UTC)
FAILURE = Failure(at=NOW, code="SourceUnavailable", message="no answer")


@pytest.mark.parametrize(
    ("count", "minutes"),
    [(0, 5), (1, 5), (5, 5), (6, 10), (7, 20), (8, 40), (9, 60), (10, 60), (100, 60), (10**9, 60)],
)
def test_pauses_grow_once_the_queue_gave_up(count: int, minutes: int) -> None:
    """While the queue tries, the pause stays short; then it doubles up to an hour."""
    assert timedelta(minutes=minutes) == attempts.backoff(count)


def test_each_failure_is_on_record_with_its_reason() -> None:
    """A note has every failure, when it was and why, and how many there were."""
    first = Failure(at=NOW, code="SourceUnavailable", message="no answer")
    second = Failure(at=NOW + timedelta(minutes=1), code="SourceGone", message="gone")

    once = Attempts(next_at=NOW).with_failure(first)
    twice = once.with_failure(second)

    assert Attempts(count=1, failures=(first,), next_at=NOW + timedelta(minutes=5)) == once
    assert Attempts(count=2, failures=(first, second), next_at=NOW + timedelta(minutes=6)) == twice
    assert second == twice.last


def test_a_failure_that_is_noted_already_is_noted_once() -> None:
    """The answer to writing it was lost: whoever writes it again reads what it has written itself."""
    once = Attempts(next_at=NOW).with_failure(FAILURE)

    assert once == once.with_failure(FAILURE)


def test_of_very_many_failures_the_oldest_go() -> None:
    """However long a chunk is tried, its note stays small, and still says how often."""
    note = Attempts(next_at=NOW)
    for number in range(attempts.KEPT + 5):
        note = note.with_failure(Failure(at=NOW, code="SourceGone", message=f"failure {number}"))

    assert (attempts.KEPT + 5, attempts.KEPT) == (note.count, len(note.failures))
    assert "failure 5" == note.failures[0].message


def test_queueing_again_is_no_failure() -> None:
    """Putting a chunk on the queue moves its time, and keeps the rest of the note."""
    note = Attempts(next_at=NOW).with_failure(FAILURE)

    later = NOW + timedelta(minutes=5)
    again = note.with_requeue(later)

    assert note.model_copy(update={"next_at": NOW + timedelta(minutes=20), "queued_at": later}) == again
    assert later == again.with_failure(FAILURE).queued_at


def test_a_chunk_without_a_note_can_be_queued_again() -> None:
    """A message that got lost leaves no note: the timer makes one."""
    assert Attempts(next_at=NOW + timedelta(minutes=15), queued_at=NOW) == Attempts(next_at=NOW).with_requeue(NOW)


@pytest.mark.parametrize("minutes", [0.1, 3, 15, 60])
@pytest.mark.parametrize(
    ("count", "parts"), [(0, 1 / 3), (5, 1 / 3), (6, 2 / 3), (7, 4 / 3), (8, 8 / 3), (9, 4), (10**9, 4)]
)
def test_pauses_scale_with_rescue_minutes(count: int, parts: float, minutes: float) -> None:
    """Each pause is the same part of RESCUE_MINUTES, whatever that is, and so is what the timer waits."""
    first = timedelta(minutes=minutes)
    note = Attempts(count=count, next_at=NOW)

    assert abs(attempts.backoff(count, first=first) - first * parts) < timedelta(seconds=1)
    failed = note.with_failure(FAILURE, first=first)
    assert attempts.backoff(count + 1, first=first) == failed.next_at - NOW
    again = note.with_requeue(NOW, first=first)
    assert max(first, attempts.backoff(count, first=first)) == again.next_at - NOW


@given(st.integers(0, 10_000))
def test_the_queue_has_its_turn_first(count: int) -> None:
    """The timer never puts a chunk on the queue twice within a quarter of an hour."""
    again = Attempts(count=count, next_at=NOW).with_requeue(NOW)

    assert attempts.FIRST_RESCUE <= again.next_at - NOW <= timedelta(hours=1)


def test_a_note_survives_its_blob() -> None:
    """What is written is what is read, with camelCase names as in every JSON of ours."""
    note = Attempts(next_at=NOW).with_failure(FAILURE)
    text = note.model_dump_json(by_alias=True)

    assert note == Attempts.model_validate_json(text)
    failure = '{"at":"2021-07-27T15:20:34Z","code":"SourceUnavailable","message":"no answer","attempt":null}'
    assert f'"failures":[{failure}]' in text


def test_what_has_neither_failed_nor_succeeded_is_unfinished() -> None:
    """Of all attempts that began, whoever of them was first."""
    note = Attempts(next_at=NOW).with_failure(FAILURE.model_copy(update={"attempt": "b"}))

    assert ("a", "d") == attempts.unfinished(["d", "c", "b", "a"], note, succeeded="c")
    assert ("a", "b") == attempts.unfinished(["b", "a"], None, succeeded=None)
    assert ("a",) == attempts.unfinished(["a"], Attempts(next_at=NOW).with_failure(FAILURE), succeeded=None)


def test_a_failure_of_an_older_app_counts() -> None:
    """It doesn't say which attempt it was."""
    old = b'{"count":1,"failures":[{"at":"2021-07-27T15:20:34Z","code":"SourceUnavailable","message":"no answer"}],'

    assert Attempts(next_at=NOW).with_failure(FAILURE) == Attempts.parse(old + b'"nextAt":"2021-07-27T15:25:34Z"}')


def test_a_note_of_an_older_app_counts() -> None:
    """One that has the last failure only still says how often the chunk was tried."""
    old = b'{"count":3,"code":"SourceGone","message":"gone","nextAt":"2021-07-27T15:20:34Z"}'

    assert Attempts(count=3, next_at=NOW) == Attempts.parse(old)
