"""infra/alerts.bicep and workbook.json against what the app logs, and docs/operations.md."""

import json
import re
from typing import Any

import pytest

from recording.intake import backlog
from recording.model import job
from tests.infra.app_code import fields, functions, is_logged
from tests.infra.snapshots import INFRA, ROOT, Resource, resources

QUERY_RULES = {one.properties["displayName"]: one for one in resources("Microsoft.Insights/scheduledQueryRules")}
METRIC_RULES = {one.name.rpartition("-")[0]: one for one in resources("Microsoft.Insights/metricAlerts")}
RULES = QUERY_RULES | METRIC_RULES


def criterion(rule: Resource) -> dict[str, Any]:
    """Give the one criterion of an alert."""
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
    """Give the beginnings of messages that a query looks for."""
    return re.findall(r'startswith "([^"]+)"', query)


def headings(source: str) -> set[str]:
    """Give the anchors of a Markdown file's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", source, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_everything_that_was_asked_for_is_watched() -> None:
    """At risk, lost, poison, quarantined, dead-lettered, timer, silence: each has its alert."""
    assert set(RULES) >= {
        "recording-at-risk", "recording-lost", "poison-message", "event-quarantined", "event-dead-lettered",
        "timer-failed", "timer-silent", "no-events", "recording-not-announced", "recording-start-failed",
        "source-not-deleted",
    }  # fmt: skip


@pytest.mark.parametrize("name", QUERIES)
def test_queries_look_for_lines_that_the_app_writes(name: str) -> None:
    """An event that a query names is logged by the app, with the space that ends its name."""
    for prefix in prefixes(QUERIES[name]):
        assert prefix in OF_THE_HOST or (prefix.endswith(" ") and is_logged(prefix.strip())), prefix


@pytest.mark.parametrize("name", QUERIES)
def test_queries_read_fields_that_the_lines_have(name: str) -> None:
    """A field that a query reads is one that the app writes with one of the query's events."""
    query = QUERIES[name]
    written = {field for prefix in prefixes(query) for field in fields(prefix.strip())}
    assert set(re.findall(r"fields\.(\w+)", query)) - written == set()


def test_an_event_that_nobody_logs_is_found_out() -> None:
    """The check itself: an event that the app has never heard of, or half of one, doesn't pass."""
    assert [is_logged(event) for event in ("chunk.lost", "chunk.gone", "recording.start", "recording.begin")] == [
        True,
        False,
        True,
        False,
    ]


@pytest.mark.parametrize("name", QUERIES)
def test_queries_have_their_brackets(name: str) -> None:
    """Brackets and quotes are closed: there is no Kusto parser here to say more."""
    query = re.sub(r'"(?:[^"\\]|\\.)*"', '""', re.sub(r"@'[^']*'", '""', QUERIES[name]))
    assert query.count('"') % 2 == 0
    assert (query.count("("), query.count("{")) == (query.count(")"), query.count("}"))
    assert re.match(r"(traces|requests|let )", query)


@pytest.mark.parametrize("queue", [job.QUEUE, backlog.QUEUE])
def test_poison_queues_are_those_of_the_code(queue: str) -> None:
    """The host's line is counted only for our queues."""
    assert f'contains "{queue}-poison"' in QUERIES["poison-message"]


def test_requests_are_looked_up_by_names_of_functions() -> None:
    """`requests | where name == …` names a function of the app."""
    named = re.findall(r'name == "(\w+)"', " ".join(QUERIES.values()))
    assert named
    assert set(named) <= set(functions())


@pytest.mark.parametrize("rule", QUERY_RULES.values(), ids=QUERY_RULES)
def test_windows_are_valid(rule: Resource) -> None:
    """Window and frequency are ones that Azure Monitor takes, and no gap is left between two runs."""
    window, frequency = rule.properties["windowSize"], rule.properties["evaluationFrequency"]
    assert window in WINDOWS
    assert WINDOWS.index(frequency) <= WINDOWS.index(window)


