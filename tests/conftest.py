"""Real servers for every test: Azurite for the session, the ACS emulator for each test."""

import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from local.acs.server import Emulator, Options
from local.azurite import Azurite
from recording import app as bootstrap
from recording.app import App
from recording.config.settings import Settings, read_settings
from tests.infra import compiler

_numbers = itertools.count()


def pytest_report_header() -> str:
    """Say whether a Bicep compiler takes part: without one some tests are skipped."""
    return compiler.state()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def azurite() -> AsyncIterator[Azurite]:
    """Blob and Queue Storage in memory; a missing Azurite fails, it doesn't skip."""
    async with Azurite() as running:
        yield running


@pytest_asyncio.fixture
async def acs() -> AsyncIterator[Emulator]:
    """The ACS emulator, with nothing in it."""
    async with Emulator(Options(announce_delay_seconds=0.0)) as running:
        yield running


@pytest.fixture
def environment(azurite: Azurite, acs: Emulator, request: pytest.FixtureRequest) -> dict[str, str]:
    """The app settings, with containers of the test's own; a mark `settings` has others on top."""
    number = next(_numbers)
    environment = {
        "AzureWebJobsStorage": azurite.connection_string,
        "ACS_CONNECTION_STRING": acs.connection_string,
        "ACS_API_VERSION": "2021-04-15-preview1",
        "STAGING_CONTAINER": f"staging-{number}",
        "ARCHIVE_CONTAINER": f"archive-{number}",
        "QUARANTINE_CONTAINER": f"quarantine-{number}",
    }
    for mark in request.node.iter_markers("settings"):
        environment |= mark.kwargs
    return environment


@pytest.fixture
def settings(environment: dict[str, str]) -> Settings:
    """The settings, read."""
    return read_settings(environment)


@pytest_asyncio.fixture
async def app(settings: Settings) -> AsyncIterator[App]:
    """The app's clients, as the functions get them."""
    built = await bootstrap.open_app(settings)
    yield built
    await built.aclose()


class Control:
    """The emulator's control plane: `POST /emulator/…` and so on, JSON in and out."""

    def __init__(self, endpoint: str, http: aiohttp.ClientSession) -> None:
        self.endpoint = endpoint
        self._http = http

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """Do one request and expect success."""
        async with self._http.request(method, f"{self.endpoint}/emulator/{path}", json=body) as response:
            assert response.status < 300, await response.text()
            return await response.json()

    async def recording(self, *chunk_bytes: int) -> Any:
        """Make a finished recording of filler chunks, unannounced."""
        media = {"kind": "filler", "chunkBytes": list(chunk_bytes)}
        return await self.call("POST", "recordings", {"media": media, "announce": False})

    async def fault(self, kind: str, path: str, **more: Any) -> None:
        """Add a fault rule for GETs."""
        await self.call("POST", "faults", {"method": "GET", "path": path, "kind": kind, **more})

    async def applied(self) -> list[int]:
        """Say how often each fault rule was met."""
        return [rule["applied"] for rule in (await self.call("GET", "faults"))["faults"]]

    async def downloads(self) -> list[Any]:
        """List the content requests so far: path, range, status, bytesSent."""
        requests = (await self.call("GET", "requests"))["requests"]
        return [r for r in requests if "/download/" in r["path"] and not r["path"].endswith("/metadata")]


@pytest_asyncio.fixture
async def control(acs: Emulator) -> AsyncIterator[Control]:
    """The emulator's control plane."""
    async with aiohttp.ClientSession() as http:
        yield Control(acs.endpoint, http)


def file_event(
    recording: Any, *, event_id: str = "7283825e-f8f1-4c61-a9ea-752c56890500", **more: Any
) -> dict[str, Any]:
    """Write the file event of an emulator's recording, in the Event Grid schema.

    See docs/acs-contract.md#2021-file-event.
    """
    chunks = [
        {"documentId": c["documentId"], "index": c["index"], "endReason": c["endReason"]} for c in recording["chunks"]
    ]
    return {
        "id": event_id,
        "topic": "/subscriptions/0/resourcegroups/rg/providers/microsoft.communication/communicationservices/acs",
        "subject": f"/recording/call/{recording['callId']}",
        "data": {
            "recordingStorageInfo": {"recordingChunks": chunks},
            "recordingStartTime": recording["startTime"],
            "recordingDurationMs": 6620,
            "sessionEndReason": "CallEnded",
        },
        "eventType": "Microsoft.Communication.RecordingFileStatusUpdated",
        "dataVersion": "1.0",
        "metadataVersion": "1",
        "eventTime": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        **more,
    }
