"""recording/model/record.py: the base of everything that is JSON."""

import pytest
from pydantic import ValidationError

from recording.catalogue.browse import ListQuery
from recording.model.record import Body, Record
from recording.model.trail import TrailEntry


class Inner(Record):
    """A record inside of another."""

    how_many: int


class Outer(Record):
    """A record with another one inside."""

    first_one: Inner


class Strict(Body):
    """A body of the API."""

    how_many: int


def test_members_are_in_camel_case() -> None:
    """In JSON; Python code has names of its own."""
    text = '{"firstOne":{"howMany":1}}'

    assert Outer(first_one=Inner(how_many=1)) == Outer.model_validate_json(text)
    assert text == Outer.model_validate_json(text).model_dump_json(by_alias=True)


def test_a_record_does_not_change() -> None:
    """But for an entry of the trail, which gets the outcome of the operation."""
    with pytest.raises(ValidationError, match="frozen"):
        Inner(how_many=1).how_many = 2  # type: ignore[misc]
    TrailEntry(at="2026-03-01T10:00:00Z", action="start").status = 500


def test_an_error_does_not_repeat_its_input() -> None:
    """Which may be a URL with a token in it."""
    for record, given in ((Outer, {"firstOne": {"howMany": "secret"}}), (Strict, {"howMany": "secret"})):
        with pytest.raises(ValidationError) as refused:
            record.model_validate(given)
        assert "secret" not in str(refused.value)


def test_only_a_body_is_strict() -> None:
    """A number in quotes is a number in a fact, and a mistake in a request."""
    assert 1 == Inner.model_validate({"howMany": "1"}).how_many
    with pytest.raises(ValidationError):
        Strict.model_validate({"howMany": "1"})


def test_a_query_has_the_names_of_its_parameters_only() -> None:
    """`since` is the name in the code, `from` the parameter."""
    assert ListQuery() == ListQuery.model_validate({"since": "2026-03-01T10:00:00Z"})
    assert ListQuery() != ListQuery.model_validate({"from": "2026-03-01T10:00:00Z"})
