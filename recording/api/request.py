"""How a request is read: its body, query, path, and who sends it."""

from collections.abc import Mapping

from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_camel

from recording.control.bodies import RepeatKey
from recording.errors import BadRequest

LARGEST_BODY = 64 * 1024
LONGEST_KEY = 255
# App Service authentication (Easy Auth) tells who called; a function key's name doesn't reach the app.
_PRINCIPAL = ("x-ms-client-principal-name", "x-ms-client-principal-id")


def read_body[Model: BaseModel](model: type[Model], body: bytes) -> Model:
    """Read a request body; an empty one counts as `{}`.

    Raises BadRequest whose target is the first member that is wrong.
    """
    if len(body) > LARGEST_BODY:
        raise BadRequest(f"the body has more than {LARGEST_BODY} bytes", target="body")
    try:
        return model.model_validate_json(body.strip() or b"{}")
    except ValidationError as invalid:
        raise _bad(invalid, "body") from None


def read_query[Model: BaseModel](model: type[Model], params: Mapping[str, str]) -> Model:
    """Read query parameters.

    Raises BadRequest whose target is the first parameter that is wrong.
    """
    try:
        return model.model_validate(dict(params))
    except ValidationError as invalid:
        raise _bad(invalid, "query") from None


def _bad(invalid: ValidationError, whole: str) -> BadRequest:
    first = invalid.errors(include_input=False, include_url=False)[0]
    # A member that is missing is named as in Python (pydantic 2.14.3).
    target = ".".join(to_camel(str(part)) for part in first["loc"]) or whole
    return BadRequest(f"{target}: {first['msg']}", target=target)


def repeat_key(headers: Mapping[str, str]) -> RepeatKey | None:
    """Read the key under which a start may be repeated: `Repeatability-Request-ID` or `Idempotency-Key`.

    Raises BadRequest for one that is empty or absurdly long.
    """
    for name in ("Repeatability-Request-ID", "Idempotency-Key"):
        key = headers.get(name)
        if key is not None:
            if not key.strip() or len(key) > LONGEST_KEY or not key.isprintable():
                raise BadRequest(f"{name} must be 1 to {LONGEST_KEY} printable characters", target=name)
            return RepeatKey(name, key)
    return None


def caller(headers: Mapping[str, str]) -> str | None:
    """Say who is calling, where the platform has authenticated a principal."""
    found = next((headers[name][:256] for name in _PRINCIPAL if headers.get(name)), None)
    # A header may hold bytes that are no text; JSON in UTF-8 can't carry them (lone surrogates).
    return found.encode(errors="backslashreplace").decode() if found else None
