"""The error tree: each error knows its HTTP status, its code and what happens next.

RecordingError                500 InternalServerError
├── BadRequest                400 BadRequest              the caller fixes the request
├── Unauthorized              401 Unauthorized            the caller needs a valid token of ACS (callbacks) or Entra ID
├── Forbidden                 403 Forbidden               the caller needs a role that it doesn't have
├── TooLarge                  413 TooLarge                the caller sends less at once
├── LengthRequired            411 LengthRequired          the caller sends the body with a Content-Length
├── NotFound                  404 NotFound                the caller needs another recording id
├── Conflict                  409 Conflict                the service refuses in this state
├── PreconditionFailed        412 PreconditionFailed      the caller looks again at what has changed since
├── NotJoinable               409 NotJoinable             the caller takes the chunks one by one
├── ConsentMissing            409 ConsentMissing          consent is granted first, or the withdrawn one again
├── Throttled                 429 / 503                   the caller waits `retry_after` seconds
├── StartInProgress           503 StartInProgress         another request for this start is in progress; try again
├── KeysUnavailable           503 KeysUnavailable         the keys that check tokens can't be fetched; try again soon
├── IndexUnavailable          503 IndexUnavailable        the search index can't be reached; try again in a minute
├── StorageUnavailable        503 StorageUnavailable      storage can't be reached; try again in a minute
├── TrailUnavailable          503 TrailUnavailable        the trail can't be written, so it was not done; try again
├── Misconfigured             500 Misconfigured           the operator fixes a setting or a role
├── ManifestUnreadable        500 ManifestUnreadable      the operator restores the blob; the archive has the files
├── UpstreamFailed            500 UpstreamFailed          ACS failed; the caller may try again
├── BadEvent                  quarantined                 the operator inspects the event
└── ChunkError                the queue, then the timer, tries again until the chunk is staged or lost
    ├── SourceUnavailable     the service did not answer, or answered with an error
    ├── SourceGone            the service has no such document (404, 410)
    ├── SourceDamaged         empty, an error page, or a body that doesn't fit its headers
    │   └── SourceUnmeasured  its headers have no length: all of it is read to count it
    ├── SourceChanged         another length or ETag than before: start over, never mix
    ├── SourceSlow            the source is too slow while other chunks wait; what was staged is kept
    ├── SourceRefused         the URL isn't the document's, or not on an allowed host
    └── NotProved             storage received other bytes than were sent, or keeps others
"""

from collections.abc import Iterable, Mapping
from typing import ClassVar


class RecordingError(Exception):
    """Any failure of this app that has a meaning to its caller; `retry_after` is for a header of that name."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "InternalServerError"
    retry_after: str | None = None
    details: tuple[Mapping[str, str | int], ...] = ()

    def __init__(self, message: str, *, target: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.target = target
        self.error_code = code or self.code
        self.http_status = self.status


class BadRequest(RecordingError):
    """The request is invalid; `target` names the part."""

    status = 400
    code = "BadRequest"


class Unauthorized(RecordingError):
    """The request has no token, or an invalid one: of ACS for a callback, of Entra ID on `/v1`."""

    status = 401
    code = "Unauthorized"


class Forbidden(RecordingError):
    """The token is valid, and gives none of the roles that the operation needs."""

    status = 403
    code = "Forbidden"


class TooLarge(RecordingError):
    """The body of the request has more bytes than the app reads."""

    status = 413
    code = "TooLarge"


class LengthRequired(RecordingError):
    """The body of the request is chunked, so the platform does not pass it to the app."""

    status = 411
    code = "LengthRequired"


class NotFound(RecordingError):
    """The recording or blob that the request names does not exist."""

    status = 404
    code = "NotFound"


class Conflict(RecordingError):
    """The service refuses the operation in the current state of the recording."""

    status = 409
    code = "Conflict"


class PreconditionFailed(RecordingError):
    """What is to be changed is not any more as the `If-Match` of the request says."""

    status = 412
    code = "PreconditionFailed"


class NotJoinable(RecordingError):
    """The chunks of the recording can't be one file; the details name each reason and its chunk."""

    status = 409
    code = "NotJoinable"

    def __init__(
        self,
        message: str,
        *,
        target: str | None = None,
        code: str | None = None,
        details: Iterable[Mapping[str, str | int]] = (),
    ) -> None:
        super().__init__(message, target=target, code=code)
        self.details = tuple(dict(one) for one in details)


