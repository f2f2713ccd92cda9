"""recording/timer.py, archive/finish.py: a recording that no event names waits for its stop, which has its class."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.exceptions import ServiceResponseError

from recording.app import App
from recording.model import events, layout
from recording.model.job import ArchiveJob
from recording.model.started import Started
from recording.storage.endings import Ending
from tests.support.archives import HOUR, at, manifest_of
from tests.support.emulator import Control
from tests.support.facts import run_timer, stage, with_blobs
from tests.support.faults import FaultyBlobs
from tests.support.logs import logged

pytestmark = pytest.mark.settings(RETENTION_CLASSES="standard=90, court=2555")
ID = "eyJQbGF0Zm9ybUVuZHBvaW50SWQiOiI3ZjQy"
CONVERSATION = "3f2b0e4c-1111-4000-8000-000000000001"
MINUTE = timedelta(minutes=1)


async def staged(app: App, control: Control) -> str:
    """Announce and fetch a recording of the 2021 preview API, and return its key."""
    [job] = await stage(app, await control.recording(1000))
    return job.recording_key


async def stop(app: App, key: str, *, paused: timedelta = timedelta()) -> None:
    """Put on record that it was started through this app with a class, and stopped when it ended."""
    begun = layout.recording_start(key)
    ended = events.recording_end(begun, (await app.recordings.load(key)).duration_ms)
    assert ended is not None
    fact = Started(recording_id=ID, conversation_id=CONVERSATION, reference="4711", retention_class="court", at=begun)
    await app.starts.note_started(fact)
    stopped = ended + paused
    await app.endings.note(
        Ending(recording_id=ID, conversation_id=CONVERSATION, at=stopped, evidence="stopped through us")
    )


async def plan(app: App, monkeypatch: pytest.MonkeyPatch, **more: Any) -> list[str]:
    """Run the timer, whose messages are worked on the moment that they are sent; return what these jobs archived."""
    archived: list[str] = []

    async def send(text: str) -> None:
        archived.extend((await app.archive.run(ArchiveJob.from_message(text).recording_key)).archived)

    with monkeypatch.context() as quick:
        quick.setattr(app.clients.archive_queue, "send", send)
        await run_timer(app, now=datetime.now(UTC), archives_all=False, **more)
    return archived


async def noted(app: App, key: str) -> tuple[str | None, str | None, str | None]:
    """Return the class, the conversation and the reference of an archived recording."""
    written = await manifest_of(app, key)
    return (await app.keeping.keeping.find(key)).retention_class, written.conversation_id, written.reference


@pytest.mark.parametrize("paused", [timedelta(), HOUR], ids=["not paused", "paused"])
async def test_a_recording_that_is_due_when_it_is_first_seen_has_the_class_of_its_start(
    app: App, control: Control, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, paused: timedelta
) -> None:
    """A worker starts at once; of one that was paused only the start shows whose stop it was."""
    key = await staged(app, control)
    await stop(app, key, paused=paused)

    assert [key] == await plan(app, monkeypatch)

    assert ("court", CONVERSATION, "4711") == await noted(app, key)
    assert [] == logged(caplog, "retention.by_default")


async def test_a_job_waits_for_a_stop_that_no_run_could_assign(
    app: App, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep that fails keeps nothing from the queue: the job looks itself, and the next run assigns and queues it."""
    key = await staged(app, control)
    await stop(app, key)
    failing = FaultyBlobs(app.settings).on(
        "list_blobs", name=layout.PENDING, raises=ServiceResponseError("on purpose"), times=1
    )

    assert [] == await plan(with_blobs(app, failing), monkeypatch)
    await failing.aclose()
    assert await app.recordings.newest_manifest(key) is None
    assert [key] == await plan(app, monkeypatch)

    assert ("court", CONVERSATION, "4711") == await noted(app, key)


async def test_a_job_waits_for_a_stop_that_was_recorded_after_it_was_queued(app: App, control: Control) -> None:
    """Storage was slow when it was stopped; a message of the queue may also be older than the run that assigns."""
    key = await staged(app, control)
    await run_timer(app, now=datetime.now(UTC), archives_all=False)
    await stop(app, key)

    assert [key] == (await app.archive.run(key)).waiting
    assert [key] == (await run_timer(app, now=datetime.now(UTC), archives_all=False)).handed_over
    assert [key] == (await app.archive.run(key)).archived

    assert ("court", CONVERSATION, "4711") == await noted(app, key)


async def test_what_nobody_stopped_here_is_archived_though_no_run_can_sweep(
    app: App, control: Control, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In the same run, by the default class; that nothing shows another one is a line that an alert reads."""
    key = await staged(app, control)
    failing = FaultyBlobs(app.settings).on(
        "list_blobs", name=layout.PENDING, raises=ServiceResponseError("on purpose"), times=1
    )

    assert [key] == await plan(with_blobs(app, failing), monkeypatch)
    await failing.aclose()

    assert ("standard", None, None) == await noted(app, key)
    [line] = logged(caplog, "retention.by_default")
    assert key == line["recordingKey"]


async def test_a_recording_waits_for_its_stop_for_a_quarter_of_its_time(
    app: App, control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    """Its bytes matter more: what is left of its time is enough for the queue, and then for the timer."""
    key = await staged(app, control)
    await stop(app, key)
    now = datetime.now(UTC)

    for minutes, archived in ((0, []), (12 * 60 - 1, []), (12 * 60 + 1, [key])):
        assert archived == (await at(app, now + minutes * MINUTE).archive.run(key)).archived

    assert "standard" == (await noted(app, key))[0]
    assert 1 == len(logged(caplog, "retention.by_default"))
