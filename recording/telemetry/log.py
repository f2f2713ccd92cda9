"""Log lines: one event name and its fields.

The Functions host forwards only the message text to Application Insights, so the fields are in
it, as JSON: `chunk.staged {"recordingKey": "…", "bytes": 1500000000}`. JSON in ASCII escapes every
line break (U+2028 and U+0085 too), so that an id from outside cannot forge a second line.
Never pass a URL: it may have a token.

Every query, alert and panel reads the fields with `parse_json(substring(message, indexof(message, "{")))`,
which returns nothing if a single character follows the JSON or if its end is cut off. So nothing follows it: a
traceback is a field like any other, and each line is shorter than the length at which it would be cut.
"""

import json
import logging
import traceback
from collections.abc import Callable

from recording.urls import strip_queries

# Not under "azure.functions": the host treats those as its own and hides them (docs/functions-host.md#python-worker).
_logger = logging.getLogger("recording")
# Application Insights truncates a message after 32,768 characters.
LONGEST_LINE = 30_000
# Of a field in a line that would be too long; the line with the most fields has a dozen.
_SHORTENED = 1_000
# The end of a traceback has the exception, and where it was raised.
_TRACEBACK = 8_000
# Called with each line: traces.py counts what is logged.
subscribers: list[Callable[[str, dict[str, object]], None]] = []


def info(event: str, **fields: object) -> None:
    """Log what happened."""
    _log(logging.INFO, event, fields)


def warning(event: str, **fields: object) -> None:
    """Log a failure that is retried, or something that was rejected."""
    _log(logging.WARNING, event, fields)


def error(event: str, **fields: object) -> None:
    """Log a failure that a person must look into."""
    _log(logging.ERROR, event, fields)


def exception(event: str, **fields: object) -> None:
    """Log an unexpected exception with its traceback, in the field of that name."""
    # An exception of a library may quote the URL that was requested.
    raised = strip_queries(traceback.format_exc())[-_TRACEBACK:]
    _log(logging.ERROR, event, {**fields, "traceback": raised})


def _log(level: int, event: str, fields: dict[str, object]) -> None:
    _logger.log(level, "%s %s", event, _write(fields))
    for on_log in subscribers:
        on_log(event, fields)


def _write(fields: dict[str, object]) -> str:
    """Return the fields as JSON; if they are too long for one line, each long one as the beginning of its JSON."""
    text = json.dumps(fields, default=str)
    if len(text) <= LONGEST_LINE:
        return text
    written = {name: json.dumps(value, default=str) for name, value in fields.items()}
    short = {name: f"{written[name][:_SHORTENED]}…" for name in fields if len(written[name]) > _SHORTENED}
    return json.dumps({**fields, **short}, default=str)
