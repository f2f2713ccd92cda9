"""The Bicep compiler on every variant and every wrong environment; tests/infra/test_compiler.py has one of each."""

import pytest

from tests.infra import compiler
from tests.infra.compiled import WRONG, assert_is_evaluated, assert_is_named, assert_is_refused, needs_compiler
from tests.infra.snapshots import environments

VARIANTS = [(parameters, variant) for parameters, found in environments().items() for variant in found]

pytestmark = needs_compiler


@pytest.mark.parametrize(("parameters", "variant"), VARIANTS, ids=[variant for _, variant in VARIANTS])
def test_every_snapshot_is_what_the_compiler_evaluates(parameters: str, variant: str) -> None:
    """The stored snapshot is the one that is made from the templates as they are."""
    assert_is_evaluated(parameters, variant)


@pytest.mark.parametrize("parameters", sorted(environments()))
def test_a_parameter_file_builds_without_an_environment(parameters: str) -> None:
    """On a new machine the compiler has nothing to say about a parameter file."""
    compiler.build(parameters, {})


@pytest.mark.parametrize("name", environments()["subscriptions.bicepparam"]["subscriptions"])
def test_every_missing_output_is_named(name: str) -> None:
    """The hook may run in an environment that azd has not provisioned yet."""
    assert_is_named(name)


@pytest.mark.parametrize(("environment", "said"), WRONG, ids=[next(iter(one)) for one, _ in WRONG])
def test_every_wrong_environment_is_refused_with_sentences(environment: dict[str, str], said: list[str]) -> None:
    """A value that can't be right, or contradicts another, is named before anything is deployed: all at once."""
    assert_is_refused(environment, said)
