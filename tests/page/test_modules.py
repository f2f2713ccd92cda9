"""What the page decides without a document, by Node's own test runner."""

import subprocess
from pathlib import Path

FOLDER = Path(__file__).parent


def test_the_modules_of_the_page_pass_their_tests() -> None:
    """The files *.test.js in this folder."""
    tests = sorted(str(path) for path in FOLDER.glob("*.test.js"))
    run = subprocess.run(["node", "--test", *tests], capture_output=True, text=True, timeout=60, check=False)  # noqa: S603, S607

    assert len(tests) > 2
    assert run.returncode == 0, run.stdout[-5000:]
