"""The alerts and the workbook of the deployment, and what their queries look for."""

import json
import re
from typing import Any

from pydantic.alias_generators import to_camel

from recording.model.trail import TrailEntry
from tests.infra.app_code import fields
from tests.infra.snapshots import INFRA, Resource, resources

QUERY_RULES = {one.properties["displayName"]: one for one in resources("Microsoft.Insights/scheduledQueryRules")}
METRIC_RULES = {one.name.rpartition("-")[0]: one for one in resources("Microsoft.Insights/metricAlerts")}
RULES = QUERY_RULES | METRIC_RULES


def criterion(rule: Resource) -> dict[str, Any]:
    """Return the one criterion of an alert."""
    [found] = rule.properties["criteria"]["allOf"]
    assert isinstance(found, dict)
    return found


WORKBOOK = json.loads((INFRA / "workbook.json").read_text())
PANELS = {item["name"]: item["content"]["query"] for item in WORKBOOK["items"] if item["type"] == 3}
QUERIES = {name: str(criterion(rule)["query"]) for name, rule in QUERY_RULES.items()} | {
    f"workbook {k}": v for k, v in PANELS.items()
}
# Written by the Functions host, not by the app: WebJobs' QueueProcessor (docs/functions-host.md#queue).
OF_THE_HOST = ["Message has reached MaxDequeueCount"]
# Durations that Azure Monitor takes as the window of a log alert.
WINDOWS = ["PT5M", "PT10M", "PT15M", "PT30M", "PT45M", "PT1H", "PT2H", "PT3H", "PT4H", "PT5H", "PT6H", "P1D"]


def prefixes(query: str) -> list[str]:
    """Return the beginnings of messages that a query looks for."""
    return re.findall(r'startswith "([^"]+)"', query)


def written_with(prefix: str) -> set[str]:
    """Name the fields that lines with this beginning have; those of control operations are of the trail's entry."""
    audited = {to_camel(name) for name in TrailEntry.model_fields} if prefix == "recording.start " else set()
    return fields(prefix.strip()) | audited
