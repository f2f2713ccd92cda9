"""Every recording operation of the official SDK against a running emulator, as a program of its own.

Which version of the SDK that is depends on PYTHONPATH. The argument is JSON: ``endpoint``, ``key``, ``storage``,
``region``, ``client`` (sync or async). One line of JSON comes out for each operation: its name and its outcome.
It imports nothing of this project.
"""

import asyncio
import contextlib
import hashlib
import inspect
import json
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from azure.communication import callautomation
from azure.communication.callautomation import AzureBlobContainerRecordingStorage, ChannelAffinity
from azure.communication.callautomation import CallAutomationClient as SyncClient
from azure.communication.callautomation import CommunicationUserIdentifier as User
from azure.communication.callautomation.aio import CallAutomationClient as AsyncClient
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.transport import AioHttpTransport, RequestsTransport

STORAGE, REGION = "https://storage.asm.skype.com", "https://us-storage.asm.skype.com"
CHUNK_BYTES = 3_000_001
ABSENT = "not in this version"
HAS_ROOM = hasattr(callautomation, "RoomCallLocator")
HAS_CONNECTION = "call_connection_id" in inspect.getsource(SyncClient.start_recording)
VERSION: str = callautomation.__version__


@dataclass(frozen=True)
class Bench:
    """Where the emulator is, and which of the SDK's two clients to use."""

    endpoint: str
    key: str
    storage: str
    region: str
    client: str

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Do one request to the emulator's control plane."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.endpoint}/emulator{path}", data, headers, method=method)  # noqa: S310
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - http to this machine, as it is told
            return json.load(answer)

    def call(self, **more: Any) -> Any:
        """Place a call."""
        return self.control("POST", "/calls", {"participants": ["Ada Lovelace", "Grace Hopper"], **more})

    def recorded(self) -> tuple[Any, str]:
        """Make a finished recording; return its chunk, and where the SDK shall find that."""
        media = {"kind": "filler", "chunkBytes": [CHUNK_BYTES]}
        made = self.control("POST", "/recordings", {"media": media, "generation": "today"})
        [chunk] = made["chunks"]
        return chunk, self.official(chunk["contentLocation"])

    def official(self, location: str) -> str:
        """Return a location as the real service would name it."""
        return location.replace(self.storage, STORAGE).replace(self.region, REGION)

    @contextlib.contextmanager
    def on_loopback(self, request: Any) -> Iterator[None]:
        """Send a request for the real storage hosts to the emulator's ports; host name and signature stay.

        The SDK of today sends its signature to Microsoft's hosts only, and rightly so
        (docs/acs-contract.md#storage-host): what a proxy or a name server would do in a laboratory is done below the
        SDK, in its transport.
        """
        real = request.url
        for official, port in ((STORAGE, self.storage), (REGION, self.region)):
            if real.startswith(official + "/"):
                request.headers["Host"] = official.removeprefix("https://")
                request.url = real.replace(official, port)
        try:
            yield
        finally:
            request.headers.pop("Host", None)
            request.url = real

    def build(self, key: str, **more: Any) -> Any:
        """Return a client of the SDK."""
        bench = self

        class SyncTransport(RequestsTransport):  # type: ignore[misc]  # azure-core finds it lazily, untyped
            def send(self, request: Any, **options: Any) -> Any:
                with bench.on_loopback(request):
                    return super().send(request, **options)

        class AsyncTransport(AioHttpTransport):  # type: ignore[misc]
            async def send(self, request: Any, **options: Any) -> Any:
                with bench.on_loopback(request):
                    return await super().send(request, **options)

        if self.client == "sync":
            return SyncClient(self.endpoint, AzureKeyCredential(key), transport=SyncTransport(), **more)
        return AsyncClient(self.endpoint, AzureKeyCredential(key), transport=AsyncTransport(), **more)

    async def close(self, client: Any) -> None:
        """Close a client; only the asynchronous one can be."""
        if self.client == "async":
            await client.close()


