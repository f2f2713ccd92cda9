"""recording/archive/matching.py: which announced recording is which stopped one."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from recording.archive.matching import TOLERANCE, AnnouncedRecording, match_endings
from recording.model import layout
from recording.model.pending import PendingEnding, parse_markers, reported_blob

NOON = datetime(2021, 4, 14, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def at(seconds: float) -> datetime:
    """Return a moment."""
    return NOON + seconds * SECOND


def nameless(key: str, end: float, *, length: float = 60) -> AnnouncedRecording:
    """Return the announced recording of a file event of the 2021 preview API."""
    return AnnouncedRecording(key, None, at(end - length), at(end))


def test_two_markers_of_one_recording_count_once() -> None:
    """As the older one; either is marked as reported, and other blobs aren't read."""
    older, newer, other = (layout.pending_blob(at(n), one) for n, one in ((0, "a"), (3, "a"), (1, "b")))

    found = parse_markers([reported_blob(newer), newer, other, "pending-endings/what is this", older])

    assert [(at(0), (older, newer), True), (at(1), (other,), False)] == [
        (p.stopped, p.blobs, p.reported) for p in found
    ]
    assert layout.recording_digest("a") == found[0].digest


def test_by_recording_id() -> None:
    """Events of the Call Automation API name the recording, so times don't matter."""
    one, other = PendingEnding("a", at(0)), PendingEnding("b", at(0))
    event = AnnouncedRecording("key", "b", at(-9000), None)

    assert {other: event} == match_endings([one, other], [event])


def test_an_event_with_an_id_is_never_taken_for_another() -> None:
    """However close its end is to a stop."""
    assert {} == match_endings([PendingEnding("a", at(0))], [AnnouncedRecording("key", "b", at(-60), at(0))])


def test_by_time() -> None:
    """The closest first, and each once: two calls that are stopped together are two."""
    early, late, lost = PendingEnding("a", at(0)), PendingEnding("b", at(4)), PendingEnding("c", at(6))
    first, second = nameless("one", -1), nameless("two", 5)

    assert {early: first, late: second} == match_endings([lost, late, early], [second, first])
    assert {late: second} == match_endings([late], [first, second])


def test_what_is_too_far_away_is_not_it() -> None:
    """A recording that ended by itself at another time is another."""
    far = TOLERANCE / SECOND + 0.001

    assert {} == match_endings([PendingEnding("a", at(0))], [nameless("one", far), nameless("two", -far)])
    assert 1 == len(match_endings([PendingEnding("a", at(0))], [nameless("one", far - 0.001)]))


def test_a_recording_that_was_paused_is_known_by_its_start() -> None:
    """It took longer than it plays, so its end is not where start and duration say."""
    one, event = PendingEnding("a", at(600)), nameless("one", 60)

    assert {} == match_endings([one], [event])
    assert {one: event} == match_endings([one], [event], started={"a": at(-1)})
    assert {} == match_endings([one], [event], started={"b": at(-1)})


def test_a_recording_that_started_after_the_stop_is_not_it() -> None:
    """Two short recordings of one call may follow each other closely."""
    one = PendingEnding("a", at(5))

    assert {} == match_endings([one], [nameless("next", 66)], started={"a": at(0)})


def test_an_event_without_a_duration_is_known_by_its_start_only() -> None:
    """Nothing is made up."""
    one, event = PendingEnding("a", at(60)), AnnouncedRecording("key", None, at(0), None)

    assert {} == match_endings([one], [event])
    assert {one: event} == match_endings([one], [event], started={"a": at(0)})


TIMES = st.integers(-120, 120).map(at)
WORDS = st.sampled_from("abcdef")
PENDING = st.lists(st.builds(PendingEnding, WORDS, TIMES), max_size=6, unique_by=lambda one: one.digest)
ANNOUNCED = st.lists(
    st.builds(AnnouncedRecording, st.sampled_from("uvwxyz"), st.none() | WORDS, TIMES, st.none() | TIMES),
    max_size=6,
    unique_by=lambda one: one.key,
)


@given(PENDING, ANNOUNCED, st.dictionaries(WORDS, TIMES))
def test_each_is_matched_once_and_for_a_reason(
    pending: list[PendingEnding], announced: list[AnnouncedRecording], started: dict[str, datetime]
) -> None:
    """By its id, or by a time that is close; no event is two recordings by its time."""
    found = match_endings(pending, announced, started=started)

    by_time = [event.key for event in found.values() if event.digest is None]
    assert len(set(by_time)) == len(by_time)
    for one, event in found.items():
        close = event.end is not None and abs(one.stopped - event.end) <= TOLERANCE
        begun = one.digest in started and abs(started[one.digest] - event.start) <= TOLERANCE
        assert event.digest == one.digest if event.digest else close or begun


@given(PENDING, ANNOUNCED, st.randoms(use_true_random=False))
def test_the_order_is_no_matter(
    pending: list[PendingEnding], announced: list[AnnouncedRecording], random: object
) -> None:
    """The same facts give the same answer, and what is left over had nothing to be matched with."""
    found = match_endings(pending, announced)
    random.shuffle(pending)  # type: ignore[attr-defined]
    random.shuffle(announced)  # type: ignore[attr-defined]

    # Two events that name one recording are the same to it.
    assert found.keys() == match_endings(pending, announced).keys()
    free = [event for event in announced if event.digest is None and event not in found.values()]
    for one in pending:
        assert one in found or all(event.end is None or abs(one.stopped - event.end) > TOLERANCE for event in free)
