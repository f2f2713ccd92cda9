"""The command `python -m local functions` starts, says what it runs, and leaves nothing behind."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession

from local.functions.errors import StartError
from local.functions.host import Host

ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def command(
    *arguments: str, environ: Mapping[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the command, and kill it at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "local", "functions", "--port", "0", *arguments),
        cwd=ROOT,
        env={**os.environ, **(environ or {})},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ready(process: asyncio.subprocess.Process) -> str:
    """Wait for the ready line and give the address."""
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), 20)
    assert line.startswith(b"Host ready on http://127.0.0.1:"), line
    return line.split()[-1].decode()


async def get(address: str) -> tuple[int, str]:
    async with ClientSession() as client, client.get(address) as response:
        return response.status, await response.text()


async def gone(pid: int) -> bool:
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        await asyncio.sleep(0.05)
    return False


async def test_story(apps: Path, storage: str, tmp_path: Path) -> None:
    """It says what it runs, takes settings from a file under those of the environment, logs, and ends at SIGTERM."""
    settings = tmp_path / "settings.json"
    settings.write_text('{"Values": {"JOBS": "from-file", "AzureWebJobsStorage": "overridden"}}')
    arguments = ("--app-dir", str(apps / "story"), "--settings", str(settings))
    async with command(*arguments, environ={"AzureWebJobsStorage": storage}) as process:
        url = await ready(process)
        async with ClientSession() as client, client.post(f"{url}/conversations/c/recordings/r-1/pause") as response:
            assert response.status == 200
        process.send_signal(signal.SIGTERM)
        output, log = await asyncio.wait_for(process.communicate(), 10)

    assert output.decode().splitlines() == [
        "  fan: httpTrigger POST fan",
        "  pause: httpTrigger POST conversations/{conversationId}/recordings/{recordingId}/pause",
        "  receive: eventGridTrigger /runtime/webhooks/eventgrid?functionName=receive",
        "  tick: timerTrigger * * * * * *",
        "  work: queueTrigger from-file",
    ]
    assert " INFO pause: paused r-1\n" in log.decode()
    assert " INFO host: invocation_succeeded function=pause " in log.decode()
    assert process.returncode == 0


async def test_terminated_while_running(apps: Path) -> None:
    """At SIGTERM what runs is still answered."""
    async with command("--app-dir", str(apps / "fragile")) as process:
        url = await ready(process)
        answer = asyncio.create_task(get(f"{url}/wait/0.4"))
        await asyncio.sleep(0.2)
        process.send_signal(signal.SIGTERM)

        assert await answer == (200, "waited")
        assert await asyncio.wait_for(process.wait(), 5) == 0


async def test_killed(apps: Path) -> None:
    """When it is killed its worker ends, too, even with a blocked loop."""
    async with command("--app-dir", str(apps / "fragile")) as process:
        url = await ready(process)
        worker = int((await get(f"{url}/pid"))[1])
        running = asyncio.create_task(get(f"{url}/block"))
        await asyncio.sleep(0.2)
        process.kill()

        assert await gone(worker)
        await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize(
    ("app", "environ", "reason"),
    [
        ("broken", {}, "a_module_that_is_not_there"),
        ("story", {"JOBS": "jobs"}, "AzureWebJobsStorage isn't set"),
        ("queue", {}, "JOBS isn't set"),
        ("nowhere", {}, "no folder"),
        ("../apps", {}, "no function_app.py"),
    ],
)
async def test_cannot_start(apps: Path, app: str, environ: dict[str, str], reason: str) -> None:
    """What keeps it from starting is said in a sentence."""

    with pytest.raises(StartError, match=reason):
        await Host(app_dir=apps / app, environ=environ).__aenter__()


async def test_output_annotation(tmp_path: Path) -> None:
    """The runtime refuses `Out[list[str]]`, which would be the modern way to write `Out[List[str]]`."""
    app = """
import azure.functions as func

app = func.FunctionApp()


@app.event_grid_trigger(arg_name="event")
@app.queue_output(arg_name="jobs", queue_name="jobs", connection="AzureWebJobsStorage")
async def receive(event: str, jobs: func.Out[list[str]]) -> None: ...
"""
    (tmp_path / "function_app.py").write_text(app)

    with pytest.raises(StartError, match="invalid non-type annotation"):
        await Host(app_dir=tmp_path).__aenter__()


async def test_exit_status(apps: Path) -> None:
    """The command ends with 1 and the reason when it can't start."""
    async with command("--app-dir", str(apps / "broken")) as process:
        output, log = await asyncio.wait_for(process.communicate(), 20)

    assert (process.returncode, output) == (1, b"")
    assert "The app can't be indexed: ModuleNotFoundError" in log.decode()


async def test_port_taken(apps: Path) -> None:
    """A port that is in use is named."""
    async with Host(app_dir=apps / "fragile") as host:
        with pytest.raises(StartError, match="is in use"):
            await Host(app_dir=apps / "fragile", port=int(host.url.rsplit(":", 1)[1])).__aenter__()
