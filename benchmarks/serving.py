"""Run a source or a sink as a process of its own: started, watched, ended."""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from benchmarks.shaping import Shaping
from benchmarks.wire import COUNTERS, Handler, Server
from local import interrupt
from local.process import Process
from local.stack import ROOT, child_environment

_READY_SECONDS = 20.0
_CONTROL_SECONDS = 20.0


@dataclass(frozen=True)
class Running:
    """A server that runs in another process; `secure_url` is its address by TLS, if it has a certificate."""

    url: str
    secure_url: str = ""

    async def reset(self) -> None:
        """Start counting again."""
        await self._control("DELETE")

    async def counters(self) -> dict[str, int]:
        """Return what was counted since: requests, bytes_received, bytes_sent, connections, and requests by kind."""
        pairs = (line.rsplit("=", 1) for line in (await self._control("GET")).splitlines())
        return {name: int(count) for name, count in pairs}

    async def _control(self, method: str) -> str:
        timeout = aiohttp.ClientTimeout(total=_CONTROL_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.request(method, self.url + COUNTERS) as response,
        ):
            return await response.text()


@asynccontextmanager
async def running(
    module: str, shaping: Shaping, *, log: Path, certificate: Path | None = None
) -> AsyncIterator[Running]:
    """Run `python -m benchmarks.MODULE` while the context lasts."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *shaping.arguments()]
    command += ["--certificate", str(certificate)] if certificate else []
    process = Process(f"The {module}", command, log=log, environment=child_environment({}), folder=ROOT)
    async with process:
        found = await process.wait_for(r"ready on (http://\S+) ?(https://\S+)?$", seconds=_READY_SECONDS)
        yield Running(found[1], found[2] or "")


def main(name: str, handler: Handler, argv: list[str]) -> int:
    """Serve until SIGTERM; say the address when ready."""
    parser = argparse.ArgumentParser(description=f"{name} of the benchmarks")
    parser.add_argument("--latency-seconds", type=float, default=0.0)
    parser.add_argument("--bytes-per-second", type=float, default=0.0, help="per connection; 0: as fast as it goes")
    parser.add_argument("--certificate", type=Path, help="and its key, in one file: serve by TLS, too")
    arguments = parser.parse_args(argv)
    shaping = Shaping("", arguments.latency_seconds, arguments.bytes_per_second or None)
    return interrupt.run(_serve(name, Server(handler, shaping, certificate=arguments.certificate)))


async def _serve(name: str, server: Server) -> int:
    async with server:
        print(f"{name} ready on {server.url} {server.secure_url}".strip(), flush=True)
        await asyncio.Event().wait()
    return 0