async def _do(name: str, action: Callable[[], Any], describe: Callable[[Any], Any] = lambda _: "done") -> Any:
    """Do one operation, print the result, and return its value, None after a failure."""
    value = None
    try:
        value = await _finish(action())
        outcome = await _finish(describe(value))
    except HttpResponseError as error:
        code = getattr(getattr(error, "error", None), "code", None)
        outcome = f"{type(error).__name__} {error.status_code}" + (f" {code}" if code else "")
    except ValueError:
        outcome = "refused by the client"
    except AttributeError:
        outcome = "a bug of the client"
    print(json.dumps([name, outcome]), flush=True)
    return value


async def _finish(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


def _state(properties: Any) -> str:
    kind = getattr(properties.recording_kind, "value", properties.recording_kind)
    return f"{properties.recording_state} {kind}"


async def _body(stream: Any) -> bytes:
    pieces = stream.iter_bytes()
    if hasattr(pieces, "__aiter__"):
        return b"".join([piece async for piece in pieces])
    return b"".join(pieces)


def _whole(chunk: Any) -> Callable[[Any], Any]:
    async def compare(stream: Any) -> str:
        same = hashlib.sha256(await _body(stream)).hexdigest() == chunk["sha256"]
        return "the same bytes" if same else "other bytes"

    return compare


async def control(client: Any, bench: Bench) -> None:
    """Start in every way, then get, pause, resume and stop."""
    call = bench.call(groupId="29228d3e-040e-4656-a70e-890ab4e173e5", roomId="99466898241024408")
    ways: list[tuple[str, dict[str, str], bool]] = [
        ("group", {"group_call_id": call["groupId"]}, True),
        ("room", {"room_id": call["roomId"]}, HAS_ROOM),
        ("connection", {"call_connection_id": call["callLegId"]}, HAS_CONNECTION),
        ("server call", {"server_call_id": call["serverCallId"]}, True),
    ]
    started = None
    for way, named, there in ways:
        if started is not None:
            await _do("stop", partial(client.stop_recording, started.recording_id))
            started = None
        if there:
            started = await _do(f"start by {way}", partial(client.start_recording, **named), _state)
        else:
            print(json.dumps([f"start by {way}", ABSENT]))
    recording = started.recording_id if started else ""
    await _do("start again while it runs", lambda: client.start_recording(server_call_id=call["serverCallId"]))
    await _do("get", lambda: client.get_recording_properties(recording), _state)
    await _do("pause", lambda: client.pause_recording(recording))
    await _do("get while paused", lambda: client.get_recording_properties(recording), _state)
    await _do("resume", lambda: client.resume_recording(recording))
    await _do("get after resume", lambda: client.get_recording_properties(recording), _state)
    await _do("stop", lambda: client.stop_recording(recording))
    await _do("get after stop", lambda: client.get_recording_properties(recording))
    await _do("pause after stop", lambda: client.pause_recording(recording))
    await _do("resume after stop", lambda: client.resume_recording(recording))
    await _do("stop after stop", lambda: client.stop_recording(recording))
    await _do("start by an unknown call", lambda: client.start_recording(server_call_id="x"))


async def options(client: Any, bench: Bench) -> None:
    """Start with everything that can be asked for."""
    call = bench.call()
    ada = User(call["participants"][0]["participantId"])
    unmixed = {
        "server_call_id": call["serverCallId"],
        "recording_content_type": callautomation.RecordingContent.AUDIO,
        "recording_channel_type": callautomation.RecordingChannel.UNMIXED,
        "recording_format_type": callautomation.RecordingFormat.WAV,
    }
    storage = AzureBlobContainerRecordingStorage("https://contoso.blob.core.windows.net/recordings")
    wishes: list[tuple[str, dict[str, Any]]] = [
        ("unmixed wav with affinity", {**unmixed, "channel_affinity": [ChannelAffinity(ada, 0)]}),
        ("unmixed wav with ordering", {**unmixed, "audio_channel_participant_ordering": [ada]}),
        ("pause on start", {"server_call_id": call["serverCallId"], "pause_on_start": True}),
        ("own container", {"server_call_id": call["serverCallId"], "recording_storage": storage}),
        ("unmixed mp3", {**unmixed, "recording_format_type": callautomation.RecordingFormat.MP3}),
        (
            "a callback that is relative",
            {"server_call_id": call["serverCallId"], "recording_state_callback_url": "/not/absolute/url"},
        ),
    ]
    for name, wish in wishes:
        started = await _do(f"start: {name}", partial(client.start_recording, **wish), _state)
        if started is not None:
            await _do("stop", partial(client.stop_recording, started.recording_id))
    same = {
        "Repeatability-Request-ID": "6ab1cf0a-5a4d-4b2e-9a55-0a3d1c3f2a11",
        "Repeatability-First-Sent": "Tue, 24 Nov 2026 01:00:00 GMT",
    }
    first = await _do(
        "start", lambda: client.start_recording(server_call_id=call["serverCallId"], headers=dict(same)), _state
    )
    await _do(
        "start, sent again",
        lambda: client.start_recording(server_call_id=call["serverCallId"], headers=dict(same)),
        lambda second: "the same recording" if second.recording_id == first.recording_id else "another recording",
    )
    bench.control("PUT", "/settings", {"startAccepted": True})
    await _do(
        "start, only accepted", lambda: client.start_recording(server_call_id=bench.call()["serverCallId"]), _state
    )
    bench.control("PUT", "/settings", {"startAccepted": False})
    bench.control("DELETE", f"/calls/{call['callId']}")
    await _do("get after the call", lambda: client.get_recording_properties(first.recording_id))


async def files(client: Any, bench: Bench) -> None:
    """Download, to memory and to a file, and delete."""
    chunk, content = bench.recorded()
    metadata, deletion = bench.official(chunk["metadataLocation"]), bench.official(chunk["deleteLocation"])
    await _do("download content", lambda: client.download_recording(content), _whole(chunk))

    async def into_file(stream: Any) -> str:
        path = Path(tempfile.gettempdir()) / chunk["documentId"]
        try:
            path.write_bytes(await _body(stream))
            same = hashlib.sha256(path.read_bytes()).hexdigest() == chunk["sha256"]
        finally:
            path.unlink()
        return "the same bytes" if same else "other bytes"

    async def length(stream: Any) -> str:
        return f"{len(await _body(stream))} bytes"

    async def description(stream: Any) -> str:
        return (
            "JSON of this chunk" if json.loads(await _body(stream))["chunkDocumentId"] == chunk["documentId"] else "?"
        )

    await _do("download content to a file", lambda: client.download_recording(content), into_file)
    await _do("download a range", lambda: client.download_recording(content, offset=1000, length=24), length)
    await _do("download from an offset", lambda: client.download_recording(content, offset=3_000_000), length)
    await _do("download metadata", lambda: client.download_recording(metadata), description)
    await _do(
        "download from a plain address", lambda: client.download_recording(chunk["contentLocation"]), _whole(chunk)
    )
    bench.control("PUT", "/settings", {"redirectToRegion": True})
    await _do("download, redirected", lambda: client.download_recording(content), _whole(chunk))
    # An option of azure-core: without it the signature is removed on a redirect to another host.
    signing = bench.build(bench.key, disable_redirect_cleanup=True)
    name = "download, redirected, the second hop signed"
    await _do(name, lambda: signing.download_recording(content), _whole(chunk))
    await bench.close(signing)
    bench.control("PUT", "/settings", {"redirectToRegion": False})
    await _do("delete", lambda: client.delete_recording(deletion))
    await _do("delete again", lambda: client.delete_recording(deletion))
    await _do("download after delete", lambda: client.download_recording(content), _whole(chunk))


async def strangers(client: Any, bench: Bench) -> None:
    """Do each kind of operation with a wrong key."""
    chunk, content = bench.recorded()
    server_call_id = bench.call()["serverCallId"]
    await _do("wrong key: start", lambda: client.start_recording(server_call_id=server_call_id))
    await _do("wrong key: get", lambda: client.get_recording_properties("x"))
    await _do("wrong key: download", lambda: client.download_recording(content))
    await _do("wrong key: delete", lambda: client.delete_recording(bench.official(chunk["deleteLocation"])))


async def main() -> None:
    """Run everything; the last line has the version of the SDK."""
    bench = Bench(**json.loads(sys.argv[1]))
    for key, parts in ((bench.key, (control, options, files)), ("c3RyYW5nZXI=", (strangers,))):
        client = bench.build(key)
        for part in parts:
            await part(client, bench)
        await bench.close(client)
    print(json.dumps(["version", VERSION]))


if __name__ == "__main__":
    asyncio.run(main())
