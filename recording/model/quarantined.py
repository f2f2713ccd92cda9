"""The record of an event that could not be parsed."""

from datetime import datetime

from pydantic import BaseModel


class QuarantinedEvent(BaseModel):
    """An event that could not be parsed, exactly as it was received, and the reasons."""

    reasons: list[str]
    received_at: datetime
    event: str
