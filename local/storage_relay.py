"""Forward requests to Azurite and its answers back, in pieces, unchanged or with a fault.

Path, query, Host and headers aren't changed: a SharedKey signature covers path, query and headers, and Azurite accepts
a signed copy source only from the host under which it was called itself.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from local.faults.body import BodyEnded, BodyFault, disconnect, end_connection

# Headers for one connection only (RFC 9110 7.6.1), or set by each sender.
_HOP_BY_HOP = (
    *("Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection"),
    *("TE", "Trailer", "Transfer-Encoding", "Upgrade", "Expect"),
)
# A header that the client didn't send would invalidate its signature.
_AUTOMATIC = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
_PIECE_BYTES = 256 * 1024
_CONNECT_SECONDS, _READ_SECONDS = 10, 600

Touch = Callable[[int, "CIMultiDict[str]"], Any]


@dataclass(frozen=True)
class RelayFault(BodyFault):
    """What goes wrong in one exchange; by default nothing.

    A byte is changed in the body of a PUT or POST, otherwise in the answer. Both can be slow; only the answer can end
    early.
    """

    late_seconds: float = 0.0
    loses_answer: bool = False


NO_FAULT = RelayFault()


@dataclass
class Exchange:
    """What was transferred; ``status`` is None while the client has no answer.

    Both bodies are kept in ``asked`` and ``answered``, unless these are None.
    """

    status: int | None = None
    upstream_status: int | None = None
    bytes_received: int = 0
    bytes_sent: int = 0
    asked: bytearray | None = None
    answered: bytearray | None = None


class Relay:
    """Forward requests to an Azurite; close it with ``aclose``."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=_READ_SECONDS),
            read_bufsize=_PIECE_BYTES,
            skip_auto_headers=_AUTOMATIC,
            max_line_size=65536,
            max_field_size=65536,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def forward(
        self,
        request: web.Request,
        base: str,
        *,
        exchange: Exchange,
        fault: RelayFault = NO_FAULT,
        touch: Touch | None = None,
    ) -> web.StreamResponse:
        """Forward a request to ``base`` (scheme and authority) and return the answer.

        ``touch`` is awaited with status and headers before they are sent, and may change the headers.
        """
        try:
            return await self._forward(request, base, exchange=exchange, fault=fault, touch=touch)
        except (aiohttp.ClientError, ConnectionError, TimeoutError):
            # One side closed its connection: the other connection is closed, too.
            return await disconnect(request)

    async def _forward(
        self, request: web.Request, base: str, *, exchange: Exchange, fault: RelayFault, touch: Touch | None
    ) -> web.StreamResponse:
        sends = request.method in ("PUT", "POST")
        headers = _passed_on(request.headers)
        body = None
        if request.can_read_body:
            sent = replace(fault, stop_after=None, corrupt_at=fault.corrupt_at if sends else None)
            body = sent.apply(_counted(request.content.iter_any(), exchange), length=request.content_length or 0)
        url = URL(base + request.raw_path, encoded=True)
        async with self._session.request(
            request.method, url, headers=headers, data=body, allow_redirects=False
        ) as upstream:
            exchange.upstream_status = upstream.status
            answer_headers = _passed_on(upstream.headers)
            if touch is not None:
                await touch(upstream.status, answer_headers)
            if fault.late_seconds:
                await asyncio.sleep(fault.late_seconds)
            if fault.loses_answer:
                async for _ in upstream.content.iter_any():
                    pass
                return await disconnect(request)
            response = web.StreamResponse(status=upstream.status, reason=upstream.reason, headers=answer_headers)
            await response.prepare(request)
            exchange.status = upstream.status
            answered = replace(fault, corrupt_at=None if sends else fault.corrupt_at)
            length = 0 if request.method == "HEAD" else upstream.content_length or 0
            try:
                async for piece in answered.apply(upstream.content.iter_any(), length=length):
                    await response.write(piece)
                    exchange.bytes_sent += len(piece)
                    if exchange.answered is not None:
                        exchange.answered += piece
            except BodyEnded:
                await end_connection(request, reset=True)
                return response
            await response.write_eof()
            return response


async def swallow(request: web.Request, exchange: Exchange) -> None:
    """Read a body and discard it: with unread bytes the kernel would send an RST at a moment of its own."""
    async for _ in _counted(request.content.iter_any(), exchange):
        pass


def _passed_on(headers: Any) -> "CIMultiDict[str]":
    kept = CIMultiDict(headers)
    for name in _HOP_BY_HOP:
        kept.popall(name, None)
    return kept


async def _counted(pieces: AsyncIterable[bytes], exchange: Exchange) -> AsyncIterator[bytes]:
    async for piece in pieces:
        exchange.bytes_received += len(piece)
        if exchange.asked is not None:
            exchange.asked += piece
        yield piece
