"""The base classes of what the app stores, sends and answers as JSON."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Record(BaseModel):
    """A JSON object with camelCase members: frozen, and errors don't repeat its input.

    Of nested records the outermost one's configuration decides whether an error repeats its input.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, hide_input_in_errors=True)


class Body(Record, strict=True):
    """A body of the app's HTTP API: a member of the wrong type is rejected, not converted."""
