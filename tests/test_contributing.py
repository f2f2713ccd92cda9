"""CONTRIBUTING.md: every path that it names exists, its commands can be run, and its example is a test of ours."""

import importlib.util
import re
import subprocess
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = (ROOT / "CONTRIBUTING.md").read_text()
CODE = re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```", "", SOURCE, flags=re.MULTILINE | re.DOTALL))
FOLDERS = ("recording", "tests", "infra", "docs", "benchmarks", "local")
# A word of this form is a path: in a folder of ours, or a file at the top.
PATHS = sorted(
    {word for code in CODE for word in code.split() if re.fullmatch(rf"({'|'.join(FOLDERS)})(/[\w./-]*)", word)}
)
TARGETS = sorted({code.split()[1] for code in CODE if re.fullmatch(r"make [a-z]+.*", code)})
MODULES = sorted({found for code in CODE for found in re.findall(r"python -m ([\w.]+)", code)} - {"pytest", "mypy"})


def recipe(title: str) -> str:
    """Return the text of a section."""
    return SOURCE.partition(f"## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize(
    "title", ["Adding a setting", "Adding an operation", "Adding an event type", "Adding a stored fact"]
)
def test_a_recipe_names_files_and_ends_with_a_command(title: str) -> None:
    """A recipe that was renamed or lost its steps is found."""
    assert len(re.findall(r"^\d\. ", recipe(title), re.MULTILINE)) >= 5
    assert "`.venv/bin/python -m pytest tests/" in " ".join(recipe(title).split())


@pytest.mark.parametrize("path", PATHS)
def test_a_path_exists(path: str) -> None:
    """The path of a module that moved must be changed here, too."""
    assert (ROOT / path.removesuffix("/")).exists()


def test_paths_are_found() -> None:
    """The reader of this file finds them."""
    assert len(PATHS) >= 20
    assert TARGETS
    assert MODULES


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_of_make_exists(target: str) -> None:
    """`make -n` knows it."""
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("module", MODULES)
def test_a_module_that_is_run_exists(module: str) -> None:
    """Python finds what `python -m` is given."""
    assert importlib.util.find_spec(module) is not None


def test_the_example_is_a_test() -> None:
    """The crash test that is shown is one that runs."""
    [shown] = re.findall(r"^   ```python\n(.*?)^   ```", SOURCE, re.MULTILINE | re.DOTALL)
    assert dedent(shown) in (ROOT / "tests" / "storage" / "test_calls.py").read_text()
