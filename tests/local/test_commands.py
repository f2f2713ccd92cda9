"""The commands say what they can do, and what is missing."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(*command: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = None if path is None else {"PATH": str(path)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30, check=False)


def test_make_alone() -> None:
    """`make` alone lists the commands, and does nothing."""

    listed = run("make", "--no-print-directory")

    assert 0 == listed.returncode
    words = [line.split()[0] for line in listed.stdout.splitlines()]
    assert [
        "help",
        "setup",
        "lock",
        "demo",
        "up",
        "soak",
        "bench",
        "infra",
        "package",
        "release",
        "test",
        "acceptance",
        "clean",
    ] == words


def test_setup_names_what_is_missing(tmp_path: Path) -> None:
    """Without Python 3.13, Node and npm each is named with the way to get it, at once."""

    ended = run(shutil.which("sh") or "/bin/sh", "local/setup.sh", "python", path=tmp_path)

    assert 1 == ended.returncode
    for tool in ("Python 3.13 (as python3.13 or python3)", "Node 18 or later", "npm"):
        assert f"* {tool}" in ended.stderr
    assert "pyenv install 3.13" in ended.stderr
    assert "apt install nodejs npm" in ended.stderr


def test_setup_refuses_old_tools(tmp_path: Path) -> None:
    """A Python or Node that is too old counts as missing."""

    for name, body in {"python3.13": "exit 127", "python3": "exit 1", "npm": "exit 0"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
    (tmp_path / "node").write_text('#!/bin/sh\n[ "$1" = --version ] && echo v16.20.2 && exit 0\nexit 1\n')
    for tool in tmp_path.iterdir():
        tool.chmod(0o755)

    ended = run(shutil.which("sh") or "/bin/sh", "local/setup.sh", "node", path=tmp_path)

    assert 1 == ended.returncode
    assert "* Python 3.13" in ended.stderr
    assert "* Node 18 or later; node is v16.20.2" in ended.stderr
    assert "* npm" not in ended.stderr


def test_local_alone() -> None:
    """`python -m local` without a command it knows lists them, with status 2."""

    for arguments in ((), ("nonsense",)):
        ended = run(sys.executable, "-m", "local", *arguments)

        assert 2 == ended.returncode
        for command in ("acs", "functions", "up", "demo"):
            assert f"  {command} " in ended.stderr
