"""infra/access-logs.bicep and communication-logs.bicep: what is sent to the workspace, and what is asked there."""

import re

import pytest

from recording.commands import reconcile
from tests.infra.snapshots import Resource, named, resource, resources, variants
from tests.support.documents import COMPLIANCE, blocks

TYPE = "Microsoft.Insights/diagnosticSettings"
READ, WRITE, DELETE = "StorageRead", "StorageWrite", "StorageDelete"
# Categories of https://learn.microsoft.com/azure/azure-monitor/reference/supported-logs/logs-index, and their tables.
TABLES = {
    "CallRecordingSummary": "ACSCallRecordingSummary",
    "CallRecordingOperational": "ACSCallRecordingIncomingOperations",
}
# Columns of https://learn.microsoft.com/azure/azure-monitor/reference/tables/storagebloblogs that queries here use.
COLUMNS = {
    *("TimeGenerated", "Category", "Uri", "ObjectKey", "OperationName", "StatusText", "AuthenticationType"),
    *("RequesterUpn", "RequesterObjectId", "CallerIpAddress", "UserAgentHeader", "ResponseBodySize", "RequestBodySize"),
}
# Of AppTraces and AppRequests.
OURS = {"TimeGenerated", "Message", "Name", "Url", "ResultCode"}


def categories(setting: Resource) -> list[str]:
    """Name what a setting sends."""
    return [log["category"] for log in setting.properties["logs"] if log["enabled"]]


def sent(variant: str) -> dict[str, list[str]]:
    """Return the categories of each resource that sends its logs, by the resource's id."""
    return {one.id.partition("/providers/Microsoft.Insights/")[0]: categories(one) for one in resources(TYPE, variant)}


@pytest.mark.parametrize("variant", [one for one in variants() if one != "everything-off"])
def test_every_request_for_a_recording_is_on_record(variant: str) -> None:
    """All accounts send what is read, written and deleted; of queues not what is read, for that never ends."""
    accounts = resources("Microsoft.Storage/storageAccounts", variant)
    wanted = {
        f"{account.id}/{service}Services/default": [READ, WRITE, DELETE] if service != "queue" else [WRITE, DELETE]
        for account in accounts
        for service in ("blob", "queue", "table")
    }
    assert len(accounts) == 3
    assert wanted.items() <= sent(variant).items()


@pytest.mark.parametrize("variant", [one for one in variants() if one != "everything-off"])
def test_acs_reports_its_recordings(variant: str) -> None:
    """From the ACS resource, wherever it is, into tables of their own."""
    [setting] = [one for one in resources(TYPE, variant) if "Microsoft.Communication" in one.id]
    assert [TABLES[name] for name in categories(setting)] == list(TABLES.values())
    assert setting.properties["logAnalyticsDestinationType"] == "Dedicated"
    assert setting.group == ("rg-telephony" if variant.startswith("existing-") else "rg-recordings")


@pytest.mark.parametrize("variant", variants())
def test_logs_go_to_the_workspace_of_the_deployment(variant: str) -> None:
    """Under a name of the deployment's own, so that two deployments on one ACS resource keep theirs."""
    workspace = resource("Microsoft.OperationalInsights/workspaces", variant=variant)
    for setting in resources(TYPE, variant):
        assert setting.properties["workspaceId"] == workspace.id
        assert setting.name == f"recordings-{workspace.name.removeprefix('log-')}"


def test_both_can_be_turned_off() -> None:
    """One parameter for the accounts, one for ACS."""
    assert resources(TYPE, "everything-off") == []
    assert set(named(TYPE)) != set()


def test_reconcile_asks_tables_that_are_sent() -> None:
    """The command's queries are about a table of ACS's, and about the app's lines."""
    asked = {query.split()[0] for query in (reconcile.RECORDED, reconcile.ARCHIVED)}
    assert asked == {TABLES["CallRecordingSummary"], "AppTraces"}


@pytest.mark.parametrize("query", [one for one in blocks("kusto", COMPLIANCE) if "StorageBlobLogs" in one])
def test_queries_of_the_documents_name_columns(query: str) -> None:
    """A column in capitals is one of the tables that the query reads; fields are read as everywhere."""
    bare = re.sub(r'"[^"]*"', '""', query)
    words = set(re.findall(r"(?<![\w.])[A-Z]\w+", bare))
    assert words - COLUMNS - OURS == {"StorageBlobLogs", *re.findall(r"AppTraces|AppRequests", query)}
    assert query.count("parse_json") == query.count('parse_json(substring(Message, indexof(Message, "{")))')
    assert (bare.count("("), bare.count("{")) == (bare.count(")"), bare.count("}"))


def test_the_documents_say_how_long_rows_are_kept() -> None:
    """Who asks about last month needs rows that old: thirty days by default, and compliance.md has how to get more."""
    days = resource("Microsoft.OperationalInsights/workspaces").properties["retentionInDays"]
    changed = resource("Microsoft.OperationalInsights/workspaces", variant="everything-on").properties[
        "retentionInDays"
    ]
    assert (days, changed) == (30, 90)
    assert "azd env set LOG_RETENTION_DAYS 90" in COMPLIANCE
