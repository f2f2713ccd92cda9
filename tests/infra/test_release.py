"""A release: its version, package, checksums and bill of materials, and the workflow that publishes it."""

import json
import re
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

from recording import __version__
from tests.infra.release import archive, bill_of_materials, checksums, notes
from tests.infra.snapshots import ROOT

RELEASE = ROOT / ".github" / "workflows" / "release.yml"
ISSUES = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def test_the_version_is_the_same_everywhere() -> None:
    """`recording/__init__.py` has it; pyproject.toml, OpenAPI and the changelog follow."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    described = json.loads((ROOT / "docs" / "openapi.json").read_text())["info"]["version"]
    [newest, *_] = re.findall(r"^## \[(\d.*?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert {project, described, newest} == {__version__}
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)


def test_the_same_package_has_the_same_bytes(tmp_path: Path) -> None:
    """Whoever builds a release again can compare the digests."""
    package = tmp_path / "package"
    (package / "recording").mkdir(parents=True)
    (package / "recording" / "app.py").write_text("x = 1\n")
    (package / "host.json").write_text("{}")

    archive(package, tmp_path / "one.zip")
    (package / "host.json").touch()
    archive(package, tmp_path / "two.zip")

    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    assert zipfile.ZipFile(tmp_path / "one.zip").namelist() == ["host.json", "recording/app.py"]
    assert checksums([tmp_path / "one.zip"]).endswith("  one.zip\n")


def test_the_bill_lists_each_library_with_its_version(tmp_path: Path) -> None:
    """By the metadata that is installed beside it, not by what was asked for."""
    for name, version, licence in (("Some-Lib", "2.1", "License-Expression: MIT\n"), ("other", "1.0", "License: ?\n")):
        info = tmp_path / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n{licence}")

    made = bill_of_materials(tmp_path)

    assert [(one["purl"], one.get("licenses")) for one in made["components"]] == [
        ("pkg:pypi/other@1.0", None),
        ("pkg:pypi/some-lib@2.1", [{"expression": "MIT"}]),
    ]
    assert made["metadata"]["component"]["version"] == __version__


def test_notes_are_those_of_the_version() -> None:
    """Cut from the changelog; a version that has none isn't released."""
    changelog = (
        "# Changelog\n\n## Unreleased\n\nx\n\n## [1.2.0] - 2026-01-01\n\nnew\n\n## [1.1.0] - 2025-01-01\n\nold\n"
    )

    assert notes(changelog, "1.2.0") == "new\n"
    with pytest.raises(LookupError):
        notes(changelog, "2.0.0")


def test_a_tag_is_released_only_if_it_is_the_version() -> None:
    """And only after the whole of `make test`; what is published is what was built."""
    steps = [one["run"] for one in yaml.safe_load(RELEASE.read_text())["jobs"]["release"]["steps"] if "run" in one]
    order = ["recording --version", "make test", "tests.infra.release dist", "gh release create"]
    at = [next(number for number, step in enumerate(steps) if part in step) for part in order]
    assert at == sorted(at)
    assert {"dist/*.zip", "dist/sbom.cdx.json", "dist/SHA256SUMS", "dist/notes.txt"} <= {*steps[at[-1]].split()}


@pytest.mark.parametrize("path", ISSUES, ids=lambda path: path.name)
def test_an_issue_asks_for_what_is_needed_and_for_no_secret(path: Path) -> None:
    """Each template is a form that GitHub reads, asks for the version, and warns of ids and addresses with tokens."""
    if path.name == "config.yml":
        assert yaml.safe_load(path.read_text())["blank_issues_enabled"] is False
        return
    form = yaml.safe_load(path.read_text())
    assert {"name", "description", "body"} <= set(form)
    ids = [one["id"] for one in form["body"] if "id" in one]
    assert len(ids) == len(set(ids))
    assert "version" in ids or form["name"] == "Idea"
    assert all(one["type"] in ("markdown", "input", "textarea", "dropdown", "checkboxes") for one in form["body"])
