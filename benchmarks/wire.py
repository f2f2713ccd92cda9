"""A small HTTP/1.1 server for moving bytes: shaped, and cheap enough not to be what is measured.

One task per connection on plain non-blocking sockets; with a certificate also by TLS, at an address of its own. What it
leaves out, the clients that are measured don't use: chunked bodies and pipelining.
"""

import asyncio
import contextlib
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from awscrt import checksums

from benchmarks.shaping import PIECE_BYTES, Bucket, Shaping

Bytes = bytes | memoryview
COUNTERS = "/benchmark/counters"
_LONGEST_HEAD = 64 * 1024
_RECEIVE_BYTES = 1024 * 1024
_BACKLOG = 128


@dataclass(frozen=True)
class Request:
    """A request; header names are in lower case, `body` is empty where the handler doesn't keep it; `crc64` is its."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    length: int
    body: bytes = b""
    crc64: int = 0


@dataclass(frozen=True)
class Answer:
    """An answer; `length` is the body's, whose pieces may be views on something larger."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Iterable[Bytes] = ()
    length: int = 0
    kind: str = ""


@dataclass(frozen=True)
class Handler:
    """What a server does: `keeps` says whether a request's body is needed, `answer` answers."""

    keeps: Callable[[Request], bool]
    answer: Callable[[Request], Answer]


