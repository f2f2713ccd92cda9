"""ARCHITECTURE.md: it names what there is in the code, and stays short."""

import re
import tomllib

from recording.intake import backlog
from recording.model import job
from tests.infra.snapshots import ROOT

TEXT = (ROOT / "ARCHITECTURE.md").read_text()


def test_the_table_has_each_package_in_the_order_of_its_imports() -> None:
    """As import-linter checks them: a name of the code that the table lacks, or has twice, is found."""
    table = TEXT.partition("## Packages")[2].partition("\n\n`page/`")[0]
    rows = re.findall(r"^\| (`[^|]+`) \|", table, re.MULTILINE)
    [contract] = [
        one
        for one in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
        if one["name"] == "Floors"
    ]
    floors = {name.strip(): level for level, line in enumerate(contract["layers"]) for name in line.split("|")}
    listed = [name for row in rows for name in re.findall(r"`(\w+)`", row)]

    assert sorted(listed) == sorted(floors)
    assert [floors[name] for name in listed] == sorted(floors.values())


def test_the_diagrams_have_each_queue() -> None:
    """Queues are how one use case passes work to another."""
    queues = {value for name, value in vars(job).items() if name.endswith("QUEUE")} | {backlog.QUEUE}
    assert set(re.findall(r"\[\[([\w-]+)\]\]", TEXT)) == queues


def test_it_is_read_in_a_quarter_of_an_hour() -> None:
    """About 2,300 words."""
    assert len(TEXT.splitlines()) <= 165
    named = re.findall(r"`((?:[a-z_]+/)*[a-z_]+\.py)`", TEXT)
    assert [path for path in named if not any((folder / path).exists() for folder in (ROOT, ROOT / "recording"))] == []
