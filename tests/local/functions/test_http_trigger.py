"""HTTP functions get requests, and clients get answers, as the Functions host hands them on."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientSession
from multidict import CIMultiDict
from yarl import URL

from local.functions.host import Host

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(apps: Path) -> AsyncIterator[str]:
    """Return the address of a host without storage that runs the app `http`."""
    async with Host(app_dir=apps / "http", environ={"FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": "200000"}) as host:
        yield host.url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client() -> AsyncIterator[ClientSession]:
    """Return an HTTP client."""
    async with ClientSession() as session:
        yield session


async def seen(client: ClientSession, method: str, address: str, **options: Any) -> dict[str, Any]:
    async with client.request(method, URL(address, encoded=True), **options) as response:
        assert response.status == 200
        content: dict[str, Any] = await response.json()
        return content


async def status(client: ClientSession, method: str, address: str, **options: Any) -> int:
    async with client.request(method, URL(address, encoded=True), allow_redirects=False, **options) as response:
        return response.status


async def test_name_order(client: ClientSession, url: str) -> None:
    """The function whose name comes first gets the request, though another's route is more specific."""
    request = await seen(client, "GET", f"{url}/api/users/me")

    assert (request["function"], request["route"]) == ("a_user", {"id": "me"})


async def test_case(client: ClientSession, url: str) -> None:
    """Prefix and literal segments are matched without case; parameters keep theirs."""
    request = await seen(client, "GET", f"{url}/API/Users/Ada/")

    assert request["route"] == {"id": "Ada"}


async def test_methods(client: ClientSession, url: str) -> None:
    """A function is chosen by method, and a method that none accepts is a 404."""

    assert (await seen(client, "GET", f"{url}/api/thing"))["function"] == "thing_read"
    assert (await seen(client, "DELETE", f"{url}/api/thing", data=b"why"))["function"] == "thing_write"
    assert await status(client, "POST", f"{url}/api/thing") == 404


async def test_no_route(client: ClientSession, url: str) -> None:
    """A path that no function has is a 404 without a body."""

    async with client.get(f"{url}/nothing") as response:
        assert (response.status, await response.read()) == (404, b"")


async def test_escapes(client: ClientSession, url: str) -> None:
    """Route values are decoded, dot segments are resolved, and the URL stays as it was sent."""
    request = await seen(client, "GET", f"{url}/api/users/a%20b%2Bc%3D")

    assert request["route"]["id"] == "a b+c="
    assert f"{url}/api/users/a%20b%2Bc%3D" == request["url"]
    assert (await seen(client, "GET", f"{url}/api/users/a/%2e%2e/c"))["route"] == {"id": "c"}


@pytest.mark.parametrize("slash", ["%2F", "%2f"])
async def test_an_encoded_slash(client: ClientSession, url: str, slash: str) -> None:
    """Azure's front end decodes it before anything is routed: a value that has one is a 404 without a body."""
    async with client.get(URL(f"{url}/api/users/a{slash}b", encoded=True)) as response:
        assert (404, b"") == (response.status, await response.read())


async def test_a_line_break(client: ClientSession, url: str) -> None:
    """One in a parameter is passed on like any other character."""
    request = await seen(client, "GET", f"{url}/api/users/a%0Ab")

    assert request["route"] == {"id": "a\nb"}


async def test_long_ids(client: ClientSession, url: str) -> None:
    """Two ids of 3,900 characters pass; a request line over 8,192 is a 414."""
    long = "x" * 3_900
    request = await seen(client, "GET", f"{url}/api/pairs/{long}/{long}")

    assert {"first": long, "second": long} == request["route"]
    assert await status(client, "GET", f"{url}/api/users/{'x' * 8_200}") == 414


async def test_query(client: ClientSession, url: str) -> None:
    """Repeated values are joined, empty ones dropped, and `code` stays."""
    request = await seen(client, "GET", f"{url}/api/echo?a=1&A=2&flag=&novalue&code=k&s=a%26b+c")

    assert request["params"] == {"a": "1,2", "code": "k", "s": "a&b c"}


async def test_headers(client: ClientSession, url: str) -> None:
    """Header names are lower-case and repeated headers joined."""
    headers = CIMultiDict([("X-One", "1"), ("X-Two", "a"), ("X-Two", "b")])
    request = await seen(client, "GET", f"{url}/api/echo", headers=headers)

    assert (request["headers"]["x-one"], request["headers"]["x-two"]) == ("1", "a,b")


async def test_body(client: ClientSession, url: str) -> None:
    """A body arrives as it was sent, whatever its type and whatever the method."""
    request = await seen(client, "GET", f"{url}/api/echo", data=b"\x00\xff", headers={"Content-Encoding": "gzip"})

    assert request["body"] == "\x00\xff"


async def test_chunked_body(client: ClientSession, url: str) -> None:
    """A body without Content-Length doesn't arrive."""

    async def body() -> AsyncIterator[bytes]:
        yield b"some"
        yield b"thing"

    assert (await seen(client, "POST", f"{url}/api/echo", data=body()))["body"] == ""


async def test_body_limit(client: ClientSession, url: str) -> None:
    """A body at the limit passes, one over it is a 413."""

    assert await status(client, "POST", f"{url}/api/echo", data=bytes(200_000)) == 200
    assert await status(client, "POST", f"{url}/api/echo", data=bytes(200_001)) == 413


async def test_redirect(client: ClientSession, url: str) -> None:
    """Status and headers of a response reach the client."""

    async with client.get(f"{url}/api/redirect", allow_redirects=False) as response:
        assert (
            response.status,
            response.headers["Location"],
            response.headers["Retry-After"],
            await response.read(),
        ) == (302, "https://example.com/a?b=c", "7", b"")


async def test_binary(client: ClientSession, url: str) -> None:
    """A body of bytes stays what it was."""

    async with client.get(f"{url}/api/binary") as response:
        assert (response.content_type, await response.read()) == ("application/octet-stream", b"\x00\xff")


@pytest.mark.parametrize("what", ["nothing", "text", "error", "header", "cookie"])
async def test_failure(client: ClientSession, url: str, what: str) -> None:
    """A function that raises, returns no HttpResponse, breaks a header or sets a cookie gets a 500 without a body."""

    async with client.get(f"{url}/api/returns/{what}") as response:
        assert (response.status, await response.read()) == (500, b"")


async def test_default_route(client: ClientSession, url: str) -> None:
    """A function without a route has its name as one, and knows its context."""

    async with client.get(f"{url}/api/by_name") as response:
        assert json.loads(await response.text())["function"] == "by_name"


async def test_parallel(client: ClientSession, url: str) -> None:
    """Twenty invocations run side by side."""
    started = asyncio.get_running_loop().time()
    statuses = await asyncio.gather(*(status(client, "GET", f"{url}/api/slow") for _ in range(20)))

    assert statuses == [200] * 20
    assert asyncio.get_running_loop().time() - started < 1.5


async def test_odd_targets(client: ClientSession, url: str) -> None:
    """Odd request targets are answered, not dropped."""

    assert [
        await status(client, "GET", url + target)
        for target in ("//example.com/x", "/%", "/api/users/%00", "/api/users/%ff")
    ] == [404, 404, 400, 200]
