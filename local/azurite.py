"""Azurite: Blob, Queue and Table Storage on this machine.

`package.json` pins its version. It picks free ports itself (port 0) and prints them, so that no other program can take
one in between. Two scripts are loaded into it: with `azurite_index.js` the cost of a request for a blob doesn't depend
on how much is stored, with `azurite_speed.js` it is lower.
"""

import asyncio
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from local.process import Process, ProcessError

ACCOUNT = "devstoreaccount1"
# The one key that Azurite, like every Azure storage emulator before it, is documented to have.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
NODE_MODULES = Path(__file__).parents[1] / "node_modules"
SCRIPTS = [Path(__file__).with_name(f"azurite_{name}.js") for name in ("index", "speed")]
READY_SECONDS = 30.0
READY = r"Azurite {service} service is successfully listening at (http://127\.0\.0\.1:\d+)"


class Azurite:
    """Run Azurite while the context lasts.

    Data is kept in memory, or in `folder`, where the next run finds it. `log` is the file for the output; without one
    the output is deleted when Azurite stops. Raises ProcessError when Node or Azurite isn't installed, or Azurite
    doesn't start.
    """

    def __init__(
        self, folder: Path | None = None, *, log: Path | None = None, node_modules: Path = NODE_MODULES
    ) -> None:
        self._folder = folder
        self._log = log
        self._node_modules = node_modules
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._process: Process | None = None
        self.blob_url = ""
        self.queue_url = ""
        self.table_url = ""

    async def __aenter__(self) -> Self:
        command = await asyncio.to_thread(self._command)
        self._process = process = Process("Azurite", command, log=self._log_file())
        try:
            await process.start()
            self.blob_url = await self._address(process, "Blob")
            self.queue_url = await self._address(process, "Queue")
            # Azurite installs the signal handlers that stop it cleanly only after the last of the three.
            self.table_url = await self._address(process, "Table")
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stop()

    @property
    def connection_string(self) -> str:
        """Return the connection string, with explicit endpoints."""
        return connection_string(self.blob_url, self.queue_url, self.table_url)

    @property
    def pid(self) -> int:
        """Return its process id."""
        if self._process is None:
            raise ProcessError("Azurite hasn't been started")
        return self._process.pid

    def _command(self) -> list[str]:
        node = shutil.which("node")
        if node is None:
            raise ProcessError("node isn't on the PATH: install Node 18 or later, then run `make setup`")
        program = self._node_modules / "azurite" / "dist" / "src" / "azurite.js"
        if not program.is_file():
            raise ProcessError(f"Azurite isn't installed in {self._node_modules}: run `make setup`")
        if self._folder is None:
            place = ["--inMemoryPersistence"]
        else:
            self._folder.mkdir(parents=True, exist_ok=True)
            place = ["--location", str(self._folder)]
        options = ["--silent", "--disableTelemetry"]
        # The storage client sends API versions that Azurite doesn't know yet; the operations in use are the same.
        options.append("--skipApiVersionCheck")
        for service in ("blob", "queue", "table"):
            options += [f"--{service}Host", "127.0.0.1", f"--{service}Port", "0"]
            # By default Azurite closes idle connections after 5 s, which a client may notice only at its next request.
            options += [f"--{service}KeepAliveTimeout", "120"]
        return [node, *(f"--require={script}" for script in SCRIPTS), str(program), *place, *options]

    def _log_file(self) -> Path:
        if self._log is not None:
            return self._log
        self._temporary = tempfile.TemporaryDirectory(prefix="azurite-")
        return Path(self._temporary.name) / "azurite.log"

    async def _address(self, process: Process, service: str) -> str:
        found = await process.wait_for(READY.format(service=service), seconds=READY_SECONDS)
        return f"{found.group(1)}/{ACCOUNT}"

    async def _stop(self) -> None:
        if self._process is not None:
            await self._process.stop()
        if self._temporary is not None:
            await asyncio.to_thread(self._temporary.cleanup)


def connection_string(blob_url: str, queue_url: str, table_url: str) -> str:
    """Build the connection string of Azurite's account, reached at these endpoints."""
    return (
        f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};"
        f"BlobEndpoint={blob_url};QueueEndpoint={queue_url};TableEndpoint={table_url};"
    )
