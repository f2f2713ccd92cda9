"""Compile the requirements files from pyproject.toml: `make lock`.

pyproject.toml declares the direct dependencies; each requirements file pins them and all transitive ones, with hashes
for every platform. pip installs only from these files: in Azure, in CI and on a developer's machine. The first line of
each file has a digest of the declarations that it was compiled from, so that a test recognizes an outdated file without
a network.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND = "make lock"
_ROOT = Path(__file__).parents[1]
_DIGEST = re.compile(r"^# Compiled from the declarations with SHA-256 ([0-9a-f]{64})\.$", re.MULTILINE)


@dataclass(frozen=True)
class Lock:
    """A requirements file: the declarations that it is compiled from, and options of uv."""

    file: str
    has_app: bool
    groups: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


LOCKS = (
    # Oryx, which builds the app in Azure, installs this file and reads no other.
    Lock("requirements.txt", has_app=True),
    # Constrained, so that the tests run on the versions that run in Azure.
    Lock("requirements-dev.txt", has_app=True, groups=("dev",), options=("--constraint", "requirements.txt")),
    # Without its dependencies: it is put in front of the newest release, whose dependencies it shares.
    Lock("tests/local/acs/sdk-1.2.0.txt", has_app=False, groups=("sdk-1-2",), options=("--no-deps",)),
)


def declared(lock: Lock, project: dict[str, Any]) -> list[str]:
    """List the requirements that pyproject.toml declares for a requirements file."""
    app: list[str] = project["project"]["dependencies"] if lock.has_app else []
    return [*app, *(one for group in lock.groups for one in project["dependency-groups"][group])]


def digest(lock: Lock, project: dict[str, Any]) -> str:
    """Compute the digest of what a requirements file is compiled from; the order of declarations doesn't matter."""
    parts = [project["project"]["requires-python"], lock.options, sorted(declared(lock, project))]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def outdated(root: Path = _ROOT) -> list[str]:
    """List the requirements files that were not compiled from what pyproject.toml declares now."""
    project = read_project(root)
    return [lock.file for lock in LOCKS if recorded_digest(root / lock.file) != digest(lock, project)]


def recorded_digest(path: Path) -> str | None:
    """Return the digest in a requirements file, None if there is none."""
    found = _DIGEST.search(path.read_text()) if path.is_file() else None
    return found[1] if found else None


def read_project(root: Path = _ROOT) -> dict[str, Any]:
    """Read pyproject.toml."""
    return tomllib.loads((root / "pyproject.toml").read_text())


def compile_lock(lock: Lock, root: Path, *, upgrade: bool) -> None:
    """Compile one requirements file; raises CalledProcessError when uv fails, which leaves the file unchanged."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.13"]
    # Neither an index nor a folder of this machine must be written to the file.
    command += ["--generate-hashes", "--no-emit-index-url", "--no-emit-find-links", "--custom-compile-command", COMMAND]
    # By default, versions that are already pinned are kept if they satisfy the declarations.
    command += ["--upgrade"] if upgrade else []
    command += [*lock.options, *(["pyproject.toml"] if lock.has_app else [])]
    command += [option for group in lock.groups for option in ("--group", group)]
    subprocess.run([*command, "--output-file", lock.file], cwd=root, check=True, stdout=subprocess.DEVNULL)
    path = root / lock.file
    text = _DIGEST.sub("", path.read_text()).lstrip("\n")
    path.write_text(f"# Compiled from the declarations with SHA-256 {digest(lock, read_project(root))}.\n{text}")


def main(argv: list[str], root: Path = _ROOT) -> int:
    """Compile all requirements files; return 1 when uv fails, which prints the reason itself."""
    parser = argparse.ArgumentParser(prog="python -m local lock", description="Compile the requirements files.")
    parser.add_argument("--upgrade", action="store_true", help="pin the newest versions instead of the present ones")
    arguments = parser.parse_args(argv)
    for lock in LOCKS:
        try:
            compile_lock(lock, root, upgrade=arguments.upgrade)
        except subprocess.CalledProcessError as failed:
            print(f"{lock.file} was not compiled: uv ended with status {failed.returncode}", file=sys.stderr)
            return 1
    print(f"Compiled {', '.join(lock.file for lock in LOCKS)}; `make setup` installs what has changed")
    return 0
