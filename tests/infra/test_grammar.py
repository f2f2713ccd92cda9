"""infra/*.bicep: it parses, every name is declared and used, modules get what they ask for."""

import re
from pathlib import Path

import pytest
from tree_sitter import Node

from tests.infra.bicep import FILES, INFRA, Declaration, declarations, text, tree, walk

# Names that aren't declared in a file: the functions and namespaces of Bicep that are used here.
BUILT_IN = {
    "coalesce", "concat", "empty", "guid", "loadJsonContent", "replace", "resourceGroup", "string", "subscription",
    "subscriptionResourceId", "toLower", "union", "uniqueString",
}  # fmt: skip


def references(path: Path) -> set[str]:
    """Collect every name that stands where a value is read."""
    found = set()
    for node in walk(tree(path)):
        parent = node.parent
        if node.type != "identifier" or parent is None:
            continue
        is_key = parent.type == "object_property" and parent.named_children[0] == node
        is_declared = parent.type.endswith("_declaration") and parent.named_children[0] == node
        is_decorator = any(above.type == "decorator" for above in ancestors(node))
        is_local = parent.type in {"lambda_expression", "for_loop_parameters"}
        # The part of `archive::blobs` behind the colons is a nested resource, declared like any other.
        if not (is_key or is_declared or is_decorator or is_local):
            found.add(text(node))
    return found


def ancestors(node: Node) -> list[Node]:
    """List the nodes above one."""
    above = []
    while node.parent is not None:
        node = node.parent
        above.append(node)
    return above


def loop_names(path: Path) -> set[str]:
    """Collect the variables of loops and lambdas."""
    names = set()
    for node in walk(tree(path)):
        if node.type == "for_statement":
            names |= set(re.findall(r"\w+", text(node).partition(" in ")[0])) - {"for"}
        if node.type == "lambda_expression":
            names.add(text(node.named_children[0]))
    return names


def parameters(path: Path) -> dict[str, Declaration]:
    """Give a file's parameters by name."""
    return {found.name: found for found in declarations(path, "param")}


def test_there_is_something_to_check() -> None:
    """The folder has its files; an empty one would pass every other test."""
    assert {path.name for path in FILES} >= {"main.bicep", "subscriptions.bicep", "function-app.bicep", "alerts.bicep"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_parses(path: Path) -> None:
    """A file is Bicep by its grammar."""
    broken = [node.start_point.row + 1 for node in walk(tree(path)) if node.is_error or node.is_missing]
    assert broken == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_name_is_declared(path: Path) -> None:
    """A name that is read is declared in the file, or a function of Bicep."""
    declared = {found.name for found in declarations(path)} | loop_names(path) | BUILT_IN
    assert references(path) - declared == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_parameter_and_variable_is_used(path: Path) -> None:
    """Nothing is declared for nothing."""
    named = {found.name for found in declarations(path, "param", "var")}
    assert named - references(path) == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_module_from_a_registry(path: Path) -> None:
    """Modules are files beside, so that it compiles without a network."""
    outside = [found.type for found in declarations(path, "module") if not (INFRA / found.type).is_file()]
    assert outside == []


def test_main_only_wires() -> None:
    """Resources are made in the files of their kind; main.bicep makes the group."""
    made = [found.type.partition("@")[0] for found in declarations(INFRA / "main.bicep", "resource")]
    assert made == ["Microsoft.Resources/resourceGroups"]


@pytest.mark.parametrize("module", declarations(INFRA / "main.bicep", "module"), ids=lambda module: module.name)
def test_modules_get_what_they_ask_for(module: Declaration) -> None:
    """A module is given each parameter without a default, and none that it doesn't have."""
    asked = parameters(INFRA / module.type)
    given = set(module.value.get("params", {}))
    needed = {name for name, parameter in asked.items() if parameter.value is None}
    assert (given - set(asked), needed - given) == (set(), set())


def test_outputs_that_are_read_exist() -> None:
    """`x.outputs.y` is an output of x."""
    modules = {found.name: INFRA / found.type for found in declarations(INFRA / "main.bicep", "module")}
    read = re.findall(r"\b(\w+)\.outputs\.(\w+)", (INFRA / "main.bicep").read_text())
    exist = {(name, out.name) for name, path in modules.items() for out in declarations(path, "output")}
    assert read
    assert set(read) - exist == set()


def test_parameter_file_sets_parameters_of_main() -> None:
    """main.bicepparam names main.bicep, sets what has no default, and nothing unknown."""
    source = (INFRA / "main.bicepparam").read_text()
    given = set(re.findall(r"^param (\w+) =", source, re.MULTILINE))
    asked = parameters(INFRA / "main.bicep")
    assert "using './main.bicep'" in source
    assert given - set(asked) == set()
    assert {name for name, parameter in asked.items() if parameter.value is None} - given == set()


def test_defaults_stand_in_one_place() -> None:
    """Where main.bicepparam repeats a default of main.bicep, the two are equal."""
    source = (INFRA / "main.bicepparam").read_text()
    repeated = dict(
        re.findall(r"^param (\w+) = (?:int\(|bool\()?readEnvironmentVariable\('\w+', '([^']*)'\)", source, re.M)
    )
    defaults = {name: p.value for name, p in parameters(INFRA / "main.bicep").items() if p.value is not None}
    assert {name: text for name, text in repeated.items() if name in defaults} == {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in defaults.items()
        if name in repeated
    }
