"""HTTP on this machine: a client, a free port, the wait until a program answers."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from local.process import Process


async def wait_until_ok(process: Process, url: str, *, seconds: float) -> None:
    """Wait until a server answers `GET url` with 200.

    Raises ProcessError, with the last answer, when the process ends or the time is over.
    """
    answered = "no answer"
    deadline = asyncio.get_running_loop().time() + seconds
    async with http(seconds=10) as session:
        while asyncio.get_running_loop().time() < deadline:
            if process.returncode is not None:
                raise await process.error(f"ended with status {process.returncode}")
            try:
                async with session.get(url) as answer:
                    if answer.status == 200:
                        return
                    answered = f"{answer.status} {await answer.text()}"
            except (aiohttp.ClientError, TimeoutError) as error:
                answered = repr(error)
            await asyncio.sleep(0.1)
    raise await process.error(f"wasn't ready after {seconds:g} s (GET {url}: {answered})")


def free_port() -> int:
    """Return a port that is free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def http(seconds: float = 30.0) -> AsyncIterator[aiohttp.ClientSession]:
    """Open an HTTP client whose requests take at most `seconds`."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=seconds)) as session:
        yield session
