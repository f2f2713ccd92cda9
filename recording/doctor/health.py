"""Use case: check what the app can reach, and name the fix for what it can't."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Literal

from recording import __version__
from recording.acs.service import RecordingService
from recording.errors import Misconfigured, describe
from recording.model.record import Body
from recording.storage.blobs import Blobs
from recording.storage.queues import Queue


class HealthItem(Body):
    """One thing that the app needs, and the fix if it can't be reached."""

    name: Literal["blob", "queue", "acs"]
    ok: bool
    detail: str
    fix: str | None = None


class Health(Body):
    """Answer of `GET /health`."""

    status: Literal["ok", "unhealthy"]
    version: str
    checks: list[HealthItem]


class HealthCheck:
    """Checks Blob Storage, Queue Storage and ACS; each has `timeout` seconds.

    `GET /health` needs no key. So all requests at the same time, or within `fresh_seconds`, share one check.
    """

    def __init__(
        self,
        blobs: Blobs,
        queue: Queue,
        service: RecordingService,
        *,
        timeout: float = 8.0,
        fresh_seconds: float = 5.0,
    ) -> None:
        self._blobs = blobs
        self._queue = queue
        self._service = service
        self._timeout = timeout
        self._fresh_seconds = fresh_seconds
        self._asked: tuple[float, asyncio.Task[Health]] | None = None

    async def run(self) -> Health:
        """Return the result of the last check, which began a few seconds ago at most."""
        now = time.monotonic()
        if self._asked is None or now - self._asked[0] > self._fresh_seconds:
            self._asked = (now, asyncio.create_task(self._ask()))
        # Others wait for the same check: a caller that disconnects must not cancel it.
        return await asyncio.shield(self._asked[1])

    async def _ask(self) -> Health:
        """Check all of them at once.

        Containers and queue are created if they are missing, as on the first use of any function: a new deployment
        is healthy before its first event.
        """
        checks = await asyncio.gather(
            self._check(
                "blob",
                self._blobs.create_containers,
                "check AzureWebJobsStorage, STAGING_STORAGE, ARCHIVE_STORAGE, and the role Storage Blob Data Owner",
            ),
            self._check(
                "queue",
                self._queue.create,
                "check AzureWebJobsStorage, and the role Storage Queue Data Contributor",
            ),
            self._check(
                "acs",
                self._service.ping,
                "check ACS_CONNECTION_STRING or ACS_ENDPOINT, and outbound access to that host",
            ),
        )
        status: Literal["ok", "unhealthy"] = "ok" if all(one.ok for one in checks) else "unhealthy"
        return Health(status=status, version=__version__, checks=list(checks))

    async def _check(
        self, name: Literal["blob", "queue", "acs"], ask: Callable[[], Awaitable[object]], fix: str
    ) -> HealthItem:
        try:
            async with asyncio.timeout(self._timeout):
                await ask()
        except Misconfigured as wrong:
            # It answered, and refused the app; the message says what to fix, and repeats nothing of what was signed.
            return HealthItem(name=name, ok=False, detail=wrong.message, fix=fix)
        except Exception as failed:
            return HealthItem(name=name, ok=False, detail=f"cannot be reached: {describe(failed)}", fix=fix)
        return HealthItem(name=name, ok=True, detail="reached")
