"""local/soak/run.py: what a run has found is kept, whatever its last step does."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from local.soak.run import compare_index
from local.stack import Stack


@pytest.mark.parametrize(("seconds", "why"), [(30.0, "ended"), (0.0, "wasn't ready")])
async def test_a_comparison_of_the_search_index_that_fails_is_said_and_ends_nothing(
    tmp_path: Path, seconds: float, why: str
) -> None:
    """Without settings the command ends at once; what it says doesn't count as success."""
    stack = cast(Stack, SimpleNamespace(logs=tmp_path, settings=dict))

    said = await compare_index(stack, seconds=seconds)

    assert said.startswith("not compared: ")
    assert why in said
    assert not said.endswith(" 0 differ")
