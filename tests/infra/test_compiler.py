"""The real Bicep compiler on infra/, where there is one: no warning, and snapshots that are current.

A run of it takes up to four CPU-seconds. So of the variants only the one with everything is evaluated here, of the
missing outputs one, and of the wrong environments one; the digests of test_snapshots.py say that every snapshot is as
the compiler made it. tests/acceptance/test_compiler.py goes through all of them.
"""

import re
from typing import Any

import pytest

from tests.infra import compiler
from tests.infra.compiled import WRONG, assert_is_evaluated, assert_is_named, assert_is_refused, needs_compiler
from tests.infra.snapshots import INFRA, environments


@needs_compiler
def test_the_compiler_has_nothing_to_say() -> None:
    """No error, no warning, no information, on any template."""
    assert compiler.lint() == ""


@needs_compiler
def test_a_snapshot_is_what_the_compiler_evaluates() -> None:
    """That of the variant that has the most resources."""
    assert_is_evaluated("main.bicepparam", "everything-on")


def test_every_parameter_file_has_a_snapshot() -> None:
    """So that each is built and evaluated by tests/acceptance/test_compiler.py."""
    assert {path.name for path in INFRA.glob("*.bicepparam")} == set(environments())


@needs_compiler
def test_a_missing_output_is_named() -> None:
    """The hook may run in an environment that azd has not provisioned yet."""
    assert_is_named(next(iter(environments()["subscriptions.bicepparam"]["subscriptions"])))


@pytest.fixture(scope="module")
def built() -> tuple[dict[str, Any], dict[str, Any]]:
    """main.bicepparam, built on a new machine: the parameters and the template."""
    return compiler.build("main.bicepparam", {})


@needs_compiler
@pytest.mark.xdist_group("main.bicepparam")
def test_every_module_waits_for_the_resource_group(built: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """A module that is deployed into the new group begins when the group is there."""
    _, template = built
    made = template["resources"]
    modules = {name for name, one in made.items() if one["type"] == "Microsoft.Resources/deployments"}
    assert len(modules) >= 10
    assert {name for name in modules if "group" not in made[name]["dependsOn"]} == set()


@needs_compiler
@pytest.mark.xdist_group("main.bicepparam")
def test_defaults_stand_in_one_place(built: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Where main.bicepparam repeats a default of main.bicep, the two are equal."""
    parameters, template = built
    defaults = {name: one["defaultValue"] for name, one in template["parameters"].items() if "defaultValue" in one}
    given = {name: one["value"] for name, one in parameters["parameters"].items() if name in defaults}
    assert given
    assert given == {name: defaults[name] for name in given}


@needs_compiler
def test_a_wrong_environment_is_refused_with_sentences() -> None:
    """A value that contradicts another is named before anything is deployed: all at once."""
    assert_is_refused(*max(WRONG, key=lambda one: len(one[1])))


def test_every_contradiction_is_tried() -> None:
    """Each sentence of the template is the whole message for one of the wrong environments."""
    source = (INFRA / "main.bicep").read_text().partition("var contradictions")[2].partition("], sentence")[0]
    sentences = re.findall(r"^    : '(.+)'$", source, re.MULTILINE)
    assert len(sentences) == source.count("? ''")
    read = [sentence for _, said in WRONG for sentence in said]
    values = [re.sub(r"\\\$\\\{\w+\\\}", ".+", re.escape(sentence)) for sentence in sentences]
    assert [one for one in values if not any(re.fullmatch(one, sentence) for sentence in read)] == []


def test_a_compiler_that_is_named_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong path in BICEP doesn't pass for a machine without a compiler."""
    monkeypatch.setenv("BICEP", str(INFRA / "nothing"))
    with pytest.raises(FileNotFoundError, match="which is not a program"):
        compiler.compiler()


def test_the_report_says_what_checked_the_templates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a compiler the first lines of `make test` say so, and how to get one."""
    monkeypatch.delenv("BICEP", raising=False)
    monkeypatch.setenv("PATH", "")
    assert compiler.state() == f"bicep: templates are checked by their snapshots alone; {compiler.MISSING}"
