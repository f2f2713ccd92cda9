"""`python -m tests.infra.table [VARIANT …]`: the evaluated resources of each variant, and how they differ from default.

Type, name and, for what is not as in the default, `added`, `removed`, or each member that has another value.
"""

import json
import signal
import sys
from collections.abc import Iterator
from typing import Any

from tests.infra.snapshots import ROLES, Resource, resources, variants


def rows(variant: str) -> Iterator[tuple[str, str, str]]:
    """List a variant's resources, with each difference from the default in a row of its own."""
    here, default = ({_key(one): one for one in resources(variant=name)} for name in (variant, "default"))
    for key, one in here.items():
        if key not in default:
            yield *_shown(one), "added"
        elif changed := list(differences(default[key].body, one.body)):
            for change in changed:
                yield *_shown(one), change
        else:
            yield *_shown(one), ""
    for key, one in default.items():
        if key not in here:
            yield *_shown(one), "removed"


def differences(default: Any, here: Any, path: str = "") -> Iterator[str]:
    """List the members of two values that differ, as `path: default -> here`."""
    if isinstance(default, dict) and isinstance(here, dict):
        for name in [*default, *(name for name in here if name not in default)]:
            yield from differences(default.get(name), here.get(name), f"{path}.{name}".lstrip("."))
    elif isinstance(default, list) and isinstance(here, list) and len(default) == len(here):
        for index, (one, other) in enumerate(zip(default, here, strict=True)):
            yield from differences(one, other, f"{path}[{index}]")
    elif default != here:
        yield f"{path}: {_short(default)} -> {_short(here)}"


def _key(one: Resource) -> tuple[str, str]:
    return one.type, one.name


def _shown(one: Resource) -> tuple[str, str]:
    if one.type.endswith("/roleAssignments"):
        role = ROLES[one.properties["roleDefinitionId"].rpartition("/")[2]]
        who = one.properties["principalId"].partition("', ")[0].rpartition("/")[2]
        return one.type, f"{role} on {one.scope.rpartition('/')[2]} to {who}"
    return one.type, one.name


def _short(value: Any) -> str:
    text = "none" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:79]}…"


def main(names: list[str]) -> None:
    """Print the table of each variant."""
    for name in names or variants():
        found = list(rows(name))
        widths = [max(len(row[column]) for row in found) for column in range(2)]
        print(f"\n{name}: {len(resources(variant=name))} resources")
        for type, resource, difference in found:
            print(f"  {type.removeprefix('Microsoft.'):{widths[0]}}  {resource:{widths[1]}}  {difference}".rstrip())


if __name__ == "__main__":
    # `… | head` closes the pipe early.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    main(sys.argv[1:])
