"""infra/snapshots: as new as the templates, and names that Azure accepts. No compiler is needed."""

import re

import pytest

from tests.infra.snapshots import DIGESTS, INFRA, REPAIR, SNAPSHOTS, digests, environments, resources, variants

NAME = r"(?!-)[A-Za-z0-9-]{{{},{}}}(?<!-)"
RULE = r"[^*<>%{{}}&:\\?/#|]{{1,{}}}(?<![ .])"
GUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# Which end the names of a cloud's storage have is known to Azure only.
ZONE = r"\[format\(.*'privatelink\..+\)\]"
# https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
NAMES = {
    "Microsoft.Authorization/roleAssignments": r"\[guid\(.+\)\]",
    "Microsoft.Authorization/roleDefinitions": GUID,
    "Microsoft.Communication/communicationServices": NAME.format(1, 63),
    "Microsoft.EventGrid/systemTopics": NAME.format(3, 128),
    "Microsoft.EventGrid/systemTopics/eventSubscriptions": NAME.format(3, 64),
    "Microsoft.EventGrid/topics": NAME.format(3, 50),
    "Microsoft.Insights/actionGroups": RULE.format(260),
    "Microsoft.Insights/components": RULE.format(260),
    "Microsoft.Insights/diagnosticSettings": r"[\w.-]{1,260}",
    "Microsoft.Insights/metricAlerts": RULE.format(260),
    "Microsoft.Insights/scheduledQueryRules": RULE.format(260),
    "Microsoft.Insights/workbooks": GUID,
    "Microsoft.ManagedIdentity/userAssignedIdentities": r"[A-Za-z0-9][A-Za-z0-9_-]{2,127}",
    "Microsoft.Network/natGateways": RULE.format(80),
    "Microsoft.Network/privateDnsZones": ZONE,
    "Microsoft.Network/privateDnsZones/virtualNetworkLinks": ZONE,
    "Microsoft.Network/privateEndpoints": RULE.format(64),
    "Microsoft.Network/privateEndpoints/privateDnsZoneGroups": "default",
    "Microsoft.Network/publicIPAddresses": RULE.format(80),
    "Microsoft.Network/virtualNetworks": NAME.format(2, 64),
    "Microsoft.OperationalInsights/workspaces": NAME.format(4, 63),
    "Microsoft.Resources/resourceGroups": r"[\w.()-]{1,90}(?<!\.)",
    "Microsoft.Storage/storageAccounts": r"[a-z0-9]{3,24}",
    "Microsoft.Storage/storageAccounts/blobServices": "default",
    "Microsoft.Storage/storageAccounts/blobServices/containers": r"[a-z0-9](-?[a-z0-9]){2,62}",
    "Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies": "default",
    "Microsoft.Storage/storageAccounts/managementPolicies": "default",
    "Microsoft.Storage/storageAccounts/queueServices": "default",
    "Microsoft.Storage/storageAccounts/queueServices/queues": r"[a-z0-9](-?[a-z0-9]){2,62}",
    "Microsoft.Web/serverfarms": NAME.format(1, 60),
    # 60 are allowed, but the host's own id is cut off behind 32: two apps could then be taken for one.
    "Microsoft.Web/sites": NAME.format(2, 32),
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": "ftp|scm",
    "Microsoft.Web/sites/config": "appsettings",
}
VARIANTS = [variant for found in environments().values() for variant in found]


def test_snapshots_are_those_of_the_templates() -> None:
    """A template that changed without its snapshots would be tested as it was before; a snapshot is not edited."""
    stored = set(DIGESTS.read_text().splitlines())
    now = set(digests().splitlines())
    changed = sorted({line.split("  ")[1] for line in stored ^ now})
    assert changed == [], f"{', '.join(changed)}: changed since the snapshots were made. To repair it, {REPAIR}"


def test_each_variant_has_its_snapshot() -> None:
    """No variant is missing, and no snapshot is left of one that was removed."""
    assert sorted(path.stem for path in SNAPSHOTS.glob("*.json")) == sorted(VARIANTS)


def test_variants_are_set_by_the_environment() -> None:
    """A variable of a variant is one that its parameter file reads: a misspelt one would evaluate the default again."""
    for parameters, found in environments().items():
        read = set(re.findall(r"readEnvironmentVariable\('(\w+)'", (INFRA / parameters).read_text()))
        assert {name for environment in found.values() for name in environment} - read == set()


@pytest.mark.parametrize("variant", VARIANTS)
def test_names_are_within_their_limits(variant: str) -> None:
    """Each type of resource has its own length and characters; a type that is new here is looked up first."""
    found = [
        (one.type, one.name if one.name.startswith("[") else one.name.rpartition("/")[2])
        for one in resources(variant=variant)
    ]
    assert {type for type, _ in found} - set(NAMES) == set()
    assert [(type, name) for type, name in found if not re.fullmatch(NAMES[type], name)] == []


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_resource_is_made_once(variant: str) -> None:
    """Two modules that make the same resource would overwrite each other's."""
    ids = [one.id for one in resources(variant=variant)]
    assert sorted(ids) == sorted(set(ids))


@pytest.mark.parametrize("variant", variants())
def test_everything_is_in_the_group_of_the_deployment(variant: str) -> None:
    """Only topic, role and logs of an existing ACS resource are made elsewhere: in that resource's group."""
    elsewhere = {one.type for one in resources(variant=variant) if one.group not in ("rg-recordings", "")}
    existing = {
        "Microsoft.Authorization/roleAssignments",
        "Microsoft.EventGrid/systemTopics",
        "Microsoft.Insights/diagnosticSettings",
    }
    assert elsewhere == (existing if variant.startswith("existing-") else set())
