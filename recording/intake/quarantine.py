"""Events that could not be understood, kept letter by letter."""

from datetime import datetime

from pydantic import BaseModel

from recording.model import layout
from recording.notices import Notice, Topic
from recording.storage.blobs import Blobs
from recording.telemetry import log


class QuarantinedEvent(BaseModel):
    """An event that could not be understood, letter by letter, and why."""

    reasons: list[str]
    received_at: datetime
    event: str


async def quarantine(text: str, reasons: list[str], *, storage: Blobs, notices: Topic, now: datetime) -> None:
    """Keep an event that could not be understood, with the reasons."""
    # Named by the text: the id of such an event may be anything.
    name = layout.quarantine_blob(now, layout.event_id(None, text))
    body = QuarantinedEvent(reasons=reasons, received_at=now, event=text).model_dump_json(indent=2)
    await storage.create("quarantine", name, body.encode())
    log.error("event.quarantined", blob=name, reasons=reasons)
    digest = name.rpartition("/")[2].removesuffix(".json")
    await notices.publish(
        Notice("Recording.Quarantined", subject=digest, fact=digest, time=now, data={"blob": name, "reasons": reasons})
    )
