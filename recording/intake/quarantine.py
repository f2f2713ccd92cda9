"""Events that could not be parsed, kept exactly as they were received."""

from datetime import datetime

from recording.model import layout
from recording.model.quarantined import QuarantinedEvent
from recording.notices import Notice, Topic
from recording.storage.blobs import Blobs
from recording.telemetry import log


class Quarantine:
    """Keeps events that could not be parsed, and notifies other systems of them."""

    def __init__(self, blobs: Blobs, topic: Topic) -> None:
        self._blobs = blobs
        self._topic = topic

    async def keep(self, text: str, reasons: list[str], *, received_at: datetime) -> None:
        """Keep an event with the reasons, then publish a notice; raises azure-core's errors or TimeoutError."""
        # Named by its text: the id of such an event may be anything.
        name = layout.quarantine_blob(received_at, layout.event_id(None, text))
        body = QuarantinedEvent(reasons=reasons, received_at=received_at, event=text).model_dump_json(indent=2)
        await self._blobs.create("quarantine", name, body.encode())
        log.error("event.quarantined", blob=name, reasons=reasons)
        digest, facts = name.rpartition("/")[2].removesuffix(".json"), {"blob": name, "reasons": reasons}
        await self._topic.publish(
            Notice("Recording.Quarantined", subject=digest, fact=digest, time=received_at, data=facts)
        )

    async def read(self, blob: str) -> bytes | None:
        """Read what was kept; None if there is no such blob. Raises azure-core's errors."""
        return await self._blobs.read("quarantine", blob)

    async def mark_replayed(self, blob: str) -> None:
        """Record that an event of the quarantine was accepted, so that it is not listed any more."""
        await self._blobs.create("quarantine", layout.replayed_blob(blob), b"{}")
