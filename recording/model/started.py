"""The fact that a recording was started through this app."""

from datetime import datetime

from recording.model.record import Record


class Started(Record):
    """A recording was started through this app, in this conversation; `reference` is its `operationContext`.

    `retention_class` is what the start chose. Older versions wrote neither reference nor time.
    """

    recording_id: str
    conversation_id: str
    reference: str | None = None
    retention_class: str | None = None
    at: datetime | None = None
