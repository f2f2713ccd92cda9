"""Routes match as in the Functions host: by name order, without case, without precedence."""

import pytest

from local.functions.errors import StartError
from local.functions.routes import compile_route, decode_path, find


def match(template: str, path: str) -> dict[str, str] | None:
    return compile_route(template, methods=(), target="f").match(path)


@pytest.mark.parametrize(
    ("template", "path", "expected"),
    [
        ("api/users/{id}", "/API/Users/Ada", {"id": "Ada"}),
        ("api/users/{id}", "/api/users/ada/", {"id": "ada"}),
        ("api/users/{id}", "/api/users", None),
        ("api/users/{id}", "/api/users/a/b", None),
        ("a/{b}/c/{d}", "/a/1/C/2", {"b": "1", "d": "2"}),
        ("a.b/{c}", "/axb/1", None),
        ("", "/", {}),
    ],
)
def test_match(template: str, path: str, expected: dict[str, str] | None) -> None:
    """A template gives the parameters of the paths that it matches."""

    assert expected == match(template, path)


def test_name_order() -> None:
    """The first route that matches is used, however general it is."""
    routes = [compile_route(t, methods=(), target=t) for t in ("users/{id}", "users/me")]
    found = find(routes, method="GET", path="/users/me")

    assert found is not None
    assert (found[0].target, found[1]) == ("users/{id}", {"id": "me"})


def test_wrong_method() -> None:
    """A route that doesn't take the method lets the next one be tried, and none at all is no match."""
    routes = [
        compile_route("thing", methods=["get"], target="read"),
        compile_route("thing", methods=["PUT"], target="write"),
    ]
    found = find(routes, method="put", path="/thing")

    assert found is not None
    assert found[0].target == "write"
    assert find(routes, method="POST", path="/thing") is None


@pytest.mark.parametrize(
    "template",
    ["{x}/{X}", "a/{b?}", "a/{b=7}", "a/{*rest}", "a/{b:int}", "a/{b}.{c}", "a/{b", "a/b}", "a/{{b}}", "a/{}"],
)
def test_unsupported_template(template: str) -> None:
    """A template with more than text and plain parameters keeps the host from starting."""

    with pytest.raises(StartError, match="Route"):
        compile_route(template, methods=(), target="f")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("/a%20b/%C3%A4", "/a b/ä"),
        ("/a%2Fb", "/a/b"),
        ("/a%2fb", "/a/b"),
        ("/a/..%2Fb", "/b"),
        ("/a%FF%2Fb%20c", "/a%FF/b c"),
        ("/a/../b", "/b"),
        ("/a/%2e%2e/b", "/b"),
        ("/../../b", "/b"),
        ("/a/./b", "/a/b"),
        ("/a/..", "/"),
        ("/a%FFb", "/a%FFb"),
        ("/a%252Fb", "/a%2Fb"),
    ],
)
def test_decode_path(raw: str, expected: str) -> None:
    """A path is decoded, `%2F` before it is routed, and its dot segments are resolved, as in Azure."""

    assert expected == decode_path(raw)
