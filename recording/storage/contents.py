"""One pass over all bytes of a blob: its digests, and the verdict on its structure."""

import asyncio
from dataclasses import dataclass

from recording import crc64
from recording.formats.media import Inspection
from recording.formats.verdict import Verdict
from recording.model.stored import Container, StoredBlob
from recording.storage.blobs import LONGEST_READ, Blobs
from recording.storage.hashing import Sha256

# Ranges of 4 MiB at once, which are held in memory.
_PREFETCH = 3


@dataclass(frozen=True)
class Contents:
    """What was read: bytes, digests in hex, verdict."""

    size: int
    crc64: str
    sha256: str
    verdict: Verdict


async def read_contents(blobs: Blobs, where: Container, found: StoredBlob) -> Contents:
    """Read exactly this version of a blob; raises azure-core's errors, also if it has changed."""
    size, crc, digest, inspection = 0, 0, Sha256(), Inspection(found.size)
    async for piece in blobs.read_ranges(where, found, prefetch=_PREFETCH, longest=LONGEST_READ):
        size += len(piece)
        crc = crc64.crc64(piece, crc)
        for _ in inspection.feed_in_turns(piece):
            await asyncio.sleep(0)
        await digest.update(piece)
    return Contents(size, crc64.to_hex(crc), await digest.finish(), inspection.verdict())