@pytest.mark.parametrize("rule", QUERY_RULES.values(), ids=QUERY_RULES)
def test_dimensions_are_columns(rule: Resource) -> None:
    """An alert per recording has the recording's key or id in its result."""
    columns = [found["name"] for found in criterion(rule)["dimensions"]]
    assert [name for name in columns if f"{name} = " not in criterion(rule)["query"]] == []


def test_silence_is_measured_from_starts_that_are_logged() -> None:
    """The dead-man's switch takes its hours from the parameter, and sees two days."""
    [changed] = [one for one in resources(variant="everything-on") if one.name == QUERY_RULES["no-events"].name]
    assert ("ago(6h)" in QUERIES["no-events"], "ago(12h)" in criterion(changed)["query"]) == (True, True)
    assert changed.properties["overrideQueryTimeRange"] == "P2D"


@pytest.mark.parametrize("name", RULES)
def test_each_alert_leads_to_its_section(name: str) -> None:
    """The description says what to do and ends in a link to a heading of the runbook that exists."""
    advice, _, link = RULES[name].properties["description"].rpartition(" ")
    assert len(advice) > 60
    assert advice.endswith(".")
    assert link == f"docs/operations.md#{name}"
    assert name in headings((ROOT / "docs" / "operations.md").read_text())
    assert RULES[name].properties["enabled"] is True


def test_links_lead_to_where_the_runbook_is_read() -> None:
    """Where the runbook's address is given, each alert links to it there."""
    rules = [
        one
        for type in (QUERY_RULES, METRIC_RULES)
        for one in resources(next(iter(type.values())).type, "everything-on")
    ]
    links = [one.properties["description"].rpartition(" ")[2] for one in rules]
    assert [link.partition("#")[0] for link in links] == ["https://wiki.example.com/recordings/operations.md"] * len(
        RULES
    )


def test_runbook_has_no_dead_link() -> None:
    """Links within the runbook lead to headings, links to files lead to files."""
    source = (ROOT / "docs" / "operations.md").read_text()
    links = re.findall(r"\]\(([^)]+)\)", source)
    within = {link[1:] for link in links if link.startswith("#")}
    files = [link for link in links if not link.startswith(("#", "http"))]
    assert within - headings(source) == set()
    assert [link for link in files if not (ROOT / "docs" / link).exists()] == []


def test_runbook_names_parameters_that_exist() -> None:
    """What the runbook calls a parameter or an azd variable is one."""
    source = (ROOT / "docs" / "operations.md").read_text()
    bicep = "".join((INFRA / f).read_text() for f in ("main.bicep", "main.bicepparam", "subscriptions.bicepparam"))
    variables = set(re.findall(r'azd env set ([A-Z_]+)|"\$([A-Z_]+)"', source))
    assert [name for pair in variables for name in pair if name and name not in bicep] == []
    table = re.findall(r"^\| (`.+?`(?:, `.+?`)*) \|", source, re.MULTILINE)
    assert [name for row in table for name in re.findall(r"`(\w+)`", row) if f"param {name} " not in bicep] == []


def test_workbook_shows_the_three_things() -> None:
    """In flight by time left, throughput, failures; each panel has a name of its own."""
    titles = [item["content"]["json"].split("\n")[0] for item in WORKBOOK["items"] if item["type"] == 1]
    assert titles == ["# Call recordings", "## In flight", "## Throughput", "## Failures"]
    names = [item["name"] for item in WORKBOOK["items"]]
    assert len(names) == len(set(names))


def test_workbook_parameters_are_declared() -> None:
    """`{X}` in a panel's query is a parameter of the workbook."""
    declared = {
        parameter["name"]
        for item in WORKBOOK["items"]
        if item["type"] == 9
        for parameter in item["content"]["parameters"]
    }
    used = {name for query in PANELS.values() for name in re.findall(r"\{([A-Z]\w+)\}", query)}
    assert used <= declared
