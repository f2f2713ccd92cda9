"""Drain the poison queues: what a queue gave up, the timer takes over.

A message there was tried five times. Whether a chunk still needs work is told by the facts in
staging, and `archive` puts it on the queue again from them; the message itself adds nothing and
is deleted. Of events that were handed over there may be no fact yet: they are taken here, and a
message stays until all of its events are. One that isn't ours is kept in quarantine.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import datetime

from azure.core.exceptions import AzureError, ResourceNotFoundError
from pydantic import ValidationError

from recording.intake import backlog
from recording.intake.quarantine import Quarantine
from recording.model import job
from recording.storage.queues import Queue, QueuedMessage
from recording.telemetry import log

# As many as one run takes: more would cost the archive its time.
_MOST = 320
_SECONDS, _MESSAGE_SECONDS = 30.0, 15.0
# How long a message that was taken off comes to nobody; one that hangs comes after those that wait behind it.
_HIDDEN_SECONDS, _HUNG_SECONDS = 60, 600


async def drain(queue: Queue, quarantine: Quarantine, *, now: datetime) -> int:
    """Take chunk jobs off their poison queue; the answer is how many there were.

    Raises nothing that storage or the topic says: the archive's run comes next, and must not wait for them.
    """

    async def take(text: str) -> bool:
        try:
            chunk = job.read(text)
        except ValidationError:
            await _quarantine(text, "chunk job", quarantine, now=now)
            return True
        log.warning(
            "chunk.poisoned",
            recordingKey=chunk.recording_key,
            documentId=chunk.document_id,
            next="the timer tries it until its deadline",
        )
        return True

    return await _drain(queue, take)


async def drain_events(
    queue: Queue,
    receive: Callable[[str], Awaitable[list[str]]],
    quarantine: Quarantine,
    *,
    now: datetime,
) -> list[str]:
    """Take the events off their poison queue, each by `receive`; the answer is what that answers, together.

    An event that fails doesn't hold up the others, and its message stays. Raises nothing, as `drain`.
    """
    found: list[str] = []

    async def take_one(event: str) -> bool:
        try:
            # As each is done: one that hangs until the time is over must not cost the others their jobs.
            found.extend(await receive(event))
        except Exception:
            log.exception("event.not_taken", next="it stays on the poison queue; the timer tries again")
            return False
        return True

    async def take(text: str) -> bool:
        try:
            events = backlog.read(text)
        except ValidationError:
            await _quarantine(text, "message of events", quarantine, now=now)
            return True
        # At once: where each waits for a storage that hangs, the last of them would never have its turn.
        is_done = all(await asyncio.gather(*(take_one(event) for event in events)))
        log.warning("events.poisoned", events=len(events), taken=is_done)
        return is_done

    await _drain(queue, take)
    return found


async def _drain(queue: Queue, take: Callable[[str], Awaitable[bool]]) -> int:
    """Give each message to `take` and delete those for which it answers True; count these.

    One that fails or hangs stays, and the next run begins with those behind it.
    """

    async def one(message: QueuedMessage) -> bool:
        try:
            async with asyncio.timeout(_MESSAGE_SECONDS):
                if is_done := await take(message.text):
                    await queue.delete(message)
                return is_done
        except (AzureError, TimeoutError) as failed:
            log.warning("poison.not_taken", reason=type(failed).__name__, next="a later run tries again")
            # A message that somebody else has taken meanwhile can't be moved: no reason to leave those behind it.
            with contextlib.suppress(AzureError):
                await queue.hide(message, seconds=_HUNG_SECONDS)
            return False

    count = 0
    try:
        async with asyncio.timeout(_SECONDS):
            async for message in queue.receive(limit=_MOST, hidden_seconds=_HIDDEN_SECONDS):
                count += await one(message)
    except ResourceNotFoundError:
        pass  # the host makes the queue when it first needs it
    except (AzureError, TimeoutError) as failed:
        log.warning("poison.not_drained", reason=type(failed).__name__, next="the next run tries again")
    return count


async def _quarantine(text: str, what: str, quarantine: Quarantine, *, now: datetime) -> None:
    await quarantine.keep(text, [f"not a {what}, on the poison queue"], received_at=now)
