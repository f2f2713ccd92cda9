"""The base classes of what the app stores, sends and answers as JSON."""

import json

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel


class Record(BaseModel):
    """A JSON object with camelCase members: frozen, and errors don't repeat its input.

    Of nested records the outermost one's configuration decides whether an error repeats its input.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, hide_input_in_errors=True)


class Body(Record, strict=True):
    """A body of the app's HTTP API: a member of the wrong type is rejected, not converted."""


def to_header(value: object) -> str:
    """Write a JSON value as metadata of a blob can hold it: ASCII without double blanks, which headers may lose."""
    return json.dumps(value, separators=(",", ":")).replace("  ", "\\u0020\\u0020")


def first_problem(invalid: ValidationError) -> tuple[list[str], str]:
    """Return where the first invalid member is, and what is wrong with it; never its value."""
    first = invalid.errors(include_input=False, include_url=False)[0]
    # What a check of this app raises has the text that is meant for the caller; pydantic puts its class before it.
    return [str(part) for part in first["loc"]], first["msg"].removeprefix("Value error, ")
