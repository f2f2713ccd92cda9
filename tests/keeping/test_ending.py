"""recording/keeping/ending.py: the timer has recordings erased whose class has ended, unless a case holds them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from recording.app import App, assemble
from recording.keeping import ending
from recording.model import layout
from recording.model.job import ErasureJob
from tests.keeping.worlds import CLASSES, lift, place, retain
from tests.support.emulator import Control
from tests.support.facts import archived, listing, put, run_timer

pytestmark = pytest.mark.settings(RETENTION_CLASSES=CLASSES, ERASURE_DELAY_HOURS="0")
DAY = timedelta(days=1)


def later(app: App, days: float) -> App:
    """Wire the app as it is in so many days."""
    now = datetime.now(UTC) + days * DAY
    return assemble(app.settings, app.clients, clock=lambda: now)


async def at_the_end(app: App, days: float) -> list[str]:
    """Run the timer in so many days, twice, and what it has queued; return the recordings that were erased."""
    then = later(app, days)
    erased = []
    for _ in range(2):
        await run_timer(then, now=then.timer.clock())
        async for message in app.clients.erasure_queue.receive(limit=32, hidden_seconds=30):
            await app.clients.erasure_queue.delete(message)
            key = ErasureJob.from_message(message.text).recording_key
            await then.erase.run(key)
            erased.append(key)
    return erased


async def test_a_recording_is_erased_when_its_class_has_ended(app: App, control: Control) -> None:
    """With the steps and the record of every erasure; one that is for ever stays."""
    [brief], [history] = [await archived(app, control, 1000) for _ in range(2)]
    await retain(app, brief.recording_key, "brief")
    await retain(app, history.recording_key, "history")

    assert [] == await at_the_end(app, 0.9)
    assert [brief.recording_key] == await at_the_end(app, 1.1)
    assert history.recording_key not in await at_the_end(app, 9999)

    names = await listing(app.settings, "archive")
    assert not [name for name in names if brief.recording_key in name and not name.startswith("audit/")]
    assert layout.manifest_blob(history.recording_key) in names
    found = await app.erasure.get(layout.key_digest(brief.recording_key))
    assert ("retention-ended", None) == (found.reason, found.asked_by)
    assert found.certificate is not None
    assert [] == await app.clients.index.ended(datetime.now(UTC) + 2 * DAY, limit=9)


async def test_what_a_case_holds_waits_until_that_is_lifted(app: App, control: Control) -> None:
    """However long its time has been over."""
    [job] = await archived(app, control, 1000)
    await retain(app, job.recording_key, "brief")
    await place(app, job.recording_key, "case 1")

    assert [] == await at_the_end(app, 100)
    await lift(later(app, 100), job.recording_key, "case 1")
    assert [job.recording_key] == await at_the_end(app, 101)


async def test_what_waits_keeps_nobody_from_his_turn(
    app: App, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many are held: a run looks at all, and one that is short of time is continued by the next."""
    monkeypatch.setattr(ending, "_PAGE", 1)
    jobs = [(await archived(app, control, 1000))[0] for _ in range(3)]
    for job in jobs:
        await retain(app, job.recording_key, "brief")
    rows = [key for _, key in await app.clients.index.ended(datetime.now(UTC) + 2 * DAY, limit=9)]
    for key in rows[:2]:
        await place(app, key, "case 1")

    seen: list[str] = []
    ends = later(app, 1.1).timer.ends

    async def held_up(key: str) -> str | None:
        seen.append(key)
        raise TimeoutError

    assert [] == await replace(ends, erase=held_up).run(later(app, 1.1).timer.clock())
    assert rows[2:] == await at_the_end(app, 1.1)
    assert rows[2:] == seen
    # A run that came to the end leaves no mark: the next one begins with the earliest.
    assert await app.clients.index.marked(ending._MARK) is None


async def test_one_whose_manifest_cannot_be_read_keeps_nobody_else(
    app: App, control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    """It stays, and the log says so at each run."""
    [broken], [other] = [await archived(app, control, 1000) for _ in range(2)]
    for job in (broken, other):
        await retain(app, job.recording_key, "brief")
    await put(app.settings, "archive", layout.manifest_blob(broken.recording_key), b"{")

    assert [other.recording_key] == await at_the_end(app, 1.1)

    assert f'retention.not_ended {{"recordingKey": "{broken.recording_key}"' in caplog.text
    assert broken.recording_key in "".join(await listing(app.settings, "archive"))


async def test_a_class_that_was_changed_moves_the_end(app: App, control: Control) -> None:
    """The row of the earlier end says nothing any more."""
    [job] = await archived(app, control, 1000)
    await retain(app, job.recording_key, "brief")
    await retain(app, job.recording_key, "standard")

    assert [] == await at_the_end(app, 2)
    assert [] == await app.clients.index.ended(datetime.now(UTC) + 2 * DAY, limit=9)
    assert [job.recording_key] == await at_the_end(app, 91)
