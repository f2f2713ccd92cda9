"""The emulator: one port for the service API and the control plane, one for each of two storage hosts."""

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
from typing import Any

import uvloop
from aiohttp import web

from local.acs import api, auth, calling, downloads, errors, storage_host, tokens
from local.acs.announcer import Announcer
from local.acs.callbacks import Callbacks
from local.acs.clock import Clock
from local.acs.control import Control
from local.acs.entities import ISSUER, MINIMUM_CHUNK_BYTES, Effect, Hosts, Settings
from local.acs.faults import ServiceFaults
from local.acs.identifiers import TOPIC, new_guid
from local.acs.journal import CONTROL_PREFIX, Journal, is_control
from local.acs.production import Studio
from local.acs.service import Service
from local.eventgrid import Topic
from local.faults import outage

# A development key, as public as Azurite's: base64 of "acs-recording-emulator-development-only-key".
DEVELOPMENT_KEY = "YWNzLXJlY29yZGluZy1lbXVsYXRvci1kZXZlbG9wbWVudC1vbmx5LWtleQ=="
HOST = "127.0.0.1"
# As much as Event Grid takes of an event (docs/acs-contract.md#delivery-semantics).
_MAXIMUM_BODY_BYTES = 1024 * 1024
_SHUTDOWN_SECONDS = 1.0


@dataclass(frozen=True)
class Options:
    """How to start an emulator; a port of 0 picks a free one. Raises ValueError with a sentence."""

    access_key: str = DEVELOPMENT_KEY
    port: int = 0
    storage_port: int = 0
    region_port: int = 0
    retention_hours: float | None = None
    chunk_maximum_bytes: int = 1_500_000_000
    announce_delay_seconds: float = 1.0
    issuer: str = ISSUER

    def __post_init__(self) -> None:
        """Raise ValueError for options that can't work."""
        for port in (self.port, self.storage_port, self.region_port):
            if not 0 <= port <= 65535:
                raise ValueError(f"the port must be 0 to 65535, not {port}")
        if self.chunk_maximum_bytes < MINIMUM_CHUNK_BYTES:
            raise ValueError(f"the maximum size of a chunk must be at least {MINIMUM_CHUNK_BYTES} bytes")
        if not ((self.retention_hours is None or self.retention_hours > 0) and self.announce_delay_seconds >= 0):
            raise ValueError("the retention must be more than 0 hours, and the announce delay must not be negative")


