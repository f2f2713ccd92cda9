"""Use case: what the app can reach, and what to do about what it can't."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

from recording.acs.service import RecordingService
from recording.errors import Misconfigured, describe
from recording.model.record import Body
from recording.storage.blobs import Blobs
from recording.storage.queues import Queue


class HealthItem(Body):
    """One thing that the app needs, and what to do if it can't be reached."""

    name: Literal["blob", "queue", "acs"]
    ok: bool
    detail: str
    mend: str | None = None


class Health(Body):
    """Answer of `GET /health`."""

    status: Literal["ok", "unhealthy"]
    checks: list[HealthItem]


_SECONDS = 8.0


async def check(storage: Blobs, queue: Queue, service: RecordingService) -> Health:
    """Ask Blob, Queue and ACS at once; each has eight seconds.

    Containers and queue are asked for by creating them, as on the first use of any function: a new deployment
    is healthy before its first event.
    """
    checks = await asyncio.gather(
        _check(
            "blob",
            storage.create_containers,
            "check AzureWebJobsStorage, STAGING_STORAGE, ARCHIVE_STORAGE, and the role Storage Blob Data Owner",
        ),
        _check(
            "queue",
            queue.create,
            "check AzureWebJobsStorage, and the role Storage Queue Data Contributor",
        ),
        _check("acs", service.ping, "check ACS_CONNECTION_STRING or ACS_ENDPOINT, and outbound access to that host"),
    )
    return Health(status="ok" if all(one.ok for one in checks) else "unhealthy", checks=list(checks))


async def _check(name: Literal["blob", "queue", "acs"], ask: Callable[[], Awaitable[object]], mend: str) -> HealthItem:
    try:
        async with asyncio.timeout(_SECONDS):
            await ask()
    except Misconfigured as wrong:
        # It answered, and refused us; the message says what to mend, and nothing of what was signed.
        return HealthItem(name=name, ok=False, detail=wrong.message, mend=mend)
    except Exception as failed:
        return HealthItem(name=name, ok=False, detail=f"cannot be reached: {describe(failed)}", mend=mend)
    return HealthItem(name=name, ok=True, detail="reached")
