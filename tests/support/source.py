"""A source of documents that does what the emulator doesn't: any bytes, any headers, any order of them."""

import asyncio
import contextlib
import json
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web
from azure.core.exceptions import ResourceExistsError
from pydantic import SecretStr

from local.acs.server import DEVELOPMENT_KEY
from local.loopback import certificate
from recording import app as bootstrap
from recording.app import App
from recording.config.settings import Settings, read_settings
from recording.storage.blobs import RETRIES

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serve(answer: Answer, *, port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Serve every request with one handler; the value is the server's address. A port of 0 picks a free one."""
    server = web.Application(client_max_size=2**30)
    server.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(server, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)
    await site.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def certified(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Make the TLS of a server on loopback, and that of a client that trusts it."""
    pem = certificate(folder)
    of_server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    of_server.load_cert_chain(pem)
    return of_server, ssl.create_default_context(cafile=str(pem))


# The accounts in which an app of this process has made the queues; the others of a test lead to the same one.
_with_queues: set[SecretStr] = set()


async def open_app(settings: Settings, *, retries: Mapping[str, Any] = RETRIES) -> App:
    """Open an app in little time: the test's containers are new, and an earlier app has made the queues.

    `bootstrap.open_app` looks for each first, which takes more requests than many a test (test_app.py has it).
    """
    account = settings.host_storage.connection_string
    if account is None or account not in _with_queues:
        app = await bootstrap.open_app(settings, retries=retries)
        _with_queues.update([account] if account else [])
        return app
    clients = bootstrap.connect(settings, retries=retries)
    for where, container in clients.blobs._containers.items():
        # A second app of the same test finds it. That of dead letters is Event Grid's.
        with contextlib.suppress(ResourceExistsError):
            if where != "dead_letter":
                await container.create_container()
    return bootstrap.assemble(settings, clients)


async def close(app: App) -> None:
    """Close an app; an upload that was cancelled closes its connection when it has sent what it had begun to send."""
    await app.aclose()
    connections = getattr(asyncio.get_running_loop(), "_transports", {})
    for _ in range(200):
        if not any(one.is_closing() and one._sock is not None for one in list(connections.values())):
            return
        await asyncio.sleep(0.01)


@asynccontextmanager
async def app_with_source(environment: dict[str, str], answer: Answer) -> AsyncIterator[App]:
    """Build the app against a source of the test's own."""
    async with serve(answer) as address:
        more = {"ACS_CONNECTION_STRING": f"endpoint={address};accesskey={DEVELOPMENT_KEY}"}
        app = await open_app(read_settings(environment | more))
        try:
            yield app
        finally:
            await close(app)


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
    """Make a file whose boxes add up: ftyp, a moov whose one track begins in mdat, mdat."""
    moov = b"\0\0\0\x14stco" + bytes(4) + (1).to_bytes(4) + (16 + 60 + 8).to_bytes(4)
    for kind in (b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        moov = (len(moov) + 8).to_bytes(4) + kind + moov
    head = b"\0\0\0\x10ftypisom\0\0\2\0" + moov
    return head + (size - len(head)).to_bytes(4) + b"mdat" + fill * (size - len(head) - 8)


def mp3(frames: int, *, tag: int = 0) -> bytes:
    """Make a file of frames as ACS records them (MPEG-2, 16 kHz, 48 kbit/s), behind a tag of so many bytes."""
    head = b"ID3\x04\0\0" + bytes((0, 0, tag >> 7, tag & 0x7F)) + bytes(tag) if tag else b""
    return head + (bytes((0xFF, 0xF3, 0x68, 0xC0)) + bytes(212)) * frames


def wav(samples: int, *, channels: int = 1) -> bytes:
    """Make a file of 16-bit samples at 16 kHz; unmixed sound has a channel each."""
    block = 2 * channels
    data = bytes(index % 251 for index in range(samples * block))
    head = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, 16_000, 16_000 * block, block, 16)
    body = b"WAVE" + head + struct.pack("<4sI", b"data", len(data)) + data
    return struct.pack("<4sI", b"RIFF", len(body)) + body


@dataclass
class Host:
    """The storage host of Call Automation (docs/acs-contract.md#storage-host), with the regional host of its redirects.

    `refuse` is the status that deletions are answered with as long as it is set.
    """

    bodies: dict[str, bytes] = field(default_factory=dict)
    metadata: dict[str, bytes] = field(default_factory=dict)
    asked: list[web.Request] = field(default_factory=list)
    refuse: int | None = None
    takes_ranges: bool = True
    etag: str = '"1"'
    label: str = "video/mp4"
    address: str = ""
    region: str = ""

    def add(self, body: bytes, info: Any = None, people: Iterable[str] = ()) -> dict[str, Any]:
        """Have one more document, and return its chunk as a file event has it; `people` took part."""
        index = len(self.bodies)
        document_id = f"0-eus-d12-{index:032x}"
        self.bodies[document_id] = body
        said = {"chunkDocumentId": document_id, "chunkIndex": index, "recordingInfo": info or {}}
        if took_part := [{"participantId": one} for one in people]:
            said["participants"] = took_part
        text = json.dumps(said, indent=1)
        self.metadata[document_id] = text.replace("\n", "\r\n").encode()
        place = f"{self.address}/v1/objects/{document_id}"
        return {
            "documentId": document_id,
            "index": index,
            "endReason": "SessionEnded",
            "contentLocation": f"{place}/content/media?x=%2B",
            "metadataLocation": f"{place}/content/acsmetadata",
            "deleteLocation": place,
        }

    def deletions(self) -> list[str]:
        """List the documents that deletion was asked for where they lie, however often."""
        done = [r for r in self.asked if r.method == "DELETE" and r.host == self.region.removeprefix("http://")]
        return [request.path.split("/")[3] for request in done]

    def reads(self, document_id: str) -> int:
        """Count the requests for bytes of a document where it lies."""
        region, path = self.region.removeprefix("http://"), f"/{document_id}/content/media"
        return sum(request.host == region and request.path.endswith(path) for request in self.asked)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer as the storage host does: all of its files are in the region."""
        self.asked.append(request)
        if request.host != self.region.removeprefix("http://"):
            return web.Response(status=302, headers={"Location": self.region + request.raw_path})
        document_id = request.path.split("/")[3]
        if request.method == "DELETE":
            if self.refuse:
                return web.Response(status=self.refuse)
            self.metadata.pop(document_id, None)
            return web.Response(status=200 if self.bodies.pop(document_id, None) else 404)
        if (body := self.bodies.get(document_id)) is None:
            return web.Response(status=404)
        if request.path.endswith("/acsmetadata"):
            text = self.metadata[document_id]
            span = {"Content-Range": f"bytes 0-{len(text) - 1}/{len(text)}"}
            return web.Response(status=206, body=text, headers=span, content_type="application/octet-stream")
        if self.takes_ranges and body:
            answered = part(request, body, self.etag)
            answered.content_type = self.label
            return answered
        return web.Response(body=body, headers={"ETag": self.etag}, content_type=self.label)


@asynccontextmanager
async def storage_host(environment: dict[str, str], **more: str) -> AsyncIterator[tuple[App, Host]]:
    """Build the app for the Call Automation API, and a storage host that it may fetch from."""
    host = Host()
    async with serve(host.answer) as host.address, serve(host.answer) as host.region:
        allowed = ",".join(address.removeprefix("http://") for address in (host.address, host.region))
        app = await open_app(read_settings(environment | {"ACS_API_VERSION": "", "CONTENT_HOSTS": allowed} | more))
        try:
            yield app, host
        finally:
            await close(app)


def today(*chunks: dict[str, Any], event_id: str = "e1", **more: Any) -> dict[str, Any]:
    """Write the file event of the Call Automation API that announces chunks (docs/acs-contract.md#file-event)."""
    return {
        "id": event_id,
        "subject": "/recording/call/3f2b0e4c-0000-4000-8000-000000000001/serverCallId/c2Nh/recordingId/cmlk",
        "data": {
            "recordingStorageInfo": {"recordingChunks": list(chunks)},
            "recordingStartTime": "2026-03-01T10:00:00.0000000Z",
            "recordingDurationMs": 6620,
            "sessionEndReason": "CallEnded",
        },
        "eventType": "Microsoft.Communication.RecordingFileStatusUpdated",
        "eventTime": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        **more,
    }
