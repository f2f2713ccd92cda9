"""The base of the bodies of our HTTP API."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Body(BaseModel):
    """A JSON body: strict, frozen, and silent about what was sent."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, strict=True, hide_input_in_errors=True, frozen=True
    )
