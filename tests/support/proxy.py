"""A proxy in front of Azurite that loses answers, refuses requests or is slow: what a real network does."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

import aiohttp
from aiohttp import web
from yarl import URL

from local.azurite import Azurite
from tests.support.source import serve

Kind = Literal["lost", "refused", "late"]
Match = Callable[[web.Request], bool]
# Of one connection, or set anew for the one behind the proxy.
_HOP = ("Transfer-Encoding", "Connection", "Keep-Alive", "Content-Length")


@dataclass
class Proxy:
    """What goes wrong, and how often: `lost` = done, but the answer never arrives; `refused` = 503, not done.

    `late` = done half a second later.
    """

    address: str = ""
    connection_string: str = ""
    rules: list[tuple[Kind, Match, int]] = field(default_factory=list)
    met: int = 0

    def blob_url(self, azurite: Azurite) -> str:
        """Return the blob endpoint of the Azurite behind it, as it is reached through here."""
        return azurite.blob_url.replace(str(URL(azurite.blob_url).origin()), self.address)

    def add(self, kind: Kind, match: Match, *, times: int = 1) -> None:
        """Make so many of the requests that match go wrong."""
        self.rules.append((kind, match, times))

    def take(self, request: web.Request) -> str | None:
        """Say what happens to a request, and count it."""
        for number, (kind, match, times) in enumerate(self.rules):
            if times and match(request):
                self.rules[number] = (kind, match, times - 1)
                self.met += 1
                return kind
        return None


@asynccontextmanager
async def before(azurite: Azurite) -> AsyncIterator[Proxy]:
    """Put a proxy before Blob Storage; its connection string is the value's."""
    proxy = Proxy()
    origin = URL(azurite.blob_url).origin()
    async with aiohttp.ClientSession(auto_decompress=False) as http:

        async def forward(request: web.Request) -> web.StreamResponse:
            kind = proxy.take(request)
            if kind == "refused":
                await request.read()
                return web.Response(status=503, headers={"x-ms-error-code": "ServerBusy"})
            if kind == "late":
                await asyncio.sleep(0.5)
            url = URL(f"{origin}{request.raw_path}", encoded=True)
            # Host as received: Azurite copies only from an address that is its own by the request's Host.
            headers = dict(request.headers)
            body = request.content.iter_chunked(2**18) if request.can_read_body else None
            asked = http.request(
                request.method,
                url,
                headers=headers,
                data=body,
                allow_redirects=False,
                skip_auto_headers=("Content-Type", "Accept", "Accept-Encoding", "User-Agent"),  # the first is signed
            )
            async with asked as answer:
                content = await answer.read()
                if kind == "lost":
                    assert request.transport is not None
                    request.transport.close()
                more = {name: value for name, value in answer.headers.items() if name not in _HOP}
                if request.method == "HEAD":
                    more["Content-Length"] = answer.headers.get("Content-Length", "0")
                return web.Response(status=answer.status, body=content, headers=more)

        async with serve(forward) as address:
            proxy.connection_string = azurite.connection_string.replace(str(origin), address)
            proxy.address = address
            yield proxy
