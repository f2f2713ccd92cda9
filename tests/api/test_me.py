"""recording/api/me.py: who asks is told what their roles allow, by the table of operations."""

import function_app
from recording.api import me
from recording.model.roles import CONTROL, OPERATE, READ, ROLES, Principal, Role


def allowed(*roles: Role) -> list[str]:
    """List what somebody with these roles may do."""
    return me.describe(Principal("person", "1", "Ada", frozenset(roles)), function_app.doors.endpoints).operations


def test_roles_allow_what_the_doors_let_in() -> None:
    """Each operation of /v1 whose door names one of them, and no other."""
    doors = {one.name: one.roles for one in function_app.doors.endpoints if one.door == "token"}

    for role in ROLES:
        assert {name for name, roles in doors.items() if not roles or role in roles} == set(allowed(role))
    assert set(allowed(READ, OPERATE)) == {*allowed(READ), *allowed(OPERATE)}


def test_whoever_has_no_role_learns_which_one_they_need() -> None:
    """A page says so instead of showing nothing."""
    said = me.describe(Principal("service", "2", None, frozenset()), function_app.doors.endpoints)

    assert ([], ["v1_get_me"], None) == (said.roles, said.operations, said.name)
    assert [CONTROL] == [one.role for one in said.allows if "v1_stop_recording" in one.operations]
