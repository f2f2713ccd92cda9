"""Use case: the timer puts each erasure that is due on the queue, and reports those that don't come to their end."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import token_hex

from azure.core.exceptions import AzureError

from recording.errors import describe
from recording.model import layout
from recording.model.attempts import FIRST_RESCUE
from recording.model.job import ErasureJob
from recording.model.stored import StoredBlob
from recording.storage.erasures import ErasureStore, PendingList
from recording.storage.queues import Queue
from recording.telemetry import log
from recording.workers import run_each

# By default more than the time of a job and the queue's further tries: three times the pause after which a chunk is
# queued again.
AGAIN = 3 * FIRST_RESCUE
# An erasure that is not done so long after it was due needs a person.
LATE = timedelta(hours=6)
_AT_ONCE = 8


@dataclass(frozen=True)
class ErasurePlan:
    """Plans the erasures that staging lists."""

    store: ErasureStore
    queue: Queue
    again: timedelta = AGAIN

    async def run(self, listed: Iterable[StoredBlob], now: datetime) -> int:
        """Queue what is due, each once in a while; return how many. Raises nothing."""
        pending = PendingList.read(listed)
        for one in pending:
            if not one.is_settling and one.due_at + LATE < now:
                log.error(
                    "erasure.not_done",
                    erasure=one.erasure,
                    hours=round((now - one.due_at).total_seconds() / 3600, 1),
                    next="the timer queues it again and again; see what its job logs",
                )
        due = [one for one in pending if is_due(one, now, again=self.again)]

        async def queue(one: PendingList) -> None:
            try:
                asked = await self.store.pending(one.erasure, one.number)
                if asked is None:
                    return
                await self.queue.send(ErasureJob(recording_key=asked.recording_key).to_message())
                # After it: what could not be sent is tried by the next run. A second message finds the work done.
                await self.store.queued(one.erasure, layout.attempt_id(now, token_hex(4)))
                log.info("erasure.queued", erasure=one.erasure)
            except (AzureError, TimeoutError, ValueError) as failed:
                log.warning(
                    "erasure.not_queued", erasure=one.erasure, reason=describe(failed), next="the next run queues it"
                )

        await run_each(queue, due, at_once=_AT_ONCE)
        return len(due)


def is_due(one: PendingList, now: datetime, *, again: timedelta = AGAIN) -> bool:
    """Decide whether an erasure is to be queued now: for the first time, or `again` after the last time."""
    return one.due_at <= now and (not one.queued or max(one.queued) + again <= now)
