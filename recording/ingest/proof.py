"""The proof of a committed chunk: it is read back once and compared with what passed by in flight.

What passed by goes into the commit itself, as blob metadata, so that any worker can prove the chunk.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError

from recording.acs.content import Probe
from recording.errors import NotProved
from recording.formats.media import Inspection, Kind
from recording.ingest import blocks
from recording.ingest.blocks import Block
from recording.ingest.relay import combine, hash_blocks
from recording.model.job import ChunkJob
from recording.model.proof import ChunkFacts
from recording.model.stored import StoredBlob
from recording.storage.blobs import Blobs
from recording.storage.hashing import Sha256
from recording.telemetry import log


def facts(
    probe: Probe, kind: Kind | None, plan: tuple[Block, ...], digests: Mapping[int, str], problem: str | None
) -> ChunkFacts:
    """Say what is committed with a chunk: what it is, where it is from, and what passed by in flight.

    `problem` says why the file isn't whole by its own word, if it is kept all the same.
    """
    return ChunkFacts(
        kind=kind,
        problem=problem,
        source_etag=_etag(probe) or None,
        source_bytes=probe.size,
        blocks=len(plan),
        block_bytes=plan[0].length,
        flight=combine(digests),
    )


async def prove(job: ChunkJob, found: StoredBlob, storage: Blobs, *, streams: asyncio.Semaphore, ahead: int) -> bool:
    """Read the committed chunk back: SHA-256 of the whole, and each block against its digest in flight.

    The structure of a file that an early look left undecided is judged here. What is wrong with it is put on record
    with the proof, and its bytes are kept: they are those of the source.

    False if another worker was quicker, to prove it or to delete it. Raises NotProved, and deletes the
    chunk, if it isn't what was fetched.
    """
    whole, inspection = Sha256(), Inspection(found.size)
    committed = ChunkFacts.from_metadata(found.metadata)
    # One that doesn't say how long its blocks are counts as one block.
    plan = blocks.split(found.size, committed.block_bytes or found.size)
    try:
        pieces = storage.read_ranges("staging", found, ahead=ahead, gate=streams)
        stored = await hash_blocks(pieces, plan, whole=whole, inspection=inspection)
        if combine(stored) != committed.flight:
            await storage.delete("staging", found.name, etag=found.etag)
            raise NotProved("the committed chunk differs from what was fetched; it is deleted and fetched again")
        verdict = inspection.verdict()
        proved = ChunkFacts(
            kind=committed.kind or verdict.kind,
            problem=committed.problem or verdict.problem,
            sha256=await whole.finish(),
            proved_at=datetime.now(UTC),
            blocks_compared=len(stored),
        )
        await storage.set_metadata(found.name, {**found.metadata, **proved.to_metadata()}, etag=found.etag)
    except (ResourceModifiedError, ResourceNotFoundError):
        return False
    if proved.problem and not committed.problem:
        log.error(
            "chunk.kept_as_it_is",
            recordingKey=job.recording_key,
            documentId=job.document_id,
            reason=proved.problem,
        )
    log.info(
        "chunk.staged",
        recordingKey=job.recording_key,
        documentId=job.document_id,
        bytes=found.size,
        sha256=proved.sha256,
        blocks=committed.blocks,
        blocksCompared=len(stored),
    )
    return True


def _etag(probe: Probe) -> str:
    """Write the source's ETag as blob metadata can hold it, which has 8 KiB for all of it."""
    return "".join(c for c in probe.etag or "" if c.isascii() and c.isprintable() and c != '"')[:256].strip()
