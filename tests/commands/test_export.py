"""recording/commands/export.py: what there is about a person, in a folder."""

import asyncio
import json
from pathlib import Path

import pytest

from recording import __main__ as command
from tests.support.facts import trail_of
from tests.support.people import ADA, GRACE, archive, named_in_metadata_files, recorded
from tests.support.source import storage_host


async def test_a_folder_has_what_there_is_about_a_person(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Page, data and media, others masked, with no place for derived files; on record with its reason."""
    monkeypatch.chdir(tmp_path)
    for name, value in (environment | {"ACS_API_VERSION": ""}).items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "ada"
    arguments = ("export", ADA, "--to", str(folder), "--reason", "article 15")
    async with storage_host(environment) as (app, host):
        keys = [await recorded(app, host, number, people) for number, people in enumerate([(ADA, GRACE), (GRACE,)])]
        await archive(app)
        wanted = await named_in_metadata_files(app, ADA)

        status = await asyncio.to_thread(command.main, [*arguments, "--files"])
        refused = await asyncio.to_thread(command.main, [*arguments, "--show-others"])
        [entry] = [one for one in await trail_of(app.settings) if one["operation"] == "export"]

    data = json.loads((folder / "export.json").read_text())
    assert (0, 2) == (status, refused)
    assert {keys[0]} == wanted == {one["recordingKey"] for one in data["recordings"]}
    assert 1000 == (folder / "files" / keys[0] / f"{keys[0]}-00000.mp4").stat().st_size
    assert "1 recordings in" in capsys.readouterr().out
    assert ("article 15", "command") == (entry["reason"], entry["kind"])
    text = (folder / "index.html").read_text() + (folder / "export.json").read_text()
    assert ADA in text
    assert GRACE not in text
