"""The host's own endpoints describe the app and run functions by hand."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientSession

from local.functions.host import Host

from .messages import receive

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(apps: Path, storage: str) -> AsyncIterator[str]:
    """Give the address of the endpoints of a host that runs the app `story`."""
    environ = {
        "AzureWebJobsStorage": storage,
        "AzureFunctionsWebHost__hostid": "story",
        "JOBS": "story-jobs",
        "AzureWebJobs.tick.Disabled": "true",
    }
    async with Host(app_dir=apps / "story", environ=environ) as host:
        yield f"{host.url}/admin"


async def call(method: str, address: str, body: bytes | None = None) -> tuple[int, Any]:
    async with ClientSession() as client, client.request(method, address, data=body) as response:
        text = await response.text()
        return response.status, json.loads(text) if text else None


async def test_status(url: str) -> None:
    """The status tells that the host runs, and under which id."""
    status, content = await call("GET", f"{url}/host/status")

    assert (status, content["state"], content["id"]) == (200, "Running", "story")


async def test_functions(url: str) -> None:
    """The list of functions is in name order, with bindings and whether each is disabled."""
    status, functions = await call("GET", f"{url}/functions")

    assert status == 200
    assert [function["name"] for function in functions] == ["fan", "pause", "receive", "tick", "work"]
    assert [function["name"] for function in functions if function["isDisabled"]] == ["tick"]
    assert (200, functions[0]) == await call("GET", f"{url}/functions/FAN")
    assert {"queueTrigger", "queue"} == {binding["type"] for binding in functions[4]["config"]["bindings"]}


async def test_run_queue_function(url: str, storage: str) -> None:
    """A queue function runs with the input as its message."""

    assert await call("POST", f"{url}/functions/work", b'{"input": "by hand"}') == (202, None)
    assert await receive(storage, "done", count=1) == [b"by hand"]


async def test_run_event_grid_function(url: str, storage: str) -> None:
    """An Event Grid function runs with the event in the input; what it puts on a queue is worked on."""
    body = json.dumps({"input": json.dumps({"id": "1", "data": {"chunks": [1, 2]}})}).encode()

    assert await call("POST", f"{url}/functions/receive", body) == (202, None)
    assert sorted(await receive(storage, "done", count=2)) == [b'{"chunk": 1}', b'{"chunk": 2}']


async def test_run_timer_function(url: str, storage: str) -> None:
    """A timer function, even a disabled one, runs at once."""

    assert await call("POST", f"{url}/functions/tick", b'{"input": ""}') == (202, None)
    assert len(await receive(storage, "ticks", count=1)) == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("POST", "functions/work", b"", 400),
        ("POST", "functions/work", b"not json", 400),
        ("POST", "functions/receive", b'{"input": "not an event"}', 400),
        ("POST", "functions/pause", b'{"input": "{}"}', 400),
        ("POST", "functions/nobody", b'{"input": ""}', 404),
        ("GET", "functions/nobody", None, 404),
        ("DELETE", "functions/work", None, 404),
        ("GET", "other", None, 404),
        ("GET", "host/ping", None, 200),
    ],
)
async def test_other_requests(url: str, method: str, path: str, body: bytes | None, expected: int) -> None:
    """Input that can't be used is a 400, what isn't there a 404."""
    status, _ = await call(method, f"{url}/{path}", body)

    assert expected == status
