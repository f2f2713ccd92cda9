"""What can go wrong with a body that is transferred, and with its connection."""

import asyncio
import fcntl
import socket
import struct
import termios
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass

from aiohttp import web

from local.acs.contents import Bytes

# As a position: the middle of the body.
MIDDLE = -1
# Set on a request whose connection was closed without an answer.
UNANSWERED = web.RequestKey("unanswered", bool)
_STEPS_PER_SECOND = 10
_DRAIN_SECONDS = 2.0


def other_byte(byte: int) -> int:
    """Return another byte than this: the next one.

    What is changed where it lies and once more on its way must not be right again, as with a bit that flips twice.
    """
    return (byte + 1) % 256


class BodyEnded(Exception):
    """The body is to end here, before its real end."""


@dataclass(frozen=True)
class BodyFault:
    """What goes wrong with a body; by default nothing.

    It ends after ``stop_after`` bytes, by RST if ``reset``, otherwise by FIN, whatever its declared length. The
    byte at ``corrupt_at`` is another. It is slow for ``slow_seconds`` (None: to its end).
    """

    stop_after: int | None = None
    reset: bool = True
    corrupt_at: int | None = None
    bytes_per_second: float | None = None
    slow_seconds: float | None = None

    async def apply(self, pieces: AsyncIterable[Bytes], *, length: int) -> AsyncIterator[Bytes]:
        """Yield the pieces of a body of ``length`` bytes as they are to be sent; raises BodyEnded to end it early."""
        stop, corrupt = (length // 2 if place == MIDDLE else place for place in (self.stop_after, self.corrupt_at))
        loop = asyncio.get_running_loop()
        until = None if self.slow_seconds is None else loop.time() + self.slow_seconds
        start = 0
        async for piece in pieces:
            end = start + len(piece)
            if corrupt is not None and start <= corrupt < end:
                changed = bytearray(piece)
                changed[corrupt - start] = other_byte(changed[corrupt - start])
                piece = bytes(changed)
            left = piece if stop is None else piece[: max(0, stop - start)]
            while left:
                speed = None if until is not None and loop.time() >= until else self.bytes_per_second
                step = len(left) if speed is None else max(1, int(speed / _STEPS_PER_SECOND))
                if speed is not None:
                    await asyncio.sleep(min(step, len(left)) / speed)
                yield left[:step]
                left = left[step:]
            if stop is not None and stop < end:
                raise BodyEnded
            start = end


async def disconnect(request: web.Request) -> web.Response:
    """Close a client's connection without an answer."""
    await end_connection(request, reset=True)
    request[UNANSWERED] = True
    return web.Response()


async def end_connection(request: web.Request, *, reset: bool) -> None:
    """Close a client's connection in the middle of an exchange: by RST, or by FIN."""
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
    """Wait until the kernel has sent what was written, so that a cut comes at an exact byte."""
    deadline = asyncio.get_running_loop().time() + _DRAIN_SECONDS
    while asyncio.get_running_loop().time() < deadline:
        unsent = struct.unpack("i", fcntl.ioctl(peer.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0]
        if transport.get_write_buffer_size() == 0 and unsent == 0:
            return
        await asyncio.sleep(0.005)
