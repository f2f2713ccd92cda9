"""A tiny HTTP server that does as a test says and writes down what it was asked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from recording.acs.auth import sign
from tests.support.source import Answer, serve

# base64 of 0123456789abcdef0123456789abcdef, as in the vectors of docs/acs-contract.md#hmac.
KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


@dataclass(frozen=True)
class Received:
    """A request as it came over the wire; `target` is path and query."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    def is_signed(self, *, host: str) -> bool:
        """Return whether the signature is that of what arrived, made over `host`."""
        date = self.headers["x-ms-date"]
        expected = sign(self.method, f"http://any{self.target}", self.body, host=host, key=KEY, date=date)
        return all(self.headers.get(name) == value for name, value in expected.items())


@dataclass
class Origin:
    """The running server: what to answer next, and what it received."""

    authority: str
    answer: Answer
    received: list[Received] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its address without a trailing slash."""
        return f"http://{self.authority}"

    def replies(self, *responses: tuple[int, bytes, dict[str, str]]) -> None:
        """Answer with these one after the other, the last one for ever."""
        left = list(responses)

        async def answer(request: web.Request) -> web.StreamResponse:
            status, body, headers = left.pop(0) if len(left) > 1 else left[0]
            return web.Response(status=status, body=body, headers=headers)

        self.answer = answer


@asynccontextmanager
async def record(*, port: int = 0) -> AsyncIterator[Origin]:
    """Run a server on a port of the loopback, 0 for a free one."""

    async def silent(request: web.Request) -> web.StreamResponse:
        return web.Response(status=500)

    async def handle(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        origin.received.append(Received(request.method, request.raw_path, dict(request.headers), body))
        return await origin.answer(request)

    async with serve(handle, port=port) as address:
        origin = Origin(address.removeprefix("http://"), silent)
        yield origin
