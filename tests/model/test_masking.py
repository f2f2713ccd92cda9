"""recording/model/masking.py: nobody but the person is in what an export holds."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording.model.masking import ANOTHER, Mask

ADA, GRACE, PHONE = "8:acs:ada_1", "8:acs:grace_2", "4:+14255550123"


def masked(value: Any, *others: str, person: str = ADA) -> str:
    """Return JSON as an export of a person has it, as text."""
    return json.dumps(Mask(person, others).value(value), ensure_ascii=False)


@pytest.mark.parametrize(
    "text",
    [
        GRACE,
        GRACE.upper(),
        f"asked by {GRACE}, twice",
        f'"{GRACE}"',
        PHONE,
        "+1 (425) 555-0123",
        "call 14255550123 back",
        "call +1 425.555.0123",
    ],
)
def test_an_id_is_hidden_however_it_is_written(text: str) -> None:
    """In any case, as a part of a text, and a phone number as people write it."""
    found = masked({"note": text}, GRACE, PHONE)

    assert GRACE not in found.lower()
    assert "0123" not in found
    assert ANOTHER in found


def test_each_of_the_others_has_one_name_and_the_person_keeps_theirs() -> None:
    """Also where an id is the beginning of another one, and as the name of a member."""
    longer = f"{ADA}-2"
    found = json.loads(masked({"channels": {ADA: 0, longer: 1, GRACE: 2}, "who": [longer, GRACE, ADA]}, longer, GRACE))

    assert {ADA: 0, f"{ANOTHER}-1": 1, f"{ANOTHER}-2": 2} == found["channels"]
    assert [f"{ANOTHER}-1", f"{ANOTHER}-2", ADA] == found["who"]
    assert f"{longer} and" in masked(f"{longer} and", person=longer)


def test_what_a_list_of_people_says_of_others_is_hidden_with_their_id() -> None:
    """A name, a mail address: whatever the service adds; numbers stay, and so does all about the person."""
    people = [
        {"participantId": GRACE, "displayName": "Grace Hopper", "role": {"mail": "grace@navy.mil"}, "channel": 3},
        {"participantId": ADA, "displayName": "Ada Lovelace"},
    ]

    for said in (
        {"participants": people},
        {"participants": json.dumps(people)},
        {"chunks": [{"participants": people}]},
    ):
        found = masked(said, GRACE)
        assert not any(one in found for one in ("Grace", "Hopper", "navy", GRACE))
        assert "Ada Lovelace" in found
        assert "3" in found


@pytest.mark.parametrize("unknown", ["8:orgid:1f0d-22", "4:+4930123456", "28:0b1c2d3e-aaaa", "8:teamsvisitor:xyz"])
def test_what_looks_like_an_id_is_hidden_even_if_nobody_named_it(unknown: str) -> None:
    """In a text of a newer form of the service; a time of day looks like none."""
    found = masked({"at": "2026-03-01T18:28:10.123Z", "note": f"see {unknown}."})

    assert unknown not in found
    assert "2026-03-01T18:28:10.123Z" in found


def test_one_letter_is_no_part_of_other_texts() -> None:
    """An id that is hostile, or short, is hidden where it stands alone: the rest stays readable."""
    found = json.loads(masked({"id": "e", "note": "the recording"}, "e", ""))

    assert {"id": f"{ANOTHER}-1", "note": "the recording"} == found


IDS = st.one_of(
    st.from_regex(r"8:acs:[a-z0-9_-]{4,20}", fullmatch=True),
    st.from_regex(r"4:\+[0-9]{7,12}", fullmatch=True),
    st.text(min_size=6, max_size=20).filter(lambda text: text.isprintable() and len(text.strip()) > 5),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=12)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    max_leaves=8,
)


@given(value=VALUES, others=st.lists(IDS, min_size=1, max_size=3), before=st.text(max_size=5))
def test_no_id_of_others_is_left_in_any_value(value: Any, others: list[str], before: str) -> None:
    """Whatever there is around it."""
    said = {"around": value, "who": [*others, {"id": others[0], "more": f"{before} {others[-1]}"}], "as": others[0]}
    found = json.loads(masked(said, *others, person="8:acs:the-person-of-this-export"))

    text = json.dumps({name: found[name] for name in ("who", "as")}, ensure_ascii=False)
    assert [] == [one for one in others if one not in ANOTHER and one in text.replace(ANOTHER, "")]
