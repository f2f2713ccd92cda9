"""recording/timer.py: nobody is kept from a try, and nothing is passed over in silence."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from recording import timer
from recording.app import App
from recording.archive.run import FINISHES
from recording.intake.poison import PoisonQueues
from recording.model import layout
from recording.storage.blobs import CopyFailed
from recording.storage.queues import Queue, QueuedMessage
from tests.support.archives import give_up
from tests.support.emulator import Control
from tests.support.facts import announce, listing, run_timer, stage, sweep, with_blobs
from tests.support.faults import FaultyBlobs

HOUR = timedelta(hours=1)


async def test_what_is_lost_is_said_though_the_run_died_right_after_the_manifest(
    app: App, control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    """The run after it says it, for until then staging isn't empty."""
    [job] = await announce(app, await control.recording(1000))
    now = await give_up(app, job)

    # The event is copied, then the manifest is written.
    dying = FaultyBlobs(app.settings, kill_after=2)
    with pytest.raises(BaseExceptionGroup):
        await run_timer(with_blobs(app, dying), now=now)
    await dying.aclose()
    assert layout.manifest_blob(job.recording_key) in await listing(app.settings, "archive")
    assert "chunk.lost" not in caplog.text

    await sweep(app, now=now)

    assert f'chunk.lost {{"recordingKey": "{job.recording_key}"' in caplog.text
    assert {} == await listing(app.settings, "staging")


class HangingQueue(Queue):
    """A queue that accepts a request for messages and never answers."""

    async def receive(self, *, limit: int, hidden_seconds: int) -> AsyncIterator[QueuedMessage]:
        """Hang."""
        await asyncio.sleep(30)
        yield QueuedMessage("", "", "")


async def test_poison_queues_that_hang_do_not_take_the_time_of_recordings(app: App, control: Control) -> None:
    """The time of the run begins after the queues had theirs."""
    [job] = await stage(app, await control.recording(500))
    hanging = HangingQueue(app.clients.queue_account, "hanging-poison")
    hang = [hanging] * 8
    poison = PoisonQueues(
        *hang,
        exports_again=hanging,
        give_up_join=app.joining.give_up,
        intake=app.intake,
        quarantine=app.quarantine,
        timeout=1.0,
    )

    report = await run_timer(app, now=datetime.now(UTC), poison=poison, budget_seconds=4.0)

    assert [job.recording_key] == report.archived


async def test_copies_that_hang_keep_no_other_recording_from_its_rescue(app: App, control: Control) -> None:
    """What is missing is queued again before the first copy begins, however many of them hang."""
    for number in range(FINISHES + 1):
        await stage(app, await control.recording(500), event_id=f"staged-{number}")
    [job] = await announce(app, await control.recording(500), event_id="missing")

    hanging = FaultyBlobs(app.settings).on("copy_to_archive", hangs=30)
    now = datetime.now(UTC) + HOUR
    report = await run_timer(with_blobs(app, hanging), now=now, budget_seconds=3)
    await hanging.aclose()

    assert ([job.again()], 0) == (report.jobs, report.not_reached)


async def test_late_recordings_that_hang_do_not_always_come_first(
    app: App, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chance decides: here it is for the youngest, which a run in the order of deadlines would never reach."""
    keys = []
    for number in range(5):
        [job] = await stage(app, await control.recording(500), event_id=f"late-{number}")
        keys.append(job.recording_key)
    hanging = FaultyBlobs(app.settings).on("copy_to_archive", name="|".join(keys[:-1]), hangs=30)
    monkeypatch.setattr(timer, "SystemRandom", lambda: SimpleNamespace(sample=lambda found, _: found[::-1]))

    now = datetime.now(UTC)
    # Queued, again in the last quarter, and then the timer's own turn.
    for hours in (0, 37):
        await run_timer(app, now=now + hours * HOUR, archives_all=False)
    more: dict[str, Any] = {"archives_all": False, "budget_seconds": 8, "parallelism": 1}
    report = await run_timer(with_blobs(app, hanging), now=now + 37.5 * HOUR, **more)
    await hanging.aclose()

    assert keys[-1:] == report.archived
    assert set(report.failed) <= set(keys[:-1])


async def test_a_look_that_hangs_keeps_no_other_recording_from_the_archive(app: App, control: Control) -> None:
    """Nor do more recordings than one run can look at: half of its time is for finishing."""
    [hangs] = await announce(app, await control.recording(500), event_id="hangs")
    [whole] = await stage(app, await control.recording(500), event_id="whole")

    hanging = FaultyBlobs(app.settings).on("read", name=hangs.recording_key, hangs=30)
    report = await run_timer(with_blobs(app, hanging), now=datetime.now(UTC), budget_seconds=3)
    await hanging.aclose()

    assert ([whole.recording_key], [hangs.recording_key]) == (report.archived, report.failed)


async def test_a_copy_that_fails_leaves_none_under_way(app: App, control: Control) -> None:
    """When a run gives up a recording, it also ends its other copies; the next run starts them again."""
    await stage(app, await control.recording(500, 500))
    ended: list[str] = []

    async def hang() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            ended.append("a copy")

    failing = FaultyBlobs(app.settings)
    failing.on("copy_to_archive", name=r"\.json/", hangs=0.1, raises=CopyFailed("on purpose"))
    failing.on("copy_to_archive", name=r"\.media/", before=hang)
    report = await run_timer(with_blobs(app, failing), now=datetime.now(UTC), budget_seconds=20)
    await failing.aclose()

    assert (1, 2) == (len(report.failed), len(ended))


async def test_the_chunk_with_the_least_time_left_is_queued_first(app: App, control: Control) -> None:
    """Whatever the order in which events came and recordings were looked at."""
    now = datetime.now(UTC)
    announced = [now - hours * HOUR for hours in (2, 47, 1, 20)]
    jobs = [
        await announce(app, await control.recording(500), event_id=f"at-{at:%H}", eventTime=at.isoformat())
        for at in announced
    ]

    uneven = FaultyBlobs(app.settings).on("read", name=jobs[1][0].recording_key, hangs=0.3)
    report = await run_timer(with_blobs(app, uneven), now=now)
    await uneven.aclose()

    assert sorted(announced) == [job.announced_at for job in report.jobs]
