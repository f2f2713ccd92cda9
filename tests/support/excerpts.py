"""Print excerpts of the project's prose for a reader to judge: `python -m tests.support.excerpts --seed 7`.

Ten docstrings and five error messages are drawn from the code, five log lines from what the app logs while the demo
runs; then comes the demo's own output. The same seed draws the same from the same code; log lines carry what the run
made. `--without-demo` leaves out what needs the stack.
"""

import argparse
import ast
import random
import re
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_CODE = ("function_app.py", "recording", "local", "benchmarks", "tests")
# Errors and log lines are read by those who run the app and the local stack.
_RUN = ("function_app.py", "recording", "local")
_DOCSTRINGS, _ERRORS, _LOG_LINES = 10, 5, 5
_DEMO_SECONDS = 300
# A line of the app in the log of the local host: time, level, function, event and fields.
_LOG_LINE = re.compile(r"^\S+ (?:INFO|WARNING|ERROR) \w+: ([a-z_]+\.[a-z_]+) \{.*$", re.MULTILINE)


@cache
def docstrings(root: Path = _ROOT) -> list[str]:
    """List every docstring with its place."""
    return [
        f"{place}:{getattr(node, 'lineno', 1)} {getattr(node, 'name', 'module')}\n{text}"
        for place, node in _nodes(root, _CODE)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if (text := ast.get_docstring(node))
    ]


@cache
def error_messages(root: Path = _ROOT) -> list[str]:
    """List every message that is raised, as it is in the code: `{…}` is filled in when it is raised."""
    return [
        f"{place}:{node.lineno} {ast.unparse(node.exc.func)}\n{text}"
        for place, node in _nodes(root, _RUN)
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)
        for argument in (*node.exc.args, *(keyword.value for keyword in node.exc.keywords))
        if len((text := _template(argument)).split()) > 1
    ]


def log_lines(text: str) -> list[str]:
    """List the app's lines in a log of the local host, the first of each event."""
    found: dict[str, str] = {}
    for line in _LOG_LINE.finditer(text):
        found.setdefault(line[1], line[0])
    return list(found.values())


def _nodes(root: Path, places: tuple[str, ...]) -> Iterator[tuple[str, ast.AST]]:
    for place in places:
        path = root / place
        for file in [path] if path.suffix else sorted(path.rglob("*.py")):
            name = str(file.relative_to(root))
            for node in ast.walk(ast.parse(file.read_text())):
                yield name, node


def _template(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_template(part) for part in parts)
        case ast.FormattedValue(value=value):
            return f"{{{ast.unparse(value)}}}"
        case _:
            return ""


def _run_demo() -> tuple[str, str]:
    """Run the demo; return what it prints and what the app logged."""
    with tempfile.TemporaryDirectory(prefix="excerpts-") as folder:
        command = [sys.executable, "-m", "local", "demo", "--output", f"{folder}/out", "--logs", f"{folder}/logs"]
        ended = subprocess.run(
            command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=_DEMO_SECONDS
        )
        logs = "\n".join(path.read_text() for path in sorted(Path(folder, "logs").rglob("functions.log")))
        return ended.stdout.replace(folder, "."), logs


def main(argv: list[str]) -> int:
    """Print the excerpts."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.excerpts", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="what is drawn (default: %(default)s)")
    parser.add_argument("--without-demo", action="store_true", help="only what is in the code")
    arguments = parser.parse_args(argv)
    # Not for secrets: a reader must be able to draw the same again.
    draw = random.Random(arguments.seed)  # noqa: S311

    def show(title: str, found: list[str], count: int, wrap: Callable[[str], str] = str) -> None:
        print(f"\n== {min(count, len(found))} of {len(found):,} {title} ==")
        for text in draw.sample(found, min(count, len(found))):
            print(f"\n{wrap(text)}")

    def indent(text: str) -> str:
        head, _, rest = text.partition("\n")
        return f"{head}\n{textwrap.indent(rest, '    ')}"

    show("docstrings", docstrings(), _DOCSTRINGS, indent)
    show("error messages", error_messages(), _ERRORS, indent)
    if not arguments.without_demo:
        said, logged = _run_demo()
        show("kinds of log lines while the demo ran", log_lines(logged), _LOG_LINES)
        print(f"\n== The demo's output ==\n\n{said}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
