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
        ("a/{b}/{c?}", "/a/1", {"b": "1"}),
        ("a/{b}/{c?}", "/a/1/2", {"b": "1", "c": "2"}),
        ("a/{b=7}", "/a", {"b": "7"}),
        ("files/{*path}", "/files/a/b.txt", {"path": "a/b.txt"}),
        ("files/{*path}", "/files", {}),
        ("{*path}", "/any/thing", {"path": "any/thing"}),
        ("files/{name}.{extension}", "/files/a.b.txt", {"name": "a.b", "extension": "txt"}),
        ("", "/", {}),
        ("n/{n:int}", "/n/-12", {"n": "-12"}),
        ("n/{n:int}", "/n/2147483648", None),
        ("n/{n:long}", "/n/2147483648", {"n": "2147483648"}),
        ("n/{n:int}", "/n/twelve", None),
        ("n/{n:bool}", "/n/True", {"n": "True"}),
        ("n/{n:guid}", "/n/0f8fad5b-d9cb-469f-a165-70867728950e", {"n": "0f8fad5b-d9cb-469f-a165-70867728950e"}),
        ("n/{n:guid}", "/n/0f8fad5b", None),
        ("n/{n:alpha}", "/n/abc", {"n": "abc"}),
        ("n/{n:alpha}", "/n/ab1", None),
        ("n/{n:minlength(2):maxlength(3)}", "/n/abc", {"n": "abc"}),
        ("n/{n:minlength(2):maxlength(3)}", "/n/abcd", None),
        ("n/{n:length(3)}", "/n/abcd", None),
        ("n/{n:length(2,4)}", "/n/abcd", {"n": "abcd"}),
        ("n/{n:min(3)}", "/n/2", None),
        ("n/{n:max(3)}", "/n/2", {"n": "2"}),
        ("n/{n:range(1,5)?}", "/n/5", {"n": "5"}),
        ("n/{n:range(1,5)?}", "/n", {}),
        ("n/{n:range(1,5)?}", "/n/6", None),
        (r"n/{n:regex(^\d{{2}}$)}", "/n/12", {"n": "12"}),
        (r"n/{n:regex(^\d{{2}}$)}", "/n/123", None),
        ("n/{n:decimal}", "/n/1.5", {"n": "1.5"}),
        ("n/{n:datetime}", "/n/2026-11-23", {"n": "2026-11-23"}),
        ("n/{n:datetime}", "/n/soon", None),
    ],
)
def test_match(template: str, path: str, expected: dict[str, str] | None) -> None:
    """A template gives the parameters of the paths that it matches."""

    assert expected == match(template, path)


def test_name_order() -> None:
    """The first route that matches is taken, however general it is."""
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


@pytest.mark.parametrize("template", ["a/{x:nosuch}", "a/{x:range(1)}", "a/{x:min(b)}", "{x}/{X}"])
def test_bad_template(template: str) -> None:
    """A template that ASP.NET wouldn't take keeps the host from starting."""

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
