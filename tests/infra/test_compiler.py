"""The real Bicep compiler on infra/, where there is one: nothing to complain about, and snapshots that are current."""

import pytest

from tests.infra import compiler
from tests.infra.snapshots import INFRA, REPAIR, SNAPSHOTS, environments

needs_compiler = pytest.mark.skipif(compiler.compiler() is None, reason=compiler.MISSING)
VARIANTS = [(parameters, variant) for parameters, found in environments().items() for variant in found]


@needs_compiler
def test_the_compiler_has_nothing_to_say() -> None:
    """No error, no warning, no information, on any template."""
    assert compiler.lint() == ""


@needs_compiler
@pytest.mark.parametrize(("parameters", "variant"), VARIANTS, ids=[variant for _, variant in VARIANTS])
def test_a_snapshot_is_what_the_compiler_evaluates(parameters: str, variant: str) -> None:
    """The stored snapshot is the one that is made from the templates as they are."""
    stored = (SNAPSHOTS / f"{variant}.json").read_text()
    assert compiler.evaluate(parameters, environments()[parameters][variant]) == stored, REPAIR


@needs_compiler
def test_defaults_stand_in_one_place() -> None:
    """Where main.bicepparam repeats a default of main.bicep, the two are equal."""
    parameters, template = compiler.build("main.bicepparam", {})
    defaults = {name: one["defaultValue"] for name, one in template["parameters"].items() if "defaultValue" in one}
    given = {name: one["value"] for name, one in parameters["parameters"].items() if name in defaults}
    assert given
    assert given == {name: defaults[name] for name in given}


@needs_compiler
@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"INSTANCE_MEMORY_MB": "1024"}, 'INSTANCE_MEMORY_MB is "1024"; it must be'),
        ({"INGEST_PARALLELISM": "many"}, "'many'"),
        ({"DELETE_SOURCE": "perhaps"}, '"deleteSource"'),
        ({"AUTO_RECORD": "some"}, "'off'"),
        ({"SILENCE_HOURS": "48"}, "'silenceHours' is not valid"),
    ],
    ids=str,
)
def test_a_wrong_value_is_refused(environment: dict[str, str], said: str) -> None:
    """What is wrong in the azd environment is named, before anything is deployed."""
    with pytest.raises(compiler.Refused) as refused:
        compiler.evaluate("main.bicepparam", environment)
    assert said in str(refused.value)


def test_a_compiler_that_is_named_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong path in BICEP doesn't pass for a machine without a compiler."""
    monkeypatch.setenv("BICEP", str(INFRA / "nothing"))
    with pytest.raises(FileNotFoundError, match="which is no program"):
        compiler.compiler()


def test_the_report_says_what_checked_the_templates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a compiler the first lines of `make test` say so, and how to get one."""
    monkeypatch.delenv("BICEP", raising=False)
    monkeypatch.setenv("PATH", "")
    assert compiler.state() == f"bicep: templates are checked by their snapshots alone; {compiler.MISSING}"
