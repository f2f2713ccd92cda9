"""The base classes of what the app stores, sends and answers as JSON."""

import json
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel


class Record(BaseModel):
    """A JSON object with camelCase members: frozen, and errors don't repeat its input.

    Of nested records the outermost one's configuration decides whether an error repeats its input.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, hide_input_in_errors=True)


class Body(Record, strict=True):
    """A body of the app's HTTP API: a member of the wrong type is rejected, not converted."""


def _in_utc(time: datetime) -> datetime:
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be a time from year 1 to 9999 in UTC") from None


# A time that a caller may give in any zone: names of blobs and rows are made of the year, the month and the day in UTC.
UtcTime = Annotated[AwareDatetime, AfterValidator(_in_utc)]


def to_header(value: object) -> str:
    """Write a JSON value as metadata of a blob can hold it: ASCII without double blanks, which headers may lose."""
    return json.dumps(value, separators=(",", ":")).replace("  ", "\\u0020\\u0020")


def first_problem(invalid: ValidationError) -> tuple[list[str], str]:
    """Return where the first invalid member is, and what is wrong with it; never its value."""
    first = invalid.errors(include_input=False, include_url=False)[0]
    # What a check of this app raises has the text that is meant for the caller; pydantic puts its class before it.
    return [str(part) for part in first["loc"]], first["msg"].removeprefix("Value error, ")
