"""benchmarks/cold_start.py: apps are started as in Azure, and the times are compared."""

from pathlib import Path

import pytest

from benchmarks import cold_start
from benchmarks.cold_start import Start, StartFailed
from local.azurite import Azurite
from local.stack import ROOT


async def test_a_start_imports_the_app_and_handles_an_event(azurite: Azurite, tmp_path: Path) -> None:
    """Both take their time, in a process whose CPU is counted."""
    found = await cold_start.start_in_child(ROOT, azurite.connection_string, log=tmp_path / "worker.log")

    assert min(found.import_seconds, found.first_event_seconds) > 0
    assert found.cpu_seconds > 0


async def test_an_app_that_cannot_be_imported_says_why(azurite: Azurite, tmp_path: Path) -> None:
    """The failure has the end of the worker's traceback."""
    (tmp_path / "function_app.py").write_text("import recording_that_is_not_there\n")

    with pytest.raises(StartFailed, match=r"(?s)didn't start:.*recording_that_is_not_there"):
        await cold_start.start_in_child(tmp_path, azurite.connection_string, log=tmp_path / "worker.log")


async def test_an_app_without_the_function_is_not_measured(azurite: Azurite, tmp_path: Path) -> None:
    """What accepts no event hasn't started."""
    app = """
import azure.functions as func
app = func.FunctionApp()
@app.route("other")
def other(req: func.HttpRequest) -> str:
    return ""
"""
    (tmp_path / "function_app.py").write_text(app)

    with pytest.raises(StartFailed, match="has no function receive_event"):
        await cold_start.start_in_child(tmp_path, azurite.connection_string, log=tmp_path / "worker.log")


def test_the_last_is_compared_with_the_first_by_medians() -> None:
    """One slow start doesn't decide; ten percent more is what a change may cost."""
    before = [Start(1.0, 0.1, 0.8), Start(1.2, 0.2, 0.9), Start(9.0, 0.1, 0.8)]
    after = [Start(1.3, 0.2, 1.0), Start(1.3, 0.2, 1.0), Start(1.3, 0.2, 1.0)]

    lines = cold_start.table([Path("a/before"), Path("a/after")], [before, after]).splitlines()

    assert ["median", "before", "after", "last/first"] == lines[0].split()
    assert "1.200   1.300  1.08" in lines[2]
    assert cold_start.is_within([before, after])
    assert not cold_start.is_within([before, [Start(1.4, 0.2, 1.0)]])
