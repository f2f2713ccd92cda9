"""Print how a checkout is built: `python -m tests.support.structure [CHECKOUT ...]`.

Several checkouts stand side by side, so that a change of the structure can be judged: names at the top of `recording/`
(a package counts as one), the arrows (imports) between them, floors, circles, modules, and lines of Python.
"""

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path

import grimp

from local.report import columns

_ROOT = Path(__file__).parents[2]
_APP = "recording"
_FOLDERS = ("recording", "local", "tests", "benchmarks")

type Arrow = tuple[str, str]


def figures(checkout: Path) -> dict[str, str]:
    """Measure one checkout; it must be the first on `sys.path`, and nothing of it may have been imported."""
    graph = grimp.build_graph(_APP, cache_dir=None)
    names = graph.find_children(_APP)
    modules = {name for name in graph.modules if not graph.find_children(name)}
    imports = {(one, other) for one in graph.modules for other in graph.find_modules_directly_imported_by(one)}
    arrows = arrows_between(names, imports)
    found = {
        "names at the top of recording/": f"{len(names):,}",
        "arrows between them": f"{len(arrows):,}",
        "floors": f"{floors(arrows):,}",
        "circles": "; ".join(" ".join(circle) for circle in circles(arrows)) or "none",
        "modules in recording/": f"{len(modules):,}",
        "imports between modules": f"{len(imports):,}",
        "lines of function_app.py": f"{lines(checkout / 'function_app.py'):,}",
    }
    return found | {f"lines of {folder}/": f"{lines(checkout / folder):,}" for folder in _FOLDERS}


def arrows_between(names: Iterable[str], imports: Iterable[Arrow]) -> set[Arrow]:
    """Reduce imports between modules to arrows between the names at the top."""
    known = set(names)
    tops = ((".".join(one.split(".")[:2]), ".".join(other.split(".")[:2])) for one, other in imports)
    return {(one, other) for one, other in tops if one != other and {one, other} <= known}


def floors(arrows: set[Arrow]) -> int:
    """Count the longest chain of names of which each imports the next, and none comes twice.

    A chain has never all arrows of a circle, so each of them is left out in turn.
    """
    below: dict[str, set[str]] = defaultdict(set)
    for one, other in arrows:
        below[one].add(other)
    try:
        order = list(TopologicalSorter(below).static_order())
    except CycleError as error:
        circle: list[str] = error.args[1]
        # graphlib lists a circle against its arrows.
        return max(floors(arrows - {(one, other)}) for other, one in pairwise(circle))
    heights: dict[str, int] = {}
    for name in order:
        heights[name] = 1 + max((heights[other] for other in below.get(name, ())), default=0)
    return max(heights.values(), default=1)


def circles(arrows: set[Arrow]) -> list[list[str]]:
    """List the groups of names that need each other, by way of others too."""

    @cache
    def beside(name: str) -> frozenset[str]:
        return frozenset(other for one, other in arrows if one == name)

    def reached(name: str) -> set[str]:
        found, waiting = set[str](), [name]
        while waiting:
            new = beside(waiting.pop()) - found
            found |= new
            waiting += new
        return found

    below = {name: reached(name) for arrow in arrows for name in arrow}
    groups = {frozenset(other for other in found if name in below[other]) for name, found in below.items()}
    return sorted(sorted(name.removeprefix(f"{_APP}.") for name in group) for group in groups if group)


def lines(path: Path) -> int:
    """Count the lines of a Python file, or of all in a folder."""
    files = path.rglob("*.py") if path.is_dir() else [path] if path.is_file() else []
    return sum(len(file.read_text().splitlines()) for file in files)


def main(argv: list[str]) -> int:
    """Print the figures of all checkouts in a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.structure", description=__doc__)
    parser.add_argument("checkouts", nargs="*", type=Path, default=[_ROOT], help="folders (default: this checkout)")
    parser.add_argument("--json", action="store_true", help="of one checkout, as a line of JSON")
    arguments = parser.parse_args(argv)
    checkouts: list[Path] = [one.resolve() for one in arguments.checkouts]
    if missing := [str(one) for one in checkouts if not (one / _APP).is_dir()]:
        parser.error(f"there is no {_APP}/ in {', '.join(missing)}: give the folder of a checkout")
    if arguments.json:
        sys.path.insert(0, str(checkouts[0]))
        print(json.dumps(figures(checkouts[0])))
        return 0
    # One process each: Python finds a package once, and then it's that one.
    command = [sys.executable, "-m", "tests.support.structure", "--json"]
    measured = [
        json.loads(subprocess.run([*command, str(one)], cwd=_ROOT, check=True, stdout=subprocess.PIPE).stdout)
        for one in checkouts
    ]
    rows = [[name, *(str(one.get(name, "")) for one in measured)] for name in measured[0]]
    print(columns(["figure", *(one.name for one in checkouts)], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
