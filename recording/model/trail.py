"""Pure: the facts of the trail, one for each thing that somebody did with a recording."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from recording.model.caller import Caller, CallerKind
from recording.model.record import Body, Record

Action = Literal[
    "start",
    "stop",
    "pause",
    "resume",
    "view",
    "search",
    "play",
    "download",
    "verify",
    "requeue",
    "replay",
    "consent",
    "export",
    "hold",
    "lift",
    "retain",
    "erase",
    "calloff",
    "erased",
]
type Detail = str | int | bool | list[str] | list[int]


# Not frozen: the result is added when an operation has ended.
class TrailEntry(Record, frozen=False):
    """What was done, with which recording, by whom, from where, why, and with which outcome: `ok` or an error code.

    `who` is a name, for people to read; `objectId` and `roles` are those of a token, `kind` says what asked; what older
    versions wrote has no `kind`. A control operation names the recording id, everything else the recording key.
    Of an erased recording an entry has the id of the `erasure` in place of all that names it.
    `correlationId` stands in the links that were handed out, and so in the logs of storage.
    """

    at: datetime
    # As older versions call it in the facts.
    action: Action = Field(alias="operation")
    who: str | None = None
    kind: CallerKind | None = None
    object_id: str | None = None
    roles: tuple[str, ...] | None = None
    address: str | None = Field(default=None, alias="from")
    request_id: str | None = None
    recording_key: str | None = None
    erasure: str | None = None
    conversation_id: str | None = None
    recording_id: str | None = None
    operation_context: str | None = None
    indexes: tuple[int, ...] | None = None
    reason: str | None = None
    correlation_id: str | None = None
    details: dict[str, Detail] | None = None
    outcome: str = "ok"
    status: int = 200

    @classmethod
    def of(cls, caller: Caller, action: Action, at: datetime) -> "TrailEntry":
        """Return the entry of what a caller does, to be completed."""
        principal = caller.principal
        return cls(
            at=at,
            action=action,
            who=caller.who,
            kind=caller.kind,
            object_id=principal.object_id if principal else None,
            roles=tuple(sorted(principal.roles)) if principal else None,
            address=caller.address,
            request_id=caller.request_id,
        )


class Why(Body):
    """Body of what an operator does: the reason, which stands on the trail."""

    reason: str | None = Field(default=None, min_length=1, max_length=1000)
