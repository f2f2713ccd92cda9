"""A source of documents that does what the emulator doesn't: any bytes, any headers, any order of them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from local.acs.server import DEVELOPMENT_KEY
from recording import bootstrap
from recording.bootstrap import App
from recording.settings import read

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serve(answer: Answer) -> AsyncIterator[str]:
    """Serve every request with one handler; the value is the server's address."""
    server = web.Application(client_max_size=2**30)
    server.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(server, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def app_with_source(environment: dict[str, str], answer: Answer) -> AsyncIterator[App]:
    """Build the app against a source of the test's own."""
    async with serve(answer) as address:
        more = {"ACS_CONNECTION_STRING": f"endpoint={address};accesskey={DEVELOPMENT_KEY}"}
        app = await bootstrap.build(read(environment | more))
        try:
            yield app
        finally:
            await app.aclose()


def part(request: web.Request, body: bytes, etag: str) -> web.Response:
    """Answer with the range that was asked for, and with any metadata file."""
    if request.path.endswith("/metadata"):
        return web.json_response({"resourceId": "x"})
    asked = request.http_range
    first, last = asked.start or 0, min(asked.stop or len(body), len(body))
    headers = {"ETag": etag, "Content-Range": f"bytes {first}-{last - 1}/{len(body)}"}
    return web.Response(status=206, body=body[first:last], headers=headers, content_type="video/mp4")


def recording_of(*document_ids: str) -> dict[str, Any]:
    """Describe a recording as the emulator does, as far as its file event needs it."""
    return {
        "callId": "3f2b0e4c-0000-4000-8000-000000000001",
        "startTime": "2026-03-01T10:00:00.0000000Z",
        "chunks": [
            {"documentId": document_id, "index": index, "endReason": "SessionEnded"}
            for index, document_id in enumerate(document_ids)
        ],
    }


def mp4(size: int, fill: bytes = b"\0") -> bytes:
    """Make a file whose boxes add up: ftyp, an empty moov, mdat."""
    head = b"\0\0\0\x10ftypisom\0\0\2\0" + b"\0\0\0\x08moov"
    return head + (size - len(head)).to_bytes(4) + b"mdat" + fill * (size - len(head) - 8)
