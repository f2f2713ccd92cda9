"""A report shows each step while it runs, and a summary."""

import json
from pathlib import Path

import pytest

from local.report import Report, StepError, columns


async def test_ok(capsys: pytest.CaptureFixture[str]) -> None:
    """A step is shown when it begins, and its detail when it has ended."""

    report = Report()
    async with report.step("Do it") as step:
        step.detail = "done"

    assert report.ok
    assert ["Do it", "  done"] == [line.partition("] ")[2] for line in capsys.readouterr().out.splitlines()]


async def test_failed() -> None:
    """A step in which something is raised has failed, and so has the run."""

    report = Report()
    with pytest.raises(StepError):
        async with report.step("Do it"):
            raise StepError("no")

    assert (False, False, "no") == (report.ok, report.steps[0].ok, report.steps[0].detail)


def test_nothing() -> None:
    """A run without steps hasn't gone well."""

    assert not Report().ok


async def test_summary(tmp_path: Path) -> None:
    """The summary has the steps, the chunks and the facts."""

    report = Report()
    async with report.step("Do it"):
        pass
    report.chunks.append({"documentId": "0-eus-d1-x"})
    report.facts["recordingKey"] = "key"
    report.write_summary(tmp_path / "new" / "summary.json")

    summary = json.loads((tmp_path / "new" / "summary.json").read_text())
    assert (True, "key", [{"documentId": "0-eus-d1-x"}]) == (summary["ok"], summary["recordingKey"], summary["chunks"])
    assert [("Do it", True)] == [(step["name"], step["ok"]) for step in summary["steps"]]


def test_columns() -> None:
    """Each column is as wide as its widest cell."""

    assert "  a     b\n  ----  -\n  long  x" == columns(["a", "b"], [["long", "x"]])
