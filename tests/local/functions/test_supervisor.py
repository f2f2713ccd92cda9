"""The worker process is killed at functionTimeout and restarted whenever it ends."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import ClientSession

from local.functions.host import Host

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(apps: Path) -> AsyncIterator[Host]:
    """Return a host that runs the app `fragile`, whose functionTimeout is 0.6 seconds."""
    async with Host(app_dir=apps / "fragile") as running:
        yield running


async def get(host: Host, path: str) -> tuple[int, str]:
    async with ClientSession() as client, client.get(f"{host.url}/{path}") as response:
        return response.status, await response.text()


async def gone(pid: int) -> bool:
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        await asyncio.sleep(0.05)
    return False


async def test_own_process(host: Host) -> None:
    """Functions run in a process of their own."""
    status, pid = await get(host, "pid")

    assert (200, str(host.worker_pid)) == (status, pid)
    assert str(os.getpid()) != pid


@pytest.mark.parametrize("path", ["hang", "block"])
async def test_timeout(host: Host, path: str) -> None:
    """At functionTimeout the process is killed with every invocation in it, also when its loop is blocked."""
    _, before = await get(host, "pid")
    stuck = asyncio.create_task(get(host, path))
    await asyncio.sleep(0.3)
    other = asyncio.create_task(get(host, "wait/0.5"))

    assert await stuck == (500, "")
    assert await other == (500, "")
    status, after = await get(host, "pid")
    assert status == 200
    assert before != after
    assert await gone(int(before))


async def test_crash(host: Host) -> None:
    """A process that ends fails the invocations in it and is restarted."""
    _, before = await get(host, "pid")
    other = asyncio.create_task(get(host, "wait/0.5"))
    await asyncio.sleep(0.1)

    assert await get(host, "die") == (500, "")
    assert await other == (500, "")
    status, after = await get(host, "pid")
    assert status == 200
    assert before != after
