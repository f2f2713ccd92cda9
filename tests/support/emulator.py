"""The control plane of the ACS emulator, and the events of its recordings."""

from datetime import UTC, datetime
from typing import Any

import aiohttp


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
        """Return how often each fault rule was met."""
        return [rule["applied"] for rule in (await self.call("GET", "faults"))["faults"]]

    async def downloads(self) -> list[Any]:
        """List the content requests so far: path, range, status, bytesSent."""
        requests = (await self.call("GET", "requests"))["requests"]
        return [r for r in requests if "/download/" in r["path"] and not r["path"].endswith("/metadata")]


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
