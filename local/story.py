"""What the steps of the demo know, find out and share."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
from azure.storage.blob.aio import BlobServiceClient

from local.report import Report, StepError
from local.stack import Api, Stack

# How long anything may take that the app does by itself.
PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.25


@dataclass
class Story:
    """Everything that the steps know and find out."""

    stack: Stack
    session: aiohttp.ClientSession
    blobs: BlobServiceClient
    report: Report
    api: Api
    output: Path
    call: dict[str, Any] = field(default_factory=dict)
    recording_id: str = ""
    recording: dict[str, Any] = field(default_factory=dict)
    chunks: list[dict[str, Any]] = field(default_factory=list)
    manifest: str = ""
    facts: dict[str, str] = field(default_factory=dict)
    # By the emulator's clock: start, pause, resume, stop.
    moments: list[datetime] = field(default_factory=list)

    @property
    def recorded_seconds(self) -> float:
        """Give the seconds between start and stop without the pause."""
        start, pause, resume, stop = self.moments
        return ((pause - start) + (stop - resume)).total_seconds()

    @property
    def recording_url(self) -> str:
        """Give the recording's address in the app's API."""
        return f"{self.stack.app_url}/conversations/{self.call['conversationId']}/recordings/{self.recording_id}"

    async def request(self, method: str, url: str, body: Any = None, *, status: int = 200) -> Any:
        """Send a request and give the JSON of the answer; raises StepError when the status is another."""
        async with self.session.request(method, url, json=body) as answer:
            if answer.status != status:
                raise StepError(f"{method} {url} answered {answer.status}, not {status}: {await answer.text()}")
            return await answer.json()

    async def expect_state(self, wanted: str) -> None:
        """Ask the app for the state of the recording; raises StepError when it is another."""
        state = (await self.request("GET", self.recording_url))["recordingState"]
        if state != wanted:
            raise StepError(f"the recording is {state}, not {wanted}")

    async def mark(self) -> None:
        """Note what the emulator's clock says."""
        clock = await self.request("GET", f"{self.stack.acs_url}/emulator/clock")
        self.moments.append(datetime.fromisoformat(clock["now"]))

    async def pass_time(self, seconds: int) -> None:
        """Move the emulator's clock on."""
        await self.request("POST", f"{self.stack.acs_url}/emulator/clock", {"advanceSeconds": seconds})

    async def wait_for[Found](self, what: str, look: Callable[[], Awaitable[Found | None]]) -> Found:
        """Look until something is found; raises StepError after a minute."""
        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while asyncio.get_running_loop().time() < deadline:
            if found := await look():
                return found
            await asyncio.sleep(POLL_SECONDS)
        raise StepError(f"{what} after {PATIENCE_SECONDS:g} s")
