"""Routes of the Call Automation API (docs/acs-contract.md#call-automation)."""

import json
import re
from typing import Any

from aiohttp import web

from local.acs import identifiers, start
from local.acs.entities import Recording, StartFailed
from local.acs.errors import ServiceError
from local.acs.repeats import Outcome, request_id
from local.acs.service import CANNOT_JOIN, Service
from local.acs.timeline import Pause

API_VERSIONS = frozenset(
    ("2023-03-06", "2023-10-15", "2024-04-15", "2024-09-15", "2025-05-15", "2025-06-15", "2026-03-12")
)
_PREVIEW = re.compile(r"(\d{4}-\d{2}-\d{2})-preview", re.ASCII)
_KIND_SINCE = "2024-04-15"
_ACCEPTED_SINCE = "2025-06-15"
_KIND = "azureCommunicationServices"
_ALL = "/{_a:(?i:calling)}/{_b:(?i:recordings)}"
_ONE = _ALL + "/{recordingId}"


def is_served(version: str | None) -> bool:
    """Return whether an api-version belongs to this API: its releases, and later previews."""
    preview = _PREVIEW.fullmatch(version or "")
    return version in API_VERSIONS or (preview is not None and preview[1] > min(API_VERSIONS))


def routes(service: Service) -> list[web.RouteDef]:
    """Return start, state, stop, pause and resume."""

    async def begin(request: web.Request) -> web.Response:
        raw, version = await request.read(), _version(request)
        identity = request_id(request.headers)
        outcome = None if identity is None else service.repeats.find(identity, raw)
        if outcome is None:
            outcome = _begin(service, start.read(raw, version=version), version)
            if identity is not None:
                service.repeats.keep(identity, raw, outcome)
        return _compact(outcome.body, status=outcome.status)

    async def state(request: web.Request) -> web.Response:
        recording = _find(request, service)
        return _compact(_status(recording.recording_id, recording.state, _version(request)))

    async def stop(request: web.Request) -> web.Response:
        service.stop(_find(request, service))
        return web.Response(status=204)

    async def pause(request: web.Request) -> web.Response:
        service.pause(_find(request, service))
        return web.Response(status=202)

    async def resume(request: web.Request) -> web.Response:
        service.resume(_find(request, service))
        return web.Response(status=202)

    return [
        web.post(_ALL, begin),
        web.get(_ONE, state, allow_head=False),
        web.delete(_ONE, stop),
        web.post(_ONE + "{_c:(?i::pause)}", pause),
        web.post(_ONE + "{_c:(?i::resume)}", resume),
    ]


def _begin(service: Service, wanted: start.Start, version: str) -> Outcome:
    """Start a recording: 200, or 202 if only the callback has the result."""
    recording_id = identifiers.new_recording_id()
    accepted = service.settings.start_accepted and version >= _ACCEPTED_SINCE
    call = None
    try:
        call = service.locate(wanted.handle, wanted.value)
        now = service.clock.now()
        recording = Recording(
            recording_id,
            call,
            start=now,
            callback_uri=wanted.callback_uri,
            pauses=[Pause(now)] if wanted.paused else [],
            generation="today",
            api_version=version,
            format=wanted.format,
        )
        service.begin(recording)
    except ServiceError as error:
        if not accepted:
            raise
        sub_code = int(CANNOT_JOIN) if error.code == CANNOT_JOIN else 0
        service.emit(
            StartFailed(recording_id, wanted.callback_uri, version, call, error.status, sub_code, error.message)
        )
        return Outcome(202, _status(recording_id, "inactive", version))
    if accepted:
        # The start is only queued, so nothing is recorded yet.
        return Outcome(202, _status(recording_id, "inactive", version))
    return Outcome(200, _status(recording_id, recording.state, version))


def _find(request: web.Request, service: Service) -> Recording:
    # Ids are unpadded in the service and padded in its specification (docs/acs-contract.md#2021-recording-id): both are
    # accepted.
    return service.running_today(request.match_info["recordingId"].rstrip("="))


def _version(request: web.Request) -> str:
    return request.query["api-version"]


def _status(recording_id: str, state: str, version: str) -> dict[str, Any]:
    body = {"recordingId": recording_id, "recordingState": state}
    return body | {"recordingKind": _KIND} if version >= _KIND_SINCE else body


def _compact(body: dict[str, Any], *, status: int = 200) -> web.Response:
    return web.json_response(body, status=status, dumps=lambda value: json.dumps(value, separators=(",", ":")))
