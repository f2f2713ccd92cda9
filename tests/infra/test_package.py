"""What azd deploys: .funcignore, and the libraries that infra/build.sh puts beside the app."""

import fnmatch
import os
import re
import shutil
import subprocess
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest
import yaml

from tests.infra.package import LIBRARIES, copy, deployed, start
from tests.infra.snapshots import INFRA, ROOT, resource

NAME = "stub"
LINUX = "cp313-cp313-manylinux_2_28_x86_64"


def write(folder: Path, *names: str) -> None:
    """Make files in a folder."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")


def tracked() -> list[str]:
    """List the files of the repository."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.split("\0") if name]


def test_the_app_and_nothing_else_is_deployed(tmp_path: Path) -> None:
    """Of all files in the repository those that run; and none of the other files on a machine, such as secrets."""
    about = [
        ".env",
        ".azure/production/.env",
        ".git/config",
        ".venv/lib/python3.13/site-packages/aiohttp/web.py",
        "acs.header",
        "demo-output/recording.mp4",
        "local.settings.json",
        "node_modules/azurite/package.json",
        "recording/__pycache__/app.cpython-313.pyc",
        "settings.json",
    ]
    write(tmp_path, *tracked(), *about)

    found = deployed(tmp_path)

    app = [name for name in tracked() if name.startswith("recording/")]
    assert {*app, "function_app.py", "host.json", "requirements.txt"} == {*found}


LIBRARY = [
    f"{LIBRARIES}/{name}"
    for name in (
        "_cffi_backend.cpython-313-x86_64-linux-gnu.so",
        "azure/core/__init__.py",
        "package.py",
        "package.json",
        "pyproject.toml",
        "some/.hidden/file",
        "some/LICENSE",
        "some/docs/index.rst",
        "some/infra/x.py",
        "some/local/x.py",
        "some/tests/x.py",
        "some-1.0.dist-info/METADATA",
    )
]


def test_libraries_are_deployed_whole(tmp_path: Path) -> None:
    """Whatever they are called: no line that is meant for the repository applies within them."""
    write(tmp_path, *LIBRARY, "docs/index.rst", "some/.hidden/file")

    assert sorted(LIBRARY) == deployed(tmp_path)


ABOUT = ["docs/index.rst", ".env", "function_app.py", "recording/app.py", "recording/a/__pycache__/b.pyc", ".venv/x.py"]


def test_azd_reads_the_file_as_git_does(tmp_path: Path) -> None:
    """Its library (denormal/go-gitignore) lets a star pass a slash where a line begins with one, and git doesn't."""
    write(tmp_path, *LIBRARY, *ABOUT)

    kept = [name for name in (*LIBRARY, *ABOUT) if not any(is_ignored(one, is_folder=one != name) for one in on(name))]

    assert sorted(kept) == deployed(tmp_path)


def on(name: str) -> list[str]:
    """List a file and the folders on the way to it."""
    parts = Path(name).parts
    return ["/".join(parts[: n + 1]) for n in range(len(parts))]


def is_ignored(entry: str, *, is_folder: bool) -> bool:
    """Decide as azd's library does: the last line that matches an entry counts."""
    lines = [line for line in (ROOT / ".funcignore").read_text().splitlines() if line and not line.startswith("#")]
    for line in reversed(lines):
        pattern = line.removeprefix("!")
        if pattern.endswith("/") and not is_folder:
            continue
        pattern = pattern.removesuffix("/")
        if pattern.endswith("/**"):
            matches = f"/{pattern[:-3]}/" in f"/{entry}"
        elif pattern.startswith("/"):
            matches = fnmatch.fnmatchcase(entry, pattern[1:])
        else:
            assert "/" not in pattern
            matches = fnmatch.fnmatchcase(entry.rpartition("/")[2], pattern)
        if matches:
            return not line.startswith("!")
    return False


