"""Fixtures: a running emulator, a signing client, and an endpoint that collects what it is sent."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from local.acs.server import Emulator, Options

from .client import Client


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """Run an emulator that announces at once."""
    async with Emulator(Options(announce_delay_seconds=0.0)) as running:
        yield running


@pytest.fixture
async def client(emulator: Emulator) -> AsyncIterator[Client]:
    """Return a client of the emulator."""
    async with aiohttp.ClientSession() as session:
        yield Client(session, emulator.endpoint, emulator.options.access_key)


@dataclass
class Inbox:
    """What an endpoint of the app was sent, in order, and as whom; ``refusals`` answers of 500 come first."""

    url: str = ""
    received: list[Any] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)
    refusals: int = 0


@pytest.fixture
async def inbox() -> AsyncIterator[Inbox]:
    """Run an endpoint that takes callbacks and Event Grid deliveries, handshake included."""
    box = Inbox()

    async def take(request: web.Request) -> web.Response:
        body = await request.json()
        if request.headers.get("aeg-event-type") == "SubscriptionValidation":
            return web.json_response({"validationResponse": body[0]["data"]["validationCode"]})
        if box.refusals > 0:
            box.refusals -= 1
            return web.Response(status=500)
        box.received.append(body)
        box.authorizations.append(request.headers.get("Authorization"))
        return web.Response()

    application = web.Application()
    application.add_routes([web.post("/in", take)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    box.url = f"http://127.0.0.1:{runner.addresses[0][1]}/in"
    yield box
    await runner.cleanup()
