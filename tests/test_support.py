"""tests/support: the commands that show the project to a reader show what there is."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import excerpts, structure

ROOT = Path(__file__).parents[1]


def checkout(folder: Path, modules: dict[str, str]) -> Path:
    """Make a checkout with these modules in `recording/`."""
    for name, text in {"__init__": "", **modules}.items():
        path = folder / "recording" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def shown(*arguments: str) -> str:
    """Run a command of tests/support; return what it prints."""
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60).stdout


def test_a_checkouts_structure_is_measured(tmp_path: Path) -> None:
    """A package counts as one name, and its own code as a module like any other."""
    modules = {
        "top": "from recording import store\nfrom recording.kinds import one\nimport json\n",
        "store": "from recording.kinds import two\n",
        "kinds/__init__": "",
        "kinds/one": "from recording.kinds import two\n",
        "kinds/two": "",
    }
    checkout(tmp_path, modules)

    found = json.loads(shown("tests.support.structure", "--json", str(tmp_path)))

    assert ("3", "3", "3", "none") == tuple(
        found[name] for name in ("names at the top of recording/", "arrows between them", "floors", "circles")
    )
    assert ("4", "4") == (found["modules in recording/"], found["imports between modules"])
    assert ("5", "0") == (found["lines of recording/"], found["lines of tests/"])


def test_checkouts_stand_side_by_side(tmp_path: Path) -> None:
    """Each column is one checkout, however many have a package of the same name."""
    (tmp_path / "before").mkdir()
    checkout(tmp_path / "before", {"one": "from recording import two", "two": "from recording import one"})
    checkout(tmp_path / "after", {"one": ""})

    lines = shown("tests.support.structure", str(tmp_path / "before"), str(tmp_path / "after")).splitlines()

    assert ["figure", "before", "after"] == lines[0].split()
    assert ["2", "1"] == lines[2].split()[-2:]
    assert "one two" in lines[5]
    assert lines[5].endswith("none")


def test_a_folder_without_the_app_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message names the folder."""
    with pytest.raises(SystemExit):
        structure.main([str(tmp_path)])
    assert f"there is no recording/ in {tmp_path}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arrows", "expected"),
    [
        (set(), 1),
        ({("a", "b"), ("b", "c"), ("a", "c")}, 3),
        ({("a", "b"), ("b", "a")}, 2),
        ({("a", "b"), ("b", "c"), ("c", "a")}, 3),
        ({("top", "b"), ("a", "b"), ("b", "c"), ("c", "a"), ("a", "low")}, 5),
        ({("a", "b"), ("b", "a"), ("b", "c"), ("c", "d"), ("d", "c")}, 4),
    ],
)
def test_floors_are_the_longest_chain(arrows: set[tuple[str, str]], expected: int) -> None:
    """No name comes twice in a chain, so that a circle has an end."""
    assert expected == structure.floors(arrows)


def test_circles_are_named_once() -> None:
    """Whoever needs itself by way of others is in one, and who is only used by it isn't."""
    arrows = {("recording.a", "recording.b"), ("recording.b", "recording.a"), ("recording.b", "recording.c")}
    assert [["a", "b"]] == structure.circles(arrows)


def test_the_same_seed_draws_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """Ten docstrings and five messages, each with its place, and others with another seed."""

    def drawn(seed: str) -> str:
        assert 0 == excerpts.main(["--without-demo", "--seed", seed])
        return capsys.readouterr().out

    first, again, other = (drawn(seed) for seed in "778")

    assert first == again != other
    assert first.count("== 10 of") == first.count("== 5 of") == 1
    assert 15 == sum(".py:" in line for line in first.splitlines() if not line.startswith(" "))


def test_messages_are_shown_as_they_stand_in_the_code(tmp_path: Path) -> None:
    """What is filled in is in braces; an exception without words of its own has none to judge."""
    (tmp_path / "function_app.py").write_text(
        'def act(name):\n    """Act on it."""\n'
        '    raise ValueError(f"there is no {name!r}: "\n        "create it first")\n'
        "    raise Other(code='Short', message='Two words')\n    raise Third from None\n"
    )
    (tmp_path / "recording").mkdir()

    assert ["function_app.py:1 act\nAct on it."] == excerpts.docstrings(tmp_path)
    assert [
        "function_app.py:3 ValueError\nthere is no {name}: create it first",
        "function_app.py:5 Other\nTwo words",
    ] == (excerpts.error_messages(tmp_path))


def test_each_event_is_shown_by_its_first_line() -> None:
    """Lines of the host and of libraries aren't the app's."""
    log = (
        '2026-11-28T16:39:25.285Z INFO archive_recordings: chunk.staged {"bytes": 1}\n'
        '2026-11-28T16:39:25.286Z INFO archive_recordings: chunk.staged {"bytes": 2}\n'
        "2026-11-28T16:39:25.287Z INFO host: invocation_succeeded function=x\n"
        '2026-11-28T16:39:25.288Z ERROR ingest_chunk: chunk.lost {"bytes": 3}\n'
    )
    found = excerpts.log_lines(log)
    assert ["chunk.staged", "chunk.lost"] == [line.split()[3] for line in found]
    assert '{"bytes": 1}' in found[0]