class Server:
    """Serve on a free port of the loopback while the context lasts, and by TLS with a `certificate` and its key."""

    def __init__(self, handler: Handler, shaping: Shaping, *, certificate: Path | None = None) -> None:
        self._handler = handler
        self._shaping = shaping
        self._certificate = certificate
        self._tasks: set[asyncio.Task[None]] = set()
        self._socket: socket.socket | None = None
        self._secure: asyncio.Server | None = None
        self.counters: Counter[str] = Counter()
        self.url = ""
        self.secure_url = ""

    async def __aenter__(self) -> Self:
        listening = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        listening.setblocking(False)
        self._socket = listening
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        self._spawn(self._accept(listening))
        if self._certificate:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(self._certificate)
            self._secure = await asyncio.start_server(
                self._accept_secure, "127.0.0.1", 0, ssl=tls, limit=_RECEIVE_BYTES, backlog=_BACKLOG
            )
            self.secure_url = f"https://127.0.0.1:{self._secure.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for listening in (self._socket, self._secure):
            if listening:
                listening.close()

    def _spawn(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listening: socket.socket) -> None:
        while True:
            peer, _ = await asyncio.get_running_loop().sock_accept(listening)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._spawn(self._serve(_Plain(peer)))

    def _accept_secure(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._spawn(self._serve(_Secure(reader, writer)))

    async def _serve(self, peer: "_Peer") -> None:
        self.counters["connections"] += 1
        await _Connection(peer, self._shaping, self.counters).serve(self._handler)


class _Peer(Protocol):
    """A connection; what `receive` returns is valid until it is called again, and empty at the end."""

    async def receive(self, most: int) -> Bytes: ...

    async def send(self, data: Bytes) -> None: ...

    def close(self) -> None: ...


class _Plain:
    def __init__(self, peer: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._peer = peer
        self._buffer = memoryview(bytearray(_RECEIVE_BYTES))

    async def receive(self, most: int) -> Bytes:
        return self._buffer[: await self._loop.sock_recv_into(self._peer, self._buffer[:most])]

    async def send(self, data: Bytes) -> None:
        await self._loop.sock_sendall(self._peer, data)

    def close(self) -> None:
        self._peer.close()


class _Secure:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def receive(self, most: int) -> Bytes:
        return await self._reader.read(most)

    async def send(self, data: Bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def close(self) -> None:
        self._writer.close()


class _Connection:
    def __init__(self, peer: _Peer, shaping: Shaping, counters: Counter[str]) -> None:
        self._peer = peer
        self._shaping = shaping
        self._counters = counters
        self._inbound = Bucket(shaping.bytes_per_second)
        self._outbound = Bucket(shaping.bytes_per_second)
        # Reads as large as the pace allows: a wake-up per megabyte where nothing is shaped.
        self._step = _RECEIVE_BYTES if shaping.bytes_per_second is None else PIECE_BYTES

    async def serve(self, handler: Handler) -> None:
        """Answer requests until the client goes away."""
        with contextlib.closing(self._peer), contextlib.suppress(ConnectionError):
            rest = b""
            while found := await self._head(rest):
                head, rest = found
                request, rest = await self._body(_parse(head), rest, handler)
                if request.path == COUNTERS:
                    await self._send_counters(request)
                else:
                    await self._send(request, handler.answer(request))

    async def _head(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Read up to the empty line, and return the head and what was read after it."""
        while b"\r\n\r\n" not in data:
            if len(data) > _LONGEST_HEAD:
                raise ConnectionError("the head of the request is too long")
            received = await self._peer.receive(_LONGEST_HEAD)
            if not received:
                return None
            data += received
        head, _, rest = data.partition(b"\r\n\r\n")
        return head, rest

    async def _body(self, request: Request, data: bytes, handler: Handler) -> tuple[Request, bytes]:
        """Read the body, kept or dropped; the answer has what was read after it, too."""
        body, rest = data[: request.length], data[request.length :]
        await self._inbound.take(len(body))
        left, crc = request.length - len(body), checksums.crc64nvme(body)
        keeps = handler.keeps(request)
        kept = bytearray(body) if keeps else bytearray()
        while left:
            piece = await self._peer.receive(min(left, self._step))
            if not piece:
                raise ConnectionError("the client went away in the middle of a body")
            if keeps:
                kept += piece
            left, crc = left - len(piece), checksums.crc64nvme(piece, crc)
            await self._inbound.take(len(piece))
        self._counters["bytes_received"] += request.length
        return replace(request, body=bytes(kept), crc64=crc), rest

    async def _send(self, request: Request, answer: Answer) -> None:
        self._counters["requests"] += 1
        self._counters[f"requests {answer.kind or request.method}"] += 1
        if self._shaping.latency_seconds:
            await asyncio.sleep(self._shaping.latency_seconds)
        await self._send_head(answer)
        if request.method == "HEAD":
            return
        for piece in answer.body:
            view = memoryview(piece)
            for start in range(0, len(view), self._step):
                part = view[start : start + self._step]
                await self._peer.send(part)
                self._counters["bytes_sent"] += len(part)
                await self._outbound.take(len(part))

    async def _send_head(self, answer: Answer) -> None:
        lines = [f"HTTP/1.1 {answer.status} Answer", *(f"{name}: {value}" for name, value in answer.headers.items())]
        lines.append(f"Content-Length: {answer.length}")
        await self._peer.send("\r\n".join([*lines, "", ""]).encode("latin-1"))

    async def _send_counters(self, request: Request) -> None:
        """Return the counts as plain text; DELETE resets them."""
        text = "\n".join(f"{name}={count}" for name, count in sorted(self._counters.items())).encode()
        if request.method == "DELETE":
            self._counters.clear()
        await self._send_head(Answer(200, {"Content-Type": "text/plain"}, length=len(text)))
        await self._peer.send(text)


def _parse(head: bytes) -> Request:
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    pairs = (line.split(":", 1) for line in lines)
    headers = {name.strip().lower(): value.strip() for name, value in pairs}
    url = urlsplit(target)
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    return Request(method, unquote(url.path), query, headers, int(headers.get("content-length", "0")))


def byte_range(text: str | None, size: int) -> tuple[int, int] | None:
    """Read `bytes=first-last` as (offset, length) within `size`; None for the whole."""
    if not text:
        return None
    first, _, last = text.removeprefix("bytes=").partition("-")
    end = min(int(last) + 1 if last else size, size)
    return int(first), end - int(first)
