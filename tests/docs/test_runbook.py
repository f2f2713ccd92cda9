"""docs/runbook.md: each alert has one screen, with a query that reads what the app logs, and a command that exists."""

import re

import pytest

from recording.api.page import FOLDER
from tests.infra.app_code import fields, functions, is_logged
from tests.support.alerts import METRIC_RULES, QUERIES, RULES, prefixes, written_with
from tests.support.documents import RUNBOOK, sections

SECTIONS = {title: text for title, text in sections(RUNBOOK).items() if title != "Before you start"}
SCREEN = 45
# Tables of the workspace, and their columns that the queries read.
COLUMNS = {
    "AppTraces": {"TimeGenerated", "Message"},
    "AppRequests": {"TimeGenerated", "Name", "Success", "DurationMs"},
    "AppExceptions": {"TimeGenerated", "OperationName", "ExceptionType", "OuterMessage"},
    "ACSCallRecordingSummary": {"TimeGenerated", "RecordingId", "RecordingStartTime", "RecordingLength", "ChunkCount"},
    "StorageBlobLogs": {"TimeGenerated", "OperationName", "ObjectKey"},
}
# Alerts on what is behind the lines of the app: of them its query lists what may be affected.
OTHER_LINES = {"poison-message", "timer-silent", "timer-failed", "recording-missing"}


def query(name: str) -> str:
    """Return the query of a section, of which there is one."""
    [found] = re.findall(r"^```kusto\n(.*?)^```", SECTIONS[name], re.MULTILINE | re.DOTALL)
    return str(found)


def test_there_is_one_section_for_each_alert() -> None:
    """And none for what isn't one, so that the page stays short."""
    assert sorted(SECTIONS) == sorted(RULES)
    assert {*METRIC_RULES} < {*SECTIONS}


def test_alerts_are_sorted_by_their_severity() -> None:
    """In the table at the top, as the template has them, and the sections in its order."""
    rows = re.findall(r"^\| (\d) \| (.+?) \|", RUNBOOK, re.MULTILINE)
    told = [(name, int(severity)) for severity, names in rows for name in re.findall(r"\[([\w-]+)\]", names)]

    assert dict(told) == {name: rule.properties["severity"] for name, rule in RULES.items()}
    assert [name for name, _ in told] == list(SECTIONS)


@pytest.mark.parametrize("name", SECTIONS)
def test_a_section_says_what_how_much_and_what_to_do(name: str) -> None:
    """In one screen and in this order: the meaning, the query, the command, and what if that fails."""
    text = SECTIONS[name]
    parts = ["**It means** that ", "```kusto\n", "**Fix", "```console\n$ ", "**If that fails**"]
    places = [text.find(part) for part in parts]
    assert -1 not in places
    if name != "recording-at-risk":  # its command is what is done if the table above it doesn't help
        assert places == sorted(places)
    assert len(text.splitlines()) <= SCREEN


@pytest.mark.parametrize("name", SECTIONS)
def test_a_query_reads_what_is_written(name: str) -> None:
    """Lines that the app logs, fields that these have, columns of the tables that it reads, and no open bracket."""
    text = query(name)
    bare = re.sub(r'"[^"]*"', '""', text)
    tables = {table for table in COLUMNS if re.search(rf"\b{table}\b", bare)}
    written = {field for prefix in prefixes(text) for field in written_with(prefix)}

    assert tables
    assert [prefix for prefix in prefixes(text) if not is_logged(prefix.strip())] == []
    assert set(re.findall(r"fields\.(\w+)", bare)) - written == set()
    used = set(re.findall(r"(?<![\w.])[A-Z]\w+", bare))
    assert used - tables - {column for table in tables for column in COLUMNS[table]} == set()
    read = 'parse_json(substring(Message, indexof(Message, "{")))'
    assert text.count("parse_json") == text.count(read)
    assert (bare.count("("), bare.count("[")) == (bare.count(")"), bare.count("]"))
    assert set(re.findall(r'\bName == "(\w+)"', text)) <= {*functions()}


@pytest.mark.parametrize("name", SECTIONS)
def test_a_query_shows_the_time_left(name: str) -> None:
    """Or that there is no deadline; where a call is what can be saved, how long ago it was."""
    assert re.search(r"\b(hoursLeft\w*|minutesAgo) = ", query(name))


@pytest.mark.parametrize("name", sorted({*QUERIES} & {*SECTIONS} - OTHER_LINES))
def test_a_query_reads_the_lines_of_its_alert(name: str) -> None:
    """What fired is in its result."""
    assert {*prefixes(QUERIES[name])} <= {*prefixes(query(name))}


def test_the_checks_reject_what_is_wrong() -> None:
    """A field that a line doesn't have, and a line that isn't written."""
    assert "stoppedAt" not in fields("chunk.at_risk")
    assert not is_logged("chunk.gone")


def test_what_the_page_links_to_is_here() -> None:
    """Each kind of trouble under *Operations* has its section."""
    text = (FOLDER / "operations.js").read_text()
    found = set(re.findall(r'"((?:recording|chunk|event|poison)-[a-z-]+)"', text))

    assert 7 == len(found)
    assert found <= SECTIONS.keys()
