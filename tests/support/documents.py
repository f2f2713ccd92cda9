"""Headings and code blocks of documents."""

import re
from textwrap import dedent

from tests.infra.snapshots import ROOT

RUNBOOK, OPERATIONS, DEPLOYING, COMPLIANCE, CAPACITY = (
    (ROOT / "docs" / f"{name}.md").read_text()
    for name in ("runbook", "operations", "deploy-upgrade", "compliance", "capacity-cost")
)
# What an operator reads.
SOURCE = "\n".join([DEPLOYING, RUNBOOK, OPERATIONS, COMPLIANCE, CAPACITY])
SECURITY = (ROOT / "SECURITY.md").read_text()


def blocks(language: str, source: str = SOURCE + SECURITY) -> list[str]:
    """Return the fenced blocks of a language, without their indentation."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```", source, re.MULTILINE | re.DOTALL)
    return [dedent(body) for _, body in found]


def sections(source: str) -> dict[str, str]:
    """Return the text under each heading of the second level, by its title."""
    return {
        title: text
        for title, _, text in (one.partition("\n") for one in re.split(r"^## ", source, flags=re.MULTILINE)[1:])
    }


def headings(source: str) -> set[str]:
    """Return the anchors of a Markdown file's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", source, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def examples(language: str) -> dict[str, str]:
    """Return the snippets of docs/integrate.md in a language, by their names."""
    page = (ROOT / "docs" / "integrate.md").read_text()
    return dict(re.findall(rf"<!-- example: (\S+) -->\n```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
