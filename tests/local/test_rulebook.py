"""Rules are met in order, each as often as it says."""

import pytest

from local.rulebook import FaultRule, RuleBook


def book(*rules: dict[str, object]) -> RuleBook[FaultRule]:
    """Make a book of rules."""
    made = RuleBook[FaultRule]()
    made.add([FaultRule.model_validate(rule) for rule in rules])
    return made


def test_order() -> None:
    """The first rule that matches and has something left is taken, then the next one."""
    rules = book({"path": "/a*"}, {"path": "*", "times": None})
    taken = [rules.take(lambda rule: rule.matches("GET", "/a/b")) for _ in range(3)]

    assert [rule and rule.path for rule in taken] == ["/a*", "*", "*"]


def test_skip() -> None:
    """Requests that a rule skips go on to the rules after it."""
    rules = book({"skip": 2, "times": 2}, {"method": "DELETE"})
    taken = [rules.take(lambda rule: rule.matches("DELETE", "/")) for _ in range(5)]

    assert [rule and rule.method for rule in taken] == ["DELETE", None, "*", "*", None]
    assert [(rule["skipped"], rule["applied"]) for rule in rules.view()] == [(2, 2), (0, 1)]


@pytest.mark.parametrize(
    ("rule", "matches"),
    [
        ({}, True),
        ({"method": "get"}, True),
        ({"method": "PUT"}, False),
        ({"path": "/FOLDER/*"}, True),
        ({"path": "/folder"}, False),
        ({"path": "*.mp4"}, True),
    ],
)
def test_match(rule: dict[str, object], matches: bool) -> None:
    """Method and path are globs, whatever the case; a star matches slashes too."""
    assert FaultRule.model_validate(rule).matches("GET", "/folder/a/b.mp4") == matches


def test_clear() -> None:
    """A cleared book has no rules."""
    rules = book({})
    rules.clear()

    assert (rules.view(), rules.take(lambda _: True)) == ([], None)
