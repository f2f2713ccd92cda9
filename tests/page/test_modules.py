"""What the page decides without a document, by Node's own test runner."""

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_modules_of_the_page_pass_their_tests(tmp_path: Path) -> None:
    """The files *.test.js of this folder, in a copy: there `package.json` says that the files are modules."""
    for folder in ("recording/page", "tests/page"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    (tmp_path / "package.json").write_text('{"type": "module"}')
    tests = sorted(str(path) for path in (tmp_path / "tests/page").glob("*.test.js"))

    run = subprocess.run(["node", "--test", *tests], capture_output=True, text=True, timeout=60, check=False)

    assert len(tests) > 2
    assert run.returncode == 0, run.stdout[-5000:]
