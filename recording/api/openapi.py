"""The description of the HTTP API, in OpenAPI 3.1: made of the table of operations and the pydantic models.

`docs/openapi.json` is what it describes at present. pydantic's dialect of JSON Schema is the one of OpenAPI 3.1.
"""

import hashlib
import json
from collections.abc import Iterable
from functools import cached_property
from http import HTTPStatus
from typing import Any

import azure.functions as func
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from recording import __version__
from recording.api.doors import Door, Endpoint
from recording.api.request import LONGEST_KEY, MATCH
from recording.api.response import REPEATABLE, REPEATED, REQUEST_ID, ErrorBody, Text

_REFERENCE = "#/components/schemas/{model}"
_ABOUT = """\
Recordings of Azure Communication Services: start and stop them, find them, fetch them from the archive.

The paths without `/v1` need a function key. The same operations under `/v1` need an access token of Entra ID for this
API, whose `roles` have one of `x-roles`. The Functions host answers 404 without a body to a path or a method that is
not listed, 401 without a body to a wrong key, and 413 without a body to a very large request.
"""
_PATH: dict[str, dict[str, Any]] = {
    "conversationId": {
        "description": "The base64url of the conversation URL, or of a server call id; a group call's GUID; room:{id}.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9:_=+-]{1,4096}$"},
        "example": "3f2b0e4c-1111-4000-8000-000000000001",
    },
    "recordingId": {
        "description": "The id in the answer of start.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9+_-]{1,1024}={0,2}$"},
        "example": "eyJQbGF0Zm9ybUVuZHBvaW50SWQiOiI1In0",
    },
    "recordingKey": {
        "description": "The key of a recording in a list.",
        "schema": {"type": "string", "pattern": "^[0-9]{8}T[0-9]{12}Z-[0-9A-Za-z][0-9A-Za-z-]{0,63}$"},
        "example": "20261124T140211000000Z-3f2b0e4c-0000-4000-8000-00000000000f",
    },
    "eventKey": {
        "description": "The key of an event in the list of the quarantine.",
        "schema": {"type": "string", "pattern": "^[0-9]{8}-sha256-[0-9a-f]{32}$"},
        "example": "20261124-sha256-0123456789abcdef0123456789abcdef",
    },
    "exportId": {
        "description": "The id in the answer of the request for an export.",
        "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        "example": "0123456789abcdef0123456789abcdef",
    },
    "erasureId": {
        "description": "The id of an erasure: the SHA-256 of the recording key, in hex.",
        "schema": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "example": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    },
    "holdId": {
        "description": "The id in the answer of a hold on a search.",
        "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        "example": "0123456789abcdef0123456789abcdef",
    },
    "index": {
        "description": "The index of a chunk.",
        "schema": {"type": "string", "pattern": "^[0-9]{1,5}$"},
        "example": "0",
    },
}
_REPEAT = "The start happens once for all requests with this value; the same value with another request gets a 400."
_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "description": "ETags of the recording's class and holds: a 412 if they have changed since.",
    "schema": {"type": "string", "pattern": MATCH},
}
_HEADERS = {
    REQUEST_ID: "The id of this request, which the app's log has, too.",
    "x-ms-error-code": "The code in the body.",
    REPEATED: "Whether the request counts under its Repeatability-Request-ID.",
    "Retry-After": "Seconds to wait.",
    "WWW-Authenticate": "Bearer.",
    "Location": "A link that is valid for five minutes.",
    "ETag": "The version of this description, or of the class and the holds of a recording.",
    "Content-Disposition": "The name under which a browser saves the file.",
}
_REFUSALS = (400, 401, 403, 404, 409, 411, 412, 413, 429, 500, 503)
_SECURITY: dict[Door, list[dict[str, list[str]]]] = {
    "key": [{"functionKey": []}],
    "token": [{"entra": []}],
    "anybody": [],
}


