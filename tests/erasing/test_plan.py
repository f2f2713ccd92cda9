"""recording/erasing/plan.py: what is due is queued, once in a while, and what does not end is told."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from azure.core.exceptions import ServiceRequestError

from recording.app import App
from recording.erasing.plan import AGAIN, LATE, is_due
from recording.model import layout
from recording.model.stored import StoredBlob
from recording.storage.erasures import PendingList
from recording.storage.queues import Queue
from tests.support.emulator import Control
from tests.support.erasures import ask, later, queued
from tests.support.facts import archived, run_timer, with_blobs
from tests.support.faults import FaultyBlobs

NOW = datetime(2026, 3, 1, 10, tzinfo=UTC)
ID = "a" * 64
MINUTE = timedelta(minutes=1)


def listed(*parts: tuple[str, datetime]) -> list[StoredBlob]:
    """What staging lists of an erasure: parts with the time at which they are due, or were queued."""
    found = []
    for part, time in parts:
        if part == "queued":
            name = layout.queued_erasure_blob(ID, layout.attempt_id(time, "0a1b"))
            found.append(StoredBlob(name, 2, '"e"'))
        else:
            name = f"{layout.ERASURES}/{ID}/{part}.json"
            found.append(StoredBlob(name, 2, '"e"', {"due": time.isoformat()}))
    return found


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([("00001-asked", NOW + MINUTE)], False),
        ([("00001-asked", NOW)], True),
        ([("00001-asked", NOW), ("queued", NOW - MINUTE)], False),
        ([("00001-asked", NOW), ("queued", NOW - 2 * AGAIN), ("queued", NOW - AGAIN)], True),
        ([("00001-asked", NOW - MINUTE), ("00001-settling", NOW + MINUTE)], False),
        ([("00001-asked", NOW - MINUTE), ("00001-settling", NOW)], True),
        ([("00001-asked", NOW - MINUTE), ("00002-asked", NOW + MINUTE)], False),
    ],
)
def test_when_it_is_due(parts: list[tuple[str, datetime]], expected: bool) -> None:
    """Its newest asking counts, and after its certificate when it has settled."""
    [one] = PendingList.read(listed(*parts))

    assert expected == is_due(one, NOW)


def test_names_that_are_none_are_left_alone() -> None:
    """Notes of an erasure whose asking is gone, and foreign blobs."""
    foreign = [StoredBlob(f"{layout.ERASURES}/x/y.json", 1, '"e"'), *listed(("queued", NOW))]

    assert [] == PendingList.read(foreign)


class DownQueue(Queue):
    """A queue that is out of reach."""

    async def send(self, text: str) -> None:
        """Fail."""
        raise ServiceRequestError("down")


async def test_what_could_not_be_queued_is_queued_by_the_next_run(app: App, control: Control) -> None:
    """Only what is on the queue counts as queued, and what the queue gave up is queued again after a while."""
    [job] = await archived(app, control, 1000)
    await ask(app, job.recording_key)
    due = datetime.now(UTC) + timedelta(days=1) + MINUTE
    down = DownQueue(app.clients.queue_account, "down")

    await run_timer(app, now=due, erasures=replace(app.timer.erasures, queue=down))
    assert job.recording_key not in await queued(app)

    await run_timer(app, now=due)
    assert job.recording_key in await queued(app)
    await run_timer(app, now=due + MINUTE)
    assert job.recording_key not in await queued(app)
    await run_timer(app, now=due + 3 * app.settings.first_rescue)
    assert job.recording_key in await queued(app)


async def test_one_that_does_not_end_is_told(app: App, control: Control, caplog: pytest.LogCaptureFixture) -> None:
    """An alert reads it; the run goes on, whatever storage says."""
    [job] = await archived(app, control, 1000)
    await ask(app, job.recording_key)
    broken = FaultyBlobs(app.settings).on("read", name=f"staging/{layout.ERASURES}", raises=TimeoutError("down"))
    late = datetime.now(UTC) + timedelta(days=1) + LATE + MINUTE

    await run_timer(with_blobs(later(app, timedelta()), broken), now=late)
    await broken.aclose()

    assert "erasure.not_done" in caplog.text
    assert "erasure.not_queued" in caplog.text
