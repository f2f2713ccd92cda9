"""docs/integrate.md: its snippets are valid in their languages; what is published is as its schema says.

The Python ones are run by test_tasks.py. There is no .NET here: the C# is parsed, and its names aren't looked up.
"""

import ast
import json
import subprocess
from pathlib import Path

import jsonschema
import pytest
import tree_sitter_c_sharp
from tree_sitter import Language, Node, Parser

from recording.notices import Kind
from tests.infra.snapshots import ROOT
from tests.support.documents import examples
from tests.support.events_schema import check

SCHEMA = json.loads((ROOT / "docs" / "events.schema.json").read_text())


def test_each_snippet_has_one_in_each_language() -> None:
    """Start, find and consume, three times."""
    names = {
        language: [name.partition(".")[0].lower() for name in examples(language)]
        for language in ("python", "typescript", "csharp")
    }
    assert names == {language: ["start", "find", "consumer"] for language in names}


def test_typescript_is_checked_by_its_compiler(tmp_path: Path) -> None:
    """Strictly, as a new project has it, with the types of Node."""
    for name, source in examples("typescript").items():
        (tmp_path / name).write_text(source)
    (tmp_path / "node_modules").symlink_to(ROOT / "node_modules")
    options = {"strict": True, "noEmit": True, "target": "es2022", "module": "esnext", "moduleResolution": "bundler"}
    more = {"lib": ["es2022", "dom"], "types": ["node"], "skipLibCheck": True}
    (tmp_path / "tsconfig.json").write_text(json.dumps({"compilerOptions": options | more, "include": ["*.ts"]}))
    checked = subprocess.run(
        [ROOT / "node_modules" / ".bin" / "tsc", "--project", tmp_path],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (checked.stdout, checked.returncode) == ("", 0)


@pytest.mark.parametrize("name", examples("csharp"))
def test_csharp_is_parsed(name: str) -> None:
    """Nothing is missing and nothing is left over."""
    assert errors(examples("csharp")[name]) == []


def test_the_parser_rejects_what_is_no_csharp() -> None:
    """The check itself."""
    assert errors("public class A { void B( { }") != []


def errors(source: str) -> list[str]:
    """Return where the parser finds something that isn't C#, or that something is missing."""
    parser = Parser(Language(tree_sitter_c_sharp.language()))

    def below(node: Node) -> list[str]:
        wrong = [f"line {node.start_point[0] + 1}"] if node.type == "ERROR" or node.is_missing else []
        return wrong + [found for child in node.children for found in below(child)]

    return below(parser.parse(source.encode()).root_node)


@pytest.mark.parametrize("name", examples("python"))
def test_python_is_parsed(name: str) -> None:
    """A part that isn't run, such as the webhook, is Python as well."""
    ast.parse(examples("python")[name])


def test_the_schema_and_the_page_know_every_kind() -> None:
    """A new kind of notice is in both, with an example of what is told."""
    kinds = set(Kind.__args__)  # type: ignore[attr-defined]
    page = (ROOT / "docs" / "integrate.md").read_text()
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert set(SCHEMA["properties"]["type"]["enum"]) == kinds
    assert [kind for kind in kinds if f"| `{kind}` |" not in page] == []


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("Recording.Archived", {"recordingKey": "k", "manifest": "m", "chunks": 1, "missing": ["d"]}),
        ("Recording.AtRisk", {"hoursLeft": 1}),
        ("Recording.Quarantined", {"blob": "b"}),
        ("Recording.Gone", {}),
    ],
)
def test_another_event_is_refused(kind: str, data: dict[str, object]) -> None:
    """The check itself: every notice of the tests passes through it (tests/support/facts.py)."""
    event = {
        "specversion": "1.0",
        "source": "acs-call-recording",
        "type": kind,
        "subject": "k",
        "id": "7c7f5f0e-6b1c-4e0e-9d0a-3c8a5e1b2f47",
        "time": "2026-03-01T10:00:00Z",
        "data": data,
    }
    with pytest.raises(jsonschema.ValidationError):
        check(event)
