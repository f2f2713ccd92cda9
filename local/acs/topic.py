"""A custom Event Grid topic, ``/emulator/topic``, which keeps and shows what the app publishes.

Events are published to ``/emulator/topic/api/events``, in the service to
``https://NAME.REGION-1.eventgrid.azure.net/api/events``. Any key or token is accepted; nothing is delivered.
"""

from typing import Any

from aiohttp import web

from local.acs.bodies import read_json
from local.acs.errors import BadRequest
from local.acs.journal import CONTROL_PREFIX

PATH = CONTROL_PREFIX + "/topic"
PUBLISH_PATH = PATH + "/api/events"
_CREDENTIALS = ("aeg-sas-key", "aeg-sas-token", "Authorization")
# The required members of an event; the data version of the Event Grid schema is now optional.
_CLOUD_EVENT = ("id", "source", "specversion", "type")
_EVENT_GRID_EVENT = ("id", "subject", "eventType", "eventTime")


class CustomTopic:
    """Keep the published events in order of arrival, including repeats."""

    def __init__(self) -> None:
        self._events: list[dict[str, Any]] = []

    def routes(self) -> list[web.RouteDef]:
        """Return the routes: publish and show."""
        return [
            web.post(PUBLISH_PATH, self.publish),
            web.get(PATH + "/events", self.show, allow_head=False),
        ]

    async def publish(self, request: web.Request) -> web.Response:
        """Accept a batch in either schema: 200, 400 with what an event lacks, or 401 without a credential."""
        if not any(name in request.headers for name in _CREDENTIALS):
            return web.json_response({"error": {"code": "Unauthorized"}}, status=401)
        body = await read_json(request)
        batch = body if isinstance(body, list) else [body]
        for event in batch:
            _check(event)
        self._events += batch
        return web.json_response({})

    async def show(self, request: web.Request) -> web.Response:
        """Return the events as they were published."""
        return web.json_response({"events": self._events})


def _check(event: Any) -> None:
    if not isinstance(event, dict):
        raise BadRequest("The request contains invalid data: an event is a JSON object.")
    needed = _CLOUD_EVENT if "specversion" in event else _EVENT_GRID_EVENT
    if missing := [name for name in needed if not (isinstance(event.get(name), str) and event[name])]:
        raise BadRequest(f"The request contains invalid data: the event lacks {', '.join(missing)}.", target=missing[0])
