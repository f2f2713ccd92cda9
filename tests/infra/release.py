"""What a release consists of; `python -m tests.infra.release FOLDER` builds it (needs PyPI, as `make package` does).

`acs-call-recording-<version>.zip` is what is deployed, `sbom.cdx.json` lists its libraries (CycloneDX 1.6), and
`SHA256SUMS` has the digests of both, as `sha256sum --check` reads them.
"""

import json
import subprocess
import sys
import tempfile
import zipfile
from hashlib import sha256
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from recording import __version__
from tests.infra.package import LIBRARIES, copy, start
from tests.infra.snapshots import ROOT

NAME = "acs-call-recording"
# The earliest that a ZIP file can hold: the same package has the same digest whenever it is built.
_TIME = (1980, 1, 1, 0, 0, 0)


def archive(package: Path, target: Path) -> None:
    """Write the files of a package into a ZIP file whose bytes depend on nothing else."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        for path in sorted(one for one in package.rglob("*") if one.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(package).as_posix(), _TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            made.writestr(entry, path.read_bytes())


def bill_of_materials(libraries: Path) -> dict[str, Any]:
    """List the libraries of a folder of site-packages, by name, as a CycloneDX document."""
    components = []
    for found in distributions(path=[str(libraries)]):
        name, version = found.metadata["Name"], found.version
        component: dict[str, Any] = {
            "type": "library",
            "bom-ref": f"pkg:pypi/{name.lower()}@{version}",
            "name": name,
            "version": version,
            "purl": f"pkg:pypi/{name.lower()}@{version}",
        }
        # An expression of SPDX; the older free text is not one.
        if licence := found.metadata.get("License-Expression"):
            component["licenses"] = [{"expression": licence}]
        components.append(component)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "bom-ref": NAME, "name": NAME, "version": __version__}},
        "components": sorted(components, key=lambda one: one["purl"]),
    }


def checksums(files: list[Path]) -> str:
    """Write the digests of files as `sha256sum` does."""
    return "".join(f"{sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files)


def notes(changelog: str, version: str) -> str:
    """Return what the changelog says on a version; raises LookupError if it has no such section."""
    head, _, rest = changelog.partition(f"\n## [{version}]")
    if head == changelog:
        raise LookupError(f"CHANGELOG.md has no section [{version}]")
    return rest.partition("\n")[2].partition("\n## ")[0].strip() + "\n"


def main(folder: Path) -> None:
    """Build the package, and write what is released into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["sh", str(ROOT / "infra" / "build.sh")], check=True)
    with tempfile.TemporaryDirectory() as name:
        package = Path(name)
        copy(ROOT, package)
        start(package)
        zipped, materials = folder / f"{NAME}-{__version__}.zip", folder / "sbom.cdx.json"
        archive(package, zipped)
        materials.write_text(json.dumps(bill_of_materials(package / LIBRARIES), indent=2) + "\n")
    (folder / "SHA256SUMS").write_text(checksums([zipped, materials]))
    (folder / "notes.txt").write_text(notes((ROOT / "CHANGELOG.md").read_text(), __version__))
    print((folder / "SHA256SUMS").read_text(), end="")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
