"""docs/tasks.md, quickstart.md, integrate.md and curl.sh: what a reader is told to type works, with `make up`."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.infra.snapshots import ROOT
from tests.support.documents import blocks, examples
from tests.support.forks import forking_python
from tests.support.up import check_curl, running

TASKS = (ROOT / "docs" / "tasks.md").read_text()
QUICKSTART = (ROOT / "docs" / "quickstart.md").read_text()
_TASK = re.compile(r"^### (\d+)\. (.+?)\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)


pytestmark = pytest.mark.xdist_group("up")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A stack that runs as a reader has it; the folder with its files."""
    with running(tmp_path_factory.mktemp("up"), "--archive-schedule", "* * * * * *") as folder:
        clone = folder / "clone"
        (clone / ".venv" / "bin").mkdir(parents=True)
        (clone / "recording").symlink_to(ROOT / "recording")
        (clone / ".local").symlink_to(folder)
        with forking_python(clone / ".venv" / "bin" / "python"):
            yield folder


def typed(text: str) -> str:
    """Return the commands of a text's console blocks, without prompts."""
    return "\n".join(re.sub(r"^\$ ", "", block, flags=re.MULTILINE) for block in blocks("console", text))


def run(stack: Path, script: str) -> str:
    """Run a script in bash in a folder that looks like the clone, and return all that it prints."""
    folder = stack / "clone"
    # The settings' path is relative to the folder in which `make up` ran.
    where = f"SETTINGS={stack / 'settings.json'}"
    text = script.replace(". .local/env.sh", f". .local/env.sh; {where}")
    ended = subprocess.run(
        ["bash", "-c", f"exec 2>&1\n{text}"], cwd=folder, capture_output=True, text=True, timeout=400, check=False
    )
    return ended.stdout


def test_there_are_ten_tasks_for_each_role() -> None:
    """Numbered in order, each with commands and what they print, and a heading for each role."""
    tasks = _TASK.findall(TASKS)
    roles = {title: part for title, part in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TASKS, re.MULTILINE | re.DOTALL)}

    assert [int(number) for number, _, _ in tasks] == list(range(1, len(tasks) + 1))
    assert {role: len(_TASK.findall(f"{part}\n## ")) for role, part in roles.items()} == {
        "Developer": 10,
        "Operator": 10,
        "Compliance officer": 10,
    }
    assert [title for _, title, body in tasks if "```console" not in body or "It prints `" not in body] == []


def test_up_prints_what_the_quickstart_shows(stack: Path) -> None:
    """Line by line, without ports and folders: addresses, three commands, and how it ends."""
    shown = QUICKSTART.partition("<!-- make up -->\n```text\n")[2].partition("```")[0]

    def form(text: str) -> list[str]:
        text = re.sub(r"http://127\.0\.0\.1:\d+", "ADDRESS", text)
        return [re.sub(r"\S*/(?=[\w.]+( |$))", "", line) for line in text.split("\n") if line]

    assert form((stack / "up.txt").read_text()) == form(shown)
    assert len(form(shown)) == 14


@pytest.mark.timeout(600)
def test_what_a_reader_types_works(stack: Path) -> None:
    """One stack for all of it: every task, the quickstart's call, and the snippets in Python."""
    assert tasks_that_fail(stack) == {}
    assert record_a_call(stack) == 2
    done = use_the_snippets(stack)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["found, and consumed once"]), done.stderr


def tasks_that_fail(stack: Path) -> dict[str, str]:
    """Run every task in one shell, as a reader would; return what those printed that show something else."""
    tasks = _TASK.findall(TASKS)
    script = typed(TASKS[: TASKS.index("## Developer")])
    for number, _, body in tasks:
        script += f'\necho "== {number}"\n{typed(body)}\necho'

    told = dict(re.findall(r"^== (\d+)\n(.*?)(?=^== |\Z)", run(stack, script), re.MULTILINE | re.DOTALL))

    assert [int(number) for number in told] == list(range(1, len(tasks) + 1))
    wrong = {}
    for number, title, body in tasks:
        [expected] = re.findall(r"^It prints `(.+)`\.$", body, re.MULTILINE)
        if not re.search(expected, told[number]):
            wrong[f"{number}. {title}"] = told[number][-1500:]
    return wrong


def record_a_call(stack: Path) -> int:
    """Run the commands of the quickstart, and return how many recordings the app lists then: one was there before."""
    quick = QUICKSTART.partition("<!-- run: local -->")[2].partition("\n```\n")[0]
    addresses = dict(re.findall(r"(APP|ACS)=(\S+)", (stack / "env.sh").read_text()))
    script = typed(f"{quick}\n```\n")
    for name, fixed in (("APP", "http://127.0.0.1:7071"), ("ACS", "http://127.0.0.1:8080")):
        assert f"{name}={fixed}" in script
        script = script.replace(f"{name}={fixed}", f"{name}={addresses[name]}")
    listed = "curl -sS $APP/recordings | grep -o '\"recordingKey\"' | wc -l"
    return int(
        run(
            stack, f"{script}\nfor _ in $(seq 30); do [ $({listed}) = 2 ] && break; sleep 1; done; echo\n{listed}"
        ).split()[-1]
    )


def use_the_snippets(stack: Path) -> subprocess.CompletedProcess[str]:
    """Start, find and consume with the snippets in Python."""
    addresses = dict(re.findall(r"(APP|ACS)=(\S+)", (stack / "env.sh").read_text()))
    code = stack / "code"
    code.mkdir()
    for name, source in examples("python").items():
        (code / name).write_text(source)
    (code / "use.py").write_text(USE)
    environment = {**os.environ, **addresses, "PYTHONPATH": str(code)}
    return subprocess.run(
        [sys.executable, "use.py"], cwd=code, env=environment, capture_output=True, text=True, timeout=200, check=False
    )


# What a calling app does with the snippets; the call comes from the emulator.
USE = """
import json, os, time, urllib.request
import consumer, find, start

def emulator(path, body, method="POST"):
    asked = urllib.request.Request(os.environ["ACS"] + "/emulator/" + path, json.dumps(body).encode(), method=method)
    asked.add_header("content-type", "application/json")
    return json.load(urllib.request.urlopen(asked))

call = emulator("calls", {"participants": ["Ada", "Grace"]})
started = start.start_recording(call["serverCallId"], "case-7")
emulator("clock", {"advanceSeconds": 10})
start.call("DELETE", f"/conversations/{started['conversationId']}/recordings/{started['recordingId']}")
for _ in range(60):
    found = find.find("case-7")
    if found and found[0]["state"] == "archived":
        break
    time.sleep(1)
[recording] = found
assert find.manifest(recording["recordingKey"])["complete"] is True
event = {"id": "1", "type": "Recording.Archived", "subject": recording["recordingKey"], "data": {}}
assert [consumer.handle(event), consumer.handle(event)] == [True, False]
print("found, and consumed once")
"""


@pytest.mark.timeout(300)
def test_each_curl_line_gets_its_status(stack: Path, tmp_path: Path) -> None:
    """Those that `up` writes into curl.sh, one after the other in a shell; behind the tasks, which count events."""
    check_curl((stack / "curl.sh").read_text(), tmp_path)
