"""The correlation id of a call: its own events have it, the file event doesn't (docs/acs-contract.md#file-event).

It is written once, by the first event of the call that has it, and read when the manifest is written.
"""

import json

from recording.model import layout
from recording.storage.blobs import Blobs
from recording.telemetry import log


class CallIds:
    """Keeps the correlation ids of calls."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    async def remember(self, server_call_id: str, correlation_id: str | None) -> None:
        """Keep a call's correlation id, if it has one; raises azure-core's errors."""
        if correlation_id:
            fact = {"serverCallId": server_call_id, "correlationId": correlation_id}
            await self._blobs.create("archive", layout.call_blob(server_call_id), json.dumps(fact).encode())

    async def correlation_id(self, server_call_id: str | None) -> str | None:
        """Return the correlation id of a call; None if no event with it has come."""
        text = await self._blobs.read("archive", layout.call_blob(server_call_id)) if server_call_id else None
        try:
            return str(json.loads(text)["correlationId"]) if text else None
        except (ValueError, KeyError, TypeError):
            # A manifest is complete without it.
            log.error("call.unreadable", serverCallId=server_call_id)
            return None
