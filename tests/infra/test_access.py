"""infra/*.bicep: who may do what, and that no key is used or given away."""

import re
from pathlib import Path

import pytest

from tests.infra.bicep import FILES, INFRA, Declaration, declarations, one, resources, text

# https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
BUILT_IN_ROLES = {
    "Communication and Email Service Owner": "09976791-48a7-449e-bb21-39d1a415f350",
    "EventGrid Data Sender": "d5a91429-5739-47e2-a06b-3470a27159e7",
    "Monitoring Metrics Publisher": "3913510d-42f4-4e42-8a64-420c390055eb",
    "Storage Blob Data Contributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "Storage Blob Data Owner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "Storage Blob Delegator": "db58b8e5-c6ad-4a2a-8342-4190687cbf4a",
    "Storage Queue Data Contributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
    "Storage Table Data Contributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
}
ASSIGNMENTS = resources("Microsoft.Authorization/roleAssignments")
ACCOUNTS = resources("Microsoft.Storage/storageAccounts")


def role_of(assignment: Declaration) -> str:
    """Name the role that is assigned, by its name or by its id."""
    definition = assignment.value["properties"]["roleDefinitionId"].text
    if named := re.search(r"role\['([^']+)'\]", definition):
        return named[1]
    return next(name for name, role_id in BUILT_IN_ROLES.items() if role_id in definition)


def test_role_ids_are_the_well_known_ones() -> None:
    """A GUID in Bicep is that of the role it is called by, and there is no other."""
    assert one(INFRA / "roles.bicep", "var", "role").value.items() <= BUILT_IN_ROLES.items()
    guid = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
    used = {found for path in FILES for found in guid.findall(path.read_text())}
    assert used == set(BUILT_IN_ROLES.values())


def test_who_has_which_role_where() -> None:
    """The whole list: a role more or wider is a decision, to be made here too."""
    granted = sorted(
        (found.value["properties"]["principalId"].text, role_of(found), found.value["scope"].text)
        for _, found in ASSIGNMENTS
    )
    assert granted == [
        ("appPrincipalId", "Communication and Email Service Owner", "communication"),
        ("appPrincipalId", "EventGrid Data Sender", "domainTopic"),
        ("appPrincipalId", "Monitoring Metrics Publisher", "insights"),
        ("appPrincipalId", "Storage Blob Data Contributor", "archive::blobs::recordings"),
        ("appPrincipalId", "Storage Blob Data Owner", "storage"),
        ("appPrincipalId", "Storage Blob Delegator", "archive"),
        ("appPrincipalId", "Storage Queue Data Contributor", "storage"),
        ("appPrincipalId", "Storage Table Data Contributor", "storage"),
        ("eventGridPrincipalId", "Storage Blob Data Contributor", "storage::blobs::deadLetters"),
    ]


@pytest.mark.parametrize(("path", "assignment"), ASSIGNMENTS, ids=[found.name for _, found in ASSIGNMENTS])
def test_each_role_has_its_reason(path: Path, assignment: Declaration) -> None:
    """A reason stands beside each role, and its name is the same for the same grant: it can be deployed again."""
    reason = re.search(r"@description\('(.+)'\)", assignment.decorators)
    assert reason is not None, f"{path.name}: {assignment.name} has no reason"
    assert len(reason[1]) > 30
    name = assignment.value["name"].text
    assert name.startswith(
        f"guid({assignment.value['scope'].text}.id, {assignment.value['properties']['principalId'].text}, "
    )
    assert name.removesuffix(")").rpartition(", ")[2] in assignment.value["properties"]["roleDefinitionId"].text


@pytest.mark.parametrize(("path", "account"), ACCOUNTS, ids=[path.stem for path, _ in ACCOUNTS])
def test_storage_is_closed(path: Path, account: Declaration) -> None:
    """No shared key, nothing public, nothing below TLS 1.2, and a way back from a deletion."""
    properties = account.value["properties"]
    assert (properties["allowSharedKeyAccess"], properties["allowBlobPublicAccess"]) == (False, False)
    assert (properties["minimumTlsVersion"], properties["supportsHttpsTrafficOnly"]) == ("TLS1_2", True)
    blobs = one(path, "resource", "blobs").value["properties"]
    assert (blobs["isVersioningEnabled"], blobs["deleteRetentionPolicy"]["enabled"]) == (True, True)
    assert blobs["containerDeleteRetentionPolicy"]["enabled"] is True


def test_there_are_two_accounts() -> None:
    """What is in flight and what is archived are kept apart."""
    assert [path.name for path, _ in ACCOUNTS] == ["archive.bicep", "storage.bicep"]


def test_archive_takes_immutability() -> None:
    """Support for it is given when the container is made: later it needs a migration."""
    recordings = one(INFRA / "archive.bicep", "resource", "recordings").value["properties"]
    assert recordings["immutableStorageWithVersioning"] == {"enabled": True}


def test_no_container_is_public() -> None:
    """Each container says so itself."""
    made = resources("Microsoft.Storage/storageAccounts/blobServices/containers")
    assert [found.value["properties"]["publicAccess"] for _, found in made] == ["None", "None"]


def test_nothing_deletes_from_staging() -> None:
    """Only the timer knows that a recording is safe elsewhere: no lifecycle rule on current blobs names staging."""
    rules = [
        one(INFRA / "storage.bicep", "var", name).value["definition"] for name in ("deleteVersions", "deleteEvents")
    ]
    on_current = [rule for rule in rules if "baseBlob" in rule["actions"]]
    prefixes = [prefix for rule in on_current for prefix in rule["filters"]["prefixMatch"]]
    assert prefixes == ["${quarantineContainer}/", "${deadLetterContainer}/"]


def test_local_authentication_is_off() -> None:
    """Telemetry and domain events are sent by identity only."""
    assert one(INFRA / "monitoring.bicep", "resource", "insights").value["properties"]["DisableLocalAuth"] is True
    assert one(INFRA / "domain-events.bicep", "resource", "topic").value["properties"]["disableLocalAuth"] is True


def test_no_publishing_password() -> None:
    """Deployment by user name and password is off, for FTP and for the deployment site."""
    policies = resources("basicPublishingCredentialsPolicies")
    assert {found.value["name"]: found.value["properties"]["allow"] for _, found in policies} == {
        "ftp": False,
        "scm": False,
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_key_is_read_or_given_away(path: Path) -> None:
    """Nothing lists keys, no parameter takes a secret, no output has one in its name."""
    source = path.read_text()
    assert re.findall(r"\blist\w*\(|AccountKey|SharedAccessKey|sharedKey\b", source) == []
    outputs = [text(found.node) for found in declarations(path, "output")]
    suspicious = re.compile(r"key|secret|password|token|\bsas\b", re.IGNORECASE)
    assert [found for found in outputs if suspicious.search(found)] == []


def test_main_gives_no_connection_string() -> None:
    """What azd writes into its environment names resources only."""
    named = " ".join(text(found.node) for found in declarations(INFRA / "main.bicep", "output"))
    assert "onnection" not in named
