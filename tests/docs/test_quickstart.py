"""docs/quickstart.md and README.md: the files that they rely on exist, and README stays short and honest."""

import json
import re
import subprocess

import pytest

from tests.infra.snapshots import ROOT

README = (ROOT / "README.md").read_text()
CONTAINER = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
TASKS = json.loads((ROOT / ".vscode" / "tasks.json").read_text())["tasks"]


def test_the_dev_container_has_what_the_quickstart_needs() -> None:
    """Its Python and Node are the project's, and both ports are forwarded."""
    version = (ROOT / ".python-version").read_text().strip()
    least = json.loads((ROOT / "package.json").read_text())["engines"]["node"].removeprefix(">=")
    [node] = [value for name, value in CONTAINER["features"].items() if "/node:" in name]
    quickstart = (ROOT / "docs" / "quickstart.md").read_text()

    assert f"python:{version}-" in CONTAINER["image"]
    assert int(node["version"]) >= int(least)
    assert [port for port in CONTAINER["forwardPorts"] if f"{port}" not in quickstart] == []


@pytest.mark.parametrize("command", [CONTAINER["postCreateCommand"], *(task["command"] for task in TASKS)])
def test_what_the_editor_runs_is_a_target_of_make(command: str) -> None:
    """`make -n` knows it."""
    done = subprocess.run([*command.split(), "-n"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, command.split()[0]) == (0, "make")


def test_readme_can_be_read_in_ten_minutes() -> None:
    """About 120 lines; what it is, its status and its limits come before the details."""
    places = [README.index(part) for part in ("**Status.**", "**Don't use it**", "## Try it", "## How it compares")]
    assert places == sorted(places)
    assert len(README.splitlines()) <= 136
    assert len(README.split()) <= 1400
    assert "live Azure subscription yet" in README[: README.index("## Try it")]


def test_readme_says_that_nothing_ran_on_azure_as_long_as_the_list_says_so() -> None:
    """Who tries it on Azure changes both."""
    untried = (ROOT / "docs" / "deploy-upgrade.md").read_text().partition("## Not tried")[2]
    assert ("Nothing here has run on a live Azure subscription yet" in README) == (
        "No deployment has been made with these files" in untried
    )


def test_the_reading_order_says_how_much_it_is() -> None:
    """Words of the documents before a semicolon and behind it, within a tenth, where a row gives a number."""
    wrong = {}
    for row in re.findall(r"^\| .+ \|$", README.partition("## Documents")[2], re.MULTILINE)[2:]:
        _, who, documents, words, _ = (cell.strip() for cell in row.split("|"))
        for part, said in zip(documents.split(";"), words.split(";"), strict=False):
            counted = sum(len((ROOT / path).read_text().split()) for path in re.findall(r"\]\((.+?)\)", part))
            if said.strip() and not 0.9 < counted / int(said.replace(",", "")) < 1.1:
                wrong[who] = counted
    assert wrong == {}


def test_each_figure_is_replaced_in_one_place() -> None:
    """Five lines between two marks."""
    figures = README.partition("<!-- figures -->\n")[2].partition("<!-- /figures -->")[0]
    assert len(re.findall(r"^\* ", figures, re.MULTILINE)) == 5
    assert "make soak" in figures
