"""recording/model/keeping.py: until when a recording is kept, and what keeps it from being deleted."""

from datetime import UTC, datetime, timedelta

import pytest

from recording.model import layout
from recording.model.keeping import Kept, below, has_ended, kept_until, shortens

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
KEY = "20260301T100000000000Z-3f2b0e4c"
OTHER = "20260301T110000000000Z-3f2b0e4c"


def test_a_recording_is_kept_for_the_days_of_its_class_from_its_newest_manifest_on() -> None:
    """While it is in flight, nothing ends; a class for ever never does."""
    assert NOON + 90 * DAY == Kept("standard", 90).until(NOON)
    assert Kept("standard", 90).until(None) is None
    assert Kept("history", None).until(NOON) is None
    assert Kept().until(NOON) is None


def test_an_end_is_in_whole_seconds_and_never_earlier() -> None:
    """Policies of the platform have whole seconds."""
    assert datetime(2026, 3, 2, 12, 0, 1, tzinfo=UTC) == kept_until(NOON + timedelta(microseconds=1), 1)


@pytest.mark.parametrize(
    ("kept", "now", "ended"),
    [
        (Kept("standard", 1), NOON + DAY, True),
        (Kept("standard", 1), NOON + DAY - timedelta(seconds=1), False),
        (Kept("standard", 1, ("a hold",)), NOON + 9 * DAY, False),
        (Kept("history", None), NOON + 9999 * DAY, False),
        (Kept(), NOON + 9999 * DAY, False),
    ],
)
def test_a_recording_ends_with_its_time_unless_a_case_holds_it(kept: Kept, now: datetime, ended: bool) -> None:
    """A recording without a class, or in flight, has no end."""
    assert ended == has_ended(kept, NOON, now)
    assert not has_ended(kept, None, now)


def test_for_ever_is_longer_than_any_time() -> None:
    """Whichever it is changed from."""
    assert shortens(None, NOON)
    assert shortens(NOON, NOON - DAY)
    assert not shortens(NOON, NOON)
    assert not shortens(NOON, None)
    assert not shortens(None, None)
    assert shortens(None, 90.0)
    assert not shortens(90.0, 2555.0)


def test_only_a_policy_that_is_in_force_and_ends_later_is_in_the_way() -> None:
    """The last one is told."""
    policies = [NOON + DAY, NOON + 3 * DAY, NOON - DAY]
    assert NOON + 3 * DAY == below(policies, NOON + 2 * DAY, NOON)
    assert below(policies, NOON + 3 * DAY, NOON) is None
    assert below(policies, None, NOON) is None
    assert below(policies, NOON + 2 * DAY, NOON + 4 * DAY) is None


def test_each_case_holds_and_lifts_on_its_own_and_may_hold_again() -> None:
    """What is in force follows from the names alone."""
    first, again = layout.hold_blob(KEY, "a", 1), layout.hold_blob(KEY, "a", 2)
    lifted, of_b, other = layout.lift_blob(KEY, "a", 1), layout.hold_blob(KEY, "b", 1), layout.hold_blob(OTHER, "a", 1)

    assert {KEY: sorted([first, of_b]), OTHER: [other]} == layout.open_holds([other, first, of_b])
    assert {KEY: [of_b]} == layout.open_holds([first, of_b, lifted])
    assert {KEY: [again]} == layout.open_holds([first, lifted, again])
    assert [(0, False), (1, True), (1, False), (2, True)] == [
        layout.last_number(names, "a") for names in ([of_b], [first, of_b], [first, lifted], [first, lifted, again])
    ]
