"""Send bytes to a client without buffering them, and the ways in which that can go wrong."""

import asyncio
import fcntl
import socket
import struct
import termios
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from local.acs.contents import PIECE_BYTES, Content
from local.acs.journal import ENTRY, Entry

_DRAIN_SECONDS = 2.0


@dataclass(frozen=True)
class Shape:
    """How an answer's body is to be bent; the default is straight.

    One that ``ends_early`` does so after ``stop_after`` bytes (None: half), by RST if ``reset`` else by
    FIN, whatever length was declared. One that is slow is so for ``slow_seconds`` (None: to its end).
    """

    ends_early: bool = False
    stop_after: int | None = None
    reset: bool = False
    bytes_per_second: float | None = None
    slow_seconds: float | None = None
    ignore_range: bool = False
    etag: str | None = None
    size: int | None = None

    def stop(self, length: int) -> int:
        """Return how many of ``length`` bytes are sent."""
        if not self.ends_early:
            return length
        return length // 2 if self.stop_after is None else min(length, self.stop_after)


STRAIGHT = Shape()
SHAPE = web.RequestKey("shape", Shape)


async def transmit(
    request: web.Request,
    content: Content,
    *,
    status: int,
    headers: Mapping[str, str],
    offset: int = 0,
    length: int | None = None,
    shape: Shape = STRAIGHT,
) -> web.StreamResponse:
    """Answer with ``length`` bytes of a content from ``offset``, piece by piece."""
    length = content.size - offset if length is None else length
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = length
    entry = request[ENTRY]
    entry.status = status
    stop = shape.stop(length)
    try:
        await response.prepare(request)
        await _send(response, content, entry, offset=offset, length=stop, shape=shape)
        if stop < length:
            await end_connection(request, reset=shape.reset)
        else:
            await response.write_eof()
    except ConnectionError:
        # The client went away; the journal has what it got until then.
        response.force_close()
    return response


async def _send(
    response: web.StreamResponse,
    content: Content,
    entry: Entry,
    *,
    offset: int,
    length: int,
    shape: Shape,
) -> None:
    loop = asyncio.get_running_loop()
    until = None if shape.slow_seconds is None else loop.time() + shape.slow_seconds
    end = offset + length
    while offset < end:
        bytes_per_second = None if until is not None and loop.time() >= until else shape.bytes_per_second
        step = PIECE_BYTES if bytes_per_second is None else max(1, min(PIECE_BYTES, int(bytes_per_second / 10)))
        for piece in await content.read(offset, min(step, end - offset)):
            if bytes_per_second is not None:
                await asyncio.sleep(len(piece) / bytes_per_second)
            await response.write(piece)
            offset += len(piece)
            entry.bytes_sent += len(piece)


async def end_connection(request: web.Request, *, reset: bool) -> None:
    """Close a client's connection in the middle of things: by RST, or by FIN."""
    transport = request.transport
    if transport is None:
        return
    if reset:
        peer: socket.socket = transport.get_extra_info("socket")
        await _drain(transport, peer)
        # A linger time of 0 makes the close an RST, which drops what the kernel has not sent: hence the wait.
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()


async def _drain(transport: asyncio.Transport, peer: socket.socket) -> None:
    """Wait until the kernel has handed over what was written, so that a cut comes at an exact byte."""
    deadline = asyncio.get_running_loop().time() + _DRAIN_SECONDS
    while asyncio.get_running_loop().time() < deadline:
        unsent = struct.unpack("i", fcntl.ioctl(peer.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0]
        if transport.get_write_buffer_size() == 0 and unsent == 0:
            return
        await asyncio.sleep(0.005)
