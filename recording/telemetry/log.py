"""Log lines: one event name and its fields.

The Functions host forwards only the message text to Application Insights, so the fields are in
it, as JSON: `chunk.staged {"recordingKey": "…", "bytes": 1500000000}`. JSON in ASCII escapes every
line break (U+2028 and U+0085 too), so that an id from outside cannot forge a second line.
Never pass a URL: it may carry a token.
"""

import json
import logging
from collections.abc import Callable

# Not under "azure.functions": the host takes those for its own and hides them (docs/functions-host.md#python-worker).
_logger = logging.getLogger("recording")
# Who else hears of it: traces.py counts what is logged.
listeners: list[Callable[[str, dict[str, object]], None]] = []


def info(event: str, **fields: object) -> None:
    """Log what happened."""
    _log(logging.INFO, event, fields)


def warning(event: str, **fields: object) -> None:
    """Log what went wrong and will be tried again, or was refused."""
    _log(logging.WARNING, event, fields)


def error(event: str, **fields: object) -> None:
    """Log what a person must look at."""
    _log(logging.ERROR, event, fields)


def exception(event: str, **fields: object) -> None:
    """Log an unexpected exception with its traceback."""
    _logger.exception("%s %s", event, json.dumps(fields, default=str))
    _tell(event, fields)


def _log(level: int, event: str, fields: dict[str, object]) -> None:
    _logger.log(level, "%s %s", event, json.dumps(fields, default=str))
    _tell(event, fields)


def _tell(event: str, fields: dict[str, object]) -> None:
    for hear in listeners:
        hear(event, fields)
