"""The error tree: each error knows its HTTP status, its code and what happens next.

RecordingError                500 InternalServerError
├── BadRequest                400 BadRequest              the caller mends the request
├── Unauthorized              401 Unauthorized            the sender of a callback proves that it is ACS
├── NotFound                  404 NotFound                the caller names another recording
├── Conflict                  409 Conflict                the service refuses in this state
├── Throttled                 429 / 503                   the caller waits `retry_after` seconds
├── StartInProgress           503 StartInProgress         another request makes this start; try again
├── Misconfigured             500 Misconfigured           the operator mends a setting or a role
├── UpstreamFailed            500 UpstreamFailed          ACS failed; the caller may try again
├── BadEvent                  quarantined                 the operator looks at the event
└── ChunkError                the queue, then the timer, tries again until the chunk's deadline
    ├── SourceUnavailable     the service did not answer, or answered with an error
    ├── SourceGone            the service says that it has no such document (404, 410)
    ├── SourceDamaged         empty, an error page, no media, or not whole by its own word
    ├── SourceChanged         another length or ETag than before: start over, never mix
    ├── SourceRefused         the address isn't on an allowed host
    └── NotProved             what lies in our storage differs from what was fetched
"""

from typing import ClassVar


class RecordingError(Exception):
    """Something in this app failed."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "InternalServerError"

    def __init__(self, message: str, *, target: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.target = target
        self.error_code = code or self.code
        self.http_status = self.status


class BadRequest(RecordingError):
    """The request is not one that this API takes; `target` names the part."""

    status = 400
    code = "BadRequest"


class Unauthorized(RecordingError):
    """A callback bears no token of ACS's, or one that isn't good."""

    status = 401
    code = "Unauthorized"


class NotFound(RecordingError):
    """What the request names does not exist."""

    status = 404
    code = "NotFound"


class Conflict(RecordingError):
    """The service refuses the operation in the recording's present state."""

    status = 409
    code = "Conflict"


class Throttled(RecordingError):
    """ACS asks to wait; `retry_after` is its `Retry-After` header, as received."""

    status = 503
    code = "ServiceUnavailable"

    def __init__(self, message: str, *, status: int, retry_after: str | None) -> None:
        super().__init__(message, code="TooManyRequests" if status == 429 else None)
        self.http_status = status
        self.retry_after = retry_after


class StartInProgress(RecordingError):
    """Another worker is making the same start; nothing was asked of ACS."""

    status = 503
    code = "StartInProgress"


class Misconfigured(RecordingError):
    """A setting, a key or a role of this app is wrong; the message says which."""

    code = "Misconfigured"


class UpstreamFailed(RecordingError):
    """ACS answered with a failure, or not at all."""

    code = "UpstreamFailed"


class BadEvent(RecordingError):
    """An event cannot be understood; it goes to quarantine with this reason."""

    status = 400
    code = "BadEvent"


class ChunkError(RecordingError):
    """A chunk could not be ingested this time."""

    code = "ChunkFailed"


class SourceUnavailable(ChunkError):
    """The service did not give the bytes; a later attempt may succeed."""

    code = "SourceUnavailable"


class SourceGone(ChunkError):
    """The service has no such document: unknown, deleted or past its retention."""

    code = "SourceGone"


class SourceDamaged(ChunkError):
    """The service gave something that is not the whole media file."""

    code = "SourceDamaged"


class SourceChanged(ChunkError):
    """The document's length or ETag is not what it was; the copy starts over."""

    code = "SourceChanged"


class SourceRefused(ChunkError):
    """The address of the bytes is not on an allowed host (CONTENT_HOSTS)."""

    code = "SourceRefused"


class NotProved(ChunkError):
    """The committed chunk differs from what was fetched; it is deleted and fetched again."""

    code = "NotProved"


def describe(failed: BaseException) -> str:
    """Name a failure without its message, which may hold a URL: `403 AuthorizationFailure`, `TimeoutError`."""
    # By their names: an error of the Azure SDK has these attributes, and its packages aren't needed here.
    status, code = (getattr(failed, name, None) for name in ("status_code", "error_code"))
    known = getattr(code, "value", code) or (status and getattr(failed, "reason", None)) or type(failed).__name__
    return f"{status} {known}" if status else str(known)
