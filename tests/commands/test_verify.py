"""recording/commands/verify.py: the command that verifies the archive."""

import asyncio
import io
import json
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recording import __main__ as command
from recording.app import App
from recording.model import layout
from tests.support.archives import LATE, lose, spoil
from tests.support.emulator import Control
from tests.support.facts import announce, archived, put, sweep


@pytest.fixture
def elsewhere(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder without local.settings.json, with the settings in the environment."""
    monkeypatch.chdir(tmp_path)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


async def run(*arguments: str) -> int:
    """Run the command in a thread: it has a loop of its own."""
    return await asyncio.to_thread(command.main, ["verify", *arguments])


@pytest.mark.usefixtures("elsewhere")
async def test_all_is_well(app: App, control: Control, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 0, how many there are, a numbered line for each as it is done, and a sum."""
    one, *_ = await archived(app, control, 1000, 2000, event_id="one")
    other, *_ = await archived(app, control, 3000, event_id="other")

    assert 0 == await run()

    first, *lines, last = capsys.readouterr().out.splitlines()
    assert ("2 recordings in the archive", ["1/2", "2/2"]) == (first, [line[:3] for line in lines])
    assert {f"ok       {one.recording_key}  2 chunks", f"ok       {other.recording_key}  1 chunk"} == {
        line[5:] for line in lines
    }
    assert re.fullmatch(r"All 2 recordings match their manifest\. 8,\d\d\d bytes were read again\.", last)


@pytest.mark.usefixtures("elsewhere")
async def test_damage_is_told(app: App, control: Control, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 1, and under the recording what is wrong with which blob."""
    one, *_ = await archived(app, control, 1000)
    blob = await spoil(app, one.content_blob)

    assert 1 == await run()

    _, first, second, last = capsys.readouterr().out.splitlines()
    assert f"1/1  DAMAGED  {one.recording_key}  1 chunk" == first
    assert second.startswith(f"         {blob}: has SHA-256 ")
    assert last.startswith("1 of 1 recordings do not match their manifest: see DAMAGED above.")


@pytest.mark.usefixtures("elsewhere")
async def test_a_manifest_that_is_gone_is_damage(
    app: App, control: Control, capsys: pytest.CaptureFixture[str]
) -> None:
    """A recording that a list of manifests would omit is reported nevertheless."""
    one, *_ = await archived(app, control, 1000, event_id="one")
    other, *_ = await archived(app, control, 1000, event_id="other")
    await app.clients.blobs.delete("archive", layout.manifest_blob(one.recording_key))
    await put(app.settings, "archive", layout.manifest_blob(other.recording_key), b"\xff")

    assert 1 == await run()

    told = capsys.readouterr().out
    assert "it has no manifest" in told
    assert "its manifest cannot be read" in told
    assert "2 of 2 recordings do not match their manifest" in told


@pytest.mark.usefixtures("elsewhere")
async def test_what_is_lost_is_no_damage(app: App, control: Control, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 0: the recording is what its manifest says, and that says what is lost."""
    kept, gone = await announce(app, await control.recording(1000, 2000))
    await app.ingest.run(kept)
    await lose(app, control, gone)
    await sweep(app, now=datetime.now(UTC) + LATE)

    assert 0 == await run()

    assert "2 chunks (incomplete: its manifest says what is lost)" in capsys.readouterr().out


@pytest.mark.usefixtures("elsewhere")
async def test_a_window_of_time(app: App, control: Control, capsys: pytest.CaptureFixture[str]) -> None:
    """`--from` is included, `--to` isn't; a time without a zone is UTC."""
    one, *_ = await archived(app, control, 1000)
    start = layout.recording_start(one.recording_key)
    after = start + timedelta(microseconds=1)

    counts = []
    for window in (
        ["--from", start.isoformat(), "--to", after.isoformat()],
        ["--from", start.replace(tzinfo=None).isoformat()],
        ["--from", after.isoformat()],
        ["--to", start.isoformat()],
    ):
        assert 0 == await run(*window)
        counts.append(capsys.readouterr().out.splitlines()[-1].partition(" recordings")[0])

    assert ["All 1", "All 1", "All 0", "All 0"] == counts


@pytest.mark.usefixtures("elsewhere")
async def test_an_archive_that_cannot_be_read_is_no_verdict(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2, with a reason that shows no address and no key; nothing is created to look at it."""
    monkeypatch.setenv("ARCHIVE_CONTAINER", "no-such-archive")

    assert 2 == await run()

    told = capsys.readouterr()
    assert ("", "storage could not be read (404 ContainerNotFound)\n") == (told.out, told.err)
    monkeypatch.setenv("AzureWebJobsStorage", "")
    assert 2 == await run()
    assert "AzureWebJobsStorage is not set" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "required"),
        (["other"], "invalid choice"),
        (["verify", "--from", "yesterday"], "argument --from: a time in ISO 8601"),
        (["verify", "--concurrency", "0"], "argument --concurrency: 1 or more"),
        (["verify", "--concurrency", "two"], "argument --concurrency: 1 or more"),
        (["verify", "--x"], "unrecognized"),
        (["verify", "x"], "argument KEY: a recording key must have the form"),
        (["replay", "--day", "20260230"], "argument --day: a day, such as"),
        (["doctor", "--topic", "events"], "argument --topic: /subscriptions/"),
    ],
)
def test_a_wrong_command_is_refused(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, as of a command that could not look; what is wrong is said as an operator would."""
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)

    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "usage: python -m recording" in said
    assert told in said


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
async def test_settings_as_powershell_writes_them(
    app: App, control: Control, environment: dict[str, str], tmp_path: Path, encoding: str
) -> None:
    """With a byte order mark; and as az lists them, where a setting without a value is null."""
    await archived(app, control, 1000)
    listed = [{"name": name, "value": value} for name, value in {**environment, "RISK_HOURS": None}.items()]
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(listed), encoding=encoding)

    assert 0 == await run("--settings", str(file))


def test_a_terminal_without_marks_is_told_all_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An encoding that has no check mark, as of a file on Windows, ends no command."""
    shown = io.BytesIO()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="cp1252", write_through=True))

    assert 1 == command.main(["doctor"])

    assert shown.getvalue().startswith(b"\\u2717 settings  app settings are wrong: AzureWebJobsStorage is not set")


async def test_with_local_settings(
    app: App,
    control: Control,
    environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On a laptop the settings are those of local.settings.json, in the folder where the command is run.

    Here without a process of its own, which takes seconds to import all; tests/doctor/test_examination.py has one.
    """
    one, *_ = await archived(app, control, 1000)
    file = tmp_path / "local.settings.json"
    file.write_text(json.dumps({"IsEncrypted": False, "Values": environment}))
    monkeypatch.chdir(tmp_path)
    for name in environment:
        monkeypatch.delenv(name, raising=False)

    assert 0 == await run()
    said = capsys.readouterr()
    assert (True, "") == (one.recording_key in said.out, said.err)

    file.write_text("{")
    assert 2 == await run()
    assert capsys.readouterr().err.startswith("local.settings.json cannot be read")
