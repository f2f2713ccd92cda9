"""A program of the stack is started, watched and ended, with whatever it has started."""

import asyncio
import re
import sys
from pathlib import Path

import psutil
import pytest

from local.process import Process, ProcessError


def python(code: str, log: Path) -> Process:
    return Process("The program", [sys.executable, "-u", "-c", code], log=log)


async def test_wait_for(tmp_path: Path) -> None:
    """Waiting gives the match as soon as the program has written it."""

    async with python("print('ready on 4711'); import time; time.sleep(60)", tmp_path / "log") as process:
        found = await process.wait_for(r"ready on (\d+)", seconds=10)

        assert "4711" == found.group(1)


async def test_ends(tmp_path: Path) -> None:
    """When the program ends instead, the error has its status, the log's name and its last words."""

    async with python("raise SystemExit('no luck')", tmp_path / "log") as process:
        with pytest.raises(ProcessError, match=rf"(?s)status 1; its log is {re.escape(str(tmp_path))}/log.*no luck"):
            await process.wait_for("ready", seconds=10)


async def test_too_slow(tmp_path: Path) -> None:
    """When the time is over the error says so."""

    async with python("import time; time.sleep(60)", tmp_path / "log") as process:
        with pytest.raises(ProcessError, match=r"wasn't ready after 0\.2 s"):
            await process.wait_for("ready", seconds=0.2)


async def test_group(tmp_path: Path) -> None:
    """Ending a program ends what it has started, too."""

    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(f'child {child.pid}.')\n"
        "time.sleep(60)"
    )
    async with python(code, tmp_path / "log") as process:
        child = int((await process.wait_for(r"child (\d+)\.", seconds=10)).group(1))

    async with asyncio.timeout(5):
        while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(0.02)


async def test_stubborn(tmp_path: Path) -> None:
    """A program that ignores SIGTERM is ended by force, after the time of grace."""

    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf'); time.sleep(60)"
    async with python(code, tmp_path / "log") as process:
        await process.wait_for("deaf", seconds=10)
        await process.stop(grace_seconds=0.2)

        assert -9 == process.returncode
