"""The bare error body of the 2021-04 API (acs-contract 2.6), and the errors that carry it.

ServiceError          status, code, message, target
├── BadRequest        400
├── NotFound          404
└── Conflict          409
"""

from typing import Any

from aiohttp import web


def body(code: str, message: str, target: str | None = None) -> dict[str, Any]:
    """Return ``{"code","message","target","details"}``, unwrapped as in 2021-04."""
    return {"code": code, "message": message, "target": target, "details": []}


def response(status: int, message: str, *, code: str | None = None, target: str | None = None) -> web.Response:
    """Answer with the bare error body; the code is the HTTP number unless given (acs-contract 3.4)."""
    return web.json_response(body(code or str(status), message, target), status=status)


class ServiceError(Exception):
    """A refusal that the HTTP layer turns into a status and the bare error body."""

    status = 500

    def __init__(self, message: str, *, target: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.target = target


class BadRequest(ServiceError):
    """The request contains invalid data."""

    status = 400


class NotFound(ServiceError):
    """The named thing is unknown, over, or expired."""

    status = 404


class Conflict(ServiceError):
    """The thing is in a state that does not allow the operation."""

    status = 409
