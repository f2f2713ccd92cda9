"""The evaluated plan and app: how they run, scale and are updated."""

import json
from typing import Any

import pytest

from tests.infra.snapshots import ROOT, resource, variants

APP, PLAN = "Microsoft.Web/sites", "Microsoft.Web/serverfarms"


def scale(variant: str) -> dict[str, Any]:
    """Return how a variant's app scales."""
    found: dict[str, Any] = resource(APP, variant=variant).properties["functionAppConfig"]["scaleAndConcurrency"]
    return found


def test_an_app_that_records_by_itself_is_always_ready() -> None:
    """An idle app may reject Event Grid's first delivery, which is repeated minutes later (AUTO_RECORD needs it)."""
    found = {variant: scale(variant)["alwaysReady"] for variant in variants()}
    assert (found["default"], found["private-networking"]) == ([], [{"name": "http", "instanceCount": 1}])
    # Two in a plan with zones, and as many as were asked for.
    assert [found[v][0]["instanceCount"] for v in ("everything-on", "without-zones")] == [2, 3]


def test_an_instance_gets_as_many_requests_as_were_measured() -> None:
    """By default the platform gives an instance of Python one at a time, and starts a hundred for a burst of events."""
    [measured] = [
        row
        for row in _measurements()
        if row["benchmark"] == "burst"
        and row["connections"] == scale("default")["triggers"]["http"]["perInstanceConcurrency"]
    ]
    said = f"a thousand events within {measured['answer_p99_seconds']} s (p99"
    assert measured["events"] == 1000
    assert said in (ROOT / "infra" / "main.bicep").read_text()
    assert scale("everything-on")["triggers"]["http"]["perInstanceConcurrency"] == 64


@pytest.mark.parametrize("variant", variants())
def test_memory_is_enough_for_what_was_measured(variant: str) -> None:
    """What chunks or a run of the timer added to an idle process, for each chunk at a time, fits in half of it.

    512 MB is refused (compiled.py): the host and an idle worker were not measured.
    """
    queues = json.loads((ROOT / "host.json").read_text())["extensions"]["queues"]
    measured = [row.get("peak_mib_above_idle") or 0 for row in _measurements() if row["contender"] == "ours"]
    assert max(measured) > 0
    at_a_time = queues["batchSize"] + queues["newBatchThreshold"]
    assert max(measured) * at_a_time < scale(variant)["instanceMemoryMB"] / 2


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


def _measurements() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((ROOT / "benchmarks" / "results.json").read_text())["rows"]
    return rows
