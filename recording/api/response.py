"""Answer an HTTP request: a JSON body, or the error body of the contract (docs/acs-contract.md#2021-errors)."""

import functools
import json
from collections.abc import Awaitable, Callable
from typing import Any

import azure.functions as func
from pydantic import BaseModel

from recording.errors import RecordingError, Throttled, Unauthorized
from recording.telemetry import log


def json_response(body: BaseModel | None = None, *, status: int = 200) -> func.HttpResponse:
    """Answer with a JSON body, `{}` for none."""
    text = body.model_dump_json(by_alias=True, exclude_none=True) if body else "{}"
    return func.HttpResponse(text, status_code=status, mimetype="application/json")


def error_response(error: RecordingError) -> func.HttpResponse:
    """Answer with the error body of the contract, its code in a header, and `Retry-After` where ACS gave one."""
    headers = {"x-ms-error-code": error.error_code}
    if isinstance(error, Throttled) and error.retry_after:
        headers["Retry-After"] = error.retry_after
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    body = json.dumps(error_body(error))
    return func.HttpResponse(body, status_code=error.http_status, mimetype="application/json", headers=headers)


def responds[**P](handler: Callable[P, Awaitable[func.HttpResponse]]) -> Callable[P, Awaitable[func.HttpResponse]]:
    """Answer what a handler raises with an error body; the host would answer 500 without a body."""

    @functools.wraps(handler)
    async def wrapped(*args: P.args, **kwargs: P.kwargs) -> func.HttpResponse:
        try:
            return await handler(*args, **kwargs)
        except RecordingError as error:
            log.warning("request.refused", function=handler.__name__, status=error.http_status, code=error.error_code)
            return error_response(error)
        except Exception:
            log.exception("request.failed", function=handler.__name__)
            return error_response(RecordingError("an unexpected error; the app's log has the details"))

    return wrapped


def error_body(error: RecordingError) -> dict[str, Any]:
    """Return the error body of the contract: code, message, target, details."""
    return {"code": error.error_code, "message": error.message, "target": error.target, "details": []}
