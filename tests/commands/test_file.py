"""recording/commands/file.py, and what verify.py does with a joined file: an operator downloads and proves it."""

import asyncio
from pathlib import Path

import pytest

from recording import __main__ as command
from recording.app import App
from tests.support.facts import listing, put, trail_of
from tests.support.joined import archived, chunk_facts, wav
from tests.support.manifests import KEY

CHUNKS = (wav(32_000), wav(16_000, first=32_000))
pytestmark = [pytest.mark.derived, pytest.mark.usefixtures("elsewhere")]


@pytest.fixture
def elsewhere(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder without local.settings.json, with the settings in the environment."""
    monkeypatch.chdir(tmp_path)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


async def run(*arguments: str) -> int:
    """Run the command in a thread: it has a loop of its own."""
    return await asyncio.to_thread(command.main, [*arguments])


async def test_it_is_made_downloaded_and_proved(app: App, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second time it is there; each download is on record. What is damaged is found, and made again."""
    await archived(app.settings, [*CHUNKS, None])
    for _ in range(2):
        assert 0 == await run("file", KEY, "--to", str(tmp_path / "out"), "--reason", "case 118")

    [file] = (tmp_path / "out").iterdir()
    assert file.name == f"{KEY}_without-chunk-2.wav"
    assert file.read_bytes().endswith(CHUNKS[0][44:] + CHUNKS[1][44:])
    said = capsys.readouterr().out
    assert "making  100%" in said
    assert "chunk 2 is lost" in said
    assert ["case 118"] * 2 == [fact["reason"] for fact in await trail_of(app.settings)]

    assert 0 == await run("verify", "--joined", KEY)
    assert "2 chunks proved by SHA-256" in capsys.readouterr().out
    [blob] = [name for name in await listing(app.settings, "derived") if name.endswith(".wav")]
    damaged = bytearray(file.read_bytes())
    damaged[-100] ^= 1
    await put(app.settings, "derived", blob, bytes(damaged))

    assert 1 == await run("file", KEY, "--to", str(tmp_path / "again"))
    assert not [one for one in (tmp_path / "again").iterdir() if one.suffix != ".part"]
    assert f"verify --joined {KEY}" in capsys.readouterr().out
    assert 1 == await run("verify", "--joined", KEY)
    said = capsys.readouterr().out
    assert "chunk 1: has SHA-256" in said
    assert "DAMAGED" in said
    assert 0 == await run("file", KEY, "--to", str(tmp_path / "again"))
    assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()


async def test_what_cannot_be_joined_is_said_with_its_reasons(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 1; nothing is written."""
    await archived(app.settings, [None, None])

    assert 1 == await run("file", KEY)

    assert "no chunk of the recording can be played" in capsys.readouterr().out


async def test_a_damaged_chunk_is_named(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    """With the command that says what else is damaged; nothing is written."""
    manifest = await archived(app.settings, CHUNKS)
    content = manifest.chunks[1].content
    assert content is not None
    damaged = bytearray(CHUNKS[1])
    damaged[-100] ^= 1
    await put(app.settings, "archive", content.blob, bytes(damaged), **chunk_facts(CHUNKS[1]))

    assert 1 == await run("file", KEY)

    said = capsys.readouterr().out
    assert f"of {content.blob} are not those that were recorded" in said
    assert f"python -m recording verify {KEY}" in said
