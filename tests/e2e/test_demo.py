"""The demo, as a newcomer runs it."""

import hashlib
import json
import resource
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def command(folder: Path) -> list[str]:
    """Return the command of the demo, with all that it writes in a folder."""
    places = {"--output": "out", "--logs": "logs", "--data": "data"}
    options = (part for name, place in places.items() for part in (name, str(folder / place)))
    return [sys.executable, "-m", "local", "demo", *options]


@pytest.mark.timeout(300)
def test_demo(tmp_path: Path) -> None:
    """It ends with status 0, in less than a minute of one core, and its summary and files agree."""

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = subprocess.run(
        command(tmp_path),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )

    assert 0 == ended.returncode, ended.stdout + ended.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["ok"] is True
    # Other tests run beside it, so the time of the processor is counted; on an idle machine it is the longer one.
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime < 60
    assert [] == [step["name"] for step in summary["steps"] if not step["ok"]]
    assert {"today": 15, "2021": 15} == Counter(step["part"] for step in summary["steps"])
    made = Counter(chunk["api"] for chunk in summary["chunks"])
    assert {"today", "2021"} == made.keys()
    assert min(made.values()) >= 2
    for chunk in summary["chunks"]:
        content = (tmp_path / "out" / chunk["file"]).read_bytes()
        assert (chunk["bytes"], chunk["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
        assert chunk["documentId"] in chunk["archivedBlob"]
    assert 2 == ended.stdout.count("byte for byte as ACS served it. The pause of 10 s is not in it.")
    played = [ROOT / line.partition("Play it: ")[2] for line in ended.stdout.splitlines() if "Play it: " in line]
    assert [True, True] == [path.is_file() for path in played]
    assert pytest.approx(40, abs=3) == sum(chunk["seconds"] for chunk in summary["chunks"])


def test_demo_fails(tmp_path: Path) -> None:
    """When a step fails, the status is 1 and the end names the step, the reason and the logs."""

    ended = subprocess.run(
        command(tmp_path),
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert 1 == ended.returncode
    assert "Failed at: Start Azurite, the ACS emulator and the app" in ended.stdout
    assert "install Node 18 or later" in ended.stdout
    assert f"Logs: {tmp_path / 'logs'}" in ended.stdout
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["ok"] is False
