"""What a call's own events tell of it and the file event doesn't: its correlation id (docs/acs-contract.md#file-event).

Written once by whichever event of the call comes first, and read when the manifest is written.
"""

import json

from recording.model import layout
from recording.storage.blobs import Blobs
from recording.telemetry import log


class CallIds:
    """The correlation ids of calls."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    async def remember(self, server_call_id: str, correlation_id: str | None) -> None:
        """Keep a call's correlation id, if it has one; raises what storage raises."""
        if correlation_id:
            fact = {"serverCallId": server_call_id, "correlationId": correlation_id}
            await self._blobs.create("archive", layout.call_blob(server_call_id), json.dumps(fact).encode())

    async def correlation_id(self, server_call_id: str | None) -> str | None:
        """Return the correlation id under which ACS knows a call; None if no event of it came."""
        text = await self._blobs.read("archive", layout.call_blob(server_call_id)) if server_call_id else None
        try:
            return str(json.loads(text)["correlationId"]) if text else None
        except (ValueError, KeyError, TypeError):
            # It is additional information: a manifest doesn't wait for it.
            log.error("call.unreadable", serverCallId=server_call_id)
            return None
