"""Pure: the facts that are committed with a chunk."""

import base64
from datetime import datetime

from recording import crc64
from recording.acs.content import Probe
from recording.ingest import blocks
from recording.ingest.transfer import Transfer
from recording.model import layout
from recording.model.proof import ChunkFacts
from recording.model.verdict import ChunkVerdict

# Characters of the 8 KiB that the metadata of a blob has: 5.5 KiB are for the CRC64s of its ranges.
_MOST_OF_VERDICT = 1500


def facts_of(transfer: Transfer, verdict: ChunkVerdict, *, attempt: str | None, proved_at: datetime) -> ChunkFacts:
    """Return the facts that are committed with a chunk: what it is, of which source, and how it is proved."""
    probe, seconds = transfer.probe, transfer.verdict.seconds
    while len(found := verdict.to_metadata()["verdict"]) > _MOST_OF_VERDICT:
        verdict = verdict.model_copy(update={"remarks": verdict.remarks[:-1]})
    ranges = blocks.proof_ranges(transfer.plan)
    crcs = [transfer.crc_of(*some) for some in ranges]
    return ChunkFacts(
        kind=transfer.verdict.kind or probe.kind,
        source_etag=etag_of(probe) or None,
        source_bytes=probe.size,
        seconds=None if seconds is None else round(seconds, 3),
        version=layout.version_tag(probe.version),
        verdict=found,
        attempt=attempt,
        crc64=crc64.to_hex(transfer.crc),
        block_crcs=base64.b64encode(b"".join(map(crc64.to_bytes, crcs))).decode(),
        first_bytes=ranges[0][-1].end,
        block_bytes=max(some[-1].end - some[0].offset for some in ranges[1:] or ranges),
        blocks=transfer.blocks,
        blocks_compared=transfer.blocks_compared,
        proved_at=proved_at,
    )


def etag_of(probe: Probe) -> str:
    """Return the source's ETag as blob metadata can hold it, which has 8 KiB in all, without double blanks."""
    printable = "".join(c for c in probe.etag or "" if c.isascii() and c.isprintable() and c != '"')
    return " ".join(printable.split())[:256].strip()
