"""The requirements files: compiled from pyproject.toml, pinned, with hashes, and nothing of the machine that did it."""

import hashlib
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from local import lock
from local.lock import LOCKS, Lock

ROOT = Path(__file__).parents[2]
PROJECT = lock.read_project()
PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)(?: ; .+?)?(?: \\)?$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}(?: \\)?$")


def pins(path: Path) -> dict[str, str]:
    """Read which version a requirements file has of each package."""
    found = (PIN.match(line) for line in path.read_text().splitlines())
    return {canonicalize_name(one[1]): one[2] for one in found if one}


def test_requirements_files_are_compiled_from_todays_declarations() -> None:
    """A dependency that was declared or removed without compiling would be missing in Azure, or stay there."""
    assert lock.outdated() == [], f"pyproject.toml has changed since these were compiled: run `{lock.COMMAND}`"


@pytest.mark.parametrize("one", LOCKS, ids=lambda one: one.file)
def test_every_declared_dependency_is_pinned_to_a_version_that_it_allows(one: Lock) -> None:
    """Who edits a pin by hand, as a robot that updates libraries does, stays within the declarations."""
    pinned = pins(ROOT / one.file)
    requirements = [Requirement(text) for text in lock.declared(one, PROJECT)]
    wrong = [
        str(each)
        for each in requirements
        if not each.specifier.contains(pinned.get(canonicalize_name(each.name), "0"), prereleases=True)
    ]
    assert wrong == [], f"run `{lock.COMMAND}`"


@pytest.mark.parametrize("one", LOCKS, ids=lambda one: one.file)
def test_a_requirements_file_has_exact_versions_and_hashes_and_nothing_else(one: Lock) -> None:
    """No index address, no path of a machine and no requirement without a hash gets in."""
    text = (ROOT / one.file).read_text()
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    assert [line for line in lines if not PIN.match(line) and not HASH.match(line)] == []
    unhashed = [a for a, b in zip(lines, [*lines[1:], ""], strict=True) if PIN.match(a) and not HASH.match(b)]
    assert unhashed == []
    assert not re.search(r"https?:|file:|(^|\s)/\w", text)


def test_tests_run_on_the_versions_that_run_in_azure() -> None:
    """requirements-dev.txt has all of requirements.txt, so that it can be installed alone."""
    app, dev = pins(ROOT / "requirements.txt"), pins(ROOT / "requirements-dev.txt")
    assert app.items() <= dev.items()
    assert app != dev


def test_every_dependency_has_its_reason() -> None:
    """Each declaration says in its line what it is for."""
    lines = [line.strip() for line in (ROOT / "pyproject.toml").read_text().splitlines()]
    texts = [text for one in LOCKS for text in lock.declared(one, PROJECT)]
    unexplained = [text for text in texts if not any(re.match(rf'"{re.escape(text)}",  # \w.+', at) for at in lines)]
    assert unexplained == []


def test_the_digest_follows_the_declarations() -> None:
    """It changes with a version, a group's entry and an option, and not with the order."""
    dev = next(one for one in LOCKS if one.groups == ("dev",))
    before = lock.digest(dev, PROJECT)

    def changed(**tables: Any) -> str:
        return lock.digest(dev, {**PROJECT, **tables})

    project, groups = PROJECT["project"], PROJECT["dependency-groups"]
    assert before == changed(project={**project, "dependencies": project["dependencies"][::-1]})
    assert before != changed(project={**project, "dependencies": project["dependencies"][1:]})
    assert before != changed(project={**project, "requires-python": ">=3.14"})
    assert before != changed(**{"dependency-groups": {**groups, "dev": [*groups["dev"], "more>=1"]}})
    assert before != lock.digest(Lock(dev.file, has_app=True, groups=dev.groups), PROJECT)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a dependency, which needs another; a folder of wheels is all that uv can ask."""
    index = tmp_path / "wheels"
    index.mkdir()
    for name, version, needs in (("first", "1.0", "second"), ("first", "1.1", "second"), ("second", "2.0", "")):
        wheel(index, name, version, needs)
    monkeypatch.setenv("UV_NO_CACHE", "1")
    root = tmp_path / "house"
    (root / "tests" / "local" / "acs").mkdir(parents=True)
    declare(root, "first>=1.0")
    return root


def declare(root: Path, dependency: str) -> None:
    """Write a pyproject.toml."""
    text = f"""
        [project]
        name = "house"
        version = "1"
        requires-python = ">=3.13,<3.14"
        dependencies = ["{dependency}"]
        [dependency-groups]
        dev = ["second>=2.0"]
        sdk-1-2 = ["first==1.0"]
        [tool.uv.pip]
        no-index = true
        find-links = ["{root.parent / "wheels"}"]
    """
    (root / "pyproject.toml").write_text(text)


def wheel(folder: Path, name: str, version: str, needs: str) -> None:
    """Write the smallest wheel that there can be."""
    about = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + (
        f"Requires-Dist: {needs}\n" * bool(needs)
    )
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{about}/METADATA", metadata)
        archive.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{about}/RECORD", "")


def test_compiling_pins_with_hashes_what_was_declared(house: Path) -> None:
    """All files are there afterwards, up to date, with the hash of the wheel and without its folder."""
    assert [one.file for one in LOCKS] == lock.outdated(house)

    assert 0 == lock.main([], house)

    assert [] == lock.outdated(house)
    assert {"first": "1.1", "second": "2.0"} == pins(house / "requirements.txt") == pins(house / "requirements-dev.txt")
    assert {"first": "1.0"} == pins(house / "tests" / "local" / "acs" / "sdk-1.2.0.txt")
    content = (house.parent / "wheels" / "first-1.1-py3-none-any.whl").read_bytes()
    text = (house / "requirements.txt").read_text()
    assert f"--hash=sha256:{hashlib.sha256(content).hexdigest()}" in text
    assert str(house.parent) not in text


def test_a_pin_stays_until_an_upgrade_is_asked_for(house: Path) -> None:
    """A new declaration brings what it needs, and no other change."""
    declare(house, "first==1.0")
    assert 0 == lock.main([], house)
    declare(house, "first>=1.0")
    assert ["requirements.txt", "requirements-dev.txt"] == lock.outdated(house)

    assert 0 == lock.main([], house)
    assert "1.0" == pins(house / "requirements.txt")["first"]
    assert 0 == lock.main(["--upgrade"], house)
    assert "1.1" == pins(house / "requirements.txt")["first"] == pins(house / "requirements-dev.txt")["first"]
    assert 1 == len(re.findall("^# Compiled from", (house / "requirements.txt").read_text(), re.MULTILINE))


def test_a_dependency_that_does_not_exist_changes_nothing(house: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The file stays as it was, outdated, and uv says what is wrong."""
    assert 0 == lock.main([], house)
    before = (house / "requirements.txt").read_text()
    declare(house, "third>=1.0")

    assert 1 == lock.main([], house)

    said = capfd.readouterr().err
    assert "third" in said
    assert "requirements.txt was not compiled" in said
    assert before == (house / "requirements.txt").read_text()
    assert "requirements.txt" in lock.outdated(house)
