"""Pure: the roles of people and services, and the matrix of who may do what.

Nobody does everything alone: Manage can't erase, and Erase can't lift a hold. Manage can end the time of a recording by
its class; what that erases can be called off by Erase, as every erasure. A function key has no roles; it opens its
function.
"""

from dataclasses import dataclass
from typing import Literal, get_args

Role = Literal[
    "Recordings.Read",
    "Recordings.Operate",
    "Recordings.Control",
    "Recordings.Manage",
    "Recordings.Erase",
]
READ, OPERATE, CONTROL, MANAGE, ERASE = ROLES = get_args(Role)
type Roles = frozenset[Role]

# The rows of the matrix that operations name: whoever has one of these roles may.
FIND: Roles = frozenset({READ, OPERATE, MANAGE, ERASE})
PLAY: Roles = frozenset({READ, MANAGE})
VERIFY: Roles = frozenset({READ, OPERATE, MANAGE})
STEER: Roles = frozenset({CONTROL})
# Who asks people for consent tells it: the calling app, or whoever keeps the recordings.
NOTE_CONSENT: Roles = frozenset({CONTROL, MANAGE})
SEE_CONSENT: Roles = frozenset({READ, CONTROL, MANAGE})
EXPORT: Roles = frozenset({MANAGE})
TEND: Roles = frozenset({OPERATE})
# Whoever has a valid token, with any role or none.
SIGNED_IN: Roles = frozenset()
TRAIL: Roles = frozenset({MANAGE})
# Whoever keeps recordings can't erase them, and whoever erases can't lift a hold.
KEEP: Roles = frozenset({MANAGE})
ERASE_RECORDINGS: Roles = frozenset({ERASE})
# Whoever keeps recordings and whoever erases them see what was erased.
ERASURES: Roles = frozenset({MANAGE, ERASE})
# Operators see recordings without the people in them.
PEOPLE: Roles = frozenset({READ, MANAGE, ERASE})


@dataclass(frozen=True)
class Principal:
    """A person or a service, as its token says: `object_id` identifies it, `name` is only shown."""

    kind: Literal["person", "service"]
    object_id: str
    name: str | None
    roles: Roles
