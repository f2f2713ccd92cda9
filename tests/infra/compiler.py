"""Runs the Bicep compiler where there is one; `python -m tests.infra.compiler` writes infra/snapshots/.

It is looked for in the environment variable BICEP, then on the PATH. It needs no network and no account.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.infra.snapshots import DIGESTS, INFRA, SNAPSHOTS, digests, environments

MISSING = "no Bicep compiler: set BICEP to its path, or put `bicep` on the PATH (`az bicep install` fetches it)"


class Refused(Exception):
    """The compiler found something: its own words, without the path of the copy that was compiled."""


def compiler() -> str | None:
    """Find the compiler; None where there is none.

    Raises FileNotFoundError if BICEP isn't the path of a program: a wrong path must not pass for "no compiler".
    """
    if named := os.environ.get("BICEP"):
        if found := shutil.which(os.path.expanduser(named)):
            return str(Path(found).absolute())
        raise FileNotFoundError(f"BICEP is {named}, which is not a program")
    return shutil.which("bicep")


def state() -> str:
    """Return what checks the templates: the compiler and the snapshots, or the snapshots alone."""
    if compiler() is None:
        return f"bicep: templates are checked by their snapshots alone; {MISSING}"
    version = re.search(r"\d+\.\d+\.\d+", _run("--version"))
    return f"bicep: templates are linted, built and evaluated by version {version[0] if version else 'unknown'}"


def lint() -> str:
    """Return what the compiler has to say on all templates; empty if nothing."""
    return _run("lint", "--pattern", str(INFRA / "*.bicep"))


def build(parameters: str, environment: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Build a parameter file with an environment, and return the parameters and the template.

    Raises Refused if the compiler finds anything.
    """
    built = _run("build-params", str(INFRA / parameters), "--stdout", environment=environment)
    if not built.startswith("{"):
        raise Refused(built)
    found = json.loads(built)
    return json.loads(found["parametersJson"]), json.loads(found["templateJson"])


def evaluate(parameters: str, environment: Mapping[str, str]) -> str:
    """Evaluate a parameter file with an environment, and return the snapshot as it is stored.

    Raises Refused if the template refuses the environment.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "infra")
        shutil.copytree(INFRA, copy, ignore=shutil.ignore_patterns("snapshots"))
        said = _run(
            *("snapshot", str(copy / parameters), "--mode", "overwrite", "--location", "westeurope"),
            *("--subscription-id", "00000000-0000-0000-0000-000000000001"),
            # The compiler takes a group only for what is deployed into one.
            *(() if parameters == "main.bicepparam" else ("--resource-group", "rg-recordings")),
            environment=environment,
        ).replace(f"{copy}{os.sep}", "")
        written = copy / Path(parameters).with_suffix(".snapshot.json").name
        if said or not written.exists():
            raise Refused(said)
        found = json.loads(written.read_text())
    # The compiler gives outputs in another order each time.
    found["outputs"] = dict(sorted(found["outputs"].items()))
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def write() -> None:
    """Write the snapshot of every variant, then the digests of what they were made from."""
    found = {
        SNAPSHOTS / f"{variant}.json": evaluate(parameters, environment)
        for parameters, variants in environments().items()
        for variant, environment in variants.items()
    }
    for path in set(SNAPSHOTS.glob("*.json")) - set(found):
        path.unlink()
    for path, text in found.items():
        path.write_text(text)
    # Last: digests that fit say that the snapshots do.
    DIGESTS.write_text(digests())


def _run(*words: str, environment: Mapping[str, str] | None = None) -> str:
    program = compiler()
    if program is None:
        raise FileNotFoundError(MISSING)
    # What is set in this shell must not become part of a snapshot.
    asked = {name for path in INFRA.glob("*.bicepparam") for name in re.findall(r"'([A-Z_]+)'", path.read_text())}
    clean = {name: value for name, value in os.environ.items() if name not in asked}
    # It runs for seconds: to compile its own code twice, as .NET does by default, costs more than it gains.
    quick = {"DOTNET_TieredCompilation": "0"}
    ended = subprocess.run(
        [program, *words],
        env=clean | quick | dict(environment or {}),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return (ended.stdout + ended.stderr).strip()


if __name__ == "__main__":
    try:
        write()
    except (FileNotFoundError, Refused) as wrong:
        sys.exit(f"{wrong}")
    print(f"{len(list(SNAPSHOTS.glob('*.json')))} snapshots in infra/snapshots are those of the templates")
