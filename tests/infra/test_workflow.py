""".github/workflows: what runs, with which rights, and whose code."""

import re
import subprocess
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.infra.snapshots import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def read(path: Path) -> dict[str, Any]:
    """Read a workflow."""
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_rights_are_given_per_job(path: Path) -> None:
    """A workflow has no rights of its own; each job names the least that it needs, and ends some time.

    Only a release writes: it creates itself.
    """
    workflow = read(path)
    assert workflow["permissions"] == {}
    least = {"contents": "write" if path.name == "release.yml" else "read"}
    assert {name: job["permissions"] for name, job in workflow["jobs"].items()} == dict.fromkeys(
        workflow["jobs"], least
    )
    assert [name for name, job in workflow["jobs"].items() if "timeout-minutes" not in job] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned(path: Path) -> None:
    """Others' code is named by a full commit id, with its version beside it; a checkout leaves no credentials."""
    lines = [line.strip() for line in path.read_text().splitlines() if "uses:" in line]
    pinned = re.compile(r"- uses: actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
    assert [line for line in lines if not pinned.fullmatch(line)] == []
    checkouts = [s for job in read(path)["jobs"].values() for s in job["steps"] if "checkout@" in s.get("uses", "")]
    assert [step["with"]["persist-credentials"] for step in checkouts] == [False] * len(checkouts)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_what_a_workflow_runs_is_there(path: Path) -> None:
    """Each command is shell, without an expression in it; targets of make and modules of the repository exist."""
    runs = [step["run"] for job in read(path)["jobs"].values() for step in job["steps"] if "run" in step]
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    made = [target for run in runs for target in re.findall(r"\bmake (\w+)", run)]
    modules = [name for run in runs for name in re.findall(r"-m ((?:tests|recording)[\w.]*)", run)]

    assert [
        run for run in runs if "${{" in run or subprocess.run(["bash", "-n", "-c", run], check=False).returncode
    ] == []
    assert made
    assert [target for target in made if target not in targets] == []
    assert [name for name in modules if find_spec(name) is None] == []


def test_templates_are_compiled() -> None:
    """`make test` has the compiler beside it: what it finds, and snapshots that are not current, fail there."""
    test = read(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]["test"]
    runs = [step.get("run", "") for step in test["steps"]]
    assert runs.index("make test") > next(n for n, run in enumerate(runs) if "az bicep install --version v" in run)
    assert "BICEP" in test["steps"][runs.index("make test")]["env"]


def test_acceptance_runs_every_night() -> None:
    """What takes too long for every change isn't collected by `make test`, and is run alone at night."""
    nightly = read(ROOT / ".github" / "workflows" / "nightly.yml")
    # YAML 1.1 reads `on` as true.
    [when] = nightly[True]["schedule"]  # type: ignore[index]
    assert re.fullmatch(r"\d+ \d+ \* \* \*", when["cron"])
    assert "make acceptance" in [step.get("run") for step in nightly["jobs"]["acceptance"]["steps"]]
    pytest_options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    assert "acceptance" in pytest_options["norecursedirs"]
    recipe = (ROOT / "Makefile").read_text().partition("\nacceptance:")[2].splitlines()[1]
    assert "pytest tests/acceptance" in recipe
    # By one worker: no test beside the one that is measured.
    assert "-n" not in recipe.split()


def test_the_demo_runs_on_core_tools_every_night() -> None:
    """On an exact version, after its installation."""
    steps = read(ROOT / ".github" / "workflows" / "nightly.yml")["jobs"]["core-tools"]["steps"]
    *_, installation, demo = [step.get("run", "") for step in steps]
    assert re.fullmatch(r"npm install --global azure-functions-core-tools@4\.\d+\.\d+", installation)
    assert demo == "make demo HOST=func"


def test_libraries_and_code_are_audited() -> None:
    """Every requirement is looked up among known vulnerabilities, weekly too; the tools have a version of their own."""
    workflow = read(ROOT / ".github" / "workflows" / "ci.yml")
    steps = [step["run"] for step in workflow["jobs"]["audit"]["steps"] if "run" in step]
    tools = [word for step in steps if "pip install" in step for word in step.split() if re.match("pip-|bandit", word)]
    audited = {word for step in steps if "pip_audit" in step for word in step.split() if word.endswith(".txt")}
    assert all(re.fullmatch(r"[a-z-]+==[\d.]+", tool) for tool in tools)
    assert len(tools) == 2
    assert audited == {path.name for path in ROOT.glob("requirements*.txt")}
    # YAML 1.1 reads `on` as true.
    assert "schedule" in workflow[True]  # type: ignore[index]


def test_every_installation_checks_hashes() -> None:
    """`make setup` and CI install the requirements files with hashes only; CI also builds the package for Azure."""
    setup = re.sub(r" \\\n\s+", " ", (ROOT / "local" / "setup.sh").read_text())
    installed = [line for line in setup.splitlines() if "pip install" in line]
    assert len(installed) == 2
    assert [line for line in installed if "--require-hashes" not in line or "-r " not in line] == []
    jobs = read(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]
    audit, test = ([step.get("run", "") for step in jobs[name]["steps"]] for name in ("audit", "test"))
    assert [step for step in audit if ".txt" in step and "--require-hashes" not in step] == []
    assert "make package" in test
    assert "--only-binary :all:" in (ROOT / "infra" / "build.sh").read_text()


def test_security_rules_hold_for_what_is_deployed() -> None:
    """Ruff's S rules run with `make test`, and no file of the app is exempt from one of them."""
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    assert "S" in lint["select"]
    app = {
        p: rules for p, rules in lint["per-file-ignores"].items() if p.startswith(("recording", "function_app", "*"))
    }
    assert [(path, rule) for path, rules in app.items() for rule in rules if re.fullmatch(r"S\d*|ALL", rule)] == []
    bandit = next(s["run"] for s in read(WORKFLOWS[0])["jobs"]["audit"]["steps"] if "-m bandit" in s.get("run", ""))
    assert bandit.endswith("recording function_app.py")


def test_updates_are_proposed() -> None:
    """Libraries, Azurite and actions each have somebody who looks for newer versions of them."""
    updates = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text())["updates"]
    assert {one["package-ecosystem"] for one in updates} == {"pip", "npm", "github-actions"}
    assert {one["directory"] for one in updates} == {"/"}
    # What pyproject.toml declares stays while it allows the new version: its digest stands in the requirements files.
    libraries = next(one for one in updates if one["package-ecosystem"] == "pip")
    assert libraries["versioning-strategy"] == "increase-if-necessary"
