"""The timer listener: one run at a time, a missed run at the start, the status in a blob.

See docs/functions-host.md#timer.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.blob.aio import BlobClient, BlobServiceClient

from local.functions import log
from local.functions.invoker import Invoker
from local.functions.lease import CONTAINER, Lease
from local.functions.metadata import Function
from local.functions.schedule import Schedule
from local.functions.values import TypedData

LEASE_RETRY_SECONDS = 1.0
# Long waits are split, so that a laptop that wakes up soon notices the time.
LONGEST_SLEEP_SECONDS = 30.0
_NEVER = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Status:
    """When a timer last ran and when it is due, as kept in the status blob."""

    last: datetime
    next: datetime
    last_updated: datetime

    def to_json(self) -> dict[str, str]:
        """Return the status as in the blob and for the function."""
        return {
            "Last": self.last.isoformat(),
            "Next": self.next.isoformat(),
            "LastUpdated": self.last_updated.isoformat(),
        }

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """Parse the content of the blob; raises ValueError when it isn't a status."""
        content = json.loads(text)
        try:
            moments = [datetime.fromisoformat(content[key]) for key in ("Last", "Next", "LastUpdated")]
        except (LookupError, TypeError) as error:
            raise ValueError("not a timer status") from error
        return cls(*(moment if moment.tzinfo else moment.replace(tzinfo=UTC) for moment in moments))


def to_data(status: Status | None, *, is_past_due: bool) -> TypedData:
    """Return the data of the function's TimerRequest."""
    value = {
        "Schedule": {"AdjustForDST": True},
        "ScheduleStatus": None if status is None else status.to_json(),
        "IsPastDue": is_past_due,
    }
    return TypedData("json", json.dumps(value))


def local_now() -> datetime:
    """Return the time in the host's time zone, which schedules use."""
    return datetime.now(UTC).astimezone()


class TimerListener:
    """Run one timer function on its schedule while this host holds the function's lease."""

    def __init__(
        self,
        function: Function,
        *,
        schedule: Schedule,
        invoker: Invoker,
        blobs: BlobServiceClient,
        host_id: str,
        now: Callable[[], datetime] = local_now,
    ) -> None:
        self._function = function
        self._schedule = schedule
        self._invoker = invoker
        self._now = now
        self._interrupted = asyncio.Event()
        self._stopping = False
        self._lease = Lease(
            blobs, name=f"locks/{host_id}/Host.Functions.{function.name}.Listener", on_lost=self._interrupted.set
        )
        self._status_blob: BlobClient | None = None
        if not schedule.is_frequent(now()):
            self._status_blob = blobs.get_blob_client(CONTAINER, f"timers/{host_id}/{function.name}/status")
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start to wait for the lease, then to run on schedule."""
        self._task = asyncio.create_task(self._listen())

    async def pause(self) -> None:
        """Start no more runs; a run in progress continues."""
        self._stopping = True
        self._interrupted.set()

    async def stop(self) -> None:
        """Start no more runs, wait for a run in progress and release the lease."""
        await self.pause()
        if self._task is not None:
            await self._task

    async def _listen(self) -> None:
        while not self._stopping:
            self._interrupted.clear()
            try:
                if not await self._lease.acquire():
                    await self._sleep(LEASE_RETRY_SECONDS)
                    continue
                await self._tick()
            except Exception as error:
                # An error must end neither the schedule nor the other listeners.
                log.logger.exception(log.line("timer_listener_failed", function=self._function.name, error=error))
                await self._sleep(LEASE_RETRY_SECONDS)
            finally:
                await self._lease.release()

    async def _tick(self) -> None:
        status = await self._first_status()
        if status is not None and status.next < self._now():
            status = await self._run(status, is_past_due=True)
        following = self._schedule.after(self._now())
        while await self._sleep_until(following):
            status = await self._run(status, is_past_due=False, due=following)
            # From now, not from the last occurrence: those that passed during the run are skipped.
            following = self._schedule.after(max(self._now(), following))

    async def _run(self, status: Status | None, *, is_past_due: bool, due: datetime | None = None) -> Status | None:
        started = self._now() if due is None else max(self._now(), due)
        await self._invoker.run(self._function, to_data(status, is_past_due=is_past_due))
        if self._status_blob is None:
            return None
        status = Status(last=started, next=self._schedule.after(started), last_updated=started)
        await self._write(status)
        return status

    async def _first_status(self) -> Status | None:
        """Return the status that an earlier host stored, a new one if there is none or the schedule has changed."""
        if self._status_blob is None:
            return None
        now = self._now()
        stored = await self._read()
        if stored is not None:
            base = stored.last_updated if stored.last_updated > _NEVER else stored.last
            if base > _NEVER and self._schedule.after(base.astimezone(now.tzinfo)) == stored.next:
                return stored
        status = Status(last=_NEVER, next=self._schedule.after(now), last_updated=now)
        await self._write(status)
        return status

    async def _read(self) -> Status | None:
        if self._status_blob is None:
            return None
        try:
            content: Any = await (await self._status_blob.download_blob()).readall()
            return Status.from_json(content)
        except ResourceNotFoundError:
            return None
        except (AzureError, ValueError) as error:
            log.logger.warning(log.line("timer_status_not_read", function=self._function.name, error=error))
            return None

    async def _write(self, status: Status) -> None:
        if self._status_blob is None:
            return
        try:
            await self._status_blob.upload_blob(json.dumps(status.to_json()).encode(), overwrite=True)
        except AzureError as error:
            log.logger.warning(log.line("timer_status_not_written", function=self._function.name, error=error))

    async def _sleep_until(self, moment: datetime) -> bool:
        """Sleep until a moment; return False if the listener was stopped or lost its lease."""
        while (seconds := (moment - self._now()).total_seconds()) > 0:
            if await self._sleep(min(seconds, LONGEST_SLEEP_SECONDS)):
                return False
        return not self._interrupted.is_set()

    async def _sleep(self, seconds: float) -> bool:
        """Sleep; return True as soon as the listener is interrupted."""
        try:
            async with asyncio.timeout(seconds):
                await self._interrupted.wait()
        except TimeoutError:
            return False
        return True
