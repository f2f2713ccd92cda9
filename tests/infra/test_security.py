"""SECURITY.md: what it says is held by a test is; who may do what is complete."""

import ast
import re
from functools import cache

import pytest

from tests.infra.app_code import functions
from tests.infra.snapshots import ROOT

SOURCE = (ROOT / "SECURITY.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", SOURCE)))
THREATS = re.split(r"^### ", SOURCE.partition("## Threats and defences")[2], flags=re.MULTILINE)[1:]


@cache
def functions_in(path: str) -> frozenset[str]:
    """List the functions of a file."""
    found = ast.walk(ast.parse((ROOT / path).read_text()))
    return frozenset(node.name for node in found if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_a_named_test_exists(path: str, name: str) -> None:
    """Without its test a defence is only a claim."""
    assert (ROOT / path).is_file()
    assert name in functions_in(path)


@pytest.mark.parametrize("threat", THREATS, ids=lambda text: text.partition("\n")[0])
def test_each_threat_has_its_tests(threat: str) -> None:
    """A defence without a test is only a claim."""
    assert re.search(r"^Tests:\n\n\* `tests/", threat, re.MULTILINE)


def test_every_threat_that_is_known_has_a_defence() -> None:
    """Spoofing, forged requests, paths, replays, stolen keys and links, logs, sizes, files, deletion, libraries."""
    assert len(THREATS) >= 12
    assert len(NAMED) >= 50


def test_every_function_belongs_to_somebody() -> None:
    """The table of who may do what has each function that can be called from outside, once."""
    table = SOURCE.partition("## Who may do what")[2].partition("###")[0]
    told = re.findall(r"`([a-z]+(?:_[a-z]+)*)`", "".join(re.findall(r"^\| [^|]+ (\|.+)$", table, re.MULTILINE)))
    not_called = ("queue_trigger", "timer_trigger")
    called = {name for name, trigger in functions().items() if trigger not in not_called}
    assert sorted(told) == sorted(called)
