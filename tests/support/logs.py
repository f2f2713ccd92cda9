"""What the app logs."""

import json
from typing import Any

import pytest


def logged(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, Any]]:
    """Return the fields of every log line of an event."""
    lines = [record.getMessage().partition(" ") for record in caplog.records if record.name == "recording"]
    return [json.loads(fields) for name, _, fields in lines if name == event]
