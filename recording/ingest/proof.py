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
from recording.model.stored import StoredBlob
from recording.storage.blobs import Blobs
from recording.storage.hashing import Sha256
from recording.telemetry import log


def facts(
    probe: Probe, kind: Kind | None, plan: tuple[Block, ...], digests: Mapping[int, str], problem: str | None
) -> dict[str, str]:
    """Write what is committed with a chunk: what it is, where it is from, and what passed by in flight.

    `problem` says why the file isn't whole by its own word, if it is kept all the same.
    """
    found = {
        "kind": kind,
        "problem": problem,
        "source_etag": _etag(probe),
        "source_bytes": str(probe.size),
        "blocks": str(len(plan)),
        "block_bytes": str(plan[0].length),
        "flight": combine(digests),
    }
    # A header without a value may get lost on its way.
    return {name: value for name, value in found.items() if value}


def is_ours(found: StoredBlob) -> bool:
    """Tell whether a chunk was committed by an ingest, which does so only when it is whole."""
    return found.metadata.get("source_bytes") == str(found.size) and "flight" in found.metadata


def is_same_version(found: StoredBlob, committed: Mapping[str, str]) -> bool:
    """Tell whether a chunk is of the version of the document that was committed, whoever was quicker."""
    return all(found.metadata.get(name) == committed.get(name) for name in ("source_etag", "source_bytes"))


async def prove(job: ChunkJob, found: StoredBlob, storage: Blobs, *, streams: asyncio.Semaphore, ahead: int) -> bool:
    """Read the committed chunk back: SHA-256 of the whole, and each block against its digest in flight.

    The structure of a file that an early look left undecided is judged here. What is wrong with it is put on record
    with the proof, and its bytes are kept: they are those of the source.

    False if another worker was quicker, to prove it or to delete it. Raises NotProved, and deletes the
    chunk, if it isn't what was fetched.
    """
    whole, inspection = Sha256(), Inspection(found.size)
    plan = blocks.split(found.size, int(found.metadata["block_bytes"]))
    try:
        pieces = storage.read_ranges("staging", found, ahead=ahead, gate=streams)
        stored = await hash_blocks(pieces, plan, whole=whole, inspection=inspection)
        if combine(stored) != found.metadata["flight"]:
            await storage.delete("staging", found.name, etag=found.etag)
            raise NotProved("the committed chunk differs from what was fetched; it is deleted and fetched again")
        proof = {
            "sha256": await whole.finish(),
            "proved_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "blocks_compared": str(len(stored)),
        }
        verdict = inspection.verdict()
        seen = {name: text for name, text in (("kind", verdict.kind), ("problem", verdict.problem)) if text}
        await storage.set_metadata(found.name, {**seen, **found.metadata, **proof}, etag=found.etag)
    except (ResourceModifiedError, ResourceNotFoundError):
        return False
    if "problem" in seen and "problem" not in found.metadata:
        log.error(
            "chunk.kept_as_it_is",
            recordingKey=job.recording_key,
            documentId=job.document_id,
            reason=seen["problem"],
        )
    log.info(
        "chunk.staged",
        recordingKey=job.recording_key,
        documentId=job.document_id,
        bytes=found.size,
        sha256=proof["sha256"],
        blocks=int(found.metadata["blocks"]),
        blocksCompared=len(stored),
    )
    return True


def _etag(probe: Probe) -> str:
    """Write the source's ETag as blob metadata can hold it, which has 8 KiB for all of it."""
    return "".join(c for c in probe.etag or "" if c.isascii() and c.isprintable() and c != '"')[:256].strip()
