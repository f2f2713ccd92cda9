"""recording/commands/reindex.py, and what `doctor` finds of the search index."""

import asyncio
from pathlib import Path

import pytest
from azure.data.tables.aio import TableClient

from recording import __main__ as command
from recording.app import App
from recording.catalogue.browse import ListQuery
from recording.storage.index import table_name
from tests.support.emulator import Control
from tests.support.facts import announce, archived
from tests.support.manifests import finished


@pytest.fixture(autouse=True)
def elsewhere(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder without local.settings.json, with the settings in the environment."""
    monkeypatch.chdir(tmp_path)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


async def run(*arguments: str) -> int:
    """Run a command in a thread: it has a loop of its own."""
    return await asyncio.to_thread(command.main, [*arguments])


async def delete_table(app: App) -> None:
    """Delete the search index."""
    connection = app.settings.host_storage.connection_string
    assert connection is not None
    name = table_name(app.settings.archive_container)
    async with TableClient.from_connection_string(connection.get_secret_value(), name) as table:
        await table.delete_table()


async def test_a_lost_index_is_found_and_made_again(
    app: App, control: Control, capsys: pytest.CaptureFixture[str]
) -> None:
    """The doctor names the command; after it all is well, and what is in flight is there, too."""
    [one] = await archived(app, control, 1000, event_id="one")
    [other] = await announce(app, await control.recording(1000), event_id="other")
    await delete_table(app)

    await run("doctor")
    before = capsys.readouterr().out
    status = await run("reindex")
    said = capsys.readouterr().out
    await run("doctor", "--all")
    after = capsys.readouterr().out

    assert 0 == status
    assert "1 recordings, up to" in said
    assert "1 archived recordings and 1 in flight in" in said
    [finding] = [line for line in before.splitlines() if "search index" in line]
    assert "1 of the newest 1 recordings differ" in finding
    assert "python -m recording reindex" in before
    assert "the rows of the newest 1 archived recordings agree" in after
    found = (await app.catalogue.page(ListQuery())).recordings
    assert {one.recording_key, other.recording_key} == {row.recording_key for row in found}


async def test_a_table_that_cannot_be_reached_is_found(
    app: App, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the setting and the role to check."""
    connection = app.settings.host_storage.connection_string
    assert connection is not None
    parts = [part for part in connection.get_secret_value().split(";") if part and not part.startswith("TableEndpoint")]
    monkeypatch.setenv("AzureWebJobsStorage", ";".join([*parts, "TableEndpoint=http://127.0.0.1:1/devstoreaccount1"]))

    await run("doctor")

    assert "Storage Table Data Contributor" in capsys.readouterr().out


async def test_rows_are_compared_without_being_written(
    app: App, control: Control, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each that differs, is missing, or is of no recording, by its kind; status 1."""
    [one] = await archived(app, control, 1000, event_id="one")
    await announce(app, await control.recording(1000), event_id="other")
    assert 0 == await run("reindex", "--compare")
    assert "1 recordings compared with their rows, 0 differ" in capsys.readouterr().out
    await delete_table(app)
    await app.clients.index.write(finished(1))

    assert 1 == await run("reindex", "--compare")

    lines = capsys.readouterr().out.splitlines()
    assert f"{finished(1).recording_key}: call, month, recording" in lines
    assert f"{one.recording_key}: month, call, participant, participant" in lines
    assert lines[-1].endswith("2 differ")
