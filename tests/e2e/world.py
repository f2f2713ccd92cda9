"""The running stack, as these tests see it: a command, its output, and what answers over HTTP.

Nothing is imported from the project, so that a misunderstanding in it can't be shared by its tests.
"""

import asyncio
import json
import re
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob.aio import BlobServiceClient

ROOT = Path(__file__).parents[2]
WEBHOOK = "/runtime/webhooks/eventgrid?functionName=receive_event"
LAST_LINE = "Ctrl-C stops the stack."
READY_SECONDS = 90


@dataclass
class World:
    """A stack that runs."""

    app: str
    acs: str
    logs: Path
    session: aiohttp.ClientSession
    blobs: BlobServiceClient
    reconcile: list[str]

    async def request(
        self, method: str, url: str, body: Any = None, *, status: int = 200, headers: dict[str, str] | None = None
    ) -> Any:
        """Send JSON, expect the status, give the JSON of the answer (None if it has none)."""
        async with self.session.request(method, url, json=body, headers=headers) as answer:
            text = await answer.text()
            assert answer.status == status, f"{method} {url}: {answer.status} {text}"
            return await answer.json(content_type=None) if text else None

    async def subscribe(self, **changes: Any) -> None:
        """Have events delivered in another way than the stack's own."""
        body = {"name": "recording-events", "endpoint": self.app + WEBHOOK, "timeScale": 0.02, **changes}
        await self.request("POST", f"{self.acs}/emulator/subscriptions", body, status=201)

    async def make_recording(self, *chunk_bytes: int, **more: Any) -> dict[str, Any]:
        """Make a finished recording of filler chunks, which is announced at once if nothing else is said."""
        body = {"media": {"kind": "filler", "chunkBytes": list(chunk_bytes)}, **more}
        made: dict[str, Any] = await self.request("POST", f"{self.acs}/emulator/recordings", body, status=201)
        return made

    async def announce(self, recording: dict[str, Any], *, times: int = 1) -> None:
        """Have the file event of a recording published."""
        await self.request(
            "POST", f"{self.acs}/emulator/recordings/{recording['recordingId']}/announce", {"times": times}
        )

    async def recording(self, recording_id: str) -> dict[str, Any]:
        """Return what the emulator knows of a recording."""
        found: dict[str, Any] = await self.request("GET", f"{self.acs}/emulator/recordings/{recording_id}")
        return found

    async def recordings(self) -> list[dict[str, Any]]:
        """Return the emulator's recordings."""
        listed: list[dict[str, Any]] = (await self.request("GET", f"{self.acs}/emulator/recordings"))["recordings"]
        return listed

    async def inject(self, **rule: Any) -> None:
        """Have the emulator misbehave."""
        await self.request("POST", f"{self.acs}/emulator/faults", rule, status=201)

    async def names(self, container: str) -> list[str]:
        """List a container."""
        try:
            return [name async for name in self.blobs.get_container_client(container).list_blob_names()]
        except ResourceNotFoundError:
            return []

    async def archived(self, call_id: str, *, seconds: float = 45) -> list[str]:
        """Return the archive's blobs of a call once staging has none left, without the folder."""

        async def look() -> list[str] | None:
            # Staging first: it is small, and is empty last.
            if any(call_id in name for name in await self.names("recordings-staging")):
                return None
            here = [name for name in await self.names("recordings-archive") if call_id in name]
            return here if any(name.endswith("/recording.json") for name in here) else None

        here = await eventually(look, seconds=seconds)
        return sorted(name.partition(f"-{call_id}/")[2] for name in here)

    async def log(self, name: str = "functions") -> str:
        """Return what a process has written."""
        return await asyncio.to_thread((self.logs / f"{name}.log").read_text)


@asynccontextmanager
async def running(folder: Path, *arguments: str) -> AsyncIterator[World]:
    """Run `python -m local up` with these arguments; its output and logs go into `folder`."""
    output = folder / "up.txt"
    command = [sys.executable, "-m", "local", "up", "--port", "0", "--acs-port", "0", "--logs", str(folder / "logs")]
    app = await asyncio.to_thread(impatient_app, folder / "app")
    command += ["--app-dir", str(app), "--archive-schedule", "*/1 * * * * *", *arguments]
    with output.open("w") as file:
        up = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=file, stderr=file)

    async def ready() -> str | None:
        text = output.read_text()
        assert up.returncode is None, text
        return text if LAST_LINE in text else None

    try:
        said = dict(re.findall(r"^  (App|ACS): +(\S+)", await eventually(ready, seconds=READY_SECONDS), re.M))
        settings = json.loads(await asyncio.to_thread((folder / "settings.json").read_text))["Values"]
        storage = settings["AzureWebJobsStorage"]
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session,
            BlobServiceClient.from_connection_string(storage) as blobs,
        ):
            [complete] = re.findall(r"^  (.+ reconcile .+)$", await asyncio.to_thread(output.read_text), re.M)
            yield World(said["App"], said["ACS"], folder / "logs", session, blobs, complete.split())
    finally:
        if up.returncode is None:
            up.send_signal(signal.SIGTERM)
        await asyncio.wait_for(up.wait(), 30)


def impatient_app(folder: Path) -> Path:
    """Make a folder with the app in it, whose failed messages come back after one second, not thirty."""
    folder.mkdir()
    for name in ("function_app.py", "recording"):
        (folder / name).symlink_to(ROOT / name)
    host = json.loads((ROOT / "host.json").read_text())
    host["extensions"]["queues"]["visibilityTimeout"] = "00:00:01"
    (folder / "host.json").write_text(json.dumps(host))
    return folder


async def eventually[Found](look: Callable[[], Awaitable[Found | None]], *, seconds: float = 30) -> Found:
    """Poll until something is found."""
    async with asyncio.timeout(seconds):
        while not (found := await look()):
            await asyncio.sleep(0.25)
    return found
