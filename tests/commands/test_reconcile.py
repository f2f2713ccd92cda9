"""recording/commands/reconcile.py: what ACS reports that it recorded, compared with what this app has archived.

The command asks a real server, whose rows are the emulator's recordings and the lines that the app has logged.
"""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from azure.core.credentials import AccessToken
from azure.identity import CredentialUnavailableError

from local.acs.server import Emulator
from local.functions.log import UtcFormatter
from local.log_analytics import WORKSPACE, LogAnalytics
from recording import __main__ as command
from recording.app import App, open_app
from recording.archive.completeness import compare
from recording.commands import reconcile
from recording.errors import RecordingError
from tests.support.completeness import DAY, MARGIN, NOW, line, row
from tests.support.emulator import Control, file_event
from tests.support.facts import receive, sweep


@pytest.fixture
def environment(environment: dict[str, str], acs: Emulator) -> dict[str, str]:
    """The Call Automation API, with the emulator's storage hosts."""
    hosts = ",".join(urlsplit(url).netloc for url in (acs.storage_url, acs.region_url))
    return environment | {"ACS_API_VERSION": "", "CONTENT_HOSTS": hosts}


@pytest.fixture
def elsewhere(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder without local.settings.json, the settings in the environment, and every recording due at once."""
    monkeypatch.chdir(tmp_path)
    for name, value in {**environment, "RISK_HOURS": "48"}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """The file that the app's lines go to, as a worker of the local host prints them."""
    file = tmp_path / "functions.log"
    handler = logging.FileHandler(file)
    handler.setFormatter(UtcFormatter("%(asctime)s %(levelname)s archive_recordings: %(message)s"))
    logger = logging.getLogger("recording")
    logger.addHandler(handler)
    level = logger.level
    # Not by the attribute: the logger remembers which levels it was asked for until `setLevel` clears that.
    logger.setLevel(logging.INFO)
    yield file
    logger.removeHandler(handler)
    logger.setLevel(level)
    handler.close()


@pytest_asyncio.fixture
async def workspace(acs: Emulator, log: Path) -> AsyncIterator[LogAnalytics]:
    """The workspace that ACS and the app send their logs to."""
    async with LogAnalytics(acs.endpoint, lambda: [log]) as running:
        yield running


async def run(workspace: LogAnalytics, *more: str, workspace_id: str = WORKSPACE) -> int:
    """Run the command in a thread: it has a loop of its own."""
    arguments = ["reconcile", "--workspace", workspace_id, "--endpoint", workspace.endpoint, *more]
    return await asyncio.to_thread(command.main, arguments)


async def record(control: Control, *sizes: int, generation: str = "today") -> Any:
    """Have ACS record something that it doesn't announce."""
    media = {"kind": "filler", "chunkBytes": list(sizes)}
    return await control.call("POST", "recordings", {"media": media, "announce": False, "generation": generation})


def event_of(recording: Any, *chunks: Any) -> dict[str, Any]:
    """Write the file event of an emulator's recording, in the form of the Call Automation API."""
    subject = "/recording/call/{callId}/serverCallId/{serverCallId}/recordingId/{recordingId}".format(**recording)
    event = file_event(recording, event_id=recording["callId"], subject=subject)
    names = ("documentId", "index", "endReason", "contentLocation", "metadataLocation", "deleteLocation")
    told = [{name: chunk[name] for name in names} for chunk in chunks or recording["chunks"]]
    event["data"]["recordingStorageInfo"] = {"recordingChunks": told}
    return event


async def archive(app: App, event: dict[str, Any]) -> None:
    """Bring what an event announces into the archive."""
    for job in await receive(app, event):
        await app.ingest.run(job)
    await sweep(app)


@pytest.mark.usefixtures("elsewhere")
async def test_all_that_acs_recorded_is_archived(
    app: App, control: Control, workspace: LogAnalytics, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 0, and no table."""
    for sizes in ([1000], [1000, 2000]):
        await archive(app, event_of(await record(control, *sizes)))

    assert 0 == await run(workspace)
    assert "2 recordings at ACS, 0 not archived or not all of it, 0 not archived yet and not due\n" == (
        capsys.readouterr().out
    )


@pytest.mark.usefixtures("elsewhere")
async def test_a_recording_that_was_never_announced_is_missing(
    app: App, control: Control, workspace: LogAnalytics, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 1: a recording that nothing in this app knows of is named, with the time that is left to ask for it."""
    await archive(app, event_of(await record(control, 1000)))
    missing = await record(control, 1000, 2000)

    assert 1 == await run(workspace)
    head, row, last = capsys.readouterr().out.splitlines()
    assert "state    chunks at ACS  archived  deadline (UTC)    time left    ended by   recording id" == head
    found = re.fullmatch(r"missing +2 +0 +\S+ \d\d:\d\d +(\d+) h \d\d min +CallEnded +(\S+)", row)
    assert found is not None, row
    assert (found[1] in ("23", "24"), found[2]) == (True, missing["recordingId"])
    assert "2 recordings at ACS, 1 not archived or not all of it, 0 not archived yet and not due" == last


@pytest.mark.usefixtures("elsewhere")
async def test_a_chunk_that_no_event_announced_is_missing(
    app: App, control: Control, workspace: LogAnalytics, capsys: pytest.CaptureFixture[str]
) -> None:
    """A recording of three chunks of which two were announced isn't all there, whatever its manifest says."""
    recording = await record(control, 1000, 2000, 3000)
    await archive(app, event_of(recording, *recording["chunks"][:2]))

    assert 1 == await run(workspace)
    _, row, _ = capsys.readouterr().out.splitlines()
    assert ["incomplete", "3", "2"] == row.split()[:3]


@pytest.mark.usefixtures("elsewhere")
async def test_a_recording_that_is_not_due_is_no_fault(
    control: Control, workspace: LogAnalytics, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status 0: it ended just now, and has its time; it is still shown."""
    monkeypatch.setenv("RISK_HOURS", "8")
    recording = await record(control, 1000)

    assert 0 == await run(workspace)
    _, row, last = capsys.readouterr().out.splitlines()
    assert row.startswith("not due")
    assert row.endswith(recording["recordingId"])
    assert last.endswith("0 not archived or not all of it, 1 not archived yet and not due")


@pytest.mark.usefixtures("elsewhere")
async def test_a_window_of_time(control: Control, workspace: LogAnalytics, capsys: pytest.CaptureFixture[str]) -> None:
    """`--from` and `--to` choose by the time at which ACS has reported a recording."""
    await record(control, 1000)
    hour = timedelta(hours=1)

    assert 0 == await run(workspace, "--to", (datetime.now(UTC) - hour).isoformat())
    assert 1 == await run(workspace, "--from", (datetime.now(UTC) - hour).isoformat())
    assert ["0 recordings", "1 recordings"] == [
        line[:12] for line in capsys.readouterr().out.splitlines() if "at ACS," in line
    ]


@pytest.mark.usefixtures("elsewhere")
async def test_recordings_of_2021_are_found_by_their_start(
    app: App,
    control: Control,
    workspace: LogAnalytics,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Their file event names no recording id, so the start is compared; of two at once the right one is missing."""
    monkeypatch.setenv("ACS_API_VERSION", "2021-04-15-preview1")
    missing, other = await record(control, 1000, generation="2021"), await record(control, 1000, generation="2021")
    old = await open_app(app.settings.model_copy(update={"acs_api_version": "2021-04-15-preview1"}))
    try:
        await archive(old, file_event(other))
    finally:
        await old.aclose()

    assert 1 == await run(workspace)
    _, row, last = capsys.readouterr().out.splitlines()
    assert row.endswith(missing["recordingId"])
    assert last.startswith("2 recordings at ACS, 1 not archived")


@pytest.mark.usefixtures("elsewhere")
async def test_who_may_not_read_the_workspace_is_told(
    acs: Emulator, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2, and what is needed."""
    async with LogAnalytics(acs.endpoint, lambda: [log], token="secret") as closed:
        assert 2 == await run(closed)
    assert "your login may not read the workspace (403): it needs the role Log Analytics Reader" in (
        capsys.readouterr().err
    )


@pytest.mark.usefixtures("elsewhere")
async def test_what_cannot_be_asked_is_told(
    acs: Emulator, workspace: LogAnalytics, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2: another workspace, a server that isn't there, an address that a token must not go to."""
    assert 2 == await run(workspace, workspace_id="00000000-0000-4000-8000-00000000000f")
    assert "there is no such workspace" in capsys.readouterr().err
    with pytest.raises(SystemExit) as refused:
        await run(workspace, "--endpoint", "http://api.loganalytics.example")
    assert 2 == refused.value.code
    assert "must be an absolute https URI" in capsys.readouterr().err


@pytest.mark.usefixtures("elsewhere")
async def test_silence_is_not_completeness(
    app: App, control: Control, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2 where recordings were archived and ACS has reported none: its logs don't arrive."""
    await archive(app, event_of(await record(control, 1000)))

    async with Emulator() as silent, LogAnalytics(silent.endpoint, lambda: [log]) as workspace:
        assert 2 == await run(workspace)
    assert "is the diagnostic setting of the ACS resource there?" in capsys.readouterr().err


class NoLogin:
    """A credential on a machine where nobody has logged in."""

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """Fail as DefaultAzureCredential does."""
        raise CredentialUnavailableError("DefaultAzureCredential failed to retrieve a token")

    async def close(self) -> None:
        """Close nothing."""

    async def __aenter__(self) -> "NoLogin":
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close nothing."""


async def test_a_missing_login_is_told() -> None:
    """A token is asked for before anything leaves this machine; without a login there is none."""
    workspace = reconcile.Workspace(WORKSPACE, NoLogin())
    try:
        with pytest.raises(RecordingError, match="there is no login on this machine"):
            await workspace.recorded(NOW - DAY, NOW)
    finally:
        await workspace.aclose()


def test_the_least_time_left_comes_first() -> None:
    """The table is read from the top; what is archived isn't in it."""
    rows = [row("early", hours_ago=20), row("over", hours_ago=26.5), row("done")]
    found = compare(rows, [line("done", chunks=1)], now=NOW, retention=DAY, margin=MARGIN)
    _, first, second = reconcile.table(found, now=NOW)
    assert ("over for 2 h 30 min" in first, "4 h 00 min" in second) == (True, True)
    assert (first.split()[-1], second.split()[-1]) == ("over", "early")


def test_a_late_report_does_not_move_the_deadline() -> None:
    """Azure Monitor may be hours late: the deadline counts from the recording's end, if that was before."""
    told = {
        "TimeGenerated": NOW,
        "RecordingId": "a",
        "RecordingStartTime": NOW - timedelta(hours=3),
        "RecordingLength": "3600.5",
        "ChunkCount": 1,
        "RecordingEndReason": None,
    }
    assert reconcile._recorded(told).ready_at == NOW - timedelta(hours=2) + timedelta(seconds=0.5)
    assert reconcile._recorded({**told, "RecordingStartTime": None}).ready_at == NOW


@pytest.mark.parametrize(
    "message",
    [
        "recording.archived",
        "recording.archived {",
        "recording.archived []",
        'recording.archived {"recordingKey": "../x", "chunks": 1}',
        'recording.archived {"recordingKey": "20261124T014104712906Z-b7e47c6c-d930-43ba-9cc2-5f5d5d3f2392"}',
    ],
)
def test_a_line_that_cannot_be_read_counts_for_nothing(message: str) -> None:
    """A line that was cut off, or that is not the app's, must not prove that a recording is there."""
    assert reconcile._archived(message) is None


def test_a_list_that_was_shortened_proves_nothing() -> None:
    """The line of an event with thousands of documents has only the beginning of their list, as a text."""
    key = "20261124T014104712906Z-b7e47c6c-d930-43ba-9cc2-5f5d5d3f2392"
    for documents, count in (('["a", "b"]', 2), ('"[\\"a\\", \\"b…"', 0)):
        text = f'recording.exported {{"recordingKey": "{key}", "recordingId": "r", "documentIds": {documents}}}'
        found = reconcile._archived(text)
        assert found is not None
        assert len(found.exported) == count
