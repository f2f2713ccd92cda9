"""recording/errors.py: the tree that the module draws is the tree that there is."""

import re
from dataclasses import dataclass
from typing import Any

import pytest
from azure.storage.blob import StorageErrorCode

from recording import errors
from recording.api.response import error_response
from recording.errors import BadRequest, RecordingError, Throttled, describe

# `├── BadRequest                400 BadRequest              the caller fixes the request`
_LINE = re.compile(r"(?P<lines>[│├└─ ]*)(?P<name>[A-Z]\w+) {2,}(?P<rest>\S.*)")


@dataclass(frozen=True)
class Drawn:
    """A line of the tree: a class, the one above it, and what is said of it."""

    name: str
    above: str | None
    rest: str


def drawn() -> list[Drawn]:
    """Read the tree of the module's docstring."""
    found: list[Drawn] = []
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := _LINE.fullmatch(line):
            depth = len(match["lines"]) // 4
            path = [*path[:depth], match["name"]]
            found.append(Drawn(match["name"], path[depth - 1] if depth else None, match["rest"]))
    return found


def tree(root: type[RecordingError]) -> list[type[RecordingError]]:
    """List a class of the module and all below it."""
    below = [one for one in root.__subclasses__() if one.__module__ == errors.__name__]
    return [root, *(one for each in below for one in tree(each))]


def test_every_class_is_drawn_where_it_is() -> None:
    """The docstring names every class, each under its base, in the order of the module."""
    expected = [(one.__name__, one.__base__.__name__ if one.__base__ else None) for one in tree(RecordingError)]

    assert expected == [(one.name, one.above or "Exception") for one in drawn()]


@pytest.mark.parametrize("one", [line for line in drawn() if line.rest[0].isdigit()], ids=lambda line: line.name)
def test_statuses_and_codes_are_as_drawn(one: Drawn) -> None:
    """Where the tree says a status and a code, the class has them."""
    kind: type[RecordingError] = getattr(errors, one.name)
    statuses = re.findall(r"\b\d{3}\b", one.rest)
    code = re.match(r"\d{3} ([A-Z]\w+)", one.rest)

    assert str(kind.status) in statuses
    assert code is None or code[1] == kind.code


@pytest.mark.parametrize("kind", tree(RecordingError), ids=lambda kind: kind.__name__)
def test_every_class_says_what_it_means(kind: type[RecordingError]) -> None:
    """A class has a sentence of its own, and a code that no other class has."""
    assert "__doc__" in vars(kind)
    assert 400 <= kind.status < 600
    assert [kind] == [other for other in tree(RecordingError) if other.code == kind.code]


@pytest.mark.parametrize("kind", [kind for kind in tree(RecordingError) if kind is not Throttled])
def test_an_error_carries_what_it_was_given(kind: type[RecordingError]) -> None:
    """Message, target and a code from outside are kept; status and code are else the class's."""
    plain, full = kind("what"), kind("what", target="where", code="8527")

    assert ("what", "what", None, kind.code, kind.status) == (
        str(plain),
        plain.message,
        plain.target,
        plain.error_code,
        plain.http_status,
    )
    assert ("where", "8527", kind.status) == (full.target, full.error_code, full.http_status)


@pytest.mark.parametrize(("status", "code"), [(429, "TooManyRequests"), (503, "ServiceUnavailable")])
def test_throttled_has_the_status_of_the_service(status: int, code: str) -> None:
    """Which of the two it is, and how long to wait, is the service's to say."""
    error = Throttled("wait", status=status, retry_after="7")

    assert (status, code, "7") == (error.http_status, error.error_code, error.retry_after)


@pytest.mark.parametrize(
    "kind", [kind for kind in tree(RecordingError) if kind.status == 503 and kind is not Throttled]
)
def test_what_is_worth_another_try_says_when(kind: type[RecordingError]) -> None:
    """A 503 of this app's own has `Retry-After`; that of ACS is ACS's."""
    assert error_response(kind("what")).headers["Retry-After"].isdecimal()
    assert "Retry-After" not in error_response(BadRequest("what")).headers


def test_a_code_from_outside_stays_with_the_one_error() -> None:
    """An error's own code doesn't change its class."""
    assert (BadRequest("a", code="8527").error_code, BadRequest("b").error_code) == ("8527", "BadRequest")


class _FromService(Exception):
    """An error as the Azure SDK raises it."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__("https://account.blob.core.windows.net/staging?sig=secret")
        self.__dict__.update(attributes)


@pytest.mark.parametrize(
    ("failed", "expected"),
    [
        (_FromService(status_code=403, error_code="AuthorizationFailure"), "403 AuthorizationFailure"),
        (_FromService(status_code=404, error_code=StorageErrorCode.BLOB_NOT_FOUND), "404 BlobNotFound"),
        (_FromService(status_code=503, reason="Service Unavailable"), "503 Service Unavailable"),
        (_FromService(status_code=None, reason=None), "_FromService"),
        (TimeoutError(), "TimeoutError"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "UnicodeDecodeError"),
    ],
)
def test_a_failure_is_described_without_its_message(failed: Exception, expected: str) -> None:
    """The message may hold a URL with a signature."""
    assert expected == describe(failed)
