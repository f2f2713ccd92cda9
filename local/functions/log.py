"""The log lines of the host: an event name and its fields."""

import logging
import sys
from datetime import UTC, datetime

logger = logging.getLogger("local.functions")


def line(event: str, /, **fields: object) -> str:
    """Format an event and its fields as `event key=value ...`; values with spaces are quoted."""
    return " ".join([event, *(f"{key}={_text(value)}" for key, value in fields.items())])


def configure() -> None:
    """Send the host's log lines to stderr, at level INFO, with the UTC time."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(UtcFormatter("%(asctime)s %(levelname)s host: %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def _text(value: object) -> str:
    text = str(value)
    return repr(text) if not text or any(c.isspace() for c in text) else text


class UtcFormatter(logging.Formatter):
    """Format times as `2026-11-23T10:00:00.123Z`."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """Return the time of the record, with milliseconds."""
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
