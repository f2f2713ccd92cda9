"""A reverse proxy for Azurite's blob, queue and table endpoints that makes chosen requests go wrong.

Each of its ports also has a control plane, JSON without authentication: ``/proxy/faults`` and ``/proxy/chaos`` (GET,
POST, DELETE), ``/proxy/requests`` (GET, with ``limit``, and DELETE), ``/proxy/recordings`` (GET: the number of requests
for each), ``/proxy/deletions`` (GET: of which recordings a blob of a ``container`` was deleted), ``/proxy/messages``
(GET: how many are still to be delivered again), ``/proxy/outage`` (POST) and ``/proxy/keeping`` (GET, PUT, DELETE:
versions, soft delete, holds and policies).
"""

import argparse
import asyncio
import contextlib
import sys
from typing import Any, Self
from urllib.parse import urlsplit

from aiohttp import web

from local.acs import errors
from local.azurite import connection_string
from local.faults import outage
from local.faults.body import MIDDLE, disconnect
from local.faults.rules import Faults
from local.interrupt import run
from local.storage_faults import (
    KINDS,
    MESSAGE_KINDS,
    PATHS,
    Service,
    StorageCall,
    StorageRule,
    error_answer,
    read_call,
    rule_fields,
)
from local.storage_kept import Kept
from local.storage_log import Entry, Log
from local.storage_messages import Messages
from local.storage_relay import NO_FAULT, Exchange, Relay, RelayFault, Touch, swallow
from local.storage_versioned import Versioned
from local.storage_versions import Keeping

CONTROL_PREFIX = "/proxy"
_LATEST = 10_000
_SHUTDOWN_SECONDS = 1.0
# Azurite checks a signed copy source by a request of its own to the source's address, which is the proxy's.
_AZURITES_OWN = "axios/"


