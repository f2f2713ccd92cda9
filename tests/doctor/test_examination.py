"""recording/doctor/examination.py: what is broken is found, with how to fix it; the rest is left alone."""

import json
import subprocess
import sys
from asyncio import to_thread
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from aiohttp import web
from azure.storage.queue.aio import QueueServiceClient

from local.acs.server import DEVELOPMENT_KEY, Emulator
from recording import __main__ as command
from recording.acs.preview_2021 import API_VERSION
from recording.app import App
from recording.model.stored import Container
from tests.doctor.examined import SCHEDULE, SECRETS, WRONG_KEY, bad, closed_port, examine
from tests.support.facts import listing
from tests.support.source import serve

ROOT = Path(__file__).parents[2]


@pytest.mark.derived
@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("version", [API_VERSION, ""])
async def test_a_good_deployment_is_well_and_left_as_it_was(
    app: App, environment: dict[str, str], version: str
) -> None:
    """Every check passes, with either API; no blob and no queue of the examination stays."""
    found = await examine(environment, ACS_API_VERSION=version)

    assert {"ok"} == {one.mark for name, one in found.items() if name != "content hosts"}
    assert "skipped" == found["content hosts"].mark
    places: tuple[Container, ...] = ("staging", "archive", "quarantine", "derived")
    assert [{}] * 4 == [await listing(app.settings, where) for where in places]
    connection = app.settings.host_storage.connection_string
    assert connection is not None
    async with QueueServiceClient.from_connection_string(connection.get_secret_value()) as service:
        assert [] == [one.name async for one in service.list_queues(name_starts_with="recording-doctor")]


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("version", [API_VERSION, ""])
async def test_a_wrong_acs_key_is_told_from_all_else(environment: dict[str, str], version: str) -> None:
    """ACS answers, and refuses: the setting and the command that gives a good one."""
    wrong = environment["ACS_CONNECTION_STRING"].replace(DEVELOPMENT_KEY, WRONG_KEY)

    found = await examine(environment, ACS_CONNECTION_STRING=wrong, ACS_API_VERSION=version)

    assert {"ACS credentials"} == bad(found)
    assert "ok" == found["ACS"].mark
    assert "az communication list-key" in str(found["ACS credentials"].fix)
    assert "ACS_CONNECTION_STRING" in str(found["ACS credentials"].fix)


@pytest.mark.usefixtures("app")
async def test_acs_that_is_down(environment: dict[str, str]) -> None:
    """Its credentials can't be tried then."""
    found = await examine(
        environment, ACS_CONNECTION_STRING=f"endpoint=http://127.0.0.1:{closed_port()};accesskey=AAAA"
    )

    assert {"ACS"} == bad(found)
    assert "skipped" == found["ACS credentials"].mark
    assert "ACS_CONNECTION_STRING" in str(found["ACS"].fix)


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize(("minutes", "mark", "credentials"), [(5, "warn", "ok"), (60, "fail", "skipped")])
async def test_a_clock_that_is_off_is_told_before_the_key(
    environment: dict[str, str], minutes: int, mark: str, credentials: str
) -> None:
    """With it every signature is refused, and the key would be blamed for that."""

    async def answer(request: web.Request) -> web.StreamResponse:
        there = format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True)
        return web.json_response({"code": "NotFound", "message": "none"}, status=404, headers={"Date": there})

    async with serve(answer) as address:
        found = await examine(environment, ACS_CONNECTION_STRING=f"endpoint={address};accesskey={WRONG_KEY}")

    assert (mark, credentials) == (found["ACS"].mark, found["ACS credentials"].mark)
    assert "timedatectl" in str(found["ACS"].fix)


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("version", [API_VERSION, ""])
async def test_an_acs_that_fails_is_no_verdict_on_the_key(environment: dict[str, str], version: str) -> None:
    """A warning: it answers, so the address is right; the key may be."""

    async def fail(request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"code": "9999", "message": WRONG_KEY}}, status=500)

    async with serve(fail) as address:
        found = await examine(
            environment, ACS_CONNECTION_STRING=f"endpoint={address};accesskey={WRONG_KEY}", ACS_API_VERSION=version
        )

    assert ("warn", set()) == (found["ACS credentials"].mark, bad(found))


@pytest.mark.usefixtures("app")
async def test_content_hosts_are_tried(environment: dict[str, str], acs: Emulator) -> None:
    """The one that isn't reached is named; one that no host can have as a name is a contradiction as well."""
    port = closed_port()
    host = acs.endpoint.removeprefix("http://")

    assert "ok" == (await examine(environment, CONTENT_HOSTS=host))["content hosts"].mark
    found = await examine(environment, CONTENT_HOSTS=f"{host}, 127.0.0.1:{port}")
    assert {"content host"} == bad(found)
    assert f"127.0.0.1:{port}: no connection" in found["content host"].detail
    assert "CONTENT_HOSTS" in str(found["content host"].fix)
    found = await examine(environment, CONTENT_HOSTS=".asm.skype.com")
    assert {"content host", "settings agree"} == bad(found)


