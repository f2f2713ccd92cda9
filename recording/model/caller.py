"""Pure: who asks for something, and from where."""

from dataclasses import dataclass
from typing import Literal

from recording.model.roles import PEOPLE, Principal

# Whom a fact of the trail is about: a person or a service by its token, whoever has a key, an event that AUTO_RECORD
# acts on, an operator's command, the timer.
CallerKind = Literal["person", "service", "key", "event", "command", "timer"]


@dataclass(frozen=True)
class RepeatKey:
    """The key under which a start may be repeated, and the name of its header."""

    header: str
    value: str


@dataclass(frozen=True)
class Caller:
    """Who asks, as far as that is known, and the key under which a start may be repeated.

    `principal` is whom a token stands for; with a function key there is none, and `who` is a name only where the
    platform says so. `address` is where the request comes from, `request_id` is the one in its answer and in the log.
    """

    who: str | None = None
    repeat_key: RepeatKey | None = None
    principal: Principal | None = None
    origin: CallerKind = "key"
    address: str | None = None
    request_id: str | None = None

    @property
    def kind(self) -> CallerKind:
        """Return what asks: as its token says, if it has one."""
        return self.principal.kind if self.principal else self.origin

    @property
    def sees_people(self) -> bool:
        """Return whether answers name the participants: to a key, and to the roles that are for that."""
        return self.principal is None or bool(self.principal.roles & PEOPLE)
