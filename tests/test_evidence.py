"""Evidence: what comments and documents cite is in this repository, under the heading that they name."""

import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
_NOT_OURS = {"node_modules", "demo-output", "dist", "__pycache__", "package-lock.json"}
_HIDDEN = {".ci", ".github", ".funcignore", ".gitignore", ".npmrc"}
_BINARY = {".svg", ".png", ".mp4", ".mp3", ".wav", ".pyc"}
# `docs/a.md#one, #two and #three` cites three headings of one document.
_CITATIONS = re.compile(r"docs/([\w-]+\.md)(#[\w-]+(?:(?:,| and|, and) #[\w-]+)*)")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_DOCUMENT = re.compile(r"(?<![\w/.@…-])[\w./-]*\w\.md\b")
_NUMBERED = re.compile(r"(?<![\w/-])(?:acs-contract|functions-host)(?:\.md)?[:,]? (?:section |chapter )?\d")
_OUTSIDE = re.compile(r"\.\./shared")


def anchors(markdown: str) -> list[str]:
    """List the anchors of a document: its headings' as GitHub makes them, and those that are set by hand."""
    prose = re.sub(r"^```.*?^```", "", markdown, flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles] + re.findall(
        r'<a id="([\w-]+)"', prose
    )


def citations(text: str) -> set[tuple[str, str]]:
    """Find each cited document and heading, also where a comment's line ends within a citation."""
    flowing = re.sub(r"\s*\n\s*(?:(?:#|//) )?", " ", text)
    return {
        (document, place[1:])
        for document, places in _CITATIONS.findall(flowing)
        for place in re.findall(r"#[\w-]+", places)
    }


def _files(folder: Path) -> Iterator[Path]:
    for entry in sorted(os.scandir(folder), key=lambda one: one.name):
        if entry.name in _NOT_OURS or (entry.name.startswith(".") and entry.name not in _HIDDEN) or entry.is_symlink():
            continue
        if entry.is_dir():
            yield from _files(Path(entry.path))
        elif Path(entry.name).suffix not in _BINARY:
            yield Path(entry.path)


@cache
def texts() -> dict[str, str]:
    """Read every text of the repository, by its path."""
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in _files(ROOT)}


DOCUMENTS = sorted(name for name in texts() if name.endswith(".md"))


@pytest.mark.parametrize(
    ("text", "cited"),
    [
        ("# As recorded (docs/a.md#one).", {("a.md", "one")}),
        ("docs/a.md#one, #two and #three: so", {("a.md", "one"), ("a.md", "two"), ("a.md", "three")}),
        ("    # See docs/a.md#one,\n    # #two.", {("a.md", "one"), ("a.md", "two")}),
        ("docs/a.md#one, docs/b.md#2021-two", {("a.md", "one"), ("b.md", "2021-two")}),
        ("docs/a.md", set()),
    ],
)
def test_citations_are_found_in_every_form(text: str, cited: set[tuple[str, str]]) -> None:
    """One place or several, within a line or across two."""
    assert citations(text) == cited


def test_every_cited_place_exists() -> None:
    """A comment's evidence can be opened."""
    cited = {(name, document, place) for name, text in texts().items() for document, place in citations(text)}
    known = {name.removeprefix("docs/"): anchors(texts()[name]) for name in DOCUMENTS if name.startswith("docs/")}

    missing = [one for one in cited if one[2] not in known.get(one[1], []) and one[0] != "tests/test_evidence.py"]
    assert missing == []
    assert len(cited) > 200


def test_no_citation_goes_by_numbers() -> None:
    """A number changes with the next section that is added; a heading's anchor stays."""
    assert [(name, found[0]) for name, text in texts().items() for found in _NUMBERED.finditer(text)] == []


def test_nothing_refers_to_a_place_outside_the_repository() -> None:
    """A reader has what is cited; only CI may look for the Bicep compiler elsewhere."""
    found = [
        (name, line.strip())
        for name, text in texts().items()
        for line in text.splitlines()
        if _OUTSIDE.search(line) and not (name == ".ci/run" and "BICEP=" in line)
    ]
    assert found == []


def test_every_document_that_is_named_exists() -> None:
    """`some.md` in a comment or a document is one of this repository; sources of others are named in their list."""
    known = {name.rpartition("/")[2] for name in DOCUMENTS}
    ours = {name: text.partition("\n## Sources\n")[0] for name, text in texts().items()}
    ours.pop("tests/test_evidence.py")

    named = [
        (name, found[0])
        for name, text in ours.items()
        for found in _DOCUMENT.finditer(re.sub(r"https?://\S+", "", text))
        if found[0].rpartition("/")[2] not in known
    ]
    assert named == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_leads_somewhere(name: str) -> None:
    """Links lead to files that exist, and to headings that they have."""
    dead: list[str] = []
    for link in _LINK.findall(re.sub(r"^ *```.*?^ *```", "", texts()[name], flags=re.DOTALL | re.MULTILINE)):
        if "://" in link or link.startswith("mailto:"):
            continue
        target, _, place = link.partition("#")
        path = (ROOT / name).parent / target if target else ROOT / name
        if not path.exists() or (place and place not in anchors(path.read_text())):
            dead.append(link)
    assert dead == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_no_two_headings_share_an_anchor(name: str) -> None:
    """GitHub numbers the second one, so that a link to it breaks when the first goes."""
    found = anchors(texts()[name])
    assert sorted(found) == sorted(set(found))
