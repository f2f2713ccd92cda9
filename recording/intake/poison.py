"""Drain the poison queues: the timer takes over what a queue gave up.

A message there was tried five times. A chunk job, a fan-out, the job that archives or erases a recording or that of a
hold is deleted: what still needs work follows from the facts in staging, and the timer queues it again from them. So is
the job that joins chunks: whoever wants the file is told, and asks for it again. Of deferred events there may be no
facts yet: they are accepted here, and their message stays until all of them are. No facts in staging show that an
export is being made: it is put on its queue again, until it is ready or has expired. A message that is none of these is
kept in quarantine.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import datetime

from azure.core.exceptions import AzureError, ResourceNotFoundError

from recording.errors import describe
from recording.intake import backlog
from recording.intake.quarantine import Quarantine
from recording.intake.receive import Intake, to_messages
from recording.model import job
from recording.model.job import ArchiveJob, ChunkJob, ErasureJob, ExportJob, HoldsJob, JoinJob
from recording.storage.queues import Queue, QueuedMessage
from recording.telemetry import log
from recording.workers import run_each

# Messages of each queue: the run's other steps wait for the last one.
_AT_ONCE = 8


class PoisonQueues:
    """The queues onto which the host puts what it gave up; all are drained at once, for `timeout` seconds at most."""

    def __init__(
        self,
        chunks: Queue,
        bulk: Queue,
        events: Queue,
        archive: Queue,
        joins: Queue,
        erasures: Queue,
        holds: Queue,
        exports: Queue,
        *,
        exports_again: Queue,
        give_up_join: Callable[[str], Awaitable[None]],
        intake: Intake,
        quarantine: Quarantine,
        timeout: float = 30.0,
        message_timeout: float = 15.0,
        limit: int = 320,
        hidden_seconds: int = 60,
        hidden_after_failure: int = 600,
    ) -> None:
        self._chunks = chunks
        self._bulk = bulk
        self._events = events
        self._archive = archive
        self._joins = joins
        self._erasures = erasures
        self._holds = holds
        self._exports = exports
        self._exports_again = exports_again
        self._give_up_join = give_up_join
        self._intake = intake
        self._quarantine = quarantine
        self._timeout = timeout
        self._message_timeout = message_timeout
        # More messages in one run would take the archive's time.
        self._limit = limit
        # How long a received message is invisible to other consumers.
        self._hidden_seconds = hidden_seconds
        # A message that failed or hung: meanwhile those behind it are received.
        self._hidden_after_failure = hidden_after_failure

    async def drain(self, now: datetime) -> list[str]:
        """Drain the queues, and return the messages for the chunk queue.

        Raises nothing: the archive's work comes next, and must not wait for a queue or a topic.
        """
        # Collected event by event: if one hangs until the time is over, the others keep their jobs.
        messages: list[str] = []
        await asyncio.gather(
            *(self._drain(jobs, lambda text: self._discard(text, now=now)) for jobs in (self._chunks, self._bulk)),
            self._drain(self._archive, lambda text: self._discard_archive(text, now=now)),
            self._drain(self._joins, lambda text: self._discard_join(text, now=now)),
            self._drain(self._erasures, lambda text: self._discard_erasure(text, now=now)),
            self._drain(self._holds, lambda text: self._discard_holds(text, now=now)),
            self._drain(self._exports, lambda text: self._make_again(text, now=now)),
            self._drain(self._events, lambda text: self._accept(text, messages, now=now)),
        )
        return messages

    async def _parsed[Content](
        self, parse: Callable[[str], Content], text: str, what: str, *, now: datetime
    ) -> Content | None:
        """Parse a message; None for one that is not `what` it should be, which is quarantined."""
        try:
            return parse(text)
        except ValueError:
            await self._quarantine.keep(text, [f"not {what}"], received_at=now)
            return None

    async def _discard(self, text: str, *, now: datetime) -> bool:
        """Log a job that was given up."""
        given_up = await self._parsed(job.from_bulk_message, text, "a chunk job, on the poison queue", now=now)
        if given_up is None:
            return True
        is_recheck = isinstance(given_up, ChunkJob) and given_up.recheck is not None
        log.warning(
            "chunk.poisoned",
            recordingKey=given_up.recording_key,
            documentId=given_up.document_id if isinstance(given_up, ChunkJob) else None,
            next="the chunk is safe; the next step of its re-check follows"
            if is_recheck
            else "the timer requeues it until it is staged or lost",
        )
        return True

    async def _discard_archive(self, text: str, *, now: datetime) -> bool:
        """Log a recording that could not be archived."""
        given_up = await self._parsed(ArchiveJob.from_message, text, "the job that archives a recording", now=now)
        if given_up is None:
            return True
        log.warning("archive.poisoned", recordingKey=given_up.recording_key, next="the timer queues it again")
        return True

    async def _discard_join(self, text: str, *, now: datetime) -> bool:
        """Record for who asks for the joined file that making it has failed."""
        given_up = await self._parsed(JoinJob.from_message, text, "the job that joins a recording", now=now)
        if given_up is None:
            return True
        await self._give_up_join(given_up.recording_key)
        log.warning(
            "join.poisoned", recordingKey=given_up.recording_key, next="a request in ten minutes queues it again"
        )
        return True

    async def _discard_erasure(self, text: str, *, now: datetime) -> bool:
        """Log an erasure that could not be done."""
        given_up = await self._parsed(ErasureJob.from_message, text, "the job that erases a recording", now=now)
        if given_up is None:
            return True
        log.warning("erasure.poisoned", recordingKey=given_up.recording_key, next="the timer queues it again")
        return True

    async def _discard_holds(self, text: str, *, now: datetime) -> bool:
        """Log a hold on a search that could not be placed."""
        given_up = await self._parsed(HoldsJob.from_message, text, "the job of a hold on a search", now=now)
        if given_up is None:
            return True
        log.error("holds.poisoned", holdId=given_up.hold_id, next="the timer queues it again")
        return True

    async def _make_again(self, text: str, *, now: datetime) -> bool:
        """Queue an export again that could not be made; its job finds what the last one has written."""
        given_up = await self._parsed(ExportJob.from_message, text, "the job of an export", now=now)
        if given_up is None:
            return True
        log.error("export.poisoned", export=given_up.export_id, next="it is queued again, until it has expired")
        # Before the message is deleted: a kill in between makes it twice, which is harmless.
        await self._exports_again.send(given_up.to_message())
        return True

    async def _accept(self, text: str, messages: list[str], *, now: datetime) -> bool:
        """Accept the events of a message, and return whether all of them were; add their jobs to `messages`."""

        async def accept_one(event: str) -> bool:
            try:
                accepted = await self._intake.receive(event)
                # It may have been accepted before, as far as its jobs.
                messages.extend(to_messages(one.again() for one in accepted))
            except Exception:
                log.exception("event.not_taken", next="it stays on the poison queue; the timer tries again")
                return False
            return True

        events = await self._parsed(backlog.parse_message, text, "a message of events, on the poison queue", now=now)
        if events is None:
            return True
        # All at the same time: if storage hangs for each of them, the last would never have its turn.
        is_done = all(await asyncio.gather(*(accept_one(event) for event in events)))
        log.warning("events.poisoned", events=len(events), taken=is_done)
        return is_done

    async def _drain(self, queue: Queue, handle: Callable[[str], Awaitable[bool]]) -> None:
        """Pass each message to `handle`, and delete it if the answer is True.

        A message that fails or hangs stays, and the next run begins with those behind it.
        """
        try:
            async with asyncio.timeout(self._timeout):
                received = queue.receive(limit=self._limit, hidden_seconds=self._hidden_seconds)
                messages = [message async for message in received]
                await run_each(lambda message: self._drain_one(queue, message, handle), messages, at_once=_AT_ONCE)
        except ResourceNotFoundError:
            pass  # the host creates the queue when it first needs it
        except (AzureError, TimeoutError) as failed:
            log.warning("poison.not_drained", reason=describe(failed), next="the next run tries again")

    async def _drain_one(self, queue: Queue, message: QueuedMessage, handle: Callable[[str], Awaitable[bool]]) -> None:
        try:
            async with asyncio.timeout(self._message_timeout):
                if await handle(message.text):
                    await queue.delete(message)
        except (AzureError, TimeoutError) as failed:
            log.warning("poison.not_taken", reason=describe(failed), next="a later run tries again")
            # If another consumer has deleted the message meanwhile, it can't be hidden; those behind it are handled.
            with contextlib.suppress(AzureError):
                await queue.hide(message, seconds=self._hidden_after_failure)
