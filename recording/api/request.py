"""Read an HTTP request: its body, query, path, and who sends it."""

from collections.abc import Mapping

import azure.functions as func
from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_camel

from recording.control.bodies import Caller, RepeatKey
from recording.errors import BadRequest, TooLarge
from recording.model.envelope import split_events

LARGEST_BODY = 64 * 1024
# Event Grid sends 1 MiB at most (docs/acs-contract.md#delivery-semantics); base64 and JSON in JSON make it longer.
LARGEST_EVENTS = 4 * 1024 * 1024
LONGEST_KEY = 255
# App Service authentication (Easy Auth) names the caller; the name of a function key doesn't reach the app.
_PRINCIPAL = ("x-ms-client-principal-name", "x-ms-client-principal-id")
_REPEAT_KEY = ("Repeatability-Request-ID", "Idempotency-Key")


def read_body[Model: BaseModel](model: type[Model], req: func.HttpRequest) -> Model:
    """Read the body; an empty one counts as `{}`.

    Raises BadRequest whose target is the first member that is wrong.
    """
    body = req.get_body()
    if len(body) > LARGEST_BODY:
        raise BadRequest(f"the body has more than {LARGEST_BODY} bytes", target="body")
    try:
        return model.model_validate_json(body.strip() or b"{}")
    except ValidationError as invalid:
        raise _bad(invalid, "body") from None


def read_events(req: func.HttpRequest) -> list[str]:
    """Read the events of a callback, in any form (docs/acs-contract.md#forms-of-an-event).

    Each is the text of one event, or of what the body has instead of one, which is for the quarantine. Raises TooLarge,
    or BadRequest for a request with nothing in it.
    """
    body = req.get_body()
    if len(body) > LARGEST_EVENTS:
        raise TooLarge(f"the body has more than {LARGEST_EVENTS} bytes", target="body")
    events = split_events(body, req.headers)
    if events == [""]:
        raise BadRequest("the body is empty", target="body")
    return events


def read_query[Model: BaseModel](model: type[Model], req: func.HttpRequest) -> Model:
    """Read the query parameters.

    Raises BadRequest whose target is the first parameter that is wrong.
    """
    try:
        return model.model_validate(dict(req.params))
    except ValidationError as invalid:
        raise _bad(invalid, "query") from None


def path_value(req: func.HttpRequest, name: str) -> str:
    """Return the part of the path that the route calls `name`."""
    value: str = req.route_params[name]
    return value


def read_caller(req: func.HttpRequest) -> Caller:
    """Read who is calling, and the key under which a start may be repeated.

    Raises BadRequest for a key that is empty, too long or not printable.
    """
    return Caller(_principal(req.headers), _repeat_key(req.headers))


def _principal(headers: Mapping[str, str]) -> str | None:
    found = next((headers[name][:256] for name in _PRINCIPAL if headers.get(name)), None)
    # A header may hold bytes that are not UTF-8, read as lone surrogates; JSON can't carry them.
    return found.encode(errors="backslashreplace").decode() if found else None


def _repeat_key(headers: Mapping[str, str]) -> RepeatKey | None:
    for name in _REPEAT_KEY:
        key = headers.get(name)
        if key is not None:
            if not key.strip() or len(key) > LONGEST_KEY or not key.isprintable():
                raise BadRequest(f"{name} must be 1 to {LONGEST_KEY} printable characters", target=name)
            return RepeatKey(name, key)
    return None


def _bad(invalid: ValidationError, whole: str) -> BadRequest:
    first = invalid.errors(include_input=False, include_url=False)[0]
    # A missing member is named as in Python (pydantic 2.14.3).
    target = ".".join(to_camel(str(part)) for part in first["loc"]) or whole
    return BadRequest(f"{target}: {first['msg']}", target=target)
