"""Answer an HTTP request: a JSON body, or the error body of the contract (docs/acs-contract.md#2021-errors)."""

import functools
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import uuid4

import azure.functions as func
from pydantic import BaseModel, RootModel

from recording.api.request import request_id
from recording.errors import RecordingError, Unauthorized
from recording.model.caller import Caller
from recording.model.record import Body
from recording.telemetry import log

REQUEST_ID = "x-ms-request-id"
# The header of a start that may be repeated, and that of its answer (OASIS, Repeatable Requests 1.0).
REPEATABLE, REPEATED = "Repeatability-Request-ID", "Repeatability-Result"


class Empty(Body):
    """An answer that says only that it was done."""


class Anything(RootModel[dict[str, Any] | list[Any]]):
    """JSON of another's contract: events, or OpenAPI."""


class Text(RootModel[str]):
    """A text file."""


class ErrorBody(Body):
    """What was wrong: `code` for programs, `message` for people, `target` names the part of the request."""

    code: str
    message: str
    target: str | None
    details: list[dict[str, Any]]


def json_response(
    body: BaseModel | None = None, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> func.HttpResponse:
    """Answer with a JSON body, `{}` for none."""
    text = body.model_dump_json(by_alias=True, exclude_none=True) if body else "{}"
    return func.HttpResponse(text, status_code=status, mimetype="application/json", headers=headers)


def file_response(name: str, body: bytes, *, mimetype: str) -> func.HttpResponse:
    """Answer with a file that a browser saves under this name, which needs no quoting."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return func.HttpResponse(body, mimetype=mimetype, headers=headers)


def repeated(caller: Caller) -> dict[str, str]:
    """Return the header that says that a request under a repeat key counts, now or when it came first."""
    key = caller.repeat_key
    return {REPEATED: "accepted"} if key and key.header == REPEATABLE else {}


def error_response(error: RecordingError) -> func.HttpResponse:
    """Answer with the error body of the contract, its code in a header, and `Retry-After` where that is known."""
    headers = {"x-ms-error-code": error.error_code}
    if error.retry_after:
        headers["Retry-After"] = error.retry_after
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    if error.target == REPEATABLE:
        headers[REPEATED] = "rejected"
    body = json.dumps(error_body(error))
    return func.HttpResponse(body, status_code=error.http_status, mimetype="application/json", headers=headers)


def responds[**P](handler: Callable[P, Awaitable[func.HttpResponse]]) -> Callable[P, Awaitable[func.HttpResponse]]:
    """Answer what a handler raises with an error body; the host would answer 500 without a body.

    Each answer has the id of its request, which the log has, too, and none is kept by a cache unless it says so.
    """

    @functools.wraps(handler)
    async def wrapped(*args: P.args, **kwargs: P.kwargs) -> func.HttpResponse:
        number = str(uuid4())
        request_id.set(number)
        about = {"function": handler.__name__, "requestId": number}
        try:
            answer = await handler(*args, **kwargs)
        except RecordingError as error:
            log.warning("request.refused", status=error.http_status, code=error.error_code, **about)
            answer = error_response(error)
        except Exception:
            log.exception("request.failed", **about)
            answer = error_response(RecordingError("an unexpected error; the app's log has the details"))
        answer.headers[REQUEST_ID] = number
        if "Cache-Control" not in answer.headers:
            answer.headers["Cache-Control"] = "no-store"
        return answer

    return wrapped


def error_body(error: RecordingError) -> dict[str, Any]:
    """Return the error body of the contract: code, message, target, details."""
    return {"code": error.error_code, "message": error.message, "target": error.target, "details": list(error.details)}
