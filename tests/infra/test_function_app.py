"""The evaluated plan and app: how they run, scale and are updated."""

import pytest

from tests.infra.snapshots import resource, variants

APP, PLAN = "Microsoft.Web/sites", "Microsoft.Web/serverfarms"


def test_zones_are_a_choice() -> None:
    """The plan uses several zones where that was asked for."""
    assert [resource(PLAN, variant=v).properties["zoneRedundant"] for v in ("default", "everything-on")] == [
        False,
        True,
    ]


def test_the_update_strategy_is_sent_only_when_it_is_chosen() -> None:
    """By default nothing depends on a property that the published types of the API don't have."""
    configs = [resource(APP, variant=v).properties["functionAppConfig"] for v in ("default", "everything-on")]
    assert [config.get("siteUpdateStrategy") for config in configs] == [None, {"type": "RollingUpdate"}]


@pytest.mark.parametrize("variant", variants())
def test_only_encrypted_requests_are_answered(variant: str) -> None:
    """No HTTP, and no TLS below 1.2."""
    properties = resource(APP, variant=variant).properties
    assert (properties["httpsOnly"], properties["siteConfig"]["minTlsVersion"]) == (True, "1.2")


def test_a_new_acs_resource_has_an_identity() -> None:
    """ACS writes a recording into one's own container with it (externalStorage)."""
    acs = resource("Microsoft.Communication/communicationServices")
    assert acs.body["identity"] == {"type": "SystemAssigned"}
