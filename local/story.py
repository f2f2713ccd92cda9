"""What the steps of the demo share."""

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

# How long the app may take for anything that it does by itself.
TIMEOUT_SECONDS = 60.0
POLL_SECONDS = 0.25


@dataclass
class Story:
    """The stack, its clients, and the results of the steps so far."""

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
        """Return the seconds between start and stop without the pause."""
        start, pause, resume, stop = self.moments
        return ((pause - start) + (stop - resume)).total_seconds()

    @property
    def recording_url(self) -> str:
        """Return the recording's URL in the app's API."""
        return f"{self.stack.app_url}/conversations/{self.call['conversationId']}/recordings/{self.recording_id}"

    async def request(self, method: str, url: str, body: Any = None, *, status: int = 200) -> Any:
        """Send a request and return the JSON of the answer; raises StepError for any other status."""
        async with self.session.request(method, url, json=body) as answer:
            if answer.status != status:
                raise StepError(f"{method} {url} answered {answer.status}, not {status}: {await answer.text()}")
            return await answer.json()

    async def expect_state(self, wanted: str) -> None:
        """Check the state of the recording by the app's API; raises StepError if it is another."""
        state = (await self.request("GET", self.recording_url))["recordingState"]
        if state != wanted:
            raise StepError(f"the recording is {state}, not {wanted}")

    async def mark(self) -> None:
        """Record the time of the emulator's clock."""
        clock = await self.request("GET", f"{self.stack.acs_url}/emulator/clock")
        self.moments.append(datetime.fromisoformat(clock["now"]))

    async def pass_time(self, seconds: int) -> None:
        """Move the emulator's clock forward."""
        await self.request("POST", f"{self.stack.acs_url}/emulator/clock", {"advanceSeconds": seconds})

    async def wait_for[Found](self, what: str, look: Callable[[], Awaitable[Found | None]]) -> Found:
        """Call `look` until it returns something; raises StepError after a minute."""
        deadline = asyncio.get_running_loop().time() + TIMEOUT_SECONDS
        while asyncio.get_running_loop().time() < deadline:
            if found := await look():
                return found
            await asyncio.sleep(POLL_SECONDS)
        raise StepError(f"{what} after {TIMEOUT_SECONDS:g} s")
