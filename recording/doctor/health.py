"""Use case: check what the app can reach, and name the fix for what it can't."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

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
    checks: list[HealthItem]


class HealthCheck:
    """Asks Blob Storage, Queue Storage and ACS; each has `timeout` seconds."""

    def __init__(self, blobs: Blobs, queue: Queue, service: RecordingService, *, timeout: float = 8.0) -> None:
        self._blobs = blobs
        self._queue = queue
        self._service = service
        self._timeout = timeout

    async def run(self) -> Health:
        """Ask all of them at once.

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
        return Health(status="ok" if all(one.ok for one in checks) else "unhealthy", checks=list(checks))

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
