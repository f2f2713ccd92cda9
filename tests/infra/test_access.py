"""infra/snapshots: who may do what, and that no key is used or given away."""

import re

import pytest

from tests.infra.snapshots import INFRA, ROLES, Resource, named, resource, resources, snapshot, strings, variants

FILES = sorted(INFRA.glob("*.bicep"))
ASSIGNMENT = "Microsoft.Authorization/roleAssignments"
ACCOUNT = "Microsoft.Storage/storageAccounts"


def who(assignment: Resource) -> str:
    """Name the identity that a role is given to: `app` or `events`."""
    principal = assignment.properties["principalId"]
    found = re.fullmatch(
        r"\[reference\('\S+/userAssignedIdentities/id-(\w+)-\w+', '[\d-]+'\)\.principalId\]", principal
    )
    assert found is not None, principal
    return found[1]


def where(assignment: Resource) -> str:
    """Name the resource that a role is given on, by the provider's type and the name without its token."""
    types, name = re.split(r"/([^/]+)$", assignment.scope.rpartition("/providers/")[2])[:2]
    return f"{types.rpartition('/')[2]}/{re.sub(r'-?[a-z0-9]{13}$', '', name)}"


@pytest.mark.parametrize("variant", variants())
def test_who_has_which_role_where(variant: str) -> None:
    """The whole list: a role more or wider is a decision, to be made here too."""
    assigned = [one for one in resources(ASSIGNMENT, variant) if one not in erasing(variant)]
    granted = sorted(
        (who(one), ROLES[one.properties["roleDefinitionId"].rpartition("/")[2]], where(one)) for one in assigned
    )
    communication = "acs-contoso" if variant.startswith("existing-") else "acs"
    assert granted == [
        ("app", "Communication and Email Service Owner", f"communicationServices/{communication}"),
        ("app", "EventGrid Data Sender", "topics/evgt-recordings"),
        ("app", "Monitoring Metrics Publisher", "components/appi"),
        ("app", "Storage Blob Data Contributor", "containers/recordings-archive"),
        ("app", "Storage Blob Data Contributor", "containers/recordings-derived"),
        ("app", "Storage Blob Data Owner", "storageAccounts/st"),
        ("app", "Storage Blob Delegator", "storageAccounts/starc"),
        ("app", "Storage Blob Delegator", "storageAccounts/stdv"),
        ("app", "Storage Queue Data Contributor", "storageAccounts/st"),
        ("app", "Storage Table Data Contributor", "storageAccounts/st"),
        ("events", "Storage Blob Data Contributor", "containers/recordings-dead-letter"),
    ]


def erasing(variant: str) -> list[Resource]:
    """Return the assignments of the deployment's own role, which is off by default."""
    roles = [one.properties["roleDefinitionId"].rpartition("/")[2] for one in resources(ASSIGNMENT, variant)]
    return [one for one, role in zip(resources(ASSIGNMENT, variant), roles, strict=True) if role not in ROLES]


def test_the_role_that_erases_has_only_that() -> None:
    """Three data actions on the archive's container, only where it was asked for; then deletions can be for good."""
    [role] = resources("Microsoft.Authorization/roleDefinitions", "everything-on")
    [assignment] = erasing("everything-on")
    [permission] = role.properties["permissions"]
    blobs = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
    assert permission["actions"] == []
    assert permission["dataActions"] == [
        f"{blobs}/deleteBlobVersion/action",
        f"{blobs}/permanentDelete/action",
        f"{blobs}/immutableStorage/runAsSuperUser/action",
    ]
    assert (who(assignment), where(assignment)) == ("app", "containers/recordings-archive")
    for variant in variants():
        is_on = variant == "everything-on"
        assert len(erasing(variant)) == len(resources("Microsoft.Authorization/roleDefinitions", variant)) == is_on
        for service in resources(f"{ACCOUNT}/blobServices", variant):
            policy = service.properties["deleteRetentionPolicy"]
            # The account of derived files keeps nothing that was deleted.
            assert policy.get("allowPermanentDelete", False) is (is_on and policy["enabled"])


@pytest.mark.parametrize("variant", variants())
def test_a_grant_has_the_same_name_each_time(variant: str) -> None:
    """A role assignment is named by scope, identity and role: it can be deployed again."""
    for one in resources(ASSIGNMENT, variant):
        if one in erasing(variant):
            continue
        principal, role = one.properties["principalId"].strip("[]"), one.properties["roleDefinitionId"]
        assert one.name == f"[guid('{one.scope}', {principal}, '{role.rpartition('/')[2]}')]"
        assert one.properties["principalType"] == "ServicePrincipal"


def test_each_role_has_its_reason() -> None:
    """Each role has its reason beside it, for whoever changes it."""
    source = "".join(path.read_text() for path in FILES)
    made = len(re.findall(rf"^resource \w+ '{ASSIGNMENT}@", source, re.MULTILINE))
    reasons = re.findall(rf"^@description\('(.{{30,}})'\)\nresource \w+ '{ASSIGNMENT}@", source, re.MULTILINE)
    assert (len(reasons), made) == (len(resources(ASSIGNMENT, "everything-on")),) * 2


