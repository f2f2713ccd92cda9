"""Pass requests on to Azurite and its answers back, in pieces, straight or bent.

Path, query, Host and headers stay as they are: a SharedKey signature is made over path, query and headers,
and Azurite takes a signed copy source only from the host that it was itself called by.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from local.acs.transmission import end_connection

# Between two neighbours only (RFC 9110 7.6.1), or made anew by each of them.
_HOP_BY_HOP = (
    *("Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection"),
    *("TE", "Trailer", "Transfer-Encoding", "Upgrade", "Expect"),
)
# A header that the client didn't send would change what its signature is made over.
_AUTOMATIC = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
_PIECE_BYTES = 256 * 1024
_CONNECT_SECONDS, _READ_SECONDS = 10, 600
_STEPS_PER_SECOND = 10

Touch = Callable[[int, "CIMultiDict[str]"], Any]


@dataclass(frozen=True)
class Bend:
    """How one exchange goes wrong; the default is straight.

    ``cut_after`` and ``corrupt_at`` are bytes, -1 the middle. What a PUT or POST sends is corrupted, else the
    answer's body. Slow is either way, for ``slow_seconds`` at most.
    """

    cut_after: int | None = None
    corrupt_at: int | None = None
    bytes_per_second: float | None = None
    slow_seconds: float | None = None
    late_seconds: float = 0.0
    loses_answer: bool = False


STRAIGHT = Bend()


@dataclass
class Exchange:
    """What went over the wire; ``status`` is None as long as, or if, the client got none."""

    status: int | None = None
    upstream_status: int | None = None
    bytes_received: int = 0
    bytes_sent: int = 0


class Relay:
    """Talk to one Azurite; close it with ``aclose``."""

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
        self, request: web.Request, base: str, *, exchange: Exchange, bend: Bend = STRAIGHT, touch: Touch | None = None
    ) -> web.StreamResponse:
        """Pass a request on to ``base`` (scheme and authority) and answer with what comes back.

        ``touch`` is awaited with status and headers before they go out, and may change the headers.
        """
        try:
            return await self._forward(request, base, exchange=exchange, bend=bend, touch=touch)
        except (aiohttp.ClientError, ConnectionError, TimeoutError):
            # One side went away: the other one sees just that.
            return await disconnect(request)

    async def _forward(
        self, request: web.Request, base: str, *, exchange: Exchange, bend: Bend, touch: Touch | None
    ) -> web.StreamResponse:
        sends = request.method in ("PUT", "POST")
        headers = _passed_on(request.headers)
        body = None
        if request.can_read_body:
            middle = (request.content_length or 0) // 2
            flipped = _place(bend.corrupt_at, middle) if sends else None
            body = _bent(_counted(request.content.iter_any(), exchange), bend, flipped=flipped)
        url = URL(base + request.raw_path, encoded=True)
        async with self._session.request(
            request.method, url, headers=headers, data=body, allow_redirects=False
        ) as upstream:
            exchange.upstream_status = upstream.status
            answer_headers = _passed_on(upstream.headers)
            if touch is not None:
                await touch(upstream.status, answer_headers)
            if bend.late_seconds:
                await asyncio.sleep(bend.late_seconds)
            if bend.loses_answer:
                async for _ in upstream.content.iter_any():
                    pass
                return await disconnect(request)
            response = web.StreamResponse(status=upstream.status, reason=upstream.reason, headers=answer_headers)
            length = None if request.method == "HEAD" else upstream.content_length
            flipped = None if sends else _place(bend.corrupt_at, (length or 0) // 2)
            await response.prepare(request)
            exchange.status = upstream.status
            cut = _place(bend.cut_after, (length or 0) // 2)
            async for piece in _bent(upstream.content.iter_any(), bend, flipped=flipped):
                sent = piece if cut is None else piece[: max(0, cut - exchange.bytes_sent)]
                await response.write(sent)
                exchange.bytes_sent += len(sent)
                if len(sent) < len(piece):
                    await end_connection(request, reset=True)
                    return response
            await response.write_eof()
            return response


async def disconnect(request: web.Request) -> web.Response:
    """Close the client's connection without an answer."""
    await end_connection(request, reset=True)
    return web.Response()


async def swallow(request: web.Request, exchange: Exchange) -> None:
    """Read a body to its end and forget it: closing with unread bytes would be an RST at a moment of its own."""
    async for _ in _counted(request.content.iter_any(), exchange):
        pass


def _passed_on(headers: Any) -> "CIMultiDict[str]":
    kept = CIMultiDict(headers)
    for name in _HOP_BY_HOP:
        kept.popall(name, None)
    return kept


def _place(wanted: int | None, middle: int) -> int | None:
    return middle if wanted == -1 else wanted


async def _counted(pieces: AsyncIterable[bytes], exchange: Exchange) -> AsyncIterator[bytes]:
    async for piece in pieces:
        exchange.bytes_received += len(piece)
        yield piece


async def _bent(pieces: AsyncIterable[bytes], bend: Bend, *, flipped: int | None) -> AsyncIterator[bytes]:
    """Give the pieces on, one bit of the byte at ``flipped`` changed, as slowly as is wanted."""
    offset = 0
    loop = asyncio.get_running_loop()
    until = None if bend.slow_seconds is None else loop.time() + bend.slow_seconds
    async for whole in pieces:
        piece = whole
        if flipped is not None and offset <= flipped < offset + len(piece):
            changed = bytearray(piece)
            changed[flipped - offset] ^= 1
            piece = bytes(changed)
        offset += len(piece)
        while piece:
            if bend.bytes_per_second is None or (until is not None and loop.time() >= until):
                yield piece
                break
            step = max(1, int(bend.bytes_per_second / _STEPS_PER_SECOND))
            await asyncio.sleep(min(step, len(piece)) / bend.bytes_per_second)
            yield piece[:step]
            piece = piece[step:]
