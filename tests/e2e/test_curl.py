"""The curl lines that `make up` writes into a file, run as they are there."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAST_LINE = "Ctrl-C stops the stack."


# The second has an archive with versions, and no role to delete them or to set holds.
@pytest.fixture(params=[["today"], ["2021", "--versions", "--no-role"]], ids=["today", "2021"])
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """What `up` writes into curl.sh, while it runs; what it prints are addresses and three commands."""

    output = tmp_path / "up.txt"
    command = [
        sys.executable,
        "-m",
        "local",
        "up",
        "--api",
        *request.param,
        "--port",
        "0",
        "--acs-port",
        "0",
        "--logs",
        str(tmp_path / "logs"),
    ]
    with output.open("w") as file:
        up = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 90
        while LAST_LINE not in output.read_text():
            assert up.poll() is None, output.read_text()
            assert time.monotonic() < deadline, output.read_text()
            time.sleep(0.1)
        printed = output.read_text()
        assert {"Page", "App", "ACS", "Entra ID", "Logs"} <= {*re.findall(r"^  (\w[\w ]+): ", printed, re.MULTILINE)}
        assert 3 == printed.count("\n  # ")
        assert len(printed.splitlines()) < 18
        yield (tmp_path / "curl.sh").read_text()
    finally:
        up.send_signal(signal.SIGINT)
        status = up.wait(30)
    assert 130 == status


@pytest.mark.timeout(150)
def test_curl(written: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Each line, one after the other in a shell, gets the status that is written above it."""

    is_2021 = "2021" in request.node.callspec.id
    expected = re.findall(r"^# (.+): (\d{3})$", written, re.MULTILINE)
    script = re.sub(r"^# (.+): \d{3}$", r'echo "== \1" >&2', written, flags=re.MULTILINE)

    ended = subprocess.run(
        ["bash", "-c", f"exec 2>&1\n{script}"], cwd=tmp_path, capture_output=True, text=True, timeout=90, check=False
    )

    parts = re.split(r"^== ", ended.stdout, flags=re.MULTILINE)[1:]
    got = [(part.partition("\n")[0], (re.findall(r"HTTP (\d{3})", part) or ["none"])[-1]) for part in parts]
    assert expected == got, ended.stdout
    assert len([title for title, _ in got if title.startswith("bad: ")]) >= 5
    assert '"recordingKey"' in next(part for part in parts if part.startswith("find it by somebody"))
    certificate = next(part for part in parts if part.startswith("the certificate"))
    assert ('"removed":{"' in certificate, '"left":[]' in certificate) == (True, not is_2021), certificate
    assert is_2021 == ("AuthorizationPermissionMismatch" in certificate), certificate
    person = next(part for part in parts if part.startswith("all recordings of somebody"))
    assert ('"erasures":[]' in person, '"code":"OnHold"' in person) == (True, True), person
    assert 2 == ended.stdout.count(": OK\n"), ended.stdout
    assert '"reason":"case 118"' in next(part for part in parts if part.startswith("who did what with"))
    assert '"state":"safe"' in next(part for part in parts if part.startswith("Edsger has a chunk queued"))
    assert '"code": "NotUnderstood"' in next(part for part in parts if part.startswith("refused: Edsger replays"))
    assert b"ftyp" == (tmp_path / "chunk.mp4").read_bytes()[4:8]
