"""Who asks, and what roles allow: for a page that shows what somebody may do, and names the role that is missing."""

from collections.abc import Iterable
from typing import Literal

from recording.api.doors import Endpoint
from recording.model.record import Body
from recording.model.roles import ROLES, Principal, Role


class RoleAllows(Body):
    """A role, and the operations that it allows, by their ids in the description."""

    role: Role
    operations: list[str]


class Me(Body):
    """Whom the token stands for, their roles, and the operations that these allow; `allows` has all roles."""

    kind: Literal["person", "service"]
    object_id: str
    name: str | None = None
    roles: list[Role]
    operations: list[str]
    allows: list[RoleAllows]


def describe(principal: Principal, endpoints: Iterable[Endpoint]) -> Me:
    """Return who somebody is, and what they may do behind the door of tokens."""
    operations = {one.name: one.roles for one in endpoints if one.door == "token"}

    def allowed(roles: Iterable[Role]) -> list[str]:
        mine = frozenset(roles)
        return sorted(name for name, needed in operations.items() if not needed or needed & mine)

    return Me(
        kind=principal.kind,
        object_id=principal.object_id,
        name=principal.name,
        roles=sorted(principal.roles),
        operations=allowed(principal.roles),
        allows=[RoleAllows(role=role, operations=allowed([role])) for role in ROLES],
    )
