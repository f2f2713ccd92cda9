"""infra/snapshots: with private networking nothing but the app's own network reaches the storage accounts."""

from ipaddress import ip_network
from itertools import combinations, product
from typing import Any

import pytest

from tests.infra.snapshots import Resource, named, resource, resources, strings, variants

PRIVATE = "private-networking"
ACCOUNT = "Microsoft.Storage/storageAccounts"
NETWORK = "Microsoft.Network"
SERVICES = ("blob", "queue", "table")


def subnets() -> dict[str, dict[str, Any]]:
    """Return the subnets of the network by name."""
    return {
        one["name"]: one["properties"]
        for one in resource(f"{NETWORK}/virtualNetworks", variant=PRIVATE).properties["subnets"]
    }


def accounts(variant: str) -> tuple[Resource, Resource, Resource]:
    """Return the accounts of staging, of the archive and of derived files."""
    found = {one.name[:-13]: one for one in resources(ACCOUNT, variant)}
    return found["st"], found["starc"], found["stdv"]


@pytest.mark.parametrize("variant", [one for one in variants() if one != PRIVATE])
def test_no_network_is_made_unasked(variant: str) -> None:
    """It costs by the hour: without the parameter there is none, and the accounts can be reached, by identity."""
    assert [one.type for one in resources(variant=variant) if one.type.startswith(NETWORK)] == []
    assert {one.properties["networkAcls"]["defaultAction"] for one in accounts(variant)} == {"Allow"}
    assert resource("Microsoft.Web/sites", variant=variant).properties["virtualNetworkSubnetId"] is None


def test_storage_can_be_reached_from_nowhere_else() -> None:
    """No address and no network is let in; of trusted services Event Grid has to write its dead letters."""
    for account in accounts(PRIVATE):
        assert account.properties["networkAcls"] == {"defaultAction": "Deny", "bypass": "AzureServices"}
    staging, archive, derived = accounts(PRIVATE)
    assert archive.properties["publicNetworkAccess"] == derived.properties["publicNetworkAccess"] == "Disabled"
    # Where that shuts out trusted services, dead letters would be lost.
    assert staging.properties.get("publicNetworkAccess", "Enabled") == "Enabled"


def test_each_service_of_each_account_has_its_endpoint_and_its_name() -> None:
    """Each is for one service of one account, in the subnet for endpoints, with the DNS zone of its service.

    Of the account of derived files only blobs are used, and an endpoint is paid by the hour.
    """
    endpoints = named(f"{NETWORK}/privateEndpoints", PRIVATE)
    found = {
        (connection["properties"]["privateLinkServiceId"].rpartition("/")[2], group)
        for one in endpoints.values()
        for connection in one.properties["privateLinkServiceConnections"]
        for group in connection["properties"]["groupIds"]
    }
    staging, archive, derived = accounts(PRIVATE)
    assert found == {(derived.name, "blob"), *product((staging.name, archive.name), SERVICES)}
    assert {one.properties["subnet"]["id"].rpartition("/")[2] for one in endpoints.values()} == {"endpoints"}
    groups = {one.name: one for one in resources(f"{NETWORK}/privateEndpoints/privateDnsZoneGroups", PRIVATE)}
    assert set(groups) == {f"{name}/default" for name in endpoints}
    for name, group in groups.items():
        [config] = group.properties["privateDnsZoneConfigs"]
        service = name.partition("/")[0].rpartition("-")[2]
        assert f"format('privatelink.{{0}}.{{1}}', '{service}', " in config["properties"]["privateDnsZoneId"]


def test_names_are_resolved_in_the_network() -> None:
    """Each service has its DNS zone, linked to the network, and registers no machine in it."""
    network = resource(f"{NETWORK}/virtualNetworks", variant=PRIVATE)
    zones = [one.name for one in resources(f"{NETWORK}/privateDnsZones", PRIVATE)]
    assert [zone.split("'")[3] for zone in zones] == list(SERVICES)
    links = resources(f"{NETWORK}/privateDnsZones/virtualNetworkLinks", PRIVATE)
    assert len(links) == len(zones)
    for link in links:
        assert link.properties == {"registrationEnabled": False, "virtualNetwork": {"id": network.id}}


def test_the_app_is_in_the_network() -> None:
    """All that it sends goes through a subnet that is Flex Consumption's alone, and has a way out to ACS."""
    subnet = resource("Microsoft.Web/sites", variant=PRIVATE).properties["virtualNetworkSubnetId"]
    assert subnet == f"{resource(f'{NETWORK}/virtualNetworks', variant=PRIVATE).id}/subnets/app"
    [delegation] = subnets()["app"]["delegations"]
    assert delegation["properties"]["serviceName"] == "Microsoft.App/environments"
    assert subnets()["app"]["natGateway"]["id"] == resource(f"{NETWORK}/natGateways", variant=PRIVATE).id


def test_subnets_lie_apart_within_the_prefix() -> None:
    """They follow from one prefix, have room for the app's instances and for the endpoints, and no underscore."""
    prefixes = resource(f"{NETWORK}/virtualNetworks", variant=PRIVATE).properties["addressSpace"]["addressPrefixes"]
    whole = ip_network(prefixes[0])
    found = {name: ip_network(one["addressPrefix"]) for name, one in subnets().items()}
    assert str(whole) == "10.20.4.0/23"
    assert all(one.subnet_of(whole) for one in found.values())  # type: ignore[arg-type]
    assert not any(one.overlaps(other) for one, other in combinations(found.values(), 2))
    assert (found["app"].prefixlen, found["endpoints"].prefixlen) == (25, 26)
    assert "_" not in "".join(strings(list(found)))
