"""Rules are met in order, each as often as it says."""

import pytest

from local.faults.rules import Call, FaultRule, Faults


def faults(*rules: dict[str, object]) -> Faults[FaultRule]:
    """Make faults with these rules."""
    made = Faults(FaultRule, kinds={}, rule_fields=lambda kind, _: {"kind": kind})
    made.add([rule(fields) for fields in rules])
    return made


def rule(fields: dict[str, object]) -> FaultRule:
    return FaultRule.model_validate({"kind": "reset"} | fields)


def call(method: str, path: str) -> Call:
    return Call(method, path, "read", {})


def test_order() -> None:
    """The first rule that matches and isn't used up applies, then the next one."""
    rules = faults({"path": "/a*"}, {"path": "*", "times": None})
    taken = [rules.take(call("GET", "/a/b")) for _ in range(3)]

    assert [rule and rule.path for rule in taken] == ["/a*", "*", "*"]


def test_skip() -> None:
    """Requests that a rule skips go on to the rules after it."""
    rules = faults({"skip": 2, "times": 2}, {"method": "DELETE"})
    taken = [rules.take(call("DELETE", "/")) for _ in range(5)]

    assert [rule and rule.method for rule in taken] == ["DELETE", None, "*", "*", None]
    assert [(rule["skipped"], rule["applied"]) for rule in rules.view()] == [(2, 2), (0, 1)]


@pytest.mark.parametrize(
    ("fields", "matches"),
    [
        ({}, True),
        ({"method": "get"}, True),
        ({"method": "PUT"}, False),
        ({"path": "/FOLDER/*"}, True),
        ({"path": "/folder"}, False),
        ({"path": "*.mp4"}, True),
    ],
)
def test_match(fields: dict[str, object], matches: bool) -> None:
    """Method and path are globs, whatever the case; a star matches slashes too."""
    assert rule(fields).matches(call("GET", "/folder/a/b.mp4")) == matches


def test_clear() -> None:
    """After they were cleared there are no rules."""
    rules = faults({})
    rules.clear()

    assert (rules.view(), rules.take(call("GET", "/"))) == ([], None)