class ConsentMissing(RecordingError):
    """Consent to being recorded is required, and nobody has granted it, or somebody has withdrawn theirs."""

    status = 409
    code = "ConsentMissing"


class Throttled(RecordingError):
    """ACS asks the caller to wait; `retry_after` is its `Retry-After` header, unchanged."""

    status = 503
    code = "ServiceUnavailable"

    def __init__(self, message: str, *, status: int, retry_after: str | None) -> None:
        super().__init__(message, code="TooManyRequests" if status == 429 else None)
        self.http_status = status
        self.retry_after = retry_after


class StartInProgress(RecordingError):
    """Another request for the same start is in progress; no request was sent to ACS."""

    status = 503
    code = "StartInProgress"
    retry_after = "60"


class KeysUnavailable(RecordingError):
    """The keys that check a token can't be fetched from ACS or Entra ID, so it is unknown whether it is valid."""

    status = 503
    code = "KeysUnavailable"
    retry_after = "30"


class IndexUnavailable(RecordingError):
    """The search index does not answer; recordings don't need it."""

    status = 503
    code = "IndexUnavailable"
    retry_after = "60"


class StorageUnavailable(RecordingError):
    """Storage does not answer; what is in flight is tried again by itself."""

    status = 503
    code = "StorageUnavailable"
    retry_after = "60"


class TrailUnavailable(RecordingError):
    """The fact of what was asked for can't be written, so it was not done."""

    status = 503
    code = "TrailUnavailable"
    retry_after = "60"


class Misconfigured(RecordingError):
    """A setting, a key or a role of this app is wrong; the message names it."""

    code = "Misconfigured"


class ManifestUnreadable(RecordingError):
    """The manifest of an archived recording is no manifest: somebody has changed its blob."""

    code = "ManifestUnreadable"


class UpstreamFailed(RecordingError):
    """ACS answered with an error, or not at all."""

    code = "UpstreamFailed"


class BadEvent(RecordingError):
    """An event cannot be parsed; it goes to quarantine with this reason."""

    status = 400
    code = "BadEvent"


class ChunkError(RecordingError):
    """An attempt at a chunk failed."""

    code = "ChunkFailed"


class SourceUnavailable(ChunkError):
    """The service did not send the bytes; a later attempt may succeed."""

    code = "SourceUnavailable"


class SourceGone(ChunkError):
    """The service has no such document: unknown, deleted or past its retention."""

    code = "SourceGone"


class SourceDamaged(ChunkError):
    """The service sent something other than the document: nothing, an error page, or other bytes than it declared."""

    code = "SourceDamaged"


class SourceUnmeasured(SourceDamaged):
    """The service didn't declare the length of the document, whose end can be recognised: its bytes can be counted."""

    code = "SourceUnmeasured"


class SourceChanged(ChunkError):
    """The document's length or ETag has changed; the copy starts over."""

    code = "SourceChanged"


class SourceSlow(ChunkError):
    """The source is so slow that the attempt was given up for other chunks; the next one continues from its blocks."""

    code = "SourceSlow"


class SourceRefused(ChunkError):
    """The URL is no address of the document, or not on an allowed host (CONTENT_HOSTS); nothing was sent there."""

    code = "SourceRefused"


class NotProved(ChunkError):
    """Storage received other bytes of a block than were sent; of a chunk of an older version: it keeps others."""

    code = "NotProved"


def describe(failed: BaseException) -> str:
    """Name a failure without its message, which may have a URL: `403 AuthorizationFailure`, `TimeoutError`."""
    # By attribute names: errors of the Azure SDK have these, and its packages need not be imported.
    status, code = (getattr(failed, name, None) for name in ("status_code", "error_code"))
    known = getattr(code, "value", code) or (status and getattr(failed, "reason", None)) or type(failed).__name__
    return f"{status} {known}" if status else str(known)
