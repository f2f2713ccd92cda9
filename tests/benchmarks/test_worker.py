"""benchmarks/worker.py: a worker in a process of its own, and what it says of what it was asked for."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benchmarks import blobs, worker
from benchmarks.blobs import Recorded
from benchmarks.worker import WorkerFailed
from local.azurite import Azurite
from recording.config.settings import read_settings


async def test_what_the_timer_hands_over_is_archived_from_the_queue(
    environment: dict[str, str], azurite: Azurite, tmp_path: Path
) -> None:
    """Requests are counted for each; a run that has nothing to do makes few of them.

    The one that plans the first recording also makes the search index.
    """
    one = Recorded(1, datetime.now(UTC) - timedelta(hours=1))
    async with worker.running(environment, log=tmp_path / "logs" / "worker.log") as running:
        # What other tests left on the queue and in the table that they share.
        await running.drain()
        await running.run()
        idle = await running.run()
        await blobs.put(azurite, read_settings(environment), [*one.announced(), one.content()], done=lambda _: None)
        planned = await running.run()
        worked = await running.drain()
        again = await running.run()

    assert (0, 1, 1, 0) == (idle["handed_over"], planned["handed_over"], worked["messages"], again["handed_over"])
    assert 0 < idle["requests"] == again["requests"] < min(planned["requests"], worked["requests"])
    assert max(planned["requests"], worked["requests"]) <= 30
    assert (1, 4) == (planned["queue_requests"] - idle["queue_requests"], worked["queue_requests"])
    assert min(worked["seconds"], worked["cpu_seconds"]) > 0


async def test_a_process_that_ends_says_why(tmp_path: Path) -> None:
    """Without settings there is no app; the error has the end of its log."""
    with pytest.raises(WorkerFailed, match="app settings are wrong"):
        async with worker.running({}, log=tmp_path / "worker.log"):
            pass
