"""recording/model/consent.py: what facts of consent say together."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from recording.errors import BadRequest
from recording.model.caller import Caller
from recording.model.consent import Consent, ConsentBody, ConsentFacts, Decision, counting, standing
from recording.model.roles import Principal

NOW = datetime(2026, 3, 1, 10, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
GROUP = "3f2b0e4c-1111-4000-8000-000000000001"
CALL = "aHR0cHM6Ly9jb252LmV4YW1wbGUvY29udi94"
APP = Caller("App", principal=Principal("service", "8c5f7a39-0000-4000-8000-000000000001", None, frozenset()))


def said(
    participant: str, decision: Decision, *, at: datetime | None = None, now: datetime = NOW, conversation: str = CALL
) -> Consent:
    """Make the fact that a participant granted or withdrew."""
    body = ConsentBody(participant=participant, decision=decision, how="click", at=at)
    return Consent.of(body, conversation, APP, now)


def test_of_one_participant_the_last_word_counts_in_any_order_of_arrival() -> None:
    """By when they said it: a withdrawal that arrives before the grant of an earlier moment is not undone by it."""
    facts = [
        said("8:acs:ada", "granted", at=NOW - 9 * MINUTE),
        said("8:acs:ada", "withdrawn", at=NOW - 5 * MINUTE, now=NOW - 4 * MINUTE),
        said("8:acs:grace", "withdrawn", at=NOW - 8 * MINUTE),
        said("8:acs:grace", "granted", at=NOW - 7 * MINUTE),
    ]

    for order in itertools.permutations(facts):
        assert (["8:acs:ada"], ["8:acs:grace"]) == (
            standing(ConsentFacts(order)).named("withdrawn"),
            standing(ConsentFacts(order)).named("granted"),
        )


def test_at_the_same_moment_a_withdrawal_counts() -> None:
    """In either order."""
    both = [said("8:acs:ada", "granted", at=NOW), said("8:acs:ada", "withdrawn", at=NOW)]

    assert [["8:acs:ada"]] * 2 == [standing(ConsentFacts(order)).named("withdrawn") for order in (both, both[::-1])]


def test_a_grant_from_the_future_does_not_outlast_a_withdrawal() -> None:
    """Clocks differ by minutes: it counts as said when it was received; later than that it is refused."""
    ahead = said("8:acs:ada", "granted", at=NOW + 4 * MINUTE)
    withdrawn = said("8:acs:ada", "withdrawn", now=NOW + MINUTE)

    assert NOW == ahead.at
    assert ["8:acs:ada"] == standing(ConsentFacts([ahead, withdrawn])).named("withdrawn")
    with pytest.raises(BadRequest) as refused:
        said("8:acs:ada", "granted", at=NOW + 6 * MINUTE)
    assert "at" == refused.value.target


@pytest.mark.parametrize(
    ("facts", "missing"),
    [
        ([], "no participant has granted consent to being recorded"),
        ([said("a", "granted")], None),
        ([said("a", "granted"), said("b", "withdrawn")], "1 participant(s) have withdrawn their consent to being re"),
        ([said("a", "withdrawn")], "1 participant(s) have withdrawn"),
        ([said("a", "withdrawn", at=NOW - MINUTE), said("a", "granted")], None),
    ],
)
def test_one_must_have_granted_and_none_withdrawn(facts: list[Consent], missing: str | None) -> None:
    """What is missing is said without naming anybody."""
    found = standing(ConsentFacts(facts)).missing

    assert found is None if missing is None else (found or "").startswith(missing)


@pytest.mark.parametrize(
    ("told", "in_metadata"),
    [
        ("+1 (425) 555-0123", "4:+14255550123"),
        ("8:ACS:Ada", "8:acs:ada"),
        ("8:orgid:1f0d", "8:orgid:1f0d"),
        ("28:bot", "28:bot"),
        ("sip:ada@contoso.com", "sip:ada@contoso.com"),
        ("<script>&\"'\N{SNOWMAN}", "<script>&\"'\N{SNOWMAN}"),
    ],
)
def test_who_is_covered_is_found_however_the_id_is_written(told: str, in_metadata: str) -> None:
    """A phone number as people write it; case doesn't count. Others in the metadata are not covered."""
    assert ("8:acs:eve",) == standing(ConsentFacts([said(told, "granted")])).uncovered([in_metadata, "8:acs:eve"])


def test_an_id_that_a_later_call_may_use_again_carries_no_old_consent() -> None:
    """Of a group call and a room a fact counts for a day, that of a conversation URL for its one call."""
    old = {one: said("a", "granted", at=NOW - 2 * DAY, conversation=one) for one in (GROUP, "room:99", CALL)}
    new = said("a", "withdrawn", at=NOW - DAY / 2, conversation=GROUP)

    assert [new] == counting(ConsentFacts([old[GROUP], new]), since=NOW).consents
    assert [] == counting(ConsentFacts([old["room:99"]]), since=NOW).consents
    assert [old[CALL]] == counting(ConsentFacts([old[CALL]]), since=NOW).consents


def test_a_call_that_claims_to_have_begun_in_the_first_year_has_its_facts() -> None:
    """No time is a day before that."""
    facts = [said("a", "granted", conversation=GROUP)]

    assert facts == counting(ConsentFacts(facts), since=datetime.min.replace(tzinfo=UTC)).consents


def test_a_fact_that_cannot_be_parsed_counts_as_a_withdrawal() -> None:
    """It may be one, of anybody: no later grant takes it back. It counts as long as another fact of its time."""
    granted = [said("a", "granted")]
    facts = ConsentFacts(granted, [(GROUP, NOW - 2 * DAY), (CALL, NOW - 2 * DAY), (GROUP, NOW - MINUTE)])

    counted = standing(counting(facts, since=NOW))

    assert (True, 2) == (counted.is_withdrawn, counted.unreadable)
    assert (counted.missing or "").startswith("2 fact(s) of consent can't be parsed")
    assert not standing(ConsentFacts(granted)).is_withdrawn


def test_a_request_that_is_repeated_says_the_same() -> None:
    """It has the same digest whenever it comes; another text, another moment or another caller has not."""
    body = ConsentBody(participant="a", decision="granted", how="signed", at=NOW - MINUTE, text="I agree")
    first, again = (Consent.of(body, CALL, APP, now) for now in (NOW, NOW + MINUTE))
    others = [
        Consent.of(body.model_copy(update={"text": "I disagree"}), CALL, APP, NOW),
        Consent.of(body.model_copy(update={"at": NOW}), CALL, APP, NOW),
        Consent.of(body, CALL, Caller("another"), NOW),
    ]

    assert first.digest() == again.digest()
    assert 4 == len({one.digest() for one in (first, *others)})
    assert ("App", "8c5f7a39-0000-4000-8000-000000000001", "service") == (first.by, first.by_object_id, first.by_kind)


GOOD = {"participant": "8:acs:ada", "decision": "granted", "how": "click"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"participant": ""},
        {"participant": " \n"},
        {"participant": "x" * 1025},
        {"participant": 5},
        {"decision": "maybe"},
        {"how": "shouted"},
        {"at": "yesterday"},
        {"at": "2026-03-01T10:00:00"},
        {"at": "0001-01-01T00:00:00+05:00"},
        {"text": "x" * 5001},
        {"link": "javascript:alert(1)"},
        {"link": "http://example.org/consent"},
    ],
)
def test_what_is_no_consent(wrong: dict[str, Any]) -> None:
    """Each member is checked."""
    with pytest.raises(ValidationError):
        ConsentBody.model_validate(GOOD | wrong)
