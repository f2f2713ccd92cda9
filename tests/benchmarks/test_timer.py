"""benchmarks/timer.py: the timer in a process of its own, and what it says of its runs."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benchmarks import blobs, timer
from benchmarks.blobs import Recorded
from benchmarks.timer import TimerFailed
from local.azurite import Azurite
from recording.config.settings import read_settings


async def test_runs_are_told_one_by_one(environment: dict[str, str], azurite: Azurite, tmp_path: Path) -> None:
    """Requests are counted for each run; a run that has nothing to do makes few of them.

    The one that archives first also makes the search index.
    """
    one = Recorded(1, datetime.now(UTC) - timedelta(hours=1))
    async with timer.running(environment, log=tmp_path / "logs" / "timer.log") as running:
        idle = await running.run()
        again = await running.run()
        await blobs.put(azurite, read_settings(environment), [*one.announced(), one.content()], done=lambda _: None)
        archiving = await running.run()

    assert (0, 0, 1) == (idle["archived"], again["archived"], archiving["archived"])
    assert 0 < again["requests"] == idle["requests"] < archiving["requests"] <= 36
    assert min(archiving["seconds"], archiving["cpu_seconds"]) > 0


async def test_a_process_that_ends_says_why(tmp_path: Path) -> None:
    """Without settings there is no app; the error has the end of its log."""
    with pytest.raises(TimerFailed, match="app settings are wrong"):
        async with timer.running({}, log=tmp_path / "timer.log"):
            pass
