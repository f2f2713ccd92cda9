"""The whole stack on this machine: Azurite, the ACS emulator and the app in a Functions host.

Each is a process with its own port and log; they are connected only by HTTP and settings.
Only the stand-ins of Entra ID and Log Analytics are served by this process.
"""

import asyncio
import base64
import json
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, get_args
from urllib.parse import urlsplit

from azure.storage.blob import CorsRule
from azure.storage.blob.aio import BlobServiceClient

from local.azurite import Azurite, connection_string
from local.entra.server import Entra
from local.log_analytics import LogAnalytics
from local.loopback import free_port, http, wait_until_ok
from local.process import Process, ProcessError

HostKind = Literal["local", "func"]
HOSTS: tuple[str, ...] = get_args(HostKind)
# Which recording API: Call Automation ("today"), or the 2021 preview.
Api = Literal["today", "2021"]
APIS: tuple[str, ...] = get_args(Api)

ROOT = Path(__file__).parents[1]
LOGS = ROOT / ".local" / "logs"
# What the demo leaves for `make up`.
DATA = ROOT / ".local" / "storage"
API_VERSIONS = {"today": "", "2021": "2021-04-15-preview1"}
READY_SECONDS = 60.0
# The first `func start` on a machine downloads the extension bundle.
FUNC_READY_SECONDS = 300.0
PORT_ATTEMPTS = 3
# The emulator's custom topic accepts any key.
TOPIC_KEY = "local-development-only"
LOOPBACK = "127.0.0.1,localhost"
# Settings of the app that are set in this shell must not reach the app: they could name a real account.
APP_SETTINGS = (
    *("ACS_", "APPLICATIONINSIGHTS_", "ARCHIVE_", "AUTO_RECORD", "AZURE_", "AZUREFUNCTIONS", "AZUREWEBJOBS"),
    *("CALLBACK_", "CONSENT", "CONTENT_HOSTS"),
    *(
        "DELETE_SOURCE",
        "DERIVED_",
        "ENTRA_",
        "EVENTS_",
        "FUNCTIONS_",
        "INGEST_",
        "PUBLIC_BASE_URL",
        "QUARANTINE_",
        "RETENTION_",
        "RESCUE_",
        "RISK_",
    ),
    *("SOURCE_", "STAGING_", "TELEMETRY", "UNANNOUNCED_", "WEBSITE_"),
)


class StackError(RuntimeError):
    """The stack, or a part of it, can't be started with these options."""


@dataclass(frozen=True)
class StackOptions:
    """What to start; everything has a default.

    A port of 0 picks a free one. `api` is the API that the app uses (the emulator offers both). `data` is the folder
    where storage is kept for the next run (None: in memory), `logs` the folder with a log per process.
    `retention_hours` is for the emulator and the app (None: as in the service). `settings` are app settings that
    override those of the stack. With `storage_faults` the app reaches storage through a proxy that can make requests go
    wrong; with `keeping` that proxy keeps versions, holds and policies (`local/storage_versions.py`).
    `invisible_seconds` is how long a queue message that is being processed stays hidden between two renewals (None: as
    in Azure).
    """

    host: HostKind = "local"
    api: Api = "today"
    app_folder: Path = ROOT
    app_port: int = 0
    acs_port: int = 0
    data: Path | None = None
    logs: Path = LOGS
    chunk_maximum_bytes: int = 1_500_000_000
    announce_delay_seconds: float = 1.0
    retention_hours: float | None = None
    archive_schedule: str = "*/2 * * * * *"
    auto_record: str = "off"
    storage_faults: bool = False
    keeping: Mapping[str, Any] | None = None
    invisible_seconds: float | None = None
    subscription: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)


