"""The local Functions host: start the worker, serve HTTP, listen on queues and timers.

Run it with `python -m local functions`, or in a test with `async with Host(...)`.
"""

import argparse
import asyncio
import contextlib
import hashlib
import os
import re
import signal
import socket
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import uvloop
from aiohttp import web

from local.functions import log, metadata, queue_trigger, schedule
from local.functions.errors import StartError
from local.functions.invoker import Invoker
from local.functions.metadata import Function
from local.functions.queue_trigger import QueueListener
from local.functions.server import Server
from local.functions.settings import HostSettings, read_host_json, read_values
from local.functions.storage import Storage
from local.functions.supervisor import Supervisor
from local.functions.timer_trigger import TimerListener

ADDRESS = "127.0.0.1"
GRACE_SECONDS = 5.0
HOST_ID_LENGTH = 32
# Kestrel's limits; the request line is checked by the server, which then answers 414.
LINE_BYTES = 32_768

type Listener = QueueListener | TimerListener


class Host:
    """Run one function app while the context lasts; raises StartError on entry when that fails.

    `environ` are the app settings, which override the environment of this process. `port` 0 picks a free one.
    `invisible_seconds` is how long a queue message that is being processed stays hidden between two renewals.
    """

    def __init__(
        self,
        *,
        app_dir: Path,
        environ: Mapping[str, str] | None = None,
        port: int = 0,
        invisible_seconds: float = queue_trigger.INVISIBLE_SECONDS,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self._app_dir = app_dir.resolve()
        self._settings = {**os.environ, **(environ or {})}
        self._port = port
        self._invisible_seconds = invisible_seconds
        self._grace_seconds = grace_seconds
        self._stack = AsyncExitStack()
        self.functions: Sequence[Function] = ()
        self.url = ""
        self._supervisor: Supervisor | None = None

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await self._start(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def worker_pid(self) -> int | None:
        """Return the process id of the worker, None while it is restarted."""
        return None if self._supervisor is None else self._supervisor.pid

    async def _start(self, stack: AsyncExitStack) -> None:
        if not self._app_dir.is_dir():
            raise StartError(f"There is no folder {self._app_dir}")
        host_json = read_host_json(self._app_dir / "host.json", self._settings)
        # Bound before the worker starts: a port in use is reported at once, and the app can be given its address.
        listening = stack.enter_context(_bind(self._port))
        port: int = listening.getsockname()[1]
        self.url = f"http://{ADDRESS}:{port}"
        storage = await stack.enter_async_context(Storage(self._settings))
        self._supervisor = supervisor = Supervisor(
            app_dir=self._app_dir,
            environ={
                **self._settings,
                "AzureWebJobsScriptRoot": str(self._app_dir),
                "AZURE_FUNCTIONS_ENVIRONMENT": "Development",
                "FUNCTIONS_WORKER_RUNTIME": "python",
                "WEBSITE_HOSTNAME": f"{ADDRESS}:{port}",
            },
            function_timeout=host_json.function_timeout,
        )
        stack.push_async_callback(supervisor.stop)
        self.functions = metadata.parse(await supervisor.start(), self._settings)
        invoker = Invoker(supervisor=supervisor, storage=storage, base64_messages=host_json.queues.base64)
        listeners = await self._listeners(self.functions, storage=storage, invoker=invoker, host_json=host_json)
        server = Server(self.functions, route_prefix=host_json.route_prefix, invoker=invoker, settings=self._settings)
        runner = web.AppRunner(
            server.application(),
            access_log=None,
            max_line_size=LINE_BYTES,
            max_field_size=LINE_BYTES,
            # The host passes a compressed body to the function unchanged.
            auto_decompress=False,
            shutdown_timeout=self._grace_seconds,
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        # As Kestrel: in a burst, connections beyond a shorter backlog would be retried by the kernel a second later.
        site = web.SockSite(runner, listening, backlog=512)
        await site.start()
        stack.push_async_callback(self._shut_down, site, listeners, invoker, supervisor)
        for listener in listeners:
            listener.start()

    async def _shut_down(
        self, site: web.SockSite, listeners: Sequence[Listener], invoker: Invoker, supervisor: Supervisor
    ) -> None:
        """Accept nothing new, let running invocations end within the grace time, then stop the worker."""
        await site.stop()
        await asyncio.gather(*(listener.pause() for listener in listeners))
        if not await invoker.idle(within=self._grace_seconds):
            log.logger.warning(log.line("invocations_cut_off", after_seconds=self._grace_seconds))
        # Invocations that this ends fail, so that their queue messages are released for the next host.
        await supervisor.stop()
        await asyncio.gather(*(listener.stop() for listener in listeners))

    async def _listeners(
        self, functions: Sequence[Function], *, storage: Storage, invoker: Invoker, host_json: HostSettings
    ) -> list[Listener]:
        listeners: list[Listener] = []
        for function in functions:
            trigger = function.trigger
            if trigger.type == "queueTrigger":
                name, connection = trigger.text("queueName"), trigger.text("connection")
                poison = queue_trigger.poison_name(name)
                listener = QueueListener(
                    function,
                    queue=await storage.queue(name, connection=connection),
                    poison=None if poison is None else await storage.queue(poison, connection=connection),
                    settings=host_json.queues,
                    invoker=invoker,
                    invisible_seconds=self._invisible_seconds,
                )
                invoker.watch(name, connection=connection, wake=listener.wake)
                listeners.append(listener)
            elif trigger.type == "timerTrigger":
                due = schedule.parse(trigger.text("schedule"))
                blobs = await storage.blobs()
                listeners.append(
                    TimerListener(function, schedule=due, invoker=invoker, blobs=blobs, host_id=self._host_id())
                )
        return listeners

    def _host_id(self) -> str:
        """Return the id of this app for leases and timer status: from the settings, or derived from its folder."""
        given = self._settings.get("AzureFunctionsWebHost__hostid")
        if given:
            return given
        digest = hashlib.sha256(str(self._app_dir).encode()).hexdigest()
        name = re.sub("[^a-z0-9]+", "-", self._app_dir.name.lower()).strip("-")[:15]
        return f"{name or 'app'}-{digest}"[:HOST_ID_LENGTH]


def main(argv: Sequence[str]) -> int:
    """Run the host until SIGTERM or SIGINT; return 1 when it can't start."""
    parser = argparse.ArgumentParser(
        prog="python -m local functions", description="Run a function app on this machine."
    )
    parser.add_argument("--app-dir", type=Path, default=Path(), help="the folder of function_app.py (default: here)")
    parser.add_argument("--port", type=int, default=7071, help="0 picks a free one (default: 7071)")
    parser.add_argument(
        "--settings", type=Path, help="a file of app settings (default: local.settings.json in the app's folder)"
    )
    parser.add_argument(
        "--invisible-seconds",
        type=float,
        default=queue_trigger.INVISIBLE_SECONDS,
        help="how long a queue message stays hidden between two renewals (default: %(default)g, as in Azure)",
    )
    options = parser.parse_args(argv)
    log.configure()
    run = _run(
        options.app_dir, port=options.port, settings=options.settings, invisible_seconds=options.invisible_seconds
    )
    try:
        asyncio.run(run, loop_factory=uvloop.new_event_loop)
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


async def _run(app_dir: Path, *, port: int, settings: Path | None, invisible_seconds: float) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if settings is not None and not settings.exists():
        raise StartError(f"There is no settings file {settings}")
    values = read_values(settings or app_dir / "local.settings.json")
    # An environment variable overrides the file, as with `func start` (docs/functions-host.md#func-start).
    environ = {**values, **os.environ}
    async with Host(app_dir=app_dir, environ=environ, port=port, invisible_seconds=invisible_seconds) as host:
        lines = [f"Host ready on {host.url}", *(describe(function) for function in host.functions)]
        print("\n".join(lines), flush=True)
        await stop.wait()


def describe(function: Function) -> str:
    """Return a line that says what starts a function."""
    trigger = function.trigger
    match trigger.type:
        case "httpTrigger":
            methods = ",".join(trigger.properties.get("methods") or ["any"])
            detail = f"{methods} {trigger.text('route', function.name)}"
        case "queueTrigger":
            detail = trigger.text("queueName")
        case "timerTrigger":
            detail = trigger.text("schedule")
        case _:
            detail = f"/runtime/webhooks/eventgrid?functionName={function.name}"
    return f"  {function.name}: {trigger.type} {detail}"


@contextlib.contextmanager
def _bind(port: int) -> Generator[socket.socket]:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((ADDRESS, port))
    except OSError as error:
        listening.close()
        raise StartError(f"Port {port} is in use ({error.strerror}); choose another with --port") from error
    try:
        yield listening
    finally:
        listening.close()
