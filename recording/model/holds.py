"""Pure: a hold on all recordings that a search finds."""

from datetime import datetime
from typing import Literal, Self

from pydantic import Field, model_validator

from recording.model.index import State
from recording.model.keeping import CaseName, Reason
from recording.model.record import Body, Record, UtcTime


class HoldFilters(Record):
    """What recordings a hold is for: the filters of a list, of which at least one must be given."""

    since: UtcTime | None = Field(default=None, alias="from")
    until: UtcTime | None = Field(default=None, alias="to")
    participant: str | None = Field(default=None, min_length=1, max_length=1024)
    conversation: str | None = Field(default=None, min_length=1, max_length=4096)
    call: str | None = Field(default=None, min_length=1, max_length=64)
    reference: str | None = Field(default=None, min_length=1, max_length=5000)
    state: State | None = None
    missing: bool | None = None
    truncated: bool | None = None

    def filters(self) -> dict[str, object]:
        """Return those that were given, by their names."""
        return {name: value for name in HoldFilters.model_fields if (value := getattr(self, name)) is not None}


class PlaceHolds(Body, HoldFilters):
    """Body: the case, why, and which recordings it is to hold, as the parameters of a list say it."""

    case: CaseName
    reason: Reason

    @model_validator(mode="after")
    def _has_a_filter(self) -> Self:
        if not self.filters():
            raise ValueError("name at least one filter, such as participant, conversation, reference, from or to")
        if self.since and self.until and self.until < self.since:
            raise ValueError("`to` must not be before `from`")
        return self


class HoldsAsked(HoldFilters):
    """What staging has of a hold on what a search finds, until it is done."""

    case: str
    reason: str
    at: datetime
    who: str | None = None
    by: str | None = None


class HoldsState(Body):
    """A hold on what a search finds: how many were found, are held by it, were held by the case before, or are erased.

    While it is `working`, the numbers grow.
    """

    hold_id: str
    state: Literal["working", "done"]
    case: str
    at: datetime
    ended_at: datetime | None = None
    found: int = 0
    held: int = 0
    held_before: int = 0
    erased: int = 0
