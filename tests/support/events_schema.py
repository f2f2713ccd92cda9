"""Compares what the app publishes with docs/events.schema.json."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema

_SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "events.schema.json").read_text())
_VALIDATOR = jsonschema.Draft202012Validator(_SCHEMA)


def check(event: Mapping[str, Any]) -> None:
    """Raise jsonschema's ValidationError if an event isn't as the schema says."""
    _VALIDATOR.validate(dict(event))
