"""Queue outputs are written before an invocation counts as succeeded."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import ClientSession

from local.functions.host import Host

from .messages import receive

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(apps: Path, storage: str) -> AsyncIterator[str]:
    """Return the address of a host that runs the app `queue`."""
    environ = {"AzureWebJobsStorage": storage, "JOBS": "output-jobs"}
    async with Host(app_dir=apps / "queue", environ=environ) as host:
        yield f"{host.url}/api"


async def post(address: str, body: str) -> int:
    async with ClientSession() as client, client.post(address, data=body.encode()) as response:
        return response.status


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("text", "päin", ["päin"]),
        ("text", '{"a":[1,2]}', ['{\n  "a": [\n    1,\n    2\n  ]\n}']),
        ("text", '["x","y"]', ["x", "y"]),
        ("bytes", '{"a":[1,2]}', ['{"a":[1,2]}']),
        ("list", '{"a":1}\nplain\n[1]', ['{"a":1}', "plain", "[1]"]),
    ],
)
async def test_output(url: str, storage: str, kind: str, body: str, expected: list[str]) -> None:
    """Text, bytes and a list of text become messages; a list becomes one for each element."""

    assert await post(f"{url}/enqueue-{kind}", body) == 202
    assert expected == [message.decode() for message in await receive(storage, f"out-{kind}", count=len(expected))]


async def test_unwritable_output(url: str) -> None:
    """An output that can't be written fails the invocation."""

    assert await post(f"{url}/enqueue-text", "{not json}") == 500


async def test_too_large_output(url: str) -> None:
    """A message over the service's 64 KiB fails the invocation."""

    assert await post(f"{url}/enqueue-bytes", "x" * 70_000) == 500
