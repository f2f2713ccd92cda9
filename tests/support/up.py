"""The local stack as a reader has it, by `up`, and the lines of curl.sh that it writes."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.infra.snapshots import ROOT

LAST_LINE = "Ctrl-C stops the stack."
# Long enough for the line that calls an erasure off; a reader has half a minute.
ERASURE_DELAY = "ERASURE_DELAY_HOURS=0.003"


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[Path]:
    """Run `up`, which prints addresses and three commands, and ends by Ctrl-C as a program does."""
    output = folder / "up.txt"
    command = [sys.executable, "-m", "local", "up", "--port", "0", "--acs-port", "0", "--logs", str(folder / "logs")]
    command += ["--setting", ERASURE_DELAY]
    with output.open("w") as file:
        up = subprocess.Popen([*command, *arguments], cwd=ROOT, stdout=file, stderr=file)
    try:
        deadline = time.monotonic() + 180
        while LAST_LINE not in output.read_text():
            assert up.poll() is None, output.read_text()
            assert time.monotonic() < deadline, output.read_text()
            time.sleep(0.1)
        yield folder
    finally:
        up.send_signal(signal.SIGINT)
        status = up.wait(30)
    assert 130 == status


def check_curl(written: str, folder: Path, *, left: str = "") -> None:
    """Run the lines of curl.sh in a folder, and compare each status with the one that is written above the line.

    The certificate of the erasure says why something is `left`, if it is.
    """
    expected = re.findall(r"^# (.+): (\d{3})$", written, re.MULTILINE)
    script = re.sub(r"^# (.+): \d{3}$", r'echo "== \1" >&2', written, flags=re.MULTILINE)

    ended = subprocess.run(
        ["bash", "-c", f"exec 2>&1\n{script}"], cwd=folder, capture_output=True, text=True, timeout=150, check=False
    )

    parts = re.split(r"^== ", ended.stdout, flags=re.MULTILINE)[1:]
    got = [(part.partition("\n")[0], (re.findall(r"HTTP (\d{3})", part) or ["none"])[-1]) for part in parts]
    assert expected == got, ended.stdout
    assert len([title for title, _ in got if title.startswith("bad: ")]) >= 5
    assert '"recordingKey"' in next(part for part in parts if part.startswith("find it by somebody"))
    certificate = next(part for part in parts if part.startswith("the certificate"))
    assert ('"removed":{"' in certificate, '"left":[]' in certificate) == (True, not left), certificate
    assert left in certificate, certificate
    person = next(part for part in parts if part.startswith("all recordings of somebody"))
    assert ('"erasures":[]' in person, '"code":"OnHold"' in person) == (True, True), person
    assert 2 == ended.stdout.count(": OK\n"), ended.stdout
    assert '"reason":"case 118"' in next(part for part in parts if part.startswith("who did what with"))
    assert '"state":"safe"' in next(part for part in parts if part.startswith("Edsger has a chunk queued"))
    assert '"code": "NotUnderstood"' in next(part for part in parts if part.startswith("refused: Edsger replays"))
    assert b"ftyp" == (folder / "chunk.mp4").read_bytes()[4:8]
