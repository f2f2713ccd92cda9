"""Use case: one chunk job becomes one committed, proved chunk.

Progress is the service's own list of uncommitted blocks: the process that gets the job after a crash asks for it and
fetches the rest. Two workers on one chunk stage blocks of their own; the commit decides. It has the proof: the CRC64 of
what was received from the source, which storage has confirmed block by block.

The first request for the content is sent at once, and what is already there is looked up beside it. A job for a chunk
that may be there, since there was one before, looks first.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from recording.acs.content import Content
from recording.clock import Clock, utc_now
from recording.errors import ChunkError, SourceChanged, SourceDamaged
from recording.formats import media
from recording.ingest.attempt import ARCHIVED_SECONDS, Attempt, begin_attempt, is_at_work
from recording.ingest.facts import facts_of
from recording.ingest.legacy import LegacyProof
from recording.ingest.recheck import Recheck
from recording.ingest.streams import Line, Pace, Streams
from recording.ingest.transfer import Transfer
from recording.model import payload
from recording.model.job import ChunkJob
from recording.model.proof import ChunkFacts
from recording.model.verdict import ChunkVerdict
from recording.storage.blobs import Blobs
from recording.storage.recordings import RecordingStore
from recording.storage.tombstones import Tombstones
from recording.telemetry import log, traces
from recording.workers import Precedence, Turns, begin

_VERSION_TRIES = 3
# Below `functionTimeout` (host.json), whose time-out kills every other job of the process too.
BUDGET_SECONDS = 25 * 60.0
# A share of the budget of an attempt, for a file that must come in one request: the rest is for reading it twice.
_ONE_REQUEST = 1 / 4
# A hundred bytes each.
_REMEMBERED = 4096
# Metadata files above a MiB that the process holds in memory at once, until they are written.
_LARGE_FILES = 2


@dataclass(frozen=True)
class IngestLimits:
    """The limits of ingest; `parallelism` bounds the streams of all chunks of the process together.

    `largest_block` is in bytes. The timer puts a chunk on the queue again `first_requeue` after its failure at the
    earliest. A slow source is given up for others until `keep_slow_after` its event.
    `block_pause_seconds` is the pause after the first failure of a block; it doubles.
    """

    parallelism: int
    largest_block: int
    first_requeue: timedelta
    keep_slow_after: timedelta = timedelta(hours=18)
    pace: Pace = field(default_factory=Pace)
    budget_seconds: float = BUDGET_SECONDS
    block_pause_seconds: float = 0.5


class ChunkIngest:
    """Brings chunks from ACS into staging."""

    def __init__(
        self,
        blobs: Blobs,
        recordings: RecordingStore,
        tombstones: Tombstones,
        content: Content,
        precedence: Precedence | None = None,
        *,
        limits: IngestLimits,
        clock: Clock = utc_now,
    ) -> None:
        self.limits = limits
        self.precedence = precedence or Precedence()
        self._blobs = blobs
        self._recordings = recordings
        self._tombstones = tombstones
        self._content = content
        self._clock = clock
        self.streams = Streams(
            limits.parallelism,
            limits.pace,
            largest_block=limits.largest_block,
            attempt_seconds=limits.budget_seconds,
        )
        self._turns = Turns()
        self._large_files = asyncio.Semaphore(_LARGE_FILES)
        # The names of chunks at which this process was last: a message may be delivered twice, though not by its count.
        self._recent: dict[str, None] = {}
        self._legacy = LegacyProof(blobs, content, prefetch=limits.parallelism, clock=clock)
        self._recheck = Recheck(blobs, recordings, content, bring=self._bring_content, clock=clock)

    async def run(
        self, job: ChunkJob, *, waited: float = 0.0, is_redelivered: bool = False, has_turn: bool = False
    ) -> None:
        """Ingest one chunk and its metadata file, or re-check it if the job says so.

        `waited` is for how many seconds of its budget the job has waited for its turn, `has_turn` whether others may be
        waiting for that, `is_redelivered` whether its message was received before.
        Raises ChunkError, or azure-core's errors; the failure is already recorded, and the
        queue, then the timer, tries again.
        """
        seconds = self.limits.budget_seconds - waited
        with (
            nullcontext() if has_turn else self.precedence.first(),
            traces.span("chunk.ingest", job.recording_key, documentId=job.document_id, index=job.index),
        ):
            if job.recheck:
                if not any(await asyncio.gather(self._is_archived(job), self._is_erased(job))):
                    # The chunk is safe: this doesn't count as an attempt, nor its failure as a failed one.
                    with self._line(job, has_turn=has_turn) as line:
                        await self._recheck.run(job, line, seconds=seconds)
                return
            # Two jobs for one chunk at the same moment would fetch it twice. A slow one is not waited for.
            async with self._turns.take(job.content_blob, seconds=self.limits.pace.seconds):
                looks_first = bool(job.is_again) or is_redelivered or job.content_blob in self._recent
                self._remember(job.content_blob)
                if looks_first and await self._is_there(job):
                    return
                since = self._clock() - self.limits.first_requeue
                if job.is_again and not is_redelivered and await is_at_work(job, self._blobs, since=since):
                    # Should it not succeed, its own message comes back, or the timer queues another.
                    log.info("chunk.at_work", recordingKey=job.recording_key, documentId=job.document_id)
                    return
                beginning = begin_attempt(
                    job,
                    self._blobs,
                    self._recordings,
                    self._tombstones,
                    first_requeue=self.limits.first_requeue,
                    looks_first=looks_first,
                    clock=self._clock,
                )
                with self._line(job, has_turn=has_turn) as line:
                    async with beginning as attempt, asyncio.timeout(seconds):
                        await self._bring(job, attempt, line)

    def _remember(self, name: str) -> None:
        self._recent.pop(name, None)
        self._recent[name] = None
        if len(self._recent) > _REMEMBERED:
            del self._recent[next(iter(self._recent))]

    def _line(self, job: ChunkJob, *, has_turn: bool) -> AbstractContextManager[Line]:
        may_be_given_up = partial(self._may_be_given_up, job)
        return self.streams.line(job.recording_key, may_be_given_up=may_be_given_up, has_turn=has_turn)

    async def _is_archived(self, job: ChunkJob) -> bool:
        """Return whether the archive has the chunk; False if it doesn't say so soon."""
        with suppress(TimeoutError):
            async with asyncio.timeout(ARCHIVED_SECONDS):
                if await self._recordings.is_archived(job):
                    _log_done(job, is_archived=True)
                    return True
        return False

    async def _is_erased(self, job: ChunkJob) -> bool:
        """Return whether the chunk was erased: then nothing of it is fetched, and its job is done."""
        if not await self._tombstones.has_document(job.document_id, recording_key=job.recording_key):
            return False
        _log_done(job, is_archived=False)
        return True

    async def _is_there(self, job: ChunkJob) -> bool:
        """Return whether staging or the archive has all of a chunk."""
        content, metadata, is_archived, is_erased = await asyncio.gather(
            self._blobs.stat("staging", job.content_blob),
            self._blobs.stat("staging", job.metadata_blob),
            self._is_archived(job),
            self._is_erased(job),
        )
        return is_archived or is_erased or bool(content and content.digest and metadata)

    def _may_be_given_up(self, job: ChunkJob) -> bool:
        return self._clock() < job.announced_at + self.limits.keep_slow_after

    async def _bring(self, job: ChunkJob, attempt: Attempt, line: Line) -> None:
        """Bring content and metadata file beside each other: the failure of one doesn't cost the other."""
        async with asyncio.TaskGroup() as group:
            parts = [
                group.create_task(_failure(self._bring_content(job, attempt, line))),
                group.create_task(_failure(self._bring_metadata(job, attempt, line))),
            ]
            # These tasks come after the ones above, so that the source's time to answer is theirs.
            attempt.begin()
            is_archived = await attempt.archived
            if is_archived or await attempt.erased:
                _log_done(job, is_archived=is_archived)
                for part in parts:
                    part.cancel()
                return
        for failed in filter(None, (part.result() for part in parts)):
            raise failed

    async def _bring_metadata(self, job: ChunkJob, attempt: Attempt, line: Line) -> None:
        """Fetch the metadata file and write it, unless it is there: usually the write itself finds that out."""
        async with AsyncExitStack() as stack:

            async def take_turn() -> None:
                with line.aside():
                    await stack.enter_async_context(self._large_files)

            await self._copy_metadata(job, attempt, line, before_large=take_turn)

    async def _copy_metadata(
        self, job: ChunkJob, attempt: Attempt, line: Line, *, before_large: Callable[[], Awaitable[None]]
    ) -> None:
        is_there = attempt.looks_first and await self._has_metadata(job)
        try:
            if not is_there:
                async with line.reading():
                    body = await self._content.metadata(job, before_large=before_large)
        except ChunkError:
            # The source may have none by now, while an attempt before has brought it.
            is_there = not attempt.looks_first and await self._has_metadata(job)
            if not is_there:
                raise
        if is_there:
            attempt.done.add("metadata")
            return
        if await attempt.may_write():
            # Its contents are on the blob as metadata as well, so that a listing has them without reading the file.
            metadata = payload.read_metadata_file(body) | {"attempt": attempt.id}
            await attempt.finish("metadata", self._blobs.create("staging", job.metadata_blob, body, **metadata))

    async def _has_metadata(self, job: ChunkJob) -> bool:
        return await self._blobs.stat("staging", job.metadata_blob) is not None

    async def _bring_content(self, job: ChunkJob, attempt: Attempt | None, line: Line) -> None:
        """Bring one version of the document.

        Equal bytes may have another ETag in each response, as from servers that don't share them. So the last try
        trusts none: bytes of one response are of one version, and what is read twice is compared.
        """
        looks_first = attempt is not None and attempt.looks_first
        changes = 0
        for _ in range(_VERSION_TRIES):
            trusts_validator = changes < _VERSION_TRIES - 1
            try:
                if await self._bring_version(
                    job, attempt, line, looks_first=looks_first, trusts_validator=trusts_validator
                ):
                    return
            except SourceChanged as changed:
                changes += 1
                log.warning(
                    "chunk.source_changed", documentId=job.document_id, reason=changed.message, next="start over"
                )
            # Perhaps another has committed it, or the answer to the commit was lost.
            looks_first = True
        raise SourceChanged("the document kept changing while it was copied")

    async def _bring_version(
        self, job: ChunkJob, attempt: Attempt | None, line: Line, *, looks_first: bool, trusts_validator: bool
    ) -> bool:
        """Turn one version of the document into a proved chunk; False if the caller has to start over."""
        limits = self.limits
        transfer = Transfer(
            self._blobs,
            self._content,
            job,
            line,
            parallelism=limits.parallelism,
            largest_block=limits.largest_block,
            one_request_seconds=limits.budget_seconds * _ONE_REQUEST,
            block_pause_seconds=limits.block_pause_seconds,
            trusts_validator=trusts_validator,
        )
        looking = begin(self._look(job, attempt))
        try:
            is_copied = await transfer.run(looking, looks_first=looks_first)
        finally:
            looking.cancel()
        if attempt and not await attempt.may_write():
            return True
        return await (self._commit(job, attempt, transfer) if is_copied else self._settle(job, attempt))

    async def _look(self, job: ChunkJob, attempt: Attempt | None) -> Mapping[str, int] | None:
        """Return the blocks that are staged, or None if there is nothing to copy."""
        found, listed = await asyncio.gather(
            self._blobs.stat("staging", job.content_blob), self._blobs.staged_blocks(job.content_blob)
        )
        return None if found or (attempt and await attempt.is_archived()) else listed

    async def _settle(self, job: ChunkJob, attempt: Attempt | None) -> bool:
        """Return whether the blob that is there is the proved chunk; another one that nobody committed is deleted.

        Raises ChunkErrors, and deletes nothing, if ACS doesn't have the document, or sends a page instead.
        """
        found = await self._blobs.stat("staging", job.content_blob)
        if found is None:
            return False
        if found.digest is None and ChunkFacts.from_metadata(found.metadata).is_written_by_ingest(found.size):
            # The source, which may have another version or none by now, is not asked.
            return await self._legacy.prove(job, found)
        if found.digest is None and ChunkFacts.from_metadata(found.metadata).damaged is None:
            log.warning(
                "chunk.unknown_blob",
                recordingKey=job.recording_key,
                documentId=job.document_id,
                next="it is replaced if ACS has the document",
            )
            # Before what may be the only bytes are deleted.
            probe = await self._content.probe(job)
            if media.is_text(probe.head):
                raise SourceDamaged(
                    f"staging has a blob of unknown origin, and the source nothing better: {probe.described}"
                )
            await self._blobs.delete("staging", found.name, etag=found.etag)
            return False
        if attempt:
            attempt.done.add("content")
        return True

    async def _commit(self, job: ChunkJob, attempt: Attempt | None, transfer: Transfer) -> bool:
        """Write the chunk, or commit its blocks, with all facts; False if there is a blob already."""
        now = self._clock()
        verdict = ChunkVerdict.of(transfer.verdict, now)
        facts = facts_of(transfer, verdict, attempt=attempt.id if attempt else None, proved_at=now)
        content_type = media.content_type(facts.kind)
        if transfer.data is not None:
            put = partial(self._blobs.put_chunk, job.content_blob, transfer.data, facts.to_metadata())
            write = transfer.repeat(transfer.plan[0], partial(put, crc=transfer.crc, content_type=content_type))
        else:
            write = self._blobs.commit_blocks(
                job.content_blob, transfer.block_ids, facts.to_metadata(), content_type=content_type
            )
        if not await (attempt.finish("content", write) if attempt else write):
            return False
        log.info(
            "chunk.staged",
            recordingKey=job.recording_key,
            documentId=job.document_id,
            bytes=facts.source_bytes,
            crc64=facts.crc64,
            blocks=facts.blocks,
            blocksCompared=facts.blocks_compared,
            verdict=verdict.outcome,
            remarks=verdict.remarks,
        )
        return True


def _log_done(job: ChunkJob, *, is_archived: bool) -> None:
    """Log that nothing is to be fetched: the chunk is archived, or was erased."""
    known = {"recordingKey": job.recording_key, "documentId": job.document_id}
    if is_archived:
        log.info("chunk.already_archived", **known)
    else:
        log.warning("chunk.erased", **known, next="nothing is kept")


async def _failure(step: Awaitable[None]) -> Exception | None:
    """Do a step, and return its failure."""
    try:
        await step
    except Exception as failed:
        return failed
    return None