@pytest.mark.parametrize("variant", variants())
def test_storage_is_closed(variant: str) -> None:
    """No shared key, nothing public, nothing below TLS 1.2, and a way back from a deletion, except of derived files."""
    for account in resources(ACCOUNT, variant):
        properties = account.properties
        assert (properties["allowSharedKeyAccess"], properties["allowBlobPublicAccess"]) == (False, False)
        assert (properties["minimumTlsVersion"], properties["supportsHttpsTrafficOnly"]) == ("TLS1_2", True)
    for blobs in resources(f"{ACCOUNT}/blobServices", variant):
        policies = ("deleteRetentionPolicy", "containerDeleteRetentionPolicy")
        kept = [blobs.properties["isVersioningEnabled"], *(blobs.properties[one]["enabled"] for one in policies)]
        assert kept == [not blobs.name.startswith("stdv")] * 3


@pytest.mark.parametrize("variant", variants())
def test_there_are_three_accounts(variant: str) -> None:
    """What is in flight, what is archived and what is made from it are kept apart: each has settings of its own."""
    accounts = [one.name for one in resources(ACCOUNT, variant)]
    assert sorted(re.sub(r".{13}$", "", name) for name in accounts) == ["st", "starc", "stdv"]
    assert sorted(one.name for one in resources(f"{ACCOUNT}/blobServices", variant)) == sorted(
        f"{name}/default" for name in accounts
    )


def test_redundancy_can_be_chosen() -> None:
    """Two accounts use zones by default, and neither where the region has none; derived files can be made again."""
    accounts = {variant: {one.name[:-13]: one for one in resources(ACCOUNT, variant)} for variant in variants()}
    assert {found["stdv"].body["sku"]["name"] for found in accounts.values()} == {"Standard_LRS"}
    skus = {variant: [found[n].body["sku"]["name"] for n in ("st", "starc")] for variant, found in accounts.items()}
    assert skus["default"] == ["Standard_ZRS"] * 2
    assert skus["without-zones"] == ["Standard_GRS"] * 2


@pytest.mark.parametrize("variant", variants())
def test_no_container_is_public(variant: str) -> None:
    """Each container says so itself."""
    containers = resources(f"{ACCOUNT}/blobServices/containers", variant)
    assert {one.properties["publicAccess"] for one in containers} == {"None"}


@pytest.mark.parametrize("variant", variants())
def test_local_authentication_is_off(variant: str) -> None:
    """Telemetry, domain events and requests to a new ACS resource are sent by identity only."""
    assert resource("Microsoft.Insights/components", variant=variant).properties["DisableLocalAuth"] is True
    assert resource("Microsoft.EventGrid/topics", variant=variant).properties["disableLocalAuth"] is True
    for acs in resources("Microsoft.Communication/communicationServices", variant):
        assert acs.properties["disableLocalAuth"] is True


@pytest.mark.parametrize("variant", variants())
def test_no_publishing_password(variant: str) -> None:
    """Deployment by user name and password is off, for FTP and for the deployment site."""
    policies = named("Microsoft.Web/sites/basicPublishingCredentialsPolicies", variant)
    assert {name: one.properties for name, one in policies.items()} == {
        "ftp": {"allow": False},
        "scm": {"allow": False},
    }


@pytest.mark.parametrize("variant", variants())
def test_no_key_is_read_or_given_away(variant: str) -> None:
    """Nothing lists keys, and no output has one in its name or its value."""
    found = snapshot(variant)
    assert [text for text in strings(found) if re.search(r"\blist\w*\(|AccountKey=|SharedAccessKey", text)] == []
    suspicious = re.compile(r"key|secret|password|token|\bsas\b|connection", re.IGNORECASE)
    assert [text for text in strings(found["outputs"]) if suspicious.search(text)] == []


@pytest.mark.parametrize("variant", ["default", "everything-on"])
def test_only_the_page_may_read_media_by_script(variant: str) -> None:
    """Of staging and the archive, from the app's own names; without a page nobody may."""
    services = resources("Microsoft.Storage/storageAccounts/blobServices", variant)
    rules = {one.name.partition("/")[0][:-13]: one.properties.get("cors", {}).get("corsRules", []) for one in services}
    origins = {
        account: [re.sub(r"-\w{13}\.", ".", origin) for rule in some for origin in rule["allowedOrigins"]]
        for account, some in rules.items()
    }

    own = ["https://func.azurewebsites.net", "https://recordings.example.com"] if variant == "everything-on" else []
    assert {"st": own, "starc": own, "stdv": []} == origins
    assert all({"GET", "HEAD"} == set(rule["allowedMethods"]) for some in rules.values() for rule in some)
