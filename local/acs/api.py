"""Routes of the 2021 recording API, under both roots, and the checks of every request.

See docs/acs-contract.md#2021-operations.
"""

import json
import logging
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from local.acs import auth, bodies, calling, errors, tokens
from local.acs.errors import ServiceError
from local.acs.journal import Handler, is_control
from local.acs.service import Service

# docs/acs-contract.md#emulator-profile; the first is marked with "?" there and has the same operations.
API_VERSIONS = frozenset({"2021-03-28-preview0", "2021-04-15-preview1", "2021-05-28-preview2"})
_ROOTS = ("/{_a:(?i:conversations)}", "/{_r:(?i:calling)}/{_a:(?i:conversations)}")
_START = "/{conversationId}/{_b:(?i:recordings)}"
_ONE = _START + "/{recordingId}"
_log = logging.getLogger(__name__)


def routes(service: Service) -> list[web.RouteDef]:
    """Return start, state, stop, pause and resume under both roots."""

    async def start(request: web.Request) -> web.Response:
        body = await bodies.read(request, bodies.StartBody)
        conversation = request.match_info["conversationId"]
        recording = service.start(conversation, callback_uri=body.recording_state_callback_uri)
        return _compact({"recordingId": recording.recording_id})

    async def state(request: web.Request) -> web.Response:
        recording = service.running(*_ids(request))
        return _compact({"recordingState": recording.state})

    async def stop(request: web.Request) -> web.Response:
        await bodies.read(request, bodies.OperationBody, optional=True)
        service.stop(service.running(*_ids(request)))
        return _compact({})

    async def pause(request: web.Request) -> web.Response:
        await bodies.read(request, bodies.OperationBody, optional=True)
        service.pause(service.running(*_ids(request)))
        return _compact({})

    async def resume(request: web.Request) -> web.Response:
        await bodies.read(request, bodies.OperationBody, optional=True)
        service.resume(service.running(*_ids(request)))
        return _compact({})

    table: list[web.RouteDef] = []
    for root in _ROOTS:
        table += [
            web.post(root + _START, start),
            web.get(root + _ONE, state, allow_head=False),
            web.delete(root + _ONE, stop),
            web.post(root + _ONE + "/{_c:(?i:pause)}", pause),
            web.post(root + _ONE + "/{_c:(?i:resume)}", resume),
        ]
    return table


def authentication(verifier: auth.Verifier) -> Any:
    """Return the middleware that answers 401 unless a request is signed; it uses the real time."""

    @web.middleware
    async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not (is_control(request) or tokens.is_public(request)):
            signed = auth.SignedRequest(request.method, request.raw_path, request.headers, await request.read())
            refusal = verifier.refusal(signed, now=datetime.now(UTC))
            if refusal is not None:
                _log.warning("request.unauthorized path=%s reason=%s", request.path, refusal)
                return errors.answer(request, 401, auth.MESSAGE)
        return await handler(request)

    return authenticate


@web.middleware
async def require_api_version(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer 400 unless ``api-version`` is a version of the API that the path belongs to."""
    unversioned = is_control(request) or tokens.is_public(request)
    if not unversioned and request.match_info.http_exception is None:
        version = request.query.get("api-version")
        if not (calling.is_served(version) if errors.is_of_today(request.path) else version in API_VERSIONS):
            problem = "is required" if not version else "is not supported"
            raise errors.BadRequest(f"The query parameter api-version {problem}.", target="api-version")
    return await handler(request)


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Convert every error to a status with the error body of the API."""
    try:
        return await handler(request)
    except ServiceError as error:
        return errors.answer(request, error.status, error.message, code=error.code, target=error.target)
    except web.HTTPException as error:
        answer = errors.answer(request, error.status, error.reason)
        if "Allow" in error.headers:
            answer.headers["Allow"] = error.headers["Allow"]
        return answer
    except ConnectionError:
        raise
    except Exception:
        _log.exception("request.failed path=%s", request.path)
        return errors.answer(request, 500, "Unknown internal server error.", code="9999")


def _ids(request: web.Request) -> tuple[str, str]:
    return request.match_info["conversationId"], request.match_info["recordingId"]


def _dumps(body: Any) -> str:
    # The captured lengths prove JSON without spaces (docs/acs-contract.md#previews).
    return json.dumps(body, separators=(",", ":"))


def _compact(body: dict[str, Any]) -> web.Response:
    return web.json_response(body, dumps=_dumps)