@pytest.mark.usefixtures("app")
async def test_settings_that_contradict_each_other_are_told(environment: dict[str, str]) -> None:
    """Beside what is reached: all is there, and still it can't work."""
    found = await examine(environment, RISK_HOURS="48")

    assert {"settings agree"} == bad(found)
    assert "RISK_HOURS" in str(found["settings agree"].fix)


def doctor_process(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as an operator does."""
    code = [sys.executable, "-m", "recording", "doctor", *arguments]
    return subprocess.run(
        code, cwd=folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.usefixtures("app")
async def test_as_a_process(environment: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table with a mark for each check, and the status: 0, and 1 with advice once something is broken."""
    file = tmp_path / "some.json"
    file.write_text(json.dumps({"IsEncrypted": False, "Values": environment | SCHEDULE}))

    done = await to_thread(doctor_process, tmp_path, "--settings", "some.json", "--all")
    assert (0, "") == (done.returncode, done.stderr)
    *lines, last = done.stdout.splitlines()
    # What is skipped comes first, with advice.
    assert ["–"] * 3 + [" "] + ["✓"] * 22 == [line[0] for line in lines]  # noqa: RUF001 - a mark, no minus
    assert "✓ settings              read: ACS by a key, its API 2021-04-15-preview1" in lines
    assert "3 skipped, 22 ok" == last

    # As `az functionapp config appsettings list` prints them.
    wrong = environment["ACS_CONNECTION_STRING"].replace("key=", "key=AAAA")
    listed = environment | SCHEDULE | {"ACS_CONNECTION_STRING": wrong}
    file.write_text(json.dumps([{"name": n, "slotSetting": False, "value": v} for n, v in listed.items()]))
    # A process takes seconds to import all libraries; this one does the same without it.
    assert 1 == await to_thread(command.main, ["doctor", "--settings", str(file)])
    again = capsys.readouterr()
    assert again.err == ""
    assert "✗ ACS credentials     the key is refused\n                      fix: set ACS_CONN" in again.out
    assert [] == [secret for secret in SECRETS if secret in again.out]


@pytest.mark.usefixtures("app")
async def test_a_callback_key_in_a_vault(
    environment: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What Azure lists as a reference is no failure: from here nobody sees whether it is resolved."""
    key = {
        "PUBLIC_BASE_URL": "https://app.example",
        "CALLBACK_KEY": "@Microsoft.KeyVault(SecretUri=https://v.example/x)",
    }
    listed = environment | SCHEDULE | key
    (tmp_path / "some.json").write_text(json.dumps([{"name": name, "value": value} for name, value in listed.items()]))

    assert 0 == await to_thread(command.main, ["doctor", "--settings", str(tmp_path / "some.json")])

    done = capsys.readouterr()
    assert done.err == ""
    [line] = [line for line in done.out.splitlines() if line.startswith("!")]
    assert "CALLBACK_KEY is a reference, which only Azure resolves" in line


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"Values": {"AzureWebJobsStorage": ""}}', "AzureWebJobsStorage is not set"),
        ('{"Values": {"AzureWebJobsStorage": "AccountName=a;AccountKey=c2VjcmV0"}}', "set ACS_CONNECTION_STRING"),
        (
            '{"Values": {"AzureWebJobsStorage": "UseDevelopmentStorage=true", "ACS_CONNECTION_STRING": "c2VjcmV0"}}',
            "ACS_CONNECTION_STRING must",
        ),
        ('{"Values": {"AzureWebJobsStorage": "UseDevelopmentStorage=true", "AUTO_RECORD": "c2VjcmV0"}}', "AUTO_RECORD"),
        ('{"Values": {"AzureWebJobsStorage": "c2VjcmV0"}}', "Storage: Value error, is not a connection string"),
        ('{"Values": {"AzureWebJobsStorage": "AccountKey=c2VjcmV0"}}', "neither an account's name and key nor"),
        (
            '{"Values": {"AzureWebJobsStorage": "UseDevelopmentStorage=true", '
            '"ACS_CONNECTION_STRING": "@Microsoft.KeyVault(SecretUri=https://v.example/c2VjcmV0)"}}',
            "ACS_CONNECTION_STRING: the reference is not resolved",
        ),
        ("{", "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_settings_that_cannot_be_read_are_the_finding(
    tmp_path: Path, text: str | None, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 1; what is wrong is named, its value isn't, and the rest is skipped."""
    if text is not None:
        (tmp_path / "some.json").write_text(text)

    assert 1 == command.main(["doctor", "--settings", str(tmp_path / "some.json")])

    done = capsys.readouterr()
    assert ("", False) == (done.err, "c2VjcmV0" in done.out)
    first, fix, second, last = done.out.splitlines()
    assert first.startswith("✗ settings")
    assert told in first
    assert "fix: az functionapp config appsettings set" in fix
    assert second.startswith("– all else")  # noqa: RUF001 - a mark, no minus
    assert "1 failed, 1 skipped" == last
