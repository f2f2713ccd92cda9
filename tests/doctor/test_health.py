"""recording/doctor/health.py: each part that can't be reached is named, with what to do about it."""

import asyncio
import socket
import time

import pytest
from aiohttp import web

from recording.app import App, assemble, connect
from recording.config.resource import parse_connection_string
from recording.config.settings import Settings, read_settings
from recording.doctor.health import Health, HealthCheck
from tests.support.source import serve


def unprepared(settings: Settings) -> App:
    """Wire an app whose containers and queues nobody has made."""
    return assemble(settings, connect(settings))


async def check(app: App, *, timeout: float = 8.0) -> Health:
    """Ask for the app's health; each part has so long."""
    clients = app.clients
    return await HealthCheck(clients.blobs, clients.chunk_queue, clients.service, timeout=timeout).run()


@pytest.fixture
def closed() -> int:
    """Return a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def broken(environment: dict[str, str], part: str, port: int) -> dict[str, str]:
    """Point one part of the app to a port."""
    storage = environment["AzureWebJobsStorage"]
    if part == "acs":
        return environment | {"ACS_CONNECTION_STRING": f"endpoint=http://127.0.0.1:{port};accesskey=AAAA"}
    if part == "blob":
        parts = [f"BlobEndpoint=http://127.0.0.1:{port}/x" if p.startswith("Blob") else p for p in storage.split(";")]
        return environment | {"STAGING_STORAGE": ";".join(parts)}
    parts = [f"QueueEndpoint=http://127.0.0.1:{port}/x" if p.startswith("Queue") else p for p in storage.split(";")]
    return environment | {
        "AzureWebJobsStorage": ";".join(parts),
        "STAGING_STORAGE": storage,
        "ARCHIVE_STORAGE": storage,
    }


async def test_everything_is_reached(app: App) -> None:
    """With all parts there it is ok, and there is nothing to fix."""
    found = await check(app)

    assert ("ok", ["blob", "queue", "acs"]) == (found.status, [c.name for c in found.checks])
    assert [(True, None)] * 3 == [(c.ok, c.fix) for c in found.checks]


async def test_a_new_deployment_is_healthy_before_its_first_event(environment: dict[str, str]) -> None:
    """Containers and queue that aren't there yet are made, as on any function's first use."""
    app = unprepared(read_settings(environment))

    found = await check(app)
    await app.aclose()

    assert "ok" == found.status


@pytest.mark.parametrize("part", ["blob", "queue", "acs"])
async def test_a_part_that_is_down_is_named(environment: dict[str, str], closed: int, part: str) -> None:
    """Within ten seconds it says which one, and what to do; nothing of the settings is shown."""
    app = unprepared(read_settings(broken(environment, part, closed)))
    begun = time.monotonic()

    found = await check(app, timeout=3)
    await app.aclose()

    assert time.monotonic() - begun < 3 + 2
    assert ("unhealthy", [part]) == (found.status, [c.name for c in found.checks if not c.ok])
    [down] = [c for c in found.checks if not c.ok]
    assert str(down.fix).startswith("check A")
    assert [] == [word for word in ("127.0.0.1", "AccountKey", "accesskey") if word in found.model_dump_json()]


async def test_a_part_that_hangs_is_not_waited_for(environment: dict[str, str]) -> None:
    """A port that accepts connections and never answers is down, too."""

    async def hang(request: web.Request) -> web.Response:
        await asyncio.sleep(5)
        return web.Response()

    async with serve(hang) as address:
        app = unprepared(read_settings(broken(environment, "acs", int(address.rpartition(":")[2]))))
        found = await check(app, timeout=0.5)
        await app.aclose()

    assert [("acs", "cannot be reached: TimeoutError")] == [(c.name, c.detail) for c in found.checks if not c.ok]


async def test_a_wrong_key_is_told_from_a_wrong_address(environment: dict[str, str]) -> None:
    """What the service says is in the detail, as its code."""
    storage = environment["AzureWebJobsStorage"]
    wrong = storage.replace("AccountKey=", "AccountKey=AAAA")
    app = unprepared(read_settings(environment | {"STAGING_STORAGE": wrong}))

    found = await check(app)
    await app.aclose()

    [blob] = [c for c in found.checks if not c.ok]
    assert ("blob", "cannot be reached: 403 AuthorizationFailure") == (blob.name, blob.detail)


@pytest.mark.parametrize("version", ["2021-04-15-preview1", ""])
async def test_a_key_that_acs_refuses(environment: dict[str, str], version: str) -> None:
    """ACS answers, so it can be reached; but nothing is recorded with such a key, and the detail says what to fix."""
    endpoint = parse_connection_string(environment["ACS_CONNECTION_STRING"]).endpoint
    wrong = {"ACS_CONNECTION_STRING": f"endpoint={endpoint};accesskey=c2VjcmV0", "ACS_API_VERSION": version}
    app = unprepared(read_settings(environment | wrong))

    found = await check(app)
    await app.aclose()

    [acs] = [c for c in found.checks if not c.ok]
    assert ("unhealthy", "acs") == (found.status, acs.name)
    assert "refused this app's credentials (401); check ACS_CONNECTION_STRING" in acs.detail
    assert "c2VjcmV0" not in found.model_dump_json()


async def test_todays_api_is_asked_too(environment: dict[str, str]) -> None:
    """The API in use is the one that is asked."""
    app = unprepared(read_settings(environment | {"ACS_API_VERSION": ""}))

    found = await check(app)
    await app.aclose()

    assert "ok" == found.status
