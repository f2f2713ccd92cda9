"""recording/commands/ingest.py: a recording's chunks are fetched by hand, whatever the app does."""

import asyncio
import json
from pathlib import Path

import pytest

from recording import __main__ as command
from recording.app import App
from tests.support.emulator import Control, file_event
from tests.support.facts import announce, listing, stage

CHUNK = 300_000


@pytest.fixture
def settings_file(environment: dict[str, str], tmp_path: Path) -> Path:
    """A file of settings, as the portal's list is."""
    file = tmp_path / "settings.json"
    file.write_text(json.dumps([{"name": name, "value": value} for name, value in environment.items()]))
    return file


async def run(settings_file: Path, *arguments: str) -> int:
    """Run the command in a thread: it has a loop of its own."""
    return await asyncio.to_thread(command.main, ["ingest", *arguments, "--settings", str(settings_file)])


async def media(app: App) -> list[str]:
    """List the SHA-256 of every chunk in staging."""
    staged = await listing(app.settings, "staging")
    return sorted(sha256 for name, sha256 in staged.items() if name.endswith(".media"))


async def test_a_chunk_is_fetched_that_the_app_does_not_fetch(
    app: App, control: Control, settings_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its recording's key and its index; once it is safe, nothing is fetched again."""
    recording = await control.recording(CHUNK)
    [chunk] = recording["chunks"]
    [job] = await announce(app, recording)

    first = await run(settings_file, job.recording_key, "--index", "0")
    second = await run(settings_file, job.recording_key)

    assert (first, second) == (0, 0)
    assert capsys.readouterr().out.splitlines() == [
        f"chunk 0 ({chunk['documentId']}): in staging, and proved",
        f"chunk 0 ({chunk['documentId']}): is safe already",
    ]
    assert await media(app) == [chunk["sha256"]]


async def test_an_event_in_a_file_is_accepted_first(
    app: App, control: Control, settings_file: Path, tmp_path: Path
) -> None:
    """A dead letter, or a copy from the archive: its recording is unknown to staging."""
    recording = await control.recording(CHUNK)
    (tmp_path / "event.json").write_text(json.dumps(file_event(recording)))

    status = await run(settings_file, "--event", str(tmp_path / "event.json"))

    assert (status, await media(app)) == (0, [recording["chunks"][0]["sha256"]])


async def test_what_acs_does_not_have_is_said(
    app: App, control: Control, settings_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The reason is the one of the log, and the exit code is 1."""
    recording = await control.recording(CHUNK)
    recording["chunks"][0]["documentId"] = "0-neu-d7-00000000000000000000000000000000"
    [job] = await announce(app, recording)

    status = await run(settings_file, job.recording_key)

    [line] = capsys.readouterr().out.splitlines()
    assert (status, line.startswith(f"chunk 0 ({job.document_id}): SourceGone: ")) == (1, True)


async def test_an_unknown_recording_or_chunk_is_refused(
    app: App, control: Control, settings_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the way out, and exit code 2: nothing was done."""
    [job] = await stage(app, await control.recording(CHUNK))
    unknown = f"{job.recording_key[:-1]}{'0' if job.recording_key[-1] != '0' else '1'}"

    statuses = [
        await run(settings_file, unknown),
        await run(settings_file, job.recording_key, "--index", "7"),
        await run(settings_file, "nonsense"),
    ]

    said = capsys.readouterr().err.splitlines()
    assert statuses == [2, 2, 2]
    assert said[0] == f"nothing of {unknown} is in flight: give its event with --event"
    assert said[1] == f"{job.recording_key} has no chunk 7 in flight, but 0"
    assert len(said) == 3
