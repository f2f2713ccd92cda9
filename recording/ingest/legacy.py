"""The proof of a chunk that the app's version before this one has committed and not proved yet.

It is read back once and compared with the digest in transit, which is part of the commit. Such a chunk was committed
while the app was replaced: a retention after that, when none can be left, this module can be deleted.
"""

import asyncio
import hashlib
from collections.abc import Iterable
from itertools import pairwise

from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError

from recording.acs.content import Content
from recording.clock import Clock, utc_now
from recording.errors import NotProved, SourceDamaged, SourceGone
from recording.formats import media
from recording.formats.media import Inspection
from recording.model.job import ChunkJob
from recording.model.proof import ChunkFacts, damaged_metadata
from recording.model.stored import StoredBlob
from recording.model.verdict import ChunkVerdict
from recording.storage.blobs import Blobs
from recording.storage.hashing import Sha256
from recording.telemetry import log

# Hex digits of a block's SHA-256 that were part of a receipt, and so of the digest of all blocks.
_DIGITS = 40


class LegacyProof:
    """Proves such chunks; reads `prefetch` ranges at once, of all of them together."""

    def __init__(self, blobs: Blobs, content: Content, *, prefetch: int, clock: Clock = utc_now) -> None:
        self._blobs = blobs
        self._content = content
        self._prefetch = prefetch
        self._reads = asyncio.Semaphore(prefetch)
        self._clock = clock

    async def prove(self, job: ChunkJob, found: StoredBlob) -> bool:
        """Read a chunk back: the SHA-256 of all bytes, and each block against its digest in transit.

        Return False if another worker has proved or deleted the chunk meanwhile. If it differs from what was fetched,
        raises NotProved and deletes it; what ACS doesn't have is left as it is, not proved. Raises other ChunkErrors,
        and changes nothing, if ACS doesn't say whether it has it.
        """
        committed = ChunkFacts.from_metadata(found.metadata)
        length = committed.block_bytes or found.size
        first = _BlockDigests(range(0, found.size, length), found.size)
        # A second reading was in blocks that overlap those of the first.
        second = _BlockDigests((0, *range(length // 2 or 1, found.size, length)), found.size)
        whole, inspection = Sha256(), Inspection(found.size)
        try:
            async for piece in self._blobs.read_ranges("staging", found, prefetch=self._prefetch, limit=self._reads):
                for _ in inspection.feed_in_turns(piece):
                    await asyncio.sleep(0)
                await whole.update(piece)
                await first.update(piece)
                if committed.flight_again:
                    await second.update(piece)
            for digests, flight in ((first, committed.flight), (second, committed.flight_again)):
                if flight and digests.combined() != flight:
                    if not await self._is_at_source(job, found):
                        metadata = damaged_metadata(found.metadata, self._clock())
                        await self._blobs.set_metadata(found.name, metadata, etag=found.etag)
                        return True
                    await self._blobs.delete("staging", found.name, etag=found.etag)
                    raise NotProved(
                        "the committed chunk differs from what was fetched; it is deleted and fetched again"
                    )
            structure = inspection.verdict()
            verdict = ChunkVerdict.of(structure, self._clock())
            proved = ChunkFacts(
                kind=committed.kind or structure.kind,
                seconds=None if structure.seconds is None else round(structure.seconds, 3),
                sha256=await whole.finish(),
                proved_at=self._clock(),
                blocks_compared=committed.blocks,
                verdict=verdict.to_metadata()["verdict"],
            )
            await self._blobs.set_metadata(found.name, {**found.metadata, **proved.to_metadata()}, etag=found.etag)
        except (ResourceModifiedError, ResourceNotFoundError):
            return False
        log.info(
            "chunk.staged",
            recordingKey=job.recording_key,
            documentId=job.document_id,
            bytes=found.size,
            sha256=proved.sha256,
            blocks=committed.blocks,
            blocksCompared=committed.blocks,
            verdict=verdict.outcome,
            remarks=verdict.remarks,
        )
        return True

    async def _is_at_source(self, job: ChunkJob, found: StoredBlob) -> bool:
        try:
            probe, is_there = await self._content.probe(job), True
        except SourceGone:
            probe, is_there = None, False
        if probe and (probe.size < found.size or media.is_text(probe.head)):
            raise SourceDamaged(f"the committed chunk is damaged, and the source has nothing better: {probe.described}")
        log.error(
            "chunk.damaged",
            recordingKey=job.recording_key,
            blob=found.name,
            next="it is deleted from staging, and fetched again" if is_there else "it is archived as it is, not proved",
        )
        return is_there


class _BlockDigests:
    """The SHA-256 of each block, given where they begin, of `size` bytes that come in any pieces."""

    def __init__(self, offsets: Iterable[int], size: int) -> None:
        self._lengths = (end - begin for begin, end in pairwise((*offsets, size)))
        self._digest, self._left = Sha256(), next(self._lengths)
        self._digests: list[str] = []

    async def update(self, piece: bytes) -> None:
        """Add the next bytes."""
        while piece:
            mine, piece = piece[: self._left], piece[self._left :]
            await self._digest.update(mine)
            self._left -= len(mine)
            if not self._left:
                self._digests.append(await self._digest.finish())
                self._digest, self._left = Sha256(), next(self._lengths, 0)

    def combined(self) -> str:
        """Return the digest of all blocks together."""
        lines = (f"{index}:{digest[:_DIGITS]}" for index, digest in enumerate(self._digests))
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()
