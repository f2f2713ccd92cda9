"""infra/alerts.bicep and workbook.json against what the app logs, and docs/runbook.md."""

import json
import logging
import re
from typing import Any

import pytest

from recording.app import App
from recording.intake import backlog
from recording.model import job, layout
from tests.infra.app_code import computed_names, functions, is_logged
from tests.infra.snapshots import INFRA, Resource, resource, resources, variants
from tests.support.alerts import (
    METRIC_RULES,
    OF_THE_HOST,
    PANELS,
    QUERIES,
    QUERY_RULES,
    RULES,
    WINDOWS,
    WORKBOOK,
    criterion,
    prefixes,
    written_with,
)
from tests.support.documents import RUNBOOK, SOURCE, headings
from tests.support.emulator import Control
from tests.support.facts import put, stage, sweep


def test_everything_that_was_asked_for_is_watched() -> None:
    """At risk, lost, poison, quarantined, dead-lettered, timer, silence: each has its alert."""
    assert set(RULES) >= {
        "recording-at-risk", "recording-lost", "poison-message", "event-quarantined", "event-dead-lettered",
        "timer-failed", "timer-silent", "no-events", "recording-not-announced", "recording-start-failed",
        "source-not-deleted", "recording-missing", "chunk-not-complete", "event-derived", "recording-not-protected",
        "stops-not-checked",
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
    written = {field for prefix in prefixes(query) for field in written_with(prefix)}
    assert set(re.findall(r"fields\.(\w+)", query)) - written == set()


def test_the_check_rejects_an_event_that_is_not_logged() -> None:
    """The check itself: an unknown event, or half of a name, doesn't pass."""
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


@pytest.mark.parametrize("name", QUERIES)
def test_queries_read_fields_in_one_way(name: str) -> None:
    """A line's fields are read in one way, which the tests of recording/telemetry/log.py prove for every line."""
    query = QUERIES[name]
    message = "Message" if "AppTraces" in query else "message"
    read = f'extend fields = parse_json(substring({message}, indexof({message}, "{{")))'
    assert query.count("parse_json") == query.count(read)
    assert ("fields." in query) == (read in query)


@pytest.mark.parametrize("rule", QUERY_RULES.values(), ids=QUERY_RULES)
def test_queries_name_the_tables_of_their_resource(rule: Resource) -> None:
    """The workspace calls AppTraces what Application Insights shows as traces, and its columns otherwise, too."""
    [scope] = rule.properties["scopes"]
    words = set(re.findall(r"\w+", re.sub(r'"[^"]*"', "", criterion(rule)["query"])))
    insights, workspace = {"traces", "requests", "message", "timestamp"}, {"AppTraces", "Message", "TimeGenerated"}
    foreign = workspace if "/components/" in scope else insights
    assert "/components/" in scope or "/workspaces/" in scope
    assert words & foreign == set()


def test_the_name_of_every_log_event_is_written_out() -> None:
    """Grep finds it, from the alert to the line that logs it."""
    assert [] == computed_names()


def split(rule: Resource, messages: list[str]) -> set[tuple[str, ...]]:
    """Return which alerts lines lead to: the values of the rule's dimensions, as Azure Monitor and Kusto find them.

    `parse_json` of text that isn't JSON has no members, and `tostring` of none is empty.
    """
    query, found = criterion(rule)["query"], set()
    read = dict(re.findall(r"(\w+) = tostring\(fields\.(\w+)\)", query))
    for message in messages:
        if message.startswith(tuple(prefixes(query))):
            try:
                fields: dict[str, Any] = json.loads(message[message.index("{") :])
            except ValueError:
                fields = {}
            names = [dimension["name"] for dimension in criterion(rule)["dimensions"]]
            found.add(tuple(str(fields.get(read[name]) or "") for name in names))
    return found


async def test_recordings_that_fail_are_told_apart(
    app: App, control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    """Two recordings that an unexpected exception keeps from the archive are two alerts, each with its own name."""
    keys = []
    for number in range(2):
        [job] = await stage(app, await control.recording(500), event_id=f"e{number}")
        keys.append(job.recording_key)
        await put(app.settings, "archive", layout.manifest_blob(job.recording_key), b"{")
    await sweep(app)

    # What a worker hands to the host is the text that a formatter makes of a record.
    messages = [logging.Formatter().format(record) for record in caplog.records]
    assert any("Traceback (most recent call last)" in message for message in messages)
    assert split(QUERY_RULES["recording-not-archived"], messages) == {(key,) for key in keys}


def test_a_line_that_could_not_be_read_would_be_noticed() -> None:
    """The check itself: with a traceback behind the JSON, different recordings look like one."""
    behind = [f'recording.not_archived {{"recordingKey": "{key}"}}\nTraceback (most recent call last):' for key in "ab"]
    assert split(QUERY_RULES["recording-not-archived"], behind) == {("",)}


@pytest.mark.parametrize(
    "queue", [job.QUEUE, job.BULK_QUEUE, backlog.QUEUE, job.ARCHIVE_QUEUE, job.ERASURE_QUEUE, job.HOLDS_QUEUE]
)
def test_poison_queues_are_those_of_the_code(queue: str) -> None:
    """The host's line is counted only for our queues."""
    assert f'contains "{queue}-poison"' in QUERIES["poison-message"]


def test_requests_are_looked_up_by_names_of_functions() -> None:
    """`requests | where name == …` names a function of the app."""
    text = " ".join(QUERIES.values())
    listed = re.findall(r"name in \(([^)]+)\)", text)
    named = re.findall(r'name == "(\w+)"', text) + re.findall(r'"(\w+)"', " ".join(listed))
    assert len(named) > 4
    assert set(named) <= set(functions())


def test_the_query_of_a_silent_timer_asks_whether_a_function_has_run() -> None:
    """No function runs between provisioning and the first deployment. Only the text is read here, not its result."""
    rule = QUERY_RULES["timer-silent"]
    query = criterion(rule)["query"]
    assert query.index("\nrequests\n") < query.index("where invocations > 0")
    assert rule.properties["overrideQueryTimeRange"] == "P2D"
    assert (criterion(rule)["operator"], criterion(rule)["threshold"]) == ("GreaterThan", 0)


def test_the_query_of_a_failing_timer_compares_with_its_last_complete_run() -> None:
    """A run that was killed is followed by one that completes. Only the text is read here, not its result."""
    query = criterion(QUERY_RULES["timer-failed"])["query"]
    assert 'startswith "archive.ran "' in query
    assert "timestamp > coalesce(ran, datetime(2000-01-01))" in query


@pytest.mark.parametrize("rule", QUERY_RULES.values(), ids=QUERY_RULES)
def test_windows_are_valid(rule: Resource) -> None:
    """Window and frequency are ones that Azure Monitor accepts, with no gap between two runs."""
    window, frequency = rule.properties["windowSize"], rule.properties["evaluationFrequency"]
    assert window in WINDOWS
    assert WINDOWS.index(frequency) <= WINDOWS.index(window)


NAMES = {"recordingKey", "recordingId", "conversationId", "blob"}


@pytest.mark.parametrize("rule", QUERY_RULES.values(), ids=QUERY_RULES)
def test_dimensions_are_columns(rule: Resource) -> None:
    """An alert per recording has the recording's key or id in its result."""
    columns = [found["name"] for found in criterion(rule)["dimensions"]]
    assert [name for name in columns if f"{name} = " not in criterion(rule)["query"]] == []


@pytest.mark.parametrize("rule", QUERY_RULES.values(), ids=QUERY_RULES)
def test_a_mail_says_what_it_is_about(rule: Resource) -> None:
    """Where lines name a recording, a call or a blob, the alert is one of each, and its subject names it."""
    query, dimensions = criterion(rule)["query"], criterion(rule)["dimensions"]
    counts = re.search(r"\b(summarize|requests)\b", query) is not None and "ACSCallRecordingSummary" not in query
    named = {field for prefix in prefixes(query) for field in written_with(prefix)} & NAMES
    assert bool(dimensions) == bool(named and not counts)
    first = "${data.alertContext.condition.allOf[0].dimensions[0].value}"
    subject = {"Email.Subject": f"{rule.properties['displayName']}: {first}"}
    assert rule.properties["actions"]["actionProperties"] == (subject if dimensions else {})


@pytest.mark.parametrize("variant", variants())
def test_failures_of_other_subscriptions_are_not_ours(variant: str) -> None:
    """An existing topic may have more subscriptions than the one that is made here."""
    [subscription] = resources("Microsoft.EventGrid/systemTopics/eventSubscriptions", "subscriptions")
    for rule in resources("Microsoft.Insights/metricAlerts", variant):
        [dimension] = criterion(rule)["dimensions"]
        assert (dimension["name"], dimension["operator"]) == ("EventSubscriptionName", "Include")
        assert dimension["values"] == [subscription.name.rpartition("/")[2]]


@pytest.mark.parametrize(
    ("variant", "hours"),
    [("default", 16), ("existing-acs", 16), ("everything-on", 18), ("preview-2021", None), ("everything-off", None)],
)
def test_what_acs_recorded_is_compared_where_it_can_be(variant: str, hours: int | None) -> None:
    """RISK_HOURS before the deadline; not for the 2021 preview API, nor without the logs of ACS."""
    rules = resources("Microsoft.Insights/scheduledQueryRules", variant)
    found = [criterion(one)["query"] for one in rules if one.properties["displayName"] == "recording-missing"]
    assert [f"ago(44h) .. ago({hours}h)" in query for query in found] == [True] * (hours is not None)
    workspace = resource("Microsoft.OperationalInsights/workspaces", variant=variant)
    assert len(found) == 0 or rules[-1].properties["scopes"] == [workspace.id]


def test_silence_is_measured_from_starts_that_are_logged() -> None:
    """The dead-man's switch has its hours from the parameter, and covers two days."""
    [changed] = [one for one in resources(variant="everything-on") if one.name == QUERY_RULES["no-events"].name]
    assert ("ago(6h)" in QUERIES["no-events"], "ago(12h)" in criterion(changed)["query"]) == (True, True)
    assert changed.properties["overrideQueryTimeRange"] == "P2D"


@pytest.mark.parametrize("name", RULES)
def test_each_alert_leads_to_its_section(name: str) -> None:
    """The description says what to do and ends in the name of a section of the runbook that exists."""
    advice, _, section = RULES[name].properties["description"].partition(" Runbook: docs/runbook.md, section ")
    assert len(advice) > 60
    assert advice.endswith(".")
    assert section == name
    assert name in headings(RUNBOOK)
    assert RULES[name].properties["enabled"] is True


def test_links_lead_to_where_the_runbook_is_read() -> None:
    """Where the runbook's address is given, each alert links to it there."""
    rules = [
        one
        for type in (QUERY_RULES, METRIC_RULES)
        for one in resources(next(iter(type.values())).type, "everything-on")
    ]
    links = [one.properties["description"].rpartition(" ")[2] for one in rules]
    assert {link.partition("#")[0] for link in links} == {"https://wiki.example.com/recordings/runbook.md"}
    assert {link.partition("#")[2] for link in links} == set(RULES)


def test_documents_name_parameters_that_exist() -> None:
    """What the documents for operators call a parameter or an azd variable is one."""
    bicep = "".join((INFRA / f).read_text() for f in ("main.bicep", "main.bicepparam", "subscriptions.bicepparam"))
    variables = set(re.findall(r'azd env set ([A-Z_]+)|"\$([A-Z_]+)"', SOURCE))
    assert [name for pair in variables for name in pair if name and name not in bicep] == []
    table = re.findall(r"^\| (`.+?`(?:, `.+?`)*) \|", SOURCE, re.MULTILINE)
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
