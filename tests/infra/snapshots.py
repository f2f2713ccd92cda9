"""Reads infra/snapshots/: the resources that each variant of the deployment is evaluated to.

What only Azure knows stays an expression: `[reference('<resource id>', '<API version>').principalId]`.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
SNAPSHOTS = INFRA / "snapshots"
DIGESTS = SNAPSHOTS / "sources.sha256"
REPAIR = "run `make infra` (with the Bicep compiler in BICEP or on the PATH) and commit infra/snapshots"

# https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
ROLES = {
    "09976791-48a7-449e-bb21-39d1a415f350": "Communication and Email Service Owner",
    "d5a91429-5739-47e2-a06b-3470a27159e7": "EventGrid Data Sender",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "db58b8e5-c6ad-4a2a-8342-4190687cbf4a": "Storage Blob Delegator",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": "Storage Queue Data Contributor",
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
}


@dataclass(frozen=True)
class Resource:
    """One evaluated resource; `body` has all its members, `properties` those of that name."""

    type: str
    name: str
    id: str
    body: dict[str, Any]

    @property
    def properties(self) -> dict[str, Any]:
        """Return the resource's `properties`, empty if it has none."""
        found: dict[str, Any] = self.body.get("properties", {})
        return found

    @property
    def group(self) -> str:
        """Return the resource group."""
        return self.id.partition("/resourceGroups/")[2].partition("/")[0]

    @property
    def scope(self) -> str:
        """Return the id of the resource that an extension resource, such as a role assignment, belongs to."""
        found = re.match(r"\[extensionResourceId\('([^']+)'", self.id)
        assert found is not None, f"{self.id} is no extension resource"
        return found[1]


def sources() -> list[Path]:
    """List the files that the snapshots depend on."""
    patterns = ("*.bicep", "*.bicepparam", "bicepconfig.json", "workbook.json", "snapshots/variants.yaml")
    return sorted(path for pattern in patterns for path in INFRA.glob(pattern))


def digests() -> str:
    """Write the digests of sources and snapshots as `sha256sum` does, so that `sha256sum -c` reads them, too.

    Those of the snapshots say that each is as the compiler made it from these sources: `make test` compiles few.
    """
    return "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(ROOT).as_posix()}\n"
        for path in [*sources(), *sorted(SNAPSHOTS.glob("*.json"))]
    )


@cache
def environments() -> dict[str, dict[str, dict[str, str]]]:
    """Read the variants: parameter file, variant, environment."""
    found: dict[str, dict[str, dict[str, str]]] = yaml.safe_load((SNAPSHOTS / "variants.yaml").read_text())
    return found


def variants(parameters: str = "main.bicepparam") -> list[str]:
    """List the variants of a parameter file."""
    return list(environments()[parameters])


@cache
def snapshot(variant: str) -> dict[str, Any]:
    """Read a variant's snapshot as the compiler wrote it."""
    found: dict[str, Any] = json.loads((SNAPSHOTS / f"{variant}.json").read_text())
    return found


def resources(type: str | None = None, variant: str = "default") -> list[Resource]:
    """List a variant's resources, all or those of a type."""
    return [one for one in _all(variant) if type in (None, one.type)]


def resource(type: str, name: str = "", variant: str = "default") -> Resource:
    """Find the one resource of a type whose name, or last part of it, begins like this."""
    found = [one for one in resources(type, variant) if one.name.rpartition("/")[2].startswith(name)]
    assert len(found) == 1, f"{variant} has {len(found)} resources {type} {name}"
    return found[0]


def named(type: str, variant: str = "default") -> dict[str, Resource]:
    """Return the resources of a type by the last part of their name."""
    return {one.name.rpartition("/")[2]: one for one in resources(type, variant)}


def strings(value: Any) -> Iterator[str]:
    """List every text in a value, keys included."""
    match value:
        case str():
            yield value
        case dict():
            for key, one in value.items():
                yield key
                yield from strings(one)
        case list():
            for one in value:
                yield from strings(one)
        case _:
            pass


@cache
def _all(variant: str) -> tuple[Resource, ...]:
    return tuple(
        Resource(type=body["type"], name=body["name"], id=body["id"], body=body)
        for body in snapshot(variant)["predictedResources"]
    )
