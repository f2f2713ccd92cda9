"""The base of what we store, send and answer as JSON."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Record(BaseModel):
    """A JSON object with camelCase members: frozen, and silent in errors about what it was made from.

    Of nested records the outermost one's configuration decides whether an error repeats its input.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, hide_input_in_errors=True)


class Body(Record, strict=True):
    """A body of our HTTP API: a member of the wrong type is refused, not converted."""