def wheel(folder: Path, tag: str, *, text: str = "x = 1\n") -> str:
    """Make a wheel, and return its SHA-256."""
    path = folder / f"{NAME}-1.0-{tag}.whl"
    info = f"{NAME}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr(f"{NAME}.py", text)
        made.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 1.0\n")
        made.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: false\nTag: {tag}\n")
        made.writestr(f"{info}/RECORD", "")
    return sha256(path.read_bytes()).hexdigest()


def build(folder: Path, wheels: Path) -> subprocess.CompletedProcess[str]:
    """Run the hook in a folder, with these wheels as all that there is to install."""
    (folder / "infra").mkdir(exist_ok=True)
    shutil.copy(INFRA / "build.sh", folder / "infra")
    shutil.copy(ROOT / ".python-version", folder)
    (folder / ".venv").unlink(missing_ok=True)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_CONFIG_FILE": os.devnull}
    environment = offline | {"PATH": os.environ["PATH"]}
    return subprocess.run(
        ["sh", "infra/build.sh"], cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_libraries_are_built_for_azure(tmp_path: Path) -> None:
    """Whatever this machine is: Linux, x86-64, the Python of .python-version, where the host looks for them, afresh."""
    for tag in ("cp313-cp313-macosx_11_0_arm64", "cp312-cp312-manylinux_2_28_x86_64", "cp313-cp313-win_amd64"):
        wheel(tmp_path, tag, text="raise SystemExit('not this one')\n")
    digest = wheel(tmp_path, LINUX)
    (tmp_path / "requirements.txt").write_text(f"{NAME}==1.0 --hash=sha256:{digest}\n")
    write(tmp_path, f"{LIBRARIES}/of/an/older/build.py")

    done = build(tmp_path, tmp_path)

    assert (0, "") == (done.returncode, done.stderr)
    assert "x = 1\n" == (tmp_path / LIBRARIES / f"{NAME}.py").read_text()
    assert {f"{NAME}.py", f"{NAME}-1.0.dist-info"} == {path.name for path in (tmp_path / LIBRARIES).iterdir()}


@pytest.mark.parametrize(
    ("tag", "hashed"),
    [("cp313-cp313-macosx_11_0_arm64", True), ("cp312-cp312-manylinux_2_28_x86_64", True), (LINUX, False)],
)
def test_what_does_not_fit_fails_the_build(tmp_path: Path, tag: str, *, hashed: bool) -> None:
    """A library for another platform or Python, or that isn't the one that is locked, is never deployed."""
    digest = wheel(tmp_path, tag)
    (tmp_path / "requirements.txt").write_text(f"{NAME}==1.0 --hash=sha256:{digest if hashed else '0' * 64}\n")

    assert build(tmp_path, tmp_path).returncode != 0


def test_both_systems_build_the_same() -> None:
    """The scripts for sh and PowerShell call pip alike."""
    said = [re.sub(r"[\\`]\n *", "", (INFRA / name).read_text()) for name in ("build.sh", "build.ps1")]
    calls = [re.search(r"-m pip (install .+)", text) for text in said]
    sh, ps = [call[1] for call in calls if call]

    assert sh.replace('"$(cat .python-version)"', "VERSION") == ps.replace('"$version"', "VERSION")


def test_azd_builds_here() -> None:
    """Not on Azure, whose builds have used another Python; the hook runs before the app is packaged."""
    app = yaml.safe_load((ROOT / "azure.yaml").read_text())["services"]["app"]
    runs = {system: hook["run"] for system, hook in app["hooks"]["prepackage"].items()}

    assert (False, {"posix": "sh infra/build.sh", "windows": "./infra/build.ps1"}) == (app["remoteBuild"], runs)
    version = resource("Microsoft.Web/sites").properties["functionAppConfig"]["runtime"]["version"]
    assert (ROOT / ".python-version").read_text().strip() == version


def test_a_package_without_its_libraries_is_found_out(tmp_path: Path) -> None:
    """What `make package` starts has nothing else: .venv's libraries aren't there."""
    for name in ("function_app.py", "host.json", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path)
    package = tmp_path / "package"
    copy(tmp_path, package)

    with pytest.raises(SystemExit, match="No module named 'azure'"):
        start(package)
