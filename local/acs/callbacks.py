"""POST callbacks to the app, in order for each URL."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import aiohttp

# The service's retry policy for callbacks is not published (docs/acs-contract.md#callbacks): a few quick attempts, then
# give up.
_PAUSES_SECONDS = (0.2, 1.0, 5.0)
_TIMEOUT_SECONDS = 10.0
# A JSON object in the 2021 preview API, an array in the Call Automation API.
Payload = dict[str, Any] | list[dict[str, Any]]
Authorization = Callable[[], dict[str, str]]
_log = logging.getLogger(__name__)


class Callbacks:
    """Send payloads over HTTP in the background; an async context manager that owns the session."""

    def __init__(self) -> None:
        self._last: dict[str, asyncio.Task[None]] = {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "Callbacks":
        """Open the session."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Drop what hasn't been sent and close the session."""
        await self.cancel()
        if self._session is not None:
            await self._session.close()

    async def cancel(self) -> None:
        """Drop every callback that hasn't been delivered."""
        tasks = list(self._last.values())
        self._last.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def send(self, uri: str, payload: Payload, *, authorization: Authorization = dict) -> None:
        """Queue one payload after the earlier ones for the same URL.

        ``authorization`` is called in a thread right before the delivery: its headers expire after minutes.
        """
        task = asyncio.create_task(self._deliver(uri, payload, authorization, after=self._last.get(uri)))
        self._last[uri] = task
        task.add_done_callback(lambda done: self._forget(uri, done))

    def _forget(self, uri: str, done: asyncio.Task[None]) -> None:
        if self._last.get(uri) is done:
            del self._last[uri]

    async def _deliver(
        self, uri: str, payload: Payload, authorization: Authorization, *, after: asyncio.Task[None] | None
    ) -> None:
        if after is not None:
            await asyncio.wait([after])
        headers = await asyncio.to_thread(authorization)
        event = payload[0] if isinstance(payload, list) else payload
        event_type = event.get("eventType", event.get("type"))
        for pause in (*_PAUSES_SECONDS, None):
            failure = await self._attempt(uri, payload, headers)
            if failure is None:
                _log.info("callback.delivered type=%s", event_type)
                return
            _log.warning("callback.failed type=%s reason=%s", event_type, failure)
            if pause is not None:
                await asyncio.sleep(pause)

    async def _attempt(self, uri: str, payload: Payload, headers: dict[str, str]) -> str | None:
        if self._session is None:
            return "closed"
        try:
            async with self._session.post(uri, json=payload, headers=headers, allow_redirects=False) as response:
                return None if response.status < 300 else f"status {response.status}"
        except (aiohttp.ClientError, TimeoutError) as error:
            return type(error).__name__
