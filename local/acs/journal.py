"""The journal of requests to the service API, which shows tests what a client did."""

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiohttp import web

from local.acs.clock import Clock, timestamp
from local.faults.body import UNANSWERED

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
CONTROL_PREFIX = "/emulator"
_CAPACITY = 200_000


@dataclass
class Entry:
    """One request; ``status`` is None while it is in progress, and if it got no answer.

    ``fault`` is the kind of the injected fault.
    """

    time: datetime
    method: str
    path: str
    query: str
    range: str | None
    status: int | None = None
    bytes_sent: int = 0
    fault: str | None = None

    def view(self) -> dict[str, Any]:
        """Return the entry as JSON shows it."""
        return {
            "time": timestamp(self.time),
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "range": self.range,
            "status": self.status,
            "bytesSent": self.bytes_sent,
            "fault": self.fault,
        }


ENTRY = web.RequestKey("journal_entry", Entry)


def is_control(request: web.Request) -> bool:
    """Return whether a request is for the control plane, which has no authentication, faults or journal."""
    return request.path == CONTROL_PREFIX or request.path.startswith(CONTROL_PREFIX + "/")


class Journal:
    """Keep the latest requests in order of arrival."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: deque[Entry] = deque(maxlen=_CAPACITY)

    def view(self) -> list[dict[str, Any]]:
        """Return all entries as JSON shows them."""
        return [entry.view() for entry in self._entries]

    def clear(self) -> None:
        """Remove all entries."""
        self._entries.clear()

    def middleware(self) -> Any:
        """Return the middleware that writes the journal."""

        @web.middleware
        async def journal(request: web.Request, handler: Handler) -> web.StreamResponse:
            if is_control(request):
                return await handler(request)
            entry = Entry(
                self._clock.now(), request.method, request.path, request.query_string, request.headers.get("Range")
            )
            self._entries.append(entry)
            request[ENTRY] = entry
            response = await handler(request)
            if isinstance(response, web.Response) and not request.get(UNANSWERED, False):
                entry.status = response.status
                entry.bytes_sent = len(response.body) if isinstance(response.body, bytes) else 0
            return response

        return journal
