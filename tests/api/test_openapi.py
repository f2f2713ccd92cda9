"""recording/api/openapi.py: the description is valid, up to date, and has every function with what it asks for."""

import json
import re
from typing import Any

import azure.functions as func
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

import function_app
from recording import errors
from recording.errors import RecordingError
from tests.support.functions import call
from tests.support.openapi import FILE

DOCUMENT: dict[str, Any] = json.loads(function_app.description.text)
OPERATIONS = {
    one["operationId"]: (method, path, one) for path, item in DOCUMENT["paths"].items() for method, one in item.items()
}


def test_the_committed_description_is_the_apps() -> None:
    """`python -m tests.support.openapi` writes it."""
    assert FILE.read_text() == function_app.description.text


def test_it_is_valid() -> None:
    """By the schema of OpenAPI 3.1, references and examples included."""
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_every_function_is_described_as_it_is_registered() -> None:
    """Name, method, route, and who is asked for what: a key, a token with roles, or nothing."""
    security: dict[str, Any] = {"key": [{"functionKey": []}], "token": [{"entra": []}], "anybody": []}

    assert {
        one.name: (one.method.lower(), f"/{one.path}", security[one.door]) for one in function_app.doors.endpoints
    } == {name: (method, path, one["security"]) for name, (method, path, one) in OPERATIONS.items()}
    assert all(one.summary.endswith(".") for one in function_app.doors.endpoints)
    assert {one.name: sorted(one.roles) for one in function_app.doors.endpoints if one.door == "token"} == {
        name: one["x-roles"] for name, (_, _, one) in OPERATIONS.items() if "x-roles" in one
    }


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_parameter_of_a_path_is_described(name: str) -> None:
    """And no other is said to be in the path."""
    _, path, one = OPERATIONS[name]

    assert re.findall(r"\{(\w+)\}", path) == [p["name"] for p in one.get("parameters", []) if p["in"] == "path"]


def test_an_answer_that_says_when_to_ask_again_is_described_so() -> None:
    """The 202 of a file that is being made, and each 429 and 503; no other good answer has the header."""
    answers = DOCUMENT["components"]["responses"]
    good = {
        (name, status)
        for name, (_, _, one) in OPERATIONS.items()
        for status, answer in one["responses"].items()
        if "Retry-After" in answer.get("headers", {})
    }

    assert {("v1_get_recording_file", "202")} == good
    assert ["429", "503"] == [status for status in answers if "Retry-After" in answers[status].get("headers", {})]


def test_every_status_of_an_error_can_be_described() -> None:
    """An error that the app knows has its response."""
    statuses = {
        str(one.status)
        for one in vars(errors).values()
        if isinstance(one, type) and issubclass(one, RecordingError) and not issubclass(one, errors.ChunkError)
    }

    assert statuses | {"414", "429"} == set(DOCUMENT["components"]["responses"])


async def test_whoever_has_it_already_gets_a_304() -> None:
    """It has an ETag."""
    first = await call("describe")
    again = await call("describe", headers={"If-None-Match": first.headers["ETag"]})

    assert (200, json.loads(FILE.read_text())) == (first.status_code, json.loads(first.get_body()))
    assert (304, b"", first.headers["ETag"]) == (again.status_code, again.get_body(), again.headers["ETag"])
    assert isinstance(again, func.HttpResponse)