class StorageProxy:
    """Run in front of an Azurite while the context lasts; a port of 0 picks a free one.

    Raises OSError if a port is in use.
    """

    def __init__(
        self,
        blob_url: str,
        queue_url: str,
        table_url: str,
        *,
        blob_port: int = 0,
        queue_port: int = 0,
        table_port: int = 0,
        keeping: Keeping | None = None,
    ) -> None:
        self._keeping = keeping
        self._upstream: dict[Service, str] = {"blob": blob_url, "queue": queue_url, "table": table_url}
        self._port: dict[Service, int] = {"blob": blob_port, "queue": queue_port, "table": table_port}
        self.faults = Faults(StorageRule, kinds=KINDS, paths=PATHS, rule_fields=rule_fields)
        self.log = Log()
        self._outages: list[outage.Outage] = []
        self._exits = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as exits:
            self._relay = Relay()
            exits.push_async_callback(self._relay.aclose)
            direct = connection_string(*self._upstream.values())
            self._kept, self._messages, self.versioned = Kept(direct), Messages(direct), Versioned(direct)
            self.versioned.keeping = self._keeping
            exits.push_async_callback(self._kept.aclose)
            exits.push_async_callback(self.versioned.aclose)
            exits.push_async_callback(self._messages.aclose)
            for service in self._port:
                await self._listen(service, exits)
            self._exits = exits.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exits.aclose()

    @property
    def control_url(self) -> str:
        """Return the address of the control plane, without a trailing slash."""
        return f"http://127.0.0.1:{self._port['blob']}{CONTROL_PREFIX}"

    @property
    def blob_url(self) -> str:
        """Return the blob endpoint, with the account in its path."""
        return self._url("blob")

    @property
    def queue_url(self) -> str:
        """Return the queue endpoint, with the account in its path."""
        return self._url("queue")

    @property
    def table_url(self) -> str:
        """Return the table endpoint, with the account in its path."""
        return self._url("table")

    @property
    def connection_string(self) -> str:
        """Return the connection string of a client that is to use the proxy."""
        return connection_string(self.blob_url, self.queue_url, self.table_url)

    def _url(self, service: Service) -> str:
        return f"http://127.0.0.1:{self._port[service]}{urlsplit(self._upstream[service]).path}"

    async def _listen(self, service: Service, exits: contextlib.AsyncExitStack) -> None:
        application = web.Application(middlewares=[_answer_errors])
        application.add_routes(self._control_routes())
        parts = urlsplit(self._upstream[service])
        base = f"{parts.scheme}://{parts.netloc}"

        async def take(request: web.Request) -> web.StreamResponse:
            return await self._take(request, read_call(service, request), base)

        application.router.add_route("*", "/{path:.*}", take)
        runner = web.AppRunner(
            application,
            access_log=None,
            shutdown_timeout=_SHUTDOWN_SECONDS,
            auto_decompress=False,
            max_line_size=65536,
            max_field_size=65536,
        )
        exits.push_async_callback(runner.cleanup)
        its_outage = outage.Outage(runner)
        exits.push_async_callback(its_outage.cancel)
        self._outages.append(its_outage)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self._port[service]).start()
        self._port[service] = runner.addresses[0][1]

    async def _take(self, request: web.Request, call: StorageCall, base: str) -> web.StreamResponse:
        if request.headers.get("User-Agent", "").startswith(_AZURITES_OWN):
            return await self._relay.forward(request, base, exchange=Exchange())
        entry = Entry(call, request.headers.get("x-ms-range") or request.headers.get("Range"))
        self.log.begin(entry)
        try:
            return await self._serve_call(request, entry, base)
        finally:
            self.log.end(entry)

    async def _serve_call(self, request: web.Request, entry: Entry, base: str) -> web.StreamResponse:
        call = entry.call
        rule = self.faults.take(call)
        if rule is not None:
            entry.fault = rule.kind
            if rule.kind in MESSAGE_KINDS:
                entry.exchange.asked, entry.exchange.answered = bytearray(), bytearray()
        wrong = await self._answer(request, call, entry.exchange, rule)
        if wrong is not None:
            return wrong

        async def forward(touch: Touch | None) -> web.StreamResponse:
            return await self._forward(request, call, base, exchange=entry.exchange, rule=rule, touch=touch)

        answer = await self.versioned.serve(request, call, entry.exchange, forward)
        if rule is not None and rule.kind == "lostAnswer" and entry.exchange.upstream_status is None:
            entry.exchange.status = None
            return await disconnect(request)
        return answer

    async def _answer(
        self, request: web.Request, call: StorageCall, exchange: Exchange, rule: StorageRule | None
    ) -> web.Response | None:
        """Return the answer to a request that isn't forwarded, None if it is to be forwarded."""
        kind = None if rule is None else rule.kind
        if kind == "refuse":
            return await disconnect(request)
        if kind == "reset":
            with contextlib.suppress(ConnectionError):
                await swallow(request, exchange)
            return await disconnect(request)
        if rule is not None and rule.kind == "status":
            answer = error_answer(
                rule.status or 500,
                code=rule.code,
                retry_after=rule.retry_after,
                method=request.method,
                service=call.service,
            )
        elif kind == "poison":
            await swallow(request, exchange)
            answer = await self._messages.poison(call, bytes(exchange.asked or b""))
        else:
            return None
        with contextlib.suppress(ConnectionError):
            await swallow(request, exchange)
        exchange.status = answer.status
        exchange.bytes_sent = len(answer.body) if isinstance(answer.body, bytes) else 0
        return answer

    async def _forward(
        self,
        request: web.Request,
        call: StorageCall,
        base: str,
        *,
        exchange: Exchange,
        rule: StorageRule | None,
        touch: Touch | None,
    ) -> web.StreamResponse:
        if rule is not None and rule.kind == "hang":
            await self.faults.hang(rule.seconds or 0)

        async def change(status: int, headers: Any) -> None:
            if rule is not None and status < 300:
                await self._kept.touch(call, headers, rule=rule, asked=request.headers)
            if touch is not None:
                await touch(status, headers)

        touched = change if call.service == "blob" else None
        is_alone = rule is not None and rule.kind == "otherBytes"
        async with self._kept.passing(call, is_alone=is_alone):
            answer = await self._relay.forward(
                request, base, exchange=exchange, fault=_relay_fault(call, rule), touch=touched
            )
        if rule is not None and (exchange.upstream_status or 500) < 300:
            if rule.kind == "repeat":
                self._messages.repeat(call, bytes(exchange.asked or b""), rule)
            elif rule.kind == "visible":
                await self._messages.make_visible(call, bytes(exchange.answered or b""))
        return answer

    def _control_routes(self) -> list[web.RouteDef]:
        async def list_requests(request: web.Request) -> web.Response:
            limit = request.query.get("limit", str(_LATEST))
            if not limit.isdecimal():
                raise errors.BadRequest("The limit must be a number of requests.", target="limit")
            return web.json_response(self.log.view(int(limit)))

        async def clear_requests(_: web.Request) -> web.Response:
            self.log.clear()
            return web.json_response({})

        async def count_by_recording(_: web.Request) -> web.Response:
            return web.json_response(self.log.view_recordings())

        async def show_messages(_: web.Request) -> web.Response:
            return web.json_response({"toCome": self._messages.to_come})

        async def list_deletions(request: web.Request) -> web.Response:
            return web.json_response({"recordings": self.log.view_deletions(request.query.get("container", ""))})

        async def list_changed(_: web.Request) -> web.Response:
            return web.json_response({"blobs": sorted(self._kept.changed)})

        return [
            web.get(CONTROL_PREFIX + "/changed", list_changed),
            web.get(CONTROL_PREFIX + "/deletions", list_deletions),
            web.get(CONTROL_PREFIX + "/messages", show_messages),
            web.get(CONTROL_PREFIX + "/recordings", count_by_recording),
            web.get(CONTROL_PREFIX + "/requests", list_requests),
            web.delete(CONTROL_PREFIX + "/requests", clear_requests),
            *self.faults.routes(CONTROL_PREFIX),
            *self.versioned.routes(CONTROL_PREFIX),
            outage.route(CONTROL_PREFIX, self._outages),
        ]


