"""The errors of the service, and their three formats.

Bare in the 2021-04 API (docs/acs-contract.md#2021-errors) and on the control plane, wrapped under
``/calling/recordings`` (docs/acs-contract.md#errors), without a body on the storage host
(docs/acs-contract.md#storage-host).

ServiceError          status, code, message, target
├── BadRequest        400
├── NotFound          404
└── Conflict          409
"""

from typing import Any

from aiohttp import web

# The root of the Call Automation API (docs/acs-contract.md#operations).
RECORDINGS = "/calling/recordings"
# Set on an application that answers errors without a body.
BODILESS = web.AppKey("bodiless", bool)


def is_of_today(path: str) -> bool:
    """Return whether a path belongs to the Call Automation API."""
    lower = path.lower()
    return lower == RECORDINGS or lower.startswith(RECORDINGS + "/")


def body(code: str, message: str, target: str | None = None) -> dict[str, Any]:
    """Return ``{"code","message","target","details"}``, unwrapped as in 2021-04."""
    return {"code": code, "message": message, "target": target, "details": []}


def response(status: int, message: str, *, code: str | None = None, target: str | None = None) -> web.Response:
    """Answer with the bare error body; the code is the HTTP number unless given.

    See docs/acs-contract.md#preview-errors.
    """
    return web.json_response(body(code or str(status), message, target), status=status)


def answer(
    request: web.Request, status: int, message: str, *, code: str | None = None, target: str | None = None
) -> web.Response:
    """Answer in the format of the API that the path belongs to."""
    if request.app.get(BODILESS, False):
        return web.Response(status=status)
    if not is_of_today(request.path):
        return response(status, message, code=code, target=target)
    error = {"code": code or str(status), "message": message}
    return web.json_response({"error": error | ({} if target is None else {"target": target})}, status=status)


class ServiceError(Exception):
    """An error that is answered with a status and an error body; the default code is the status."""

    status = 500

    def __init__(self, message: str, *, code: str | None = None, target: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.target = target


class BadRequest(ServiceError):
    """The request contains invalid data."""

    status = 400


class NotFound(ServiceError):
    """What the request names is unknown, has ended, or has expired."""

    status = 404


class Conflict(ServiceError):
    """The state of what the request names doesn't allow the operation."""

    status = 409
