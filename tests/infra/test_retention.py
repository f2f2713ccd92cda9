"""infra/snapshots: what is deleted, moved to a cheaper tier or kept from both, and when."""

from typing import Any

import pytest

from tests.infra.snapshots import named, resource, resources, variants

ACCOUNT = "Microsoft.Storage/storageAccounts"
ARCHIVE = "recordings-archive"


def rules(account: str, variant: str = "default") -> dict[str, dict[str, Any]]:
    """Return the lifecycle rules of an account, `st`, `starc` or `stdv`, by name."""
    policies = resources(f"{ACCOUNT}/managementPolicies", variant)
    [policy] = [one for one in policies if one.name.partition("/")[0][:-13] == account]
    return {rule["name"]: rule for rule in policy.properties["policy"]["rules"]}


def actions(variant: str) -> dict[str, int]:
    """Return after how many days an archived recording gets which action; none, if the rule is off."""
    rule = rules("starc", variant)["recordings"]
    found = rule["definition"]["actions"]["baseBlob"] if rule["enabled"] else {}
    return {action: next(iter(when.values())) for action, when in found.items()}


@pytest.mark.parametrize("variant", variants())
def test_nothing_deletes_from_staging(variant: str) -> None:
    """Only the timer knows that a recording is safe elsewhere: no lifecycle rule on current blobs names staging."""
    found = [rule["definition"] for rule in rules("st", variant).values()]
    prefixes = [prefix for one in found if "baseBlob" in one["actions"] for prefix in one["filters"]["prefixMatch"]]
    assert prefixes == ["recordings-quarantine/", "recordings-dead-letter/"]


def test_tiers_are_the_parameters_and_no_rule_deletes_recordings() -> None:
    """Days become the rule's days; 0 omits an action, and turns the rule off when none is left."""
    assert {variant: actions(variant) for variant in ("default", "everything-on", "everything-off")} == {
        "default": {"tierToCool": 30, "tierToCold": 90},
        "everything-on": {"tierToCool": 7, "tierToCold": 60},
        "everything-off": {},
    }


def test_derived_files_live_for_days() -> None:
    """They are made again on demand; the parameter says for how long each is kept."""
    found = {variant: rules("stdv", variant)["delete-derived"] for variant in ("default", "everything-on")}
    days = {variant: rule["definition"]["actions"]["baseBlob"]["delete"] for variant, rule in found.items()}
    assert days == {name: {"daysAfterCreationGreaterThan": n} for name, n in {"default": 7, "everything-on": 2}.items()}
    assert all(rule["enabled"] and "prefixMatch" not in rule["definition"]["filters"] for rule in found.values())


@pytest.mark.parametrize("variant", variants())
def test_the_archive_always_has_its_lifecycle_policy(variant: str) -> None:
    """An incremental deployment keeps what it is not given: without a policy the last one would go on deleting."""
    found = rules("starc", variant)
    recordings = found["recordings"]["definition"]
    assert recordings["actions"]["baseBlob"]
    assert recordings["filters"]["prefixMatch"] == [f"{ARCHIVE}/2"]
    # The app deletes them itself, since a rule knows no holds; the rule finishes with what that leaves.
    assert "delete" not in recordings["actions"]["baseBlob"]
    assert found["delete-versions"]["definition"]["actions"] == {
        "version": {"delete": {"daysAfterCreationGreaterThan": 1}}
    }


def test_immutability_is_a_choice() -> None:
    """Support for it can't be taken back and keeps a trial's group from being removed; a policy needs it."""
    containers = {v: resource(f"{ACCOUNT}/blobServices/containers", ARCHIVE, v).properties for v in variants()}
    supported = {v for v, found in containers.items() if found["immutableStorageWithVersioning"] == {"enabled": True}}
    assert supported == {"immutable", "locked"}
    assert containers["default"]["immutableStorageWithVersioning"] is None


def test_a_locked_policy_is_not_put_again() -> None:
    """A container that was locked by hand accepts no second policy: a deployment would fail."""
    policies = {
        variant: [
            one.properties for one in named(f"{ACCOUNT}/blobServices/containers/immutabilityPolicies", variant).values()
        ]
        for variant in ("default", "immutable", "locked")
    }
    assert policies == {
        "default": [],
        "immutable": [{"immutabilityPeriodSinceCreationInDays": 30, "allowProtectedAppendWrites": False}],
        "locked": [],
    }