@web.middleware
async def _answer_errors(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        response: web.StreamResponse = await handler(request)
    except errors.ServiceError as error:
        return errors.response(error.status, error.message, target=error.target)
    return response


def _relay_fault(call: StorageCall, rule: StorageRule | None) -> RelayFault:
    if rule is None:
        return NO_FAULT
    match rule.kind:
        case "lostAnswer":
            return RelayFault(loses_answer=True)
        case "cutBody":
            return RelayFault(stop_after=MIDDLE if rule.after_bytes is None else rule.after_bytes)
        case "corrupt" if call.operation != "PutBlockFromURL":
            return RelayFault(corrupt_at=MIDDLE if rule.offset is None else rule.offset)
        case "slow":
            return RelayFault(bytes_per_second=rule.bytes_per_second, slow_seconds=rule.seconds)
        case "lateAnswer":
            return RelayFault(late_seconds=rule.seconds or 0)
        case _:
            # Not a fault of the transfer.
            return NO_FAULT


def main(argv: list[str]) -> int:
    """Run the proxy until SIGINT or SIGTERM; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m local.storage_proxy", description="Run a proxy in front of Azurite that injects faults."
    )
    parser.add_argument("--blob-url", required=True, help="Azurite's blob endpoint, with the account")
    parser.add_argument("--queue-url", required=True, help="Azurite's queue endpoint, with the account")
    parser.add_argument("--table-url", required=True, help="Azurite's table endpoint, with the account")
    parser.add_argument("--blob-port", type=int, default=0, help="0 picks a free port")
    parser.add_argument("--queue-port", type=int, default=0, help="0 picks a free port")
    parser.add_argument("--table-port", type=int, default=0, help="0 picks a free port")
    parser.add_argument("--keeping", help="what the account keeps, as JSON (local/storage_versions.py)")
    arguments = parser.parse_args(argv)
    proxy = StorageProxy(
        arguments.blob_url,
        arguments.queue_url,
        arguments.table_url,
        blob_port=arguments.blob_port,
        queue_port=arguments.queue_port,
        table_port=arguments.table_port,
        keeping=Keeping.model_validate_json(arguments.keeping) if arguments.keeping else None,
    )
    try:
        return run(_serve(proxy))
    except OSError as error:
        print(f"The storage proxy couldn't start: {error}", file=sys.stderr)
        return 1


async def _serve(proxy: StorageProxy) -> int:
    async with proxy:
        print(f"Storage proxy: blob endpoint {proxy.blob_url}", flush=True)
        print(f"Storage proxy: queue endpoint {proxy.queue_url}", flush=True)
        print(f"Storage proxy: table endpoint {proxy.table_url}", flush=True)
        print(f"Storage proxy ready, control plane {proxy.control_url}", flush=True)
        await asyncio.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
