"""recording/commands/archive.py: one run of the timer by hand."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import function_app
from recording import __main__ as command
from recording import app as bootstrap
from recording.app import App
from recording.intake import backlog
from recording.model import job
from recording.model.job import ChunkJob
from tests.support.archives import give_up
from tests.support.emulator import Control, file_event
from tests.support.facts import announce, listing, receive, stage, to_archive
from tests.support.functions import Out


@pytest.fixture
def settings_file(environment: dict[str, str], tmp_path: Path) -> Path:
    """A file of settings, as the portal's list is."""
    file = tmp_path / "settings.json"
    file.write_text(json.dumps([{"name": name, "value": value} for name, value in environment.items()]))
    return file


async def run(settings_file: Path, *keys: str) -> int:
    """Run the command in a thread: it has a loop of its own."""
    return await asyncio.to_thread(command.main, ["archive", *keys, "--settings", str(settings_file)])


async def queued(app: App) -> list[job.ChunkJob]:
    """Take the chunk jobs off their queue, as the host reads them."""
    messages = [message async for message in app.clients.chunk_queue.receive(limit=1000, hidden_seconds=1)]
    for message in messages:
        await app.clients.chunk_queue.delete(message)
    return [ChunkJob.from_message(message.text) for message in messages]


async def test_what_the_timer_would_do_is_done(
    app: App, control: Control, settings_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A whole recording is archived, a chunk that nobody fetched is queued, and so is a poisoned event's."""
    await queued(app)
    [whole] = await stage(app, await control.recording(1000), event_id="whole")
    old = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    [missing] = await announce(app, await control.recording(1000), event_id="old", eventTime=old)
    poisoned = await control.recording(1000)
    await app.clients.event_poison.create()
    text = backlog.format_message([json.dumps(file_event(poisoned, event_id="poisoned"))])
    await app.clients.event_poison.send(text)

    status = await run(settings_file)

    assert 0 == status
    expected = "1 archived, 0 incomplete, 2 waiting, 0 failed, 0 not reached, 2 chunks queued"
    assert expected == capsys.readouterr().out.strip()
    assert await app.recordings.is_archived(whole)
    documents = {missing.document_id, poisoned["chunks"][0]["documentId"]}
    assert documents == {one.document_id for one in await queued(app)}
    await app.clients.event_poison.delete_queue()


async def test_what_is_lost_is_named(
    app: App, control: Control, settings_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 1, with a line for the recording."""
    old = datetime.now(UTC) - timedelta(hours=50)
    [lost] = await receive(app, file_event(await control.recording(1000)), now=old)
    await give_up(app, lost, now=datetime.now(UTC))

    assert 1 == await run(settings_file)

    first, last = capsys.readouterr().out.splitlines()
    assert f"incomplete {lost.recording_key}" == first
    assert re.match("0 archived, 1 incomplete, 0 waiting", last)


async def test_one_recording_is_archived_by_its_key(
    app: App, control: Control, settings_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The job that its message would do; the others wait for the timer."""
    [one], [other] = [await stage(app, await control.recording(1000), event_id=f"e{number}") for number in range(2)]

    assert 0 == await run(settings_file, one.recording_key)

    assert capsys.readouterr().out.startswith("1 archived, 0 incomplete, 0 waiting")
    assert [True, False] == [await app.recordings.is_archived(job) for job in (one, other)]


async def test_beside_the_timer_it_does_no_harm(
    app: App, control: Control, settings_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both at once make one archive, whole, and leave nothing in staging."""
    monkeypatch.setattr(bootstrap, "_app", app)
    monkeypatch.setattr(bootstrap, "_is_prepared", True)
    jobs = [
        job for number in range(3) for job in await stage(app, await control.recording(1000), event_id=f"e{number}")
    ]

    await asyncio.gather(run(settings_file), function_app.archive_recordings(None, Out()))
    await function_app.archive_recordings(None, Out())
    # What its timer has queued meanwhile.
    for key in await to_archive(app):
        await app.archive.run(key)

    assert {} == await listing(app.settings, "staging")
    manifests = [name for name in await listing(app.settings, "archive") if name.endswith("/recording.json")]
    assert len(jobs) == len(manifests)
    assert [True] * 3 == [await app.recordings.is_archived(job) for job in jobs]
