"""The proof of a committed chunk: it is read back once and compared with what was sent.

The digest in transit is part of the commit itself, as blob metadata, so that any worker can prove the chunk.
"""

import asyncio

from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError

from recording.acs.content import Probe
from recording.clock import Clock, utc_now
from recording.errors import NotProved
from recording.formats.media import Inspection
from recording.ingest import blocks
from recording.ingest.relay import BlockHashes, combine, hash_blocks
from recording.ingest.transfer import Transferred
from recording.model import layout
from recording.model.job import ChunkJob
from recording.model.proof import ChunkFacts
from recording.model.stored import StoredBlob
from recording.model.verdict import ChunkVerdict
from recording.storage.blobs import Blobs
from recording.storage.hashing import Sha256
from recording.telemetry import log


def facts_to_commit(probe: Probe, transferred: Transferred) -> ChunkFacts:
    """Return the facts that are committed with a chunk: its kind, its source, and the digest in transit."""
    return ChunkFacts(
        kind=transferred.kind or probe.kind,
        source_etag=etag_of(probe) or None,
        source_bytes=probe.size,
        blocks=len(transferred.plan),
        block_bytes=transferred.plan[0].length,
        flight=combine(transferred.digests),
        flight_again=None if transferred.again is None else combine(transferred.again),
    )


class Proof:
    """Proves committed chunks; reads `prefetch` ranges at once, within the process's `streams`."""

    def __init__(self, blobs: Blobs, *, streams: asyncio.Semaphore, prefetch: int, clock: Clock = utc_now) -> None:
        self._blobs = blobs
        self._streams = streams
        self._prefetch = prefetch
        self._clock = clock

    async def run(self, job: ChunkJob, found: StoredBlob) -> bool:
        """Read the committed chunk back: the SHA-256 of all bytes, and each block against its digest in transit.

        The bytes are those of the source and are kept, whatever their structure. The verdict on it is a fact that is
        written before the proof, unless it is `complete` without a remark.

        Return False if another worker has proved or deleted the chunk meanwhile. Raises NotProved, and deletes the
        chunk, if it differs from what was fetched.
        """
        sha256, inspection = Sha256(), Inspection(found.size)
        committed = ChunkFacts.from_metadata(found.metadata)
        # A chunk without a block length in its facts counts as one block.
        plan = blocks.split(found.size, committed.block_bytes or found.size)
        try:
            pieces = self._blobs.read_ranges("staging", found, prefetch=self._prefetch, limit=self._streams)
            across = blocks.shifted(found.size, plan[0].length) if committed.flight_again else ()
            again = BlockHashes(across) if across else None
            stored = await hash_blocks(pieces, plan, whole=sha256, inspection=inspection, again=again)
            if again and combine(again.finish()) != committed.flight_again:
                await self._blobs.delete("staging", found.name, etag=found.etag)
                raise NotProved("the document has no ETag, and two readings of it differ; it is fetched again")
            if combine(stored) != committed.flight:
                await self._blobs.delete("staging", found.name, etag=found.etag)
                raise NotProved("the committed chunk differs from what was fetched; it is deleted and fetched again")
            structure, digest = inspection.verdict(), await sha256.finish()
            verdict = ChunkVerdict.of(structure, self._clock())
            if not verdict.is_plain:
                fact = layout.verdict_blob(job.recording_key, job.document_id, digest)
                body = verdict.model_dump_json(by_alias=True).encode()
                await self._blobs.create("staging", fact, body, **verdict.to_metadata())
            proved = ChunkFacts(
                kind=committed.kind or structure.kind,
                seconds=None if structure.seconds is None else round(structure.seconds, 3),
                sha256=digest,
                proved_at=self._clock(),
                blocks_compared=len(stored),
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
            blocksCompared=len(stored),
            verdict=verdict.outcome,
            remarks=verdict.remarks,
        )
        return True


def etag_of(probe: Probe) -> str:
    """Return the source's ETag as blob metadata can hold it, which has 8 KiB in all."""
    return "".join(c for c in probe.etag or "" if c.isascii() and c.isprintable() and c != '"')[:256].strip()