class Stack:
    """Run the stack while the context lasts.

    Raises ProcessError or StackError, with the log's name and its last lines, when a part doesn't start.
    """

    def __init__(self, options: StackOptions | None = None) -> None:
        self.options = options or StackOptions()
        self.app_url = ""
        self.acs_url = ""
        self.acs_connection_string = ""
        # Where `python -m recording reconcile` finds what the emulator has recorded and what the app has logged.
        self.log_analytics_url = ""
        # Where people and services of the tenant sign in.
        self.entra = Entra()
        self.content_hosts: list[str] = []
        # The app's: with `storage_faults` that of the proxy. The direct one has no faults.
        self.storage_connection_string = ""
        self.direct_storage_connection_string = ""
        self.storage_control_url = ""
        self._command: list[str] = []
        self._exits = AsyncExitStack()
        self._processes: list[Process] = []

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._exits.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._exits.aclose()

    @property
    def logs(self) -> Path:
        """Return the folder with one log per process."""
        return self.options.logs

    def settings(self) -> dict[str, str]:
        """Return the app settings, as the app's host gets them."""
        retention = self.options.retention_hours
        return {
            "FUNCTIONS_WORKER_RUNTIME": "python",
            "AzureWebJobsStorage": self.storage_connection_string,
            "STAGING_STORAGE": self.storage_connection_string,
            "ARCHIVE_STORAGE": self.storage_connection_string,
            "DERIVED_STORAGE": self.storage_connection_string,
            "ACS_CONNECTION_STRING": self.acs_connection_string,
            "ACS_API_VERSION": API_VERSIONS[self.options.api],
            "SOURCE_RETENTION_HOURS": f"{retention:g}" if retention else "",
            # The storage host, and that of another region to which it may redirect: in Azure both are Microsoft's.
            "CONTENT_HOSTS": ",".join(self.content_hosts),
            "ARCHIVE_SCHEDULE": self.options.archive_schedule,
            "AUTO_RECORD": self.options.auto_record,
            "RETENTION_CLASSES": "standard=90,court=2555,history=forever",
            "ARCHIVE_IMMUTABILITY": str(bool(self.options.keeping)).lower(),
            "PUBLIC_BASE_URL": self.app_url,
            "EVENTS_TOPIC_ENDPOINT": f"{self.acs_url}/emulator/topic/api/events",
            "EVENTS_TOPIC_KEY": TOPIC_KEY,
            # For `python -m local trace`, which reads spans from the app's log.
            "TELEMETRY": "console",
            **self.entra.settings(),
            **self.options.settings,
        }

    @property
    def app(self) -> Process:
        """Return the process of the app's host."""
        return self._processes[-1]

    def build_host(self, port: int, *, log: str, settings: Mapping[str, str] | None = None) -> Process:
        """Return a host of the app for the same storage; the caller starts and stops it."""
        is_func = self.options.host == "func"
        return Process(
            "The Functions host",
            [*self._command, "--port", str(port)],
            log=self.logs / log,
            environment=child_environment({**self.settings(), **(settings or {})}),
            folder=self.options.app_folder if is_func else ROOT,
        )

    async def watch(self) -> None:
        """Wait forever; raise ProcessError when a process of the stack ends by itself."""
        while True:
            for process in self._processes:
                if process.returncode is not None:
                    raise await process.error(f"ended with status {process.returncode}")
            await asyncio.sleep(0.5)

    async def _start(self) -> None:
        # Before the rest, so that a wrong option is reported at once.
        self._command = await asyncio.to_thread(host_command, self.options)
        azurite = Azurite(self.options.data, log=self.logs / "azurite.log")
        await self._exits.enter_async_context(azurite)
        self.storage_connection_string = self.direct_storage_connection_string = azurite.connection_string
        if self.options.storage_faults or self.options.keeping is not None:
            await self._start_storage_proxy(azurite)
        await self._start_acs()
        await self._exits.enter_async_context(self.entra)
        await self._start_app()
        await self._admit_page()
        await self._subscribe()
        analytics = LogAnalytics(self.acs_url, lambda: sorted(self.logs.glob("functions*.log")))
        self.log_analytics_url = (await self._exits.enter_async_context(analytics)).endpoint

    async def _start_storage_proxy(self, azurite: Azurite) -> None:
        command = [sys.executable, "-m", "local.storage_proxy", "--blob-url", azurite.blob_url]
        command += ["--queue-url", azurite.queue_url, "--table-url", azurite.table_url]
        if self.options.keeping is not None:
            command += ["--keeping", json.dumps(dict(self.options.keeping))]
        log = self.logs / "storage.log"
        proxy = Process("The storage proxy", command, log=log, environment=child_environment({}), folder=ROOT)
        await self._exits.enter_async_context(proxy)
        self._processes.append(proxy)
        said = await proxy.wait_for(
            r"blob endpoint (\S+)\n.* queue endpoint (\S+)\n.* table endpoint (\S+)\n.* control plane (\S+)",
            seconds=READY_SECONDS,
        )
        self.storage_connection_string = connection_string(said[1], said[2], said[3])
        self.storage_control_url = said[4]

    async def _start_acs(self) -> None:
        key = base64.b64encode(secrets.token_bytes(64)).decode()
        command = [sys.executable, "-m", "local", "acs", "--access-key", key]
        command += ["--storage-port", "0", "--region-port", "0"]
        if self.options.retention_hours:
            command += ["--retention-hours", str(self.options.retention_hours)]
        command += ["--announce-delay", str(self.options.announce_delay_seconds)]
        command += ["--chunk-maximum-bytes", str(self.options.chunk_maximum_bytes)]

        def build(port: int) -> Process:
            log = self.logs / "acs.log"
            environment = child_environment({})
            return Process(
                "The ACS emulator", [*command, "--port", str(port)], log=log, environment=environment, folder=ROOT
            )

        self.acs_url = await self._serve(
            build, port=self.options.acs_port, ready_path="/emulator/clock", seconds=READY_SECONDS
        )
        self.acs_connection_string = f"endpoint={self.acs_url};accesskey={key}"
        async with http() as session, session.get(f"{self.acs_url}/emulator/settings") as answer:
            places = await answer.json()
        # Under both names of this machine: the emulator can redirect from one to the other.
        ports = [urlsplit(place).port for place in (self.acs_url, places["storageUrl"], places["regionUrl"])]
        self.content_hosts = [f"{name}:{port}" for port in ports for name in LOOPBACK.split(",")]

    async def _start_app(self) -> None:
        def build(port: int) -> Process:
            # The app's address is one of its settings, so the port is chosen before it starts.
            self.app_url = f"http://127.0.0.1:{port}"
            return self.build_host(port, log="functions.log")

        seconds = FUNC_READY_SECONDS if self.options.host == "func" else READY_SECONDS
        await self._serve(build, port=self.options.app_port, ready_path="/health", seconds=seconds)

    async def _admit_page(self) -> None:
        """Let the page's scripts read what its links open, as the templates do: it mutes single speakers."""
        rule = CorsRule([self.app_url], ["GET", "HEAD"], allowed_headers=["*"], max_age_in_seconds=3600)
        async with BlobServiceClient.from_connection_string(self.direct_storage_connection_string) as service:
            await service.set_service_properties(cors=[rule])

    async def _serve(self, build: Callable[[int], Process], *, port: int, ready_path: str, seconds: float) -> str:
        """Start a server on `port` (0: a free one); return its address when it is ready."""
        for attempt in range(PORT_ATTEMPTS):
            chosen = port or await asyncio.to_thread(free_port)
            process = build(chosen)
            address = f"http://127.0.0.1:{chosen}"
            try:
                await process.start()
                await wait_until_ok(process, f"{address}{ready_path}", seconds=seconds)
            except BaseException as error:
                await process.stop()
                # Another program may have taken the port in the meantime.
                taken = isinstance(error, ProcessError) and "address already in use" in str(error).lower()
                if not taken or port or attempt == PORT_ATTEMPTS - 1:
                    raise
            else:
                self._exits.push_async_callback(process.stop)
                self._processes.append(process)
                return address
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _subscribe(self) -> None:
        """Subscribe the app to the emulator's events, as an Event Grid subscription does in Azure."""
        body = {
            "name": "recording-events",
            "endpoint": f"{self.app_url}/runtime/webhooks/eventgrid?functionName=receive_event",
            # Seconds instead of minutes between two attempts.
            "timeScale": 0.1,
            **self.options.subscription,
        }
        async with http() as session, session.post(f"{self.acs_url}/emulator/subscriptions", json=body) as answer:
            if answer.status != 201:
                raise StackError(f"The app's Event Grid function couldn't be subscribed: {await answer.text()}")


def host_command(options: StackOptions) -> list[str]:
    """Return the command that starts the app's host, without its port.

    Raises StackError when Core Tools is selected and isn't installed.
    """
    if options.host == "local":
        command = [sys.executable, "-m", "local", "functions", "--app-dir", str(options.app_folder)]
        if options.invisible_seconds is not None:
            command += ["--invisible-seconds", str(options.invisible_seconds)]
        return command
    func = shutil.which("func")
    if func is None:
        raise StackError(
            "HOST=func needs Azure Functions Core Tools 4, and there is no `func` on the PATH. Get it with "
            "`npm install --global azure-functions-core-tools@4`, or omit HOST to use local/functions."
        )
    return [func, "start"]


def child_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process: that of this one without app settings, plus `settings`."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(APP_SETTINGS)}
    return {
        **kept,
        # azure-core honours proxy variables, and a proxy can't reach this machine's loopback.
        "NO_PROXY": LOOPBACK,
        "no_proxy": LOOPBACK,
        "PYTHONUNBUFFERED": "1",
        # Core Tools runs the first Python on the PATH.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "FUNCTIONS_CORE_TOOLS_TELEMETRY_OPTOUT": "1",
        **settings,
    }
