"""The emulator as one HTTP server: service API, downloads, control plane."""

import argparse
import asyncio
import contextlib
import logging
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from aiohttp import web

from local.acs import api, bodies, downloads
from local.acs.announcer import Announcer
from local.acs.auth import Verifier
from local.acs.callbacks import Callbacks
from local.acs.clock import Clock
from local.acs.control import Control
from local.acs.entities import MINIMUM_CHUNK_BYTES, Effect, Settings
from local.acs.faults import Faults
from local.acs.identifiers import TOPIC, new_guid
from local.acs.journal import CONTROL_PREFIX, Handler, Journal, is_control
from local.acs.production import Studio
from local.acs.service import Service
from local.eventgrid import Topic
from local.outage import Outage, OutageBody

# A development key, as public as Azurite's: base64 of "acs-recording-emulator-development-only-key".
DEVELOPMENT_KEY = "YWNzLXJlY29yZGluZy1lbXVsYXRvci1kZXZlbG9wbWVudC1vbmx5LWtleQ=="
_MAXIMUM_BODY_BYTES = 512 * 1024
_SHUTDOWN_SECONDS = 1.0


@dataclass(frozen=True)
class Options:
    """How to start an emulator; a port of 0 takes a free one. Raises ValueError with a sentence."""

    access_key: str = DEVELOPMENT_KEY
    host: str = "127.0.0.1"
    port: int = 0
    retention_hours: float = 48.0
    chunk_maximum_bytes: int = 1_500_000_000
    announce_delay_seconds: float = 1.0
    clock_skew_seconds: float = 900.0

    def __post_init__(self) -> None:
        """Refuse what could never work."""
        if not 0 <= self.port <= 65535:
            raise ValueError(f"the port must be 0 to 65535, not {self.port}")
        if self.chunk_maximum_bytes < MINIMUM_CHUNK_BYTES:
            raise ValueError(f"a chunk must be allowed at least {MINIMUM_CHUNK_BYTES} bytes")
        if not (self.retention_hours > 0 and self.announce_delay_seconds >= 0):
            raise ValueError("the retention must be above 0 hours, the announce delay not negative")


class Emulator:
    """Run the emulator in the current event loop; an async context manager."""

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options()
        self._stack = contextlib.AsyncExitStack()
        self._port = self.options.port

    @property
    def endpoint(self) -> str:
        """Return ``http://HOST:PORT``, without a trailing slash; the port is known once it runs."""
        return f"http://{self.options.host}:{self._port}"

    @property
    def connection_string(self) -> str:
        """Return the connection string of the emulated resource (acs-contract 5.2)."""
        return f"endpoint={self.endpoint};accesskey={self.options.access_key}"

    async def __aenter__(self) -> "Emulator":
        """Start listening; raises OSError if the port is taken."""
        async with contextlib.AsyncExitStack() as stack:
            folder = stack.enter_context(TemporaryDirectory(prefix="acs-emulator-", ignore_cleanup_errors=True))
            topic = await stack.enter_async_context(Topic(topic=TOPIC))
            callbacks = await stack.enter_async_context(Callbacks())
            options, clock = self.options, Clock()
            settings = Settings(options.chunk_maximum_bytes, options.retention_hours, options.announce_delay_seconds)
            service = Service(clock, settings=settings, emit=lambda effect: self._announce(effect))
            self._announcer = Announcer(service, topic=topic, callbacks=callbacks, studio=Studio(Path(folder)))
            stack.push_async_callback(self._announcer.cancel)
            control = Control(service, self._announcer, topic, Faults(), Journal(clock), settings)
            # The port is part of the signed host name, so it has to be known before the first request is verified.
            sock = _listen(options.host, options.port)
            stack.callback(sock.close)
            self._port = sock.getsockname()[1]
            application = self._application(control)
            runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
            stack.push_async_callback(runner.cleanup)
            outage = Outage(runner)
            stack.push_async_callback(outage.cancel)
            application.router.add_post(CONTROL_PREFIX + "/outage", _outage_handler(outage))
            await runner.setup()
            await web.SockSite(runner, sock).start()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening and drop all state and temporary files."""
        await self._stack.aclose()

    def _announce(self, effect: Effect) -> None:
        self._announcer.take(effect)

    def _application(self, control: Control) -> web.Application:
        verifier = Verifier(
            self.options.access_key,
            resource_host=self.endpoint.removeprefix("http://"),
            clock_skew_seconds=self.options.clock_skew_seconds,
        )
        application = web.Application(
            client_max_size=_MAXIMUM_BODY_BYTES,
            middlewares=[
                control.journal.middleware(),
                api.answer_errors,
                control.faults.middleware(),
                api.authentication(verifier),
                api.require_api_version,
            ],
        )
        application.add_routes([*api.routes(control.service), *downloads.routes(control.service), *control.routes()])
        application.on_response_prepare.append(_add_service_headers)
        return application


def _outage_handler(outage: Outage) -> Handler:
    async def begin(request: web.Request) -> web.StreamResponse:
        outage.begin((await bodies.read(request, OutageBody)).seconds)
        return web.json_response({}, status=202)

    return begin


def _listen(host: str, port: int) -> socket.socket:
    """Bind the port; raises OSError with a sentence if it is taken."""
    try:
        return socket.create_server((host, port), backlog=128)
    except OSError as error:
        raise OSError(f"cannot listen on {host}:{port}: {error.strerror}") from error


async def _add_service_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add the headers that captured answers have (acs-contract 3.1)."""
    if is_control(request):
        return
    response.headers["x-microsoft-skype-chain-id"] = new_guid()
    if "x-ms-client-request-id" in request.headers:
        response.headers["x-ms-client-request-id"] = request.headers["x-ms-client-request-id"]


def main(argv: list[str]) -> int:
    """Run the emulator until SIGINT or SIGTERM; return the exit status."""
    arguments = _parse(argv)
    try:
        asyncio.run(_run(arguments))
    except (OSError, ValueError) as error:
        print(f"The emulator could not start: {error}", file=sys.stderr)
        return 1
    return 0


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m local acs", description="Emulate the recording API of Azure Communication Services."
    )
    default = Options()
    parser.add_argument("--port", type=int, default=8080, help="0 takes a free port")
    parser.add_argument("--access-key", default=default.access_key, help="base64; default: the development key")
    parser.add_argument("--retention-hours", type=float, default=default.retention_hours)
    parser.add_argument("--announce-delay", type=float, default=default.announce_delay_seconds, help="seconds")
    parser.add_argument("--chunk-maximum-bytes", type=int, default=default.chunk_maximum_bytes)
    return parser.parse_args(argv)


async def _run(arguments: argparse.Namespace) -> None:
    options = Options(
        access_key=arguments.access_key,
        port=arguments.port,
        retention_hours=arguments.retention_hours,
        announce_delay_seconds=arguments.announce_delay,
        chunk_maximum_bytes=arguments.chunk_maximum_bytes,
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with Emulator(options) as emulator:
        logging.basicConfig(
            level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr
        )
        print(f"ACS emulator ready on {emulator.endpoint}", flush=True)
        print(f"ACS_CONNECTION_STRING={emulator.connection_string}", flush=True)
        await stop.wait()