class Emulator:
    """Run the emulator in the current event loop; an async context manager."""

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options()
        self._stack = contextlib.AsyncExitStack()
        self._ports = (self.options.port, self.options.storage_port, self.options.region_port)

    @property
    def endpoint(self) -> str:
        """Return ``http://127.0.0.1:PORT``, without a trailing slash; the port is known once it runs."""
        return self._url(0)

    @property
    def storage_url(self) -> str:
        """Return the URL of the storage host, which has the files of the Call Automation API.

        See docs/acs-contract.md#storage-host.
        """
        return self._url(1)

    @property
    def region_url(self) -> str:
        """Return the URL of the region's storage host, to which the other one may redirect."""
        return self._url(2)

    @property
    def connection_string(self) -> str:
        """Return the connection string of the emulated resource (docs/acs-contract.md#connection-string)."""
        return f"endpoint={self.endpoint};accesskey={self.options.access_key}"

    async def __aenter__(self) -> "Emulator":
        """Start listening; raises OSError if a port is in use."""
        async with contextlib.AsyncExitStack() as stack:
            folder = stack.enter_context(TemporaryDirectory(prefix="acs-emulator-", ignore_cleanup_errors=True))
            topic = await stack.enter_async_context(Topic(topic=TOPIC))
            callbacks = await stack.enter_async_context(Callbacks())
            options, clock = self.options, Clock()
            settings = Settings(
                options.chunk_maximum_bytes,
                options.retention_hours,
                options.announce_delay_seconds,
                issuer=options.issuer,
            )
            service = Service(clock, settings=settings, emit=lambda effect: self._announce(effect))
            self._announcer = Announcer(service, topic=topic, callbacks=callbacks, studio=Studio(Path(folder)))
            stack.push_async_callback(self._announcer.cancel)
            control = Control(service, self._announcer, topic, ServiceFaults(), Journal(clock))
            # The port is part of the signed host name, so it must be known before the first request is verified.
            sockets = [stack.enter_context(_listen(port)) for port in self._ports]
            self._ports = tuple(sock.getsockname()[1] for sock in sockets)
            service.hosts = Hosts(self.storage_url, self.region_url)
            main, storage, region = self._application(control), self._storage(control), self._storage(control)
            runners = [
                web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
                for application in (main, storage, region)
            ]
            outages = [outage.Outage(runner) for runner in runners]
            main.add_routes([outage.route(CONTROL_PREFIX, outages)])
            for runner, its_outage, sock in zip(runners, outages, sockets, strict=True):
                stack.push_async_callback(runner.cleanup)
                stack.push_async_callback(its_outage.cancel)
                await runner.setup()
                await web.SockSite(runner, sock).start()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening and delete all state and temporary files."""
        await self._stack.aclose()

    def _announce(self, effect: Effect) -> None:
        self._announcer.take(effect)

    def _url(self, number: int) -> str:
        return f"http://{HOST}:{self._ports[number]}"

    def _application(self, control: Control) -> web.Application:
        service = control.service
        application = self._guarded(control, auth.candidate_hosts, api.require_api_version)
        application.add_routes([*api.routes(service), *calling.routes(service), *tokens.routes(service)])
        application.add_routes([*downloads.routes(service), *control.routes()])
        return application

    def _storage(self, control: Control) -> web.Application:
        application = self._guarded(control, auth.storage_candidate_hosts)
        application[errors.BODILESS] = True
        application.add_routes(storage_host.routes(control.service))
        return application

    def _guarded(self, control: Control, candidates: auth.Candidates, *more: Any) -> web.Application:
        """Return an application with the middlewares of every port: journal, faults, authentication."""
        verifier = auth.Verifier(
            self.options.access_key,
            resource_host=self.endpoint.removeprefix("http://"),
            candidates=candidates,
        )
        guards = [control.journal.middleware(), api.answer_errors, control.faults.middleware()]
        application = web.Application(
            client_max_size=_MAXIMUM_BODY_BYTES, middlewares=[*guards, api.authentication(verifier), *more]
        )
        application.on_response_prepare.append(_add_service_headers)
        return application


def _listen(port: int) -> socket.socket:
    """Bind the port; raises OSError with a sentence if it is in use."""
    try:
        return socket.create_server((HOST, port), backlog=128)
    except OSError as error:
        raise OSError(f"cannot listen on {HOST}:{port}: {error.strerror}") from error


async def _add_service_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add the headers of captured answers (docs/acs-contract.md#previews)."""
    if is_control(request):
        return
    response.headers["x-microsoft-skype-chain-id"] = new_guid()
    if "x-ms-client-request-id" in request.headers:
        response.headers["x-ms-client-request-id"] = request.headers["x-ms-client-request-id"]


def main(argv: list[str]) -> int:
    """Run the emulator until SIGINT or SIGTERM; return the exit status."""
    arguments = _parse(argv)
    try:
        asyncio.run(_run(arguments), loop_factory=uvloop.new_event_loop)
    except (OSError, ValueError) as error:
        print(f"The emulator couldn't start: {error}", file=sys.stderr)
        return 1
    return 0


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m local acs", description="Emulate the recording API of Azure Communication Services."
    )
    default = Options()
    parser.add_argument("--port", type=int, default=8080, help="0 picks a free port (default: %(default)s)")
    parser.add_argument("--storage-port", type=int, default=8081, help="the port of the storage host, likewise")
    parser.add_argument("--region-port", type=int, default=8082, help="the port of the region's storage host, likewise")
    parser.add_argument("--access-key", default=default.access_key, help="in base64 (default: the development key)")
    parser.add_argument(
        "--retention-hours",
        type=float,
        help="how long files are kept (default: 24, or 48 for the 2021 preview API)",
    )
    parser.add_argument(
        "--announce-delay",
        type=float,
        default=default.announce_delay_seconds,
        help="seconds between the end of a recording and its event",
    )
    parser.add_argument("--chunk-maximum-bytes", type=int, default=default.chunk_maximum_bytes)
    parser.add_argument("--issuer", default=default.issuer, help="the issuer of tokens in callbacks (Call Automation)")
    return parser.parse_args(argv)


async def _run(arguments: argparse.Namespace) -> None:
    options = Options(
        access_key=arguments.access_key,
        port=arguments.port,
        storage_port=arguments.storage_port,
        region_port=arguments.region_port,
        retention_hours=arguments.retention_hours,
        announce_delay_seconds=arguments.announce_delay,
        chunk_maximum_bytes=arguments.chunk_maximum_bytes,
        issuer=arguments.issuer,
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
        print(f"ACS storage host ready on {emulator.storage_url}, its region's on {emulator.region_url}", flush=True)
        await stop.wait()