class Description:
    """The document, made at its first use."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._endpoints = endpoints

    @cached_property
    def text(self) -> str:
        """Return the document as it is served and committed."""
        return json.dumps(document(self._endpoints), indent=1) + "\n"

    def answer(self, req: func.HttpRequest) -> func.HttpResponse:
        """Answer with the document, or with 304 to whoever has it already."""
        etag = f'"{hashlib.sha256(self.text.encode()).hexdigest()[:32]}"'
        headers = {"ETag": etag, "Cache-Control": "no-cache"}
        if etag in req.headers.get("If-None-Match", ""):
            return func.HttpResponse(status_code=304, headers=headers)
        return func.HttpResponse(self.text, mimetype="application/json", headers=headers)


def document(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """Return the document for these operations."""
    listed = sorted(endpoints, key=lambda one: (one.path, one.method))
    schemas = _Components(listed)
    paths: dict[str, dict[str, Any]] = {}
    for one in listed:
        paths.setdefault(f"/{one.path}", {})[one.method.lower()] = _operation(one, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Recordings", "version": __version__, "description": _ABOUT},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas.definitions,
            "responses": {
                **{str(status): _refusal(status, schemas) for status in _REFUSALS},
                "414": {"description": "The Functions host answers so to an address of more than 8,192 characters."},
            },
            "headers": {
                name: {"description": text, "schema": {"type": "string"}} for name, text in sorted(_HEADERS.items())
            },
            "securitySchemes": {
                "functionKey": {"type": "apiKey", "in": "header", "name": "x-functions-key"},
                "entra": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "An access token of Entra ID, version 2.0, for this API: a person's with the scope "
                    "`access`, or a service's.",
                },
            },
        },
    }


class _Schema(GenerateJsonSchema):
    """What the app sends: a member that is None is left out, so that it is never null and never required."""

    def nullable_schema(self, schema: Any) -> dict[str, Any]:
        return (
            self.generate_inner(schema["schema"]) if self.mode == "serialization" else super().nullable_schema(schema)
        )

    def literal_schema(self, schema: Any) -> dict[str, Any]:
        # typing keeps one of two Literals that differ in order only, by the order of imports.
        made = super().literal_schema(schema)
        return made | ({"enum": sorted(made["enum"])} if "enum" in made else {})

    def default_schema(self, schema: Any) -> dict[str, Any]:
        made = super().default_schema(schema)
        return {name: value for name, value in made.items() if (name, value) != ("default", None)}

    def field_is_required(self, field: Any, total: bool) -> bool:
        is_left_out = self.mode == "serialization" and field["schema"]["type"] == "nullable"
        return not is_left_out and super().field_is_required(field, total)

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


class _Components:
    """The schemas of all models, and where each stands."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        asked: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {(ErrorBody, "validation"): None}
        for one in endpoints:
            if one.shape.answer:
                asked[one.shape.answer, "serialization"] = None
            if one.shape.body:
                asked[one.shape.body, "validation"] = None
        self._places, made = models_json_schema(
            list(asked), by_alias=True, ref_template=_REFERENCE, schema_generator=_Schema
        )
        self.definitions: dict[str, Any] = made["$defs"]

    def of(self, model: type[BaseModel], mode: JsonSchemaMode) -> dict[str, Any]:
        """Return a body of this model: JSON, or a text."""
        return {"text/plain" if model is Text else "application/json": {"schema": self._places[model, mode]}}


def _operation(one: Endpoint, schemas: _Components) -> dict[str, Any]:
    shape = one.shape
    described: dict[str, Any] = {"operationId": one.name, "summary": one.summary, "security": _SECURITY[one.door]}
    if one.door == "token":
        described["x-roles"] = sorted(one.roles)
    headers = [*(_in_headers() if shape.repeatable else ()), *([_IF_MATCH] if _is_conditional(one) else ())]
    if parameters := [*_in_path(one), *_in_query(shape.query), *headers]:
        described["parameters"] = parameters
    if shape.body:
        described["requestBody"] = {"content": schemas.of(shape.body, "validation")}
    responses = {str(status): _good(status, one, schemas) for status in shape.statuses}
    for status in sorted({*_refusals(one), *shape.errors} - set(shape.statuses)):
        responses[str(status)] = {"$ref": f"#/components/responses/{status}"}
    return described | {"responses": responses}


def _refusals(one: Endpoint) -> set[int]:
    """Return the statuses that follow from the door and from what an operation takes."""
    found = {500}
    if one.door == "token":
        found |= {401, 403, 404, 503}
    if one.shape.query or one.shape.body or "{" in one.path:
        found.add(400)
    if one.shape.query or "{" in one.path:
        found.add(414)
    if one.shape.body:
        found |= {411, 413}
    if _is_conditional(one):
        found.add(412)
    return found


def _is_conditional(one: Endpoint) -> bool:
    return one.shape.has_etag and one.method != "GET"


def _good(status: int, one: Endpoint, schemas: _Components) -> dict[str, Any]:
    names = [REQUEST_ID]
    if one.shape.repeatable:
        names.append(REPEATED)
    if status == 302:
        names.append("Location")
    if one.shape.has_etag:
        names.append("ETag")
    if one.shape.is_file:
        names.append("Content-Disposition")
    if one.shape.is_polled and status == 202:
        names.append("Retry-After")
    made = {"description": HTTPStatus(status).phrase, "headers": _headers(*names)}
    has_body = one.shape.answer is not None and status not in (302, 304)
    return made | ({"content": schemas.of(one.shape.answer, "serialization")} if has_body and one.shape.answer else {})


def _refusal(status: int, schemas: _Components) -> dict[str, Any]:
    names = [REQUEST_ID, "x-ms-error-code"]
    if status == 401:
        names.append("WWW-Authenticate")
    if status in (429, 503):
        names.append("Retry-After")
    content = schemas.of(ErrorBody, "validation")
    return {"description": HTTPStatus(status).phrase, "headers": _headers(*names), "content": content}


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _in_path(one: Endpoint) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in one.path.split("/") if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, **_PATH[name]} for name in names]


def _in_query(model: type[BaseModel] | None) -> list[dict[str, Any]]:
    if model is None:
        return []
    # As an answer: a parameter that isn't given is left out, never null.
    schema = model.model_json_schema(by_alias=True, schema_generator=_Schema, mode="serialization")
    # The host passes on no parameter without a value (docs/functions-host.md#http).
    empty = {"const": "", "description": "As if it were absent."}
    return [
        {"name": name, "in": "query", "schema": {"anyOf": [each, empty]}} for name, each in schema["properties"].items()
    ]


def _in_headers() -> list[dict[str, Any]]:
    key = {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY}
    first_sent = {"type": "string", "description": "When it was sent first; not needed."}
    return [
        {"name": REPEATABLE, "in": "header", "description": _REPEAT, "schema": key},
        {"name": "Repeatability-First-Sent", "in": "header", "schema": first_sent},
        {
            "name": "Idempotency-Key",
            "in": "header",
            "description": f"As {REPEATABLE}, which counts first.",
            "schema": key,
        },
    ]
