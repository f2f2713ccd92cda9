"""Chunks in staging as ingest leaves them: proved by the CRC64 of each block, or by an older version."""

import base64
import hashlib
from datetime import UTC, datetime
from typing import Any

from recording import crc64
from recording.app import App
from recording.formats.media import Inspection
from recording.model import payload
from recording.model.job import ChunkJob
from recording.model.proof import ChunkFacts
from recording.model.verdict import ChunkVerdict
from tests.support.emulator import file_event
from tests.support.facts import put, receive
from tests.support.source import recording_of

KEY = "20260301T100000000000Z-3f2b0e4c-0000-4000-8000-000000000001"


def ranges_of(body: bytes, *, first: int, block: int) -> list[bytes]:
    """Divide a file as its facts say: a first range, others of one length, the rest."""
    starts = [0, *range(first, len(body), block)] if first < len(body) else [0]
    return [body[start:end] for start, end in zip(starts, [*starts[1:], len(body)], strict=True)]


def facts_of(body: bytes, *, first: int = 4096, block: int = 10_000, looked: bool = True, **more: Any) -> ChunkFacts:
    """Return the facts of a commit; without a look at the structure the verdict is `undecided`."""
    parts = ranges_of(body, first=first, block=block)
    inspection = Inspection(len(body))
    inspection.feed(body if looked else body[:1024])
    structure = inspection.verdict()
    known: dict[str, Any] = {
        "kind": structure.kind or "wav",
        "source_etag": "e",
        "source_bytes": len(body),
        "blocks": len(parts),
        "blocks_compared": len(parts),
        "first_bytes": min(first, len(body)),
        "block_bytes": block,
        "block_crcs": base64.b64encode(b"".join(crc64.to_bytes(crc64.crc64(part)) for part in parts)).decode(),
        "crc64": crc64.to_hex(crc64.crc64(body)),
        "version": "e",
        "proved_at": datetime.now(UTC),
        "seconds": structure.seconds,
        "attempt": "20260301T100000000000Z-0a",
        **ChunkVerdict.of(structure, datetime.now(UTC)).to_metadata(),
    }
    return ChunkFacts(**known | more)


async def announce_files(app: App, count: int, **more: Any) -> list[ChunkJob]:
    """Receive the event of a recording with this number of chunks."""
    documents = [f"0-eus-d12-{number:032x}" for number in range(count)]
    return await receive(app, file_event(recording_of(*documents), **more))


async def commit(app: App, job: ChunkJob, body: bytes, facts: ChunkFacts | None = None) -> None:
    """Put a chunk's content and its metadata file into staging; without facts, proved by its CRC64s."""
    await put(app.settings, "staging", job.content_blob, body, **(facts or facts_of(body)).to_metadata())
    file = b'{"callId": "3f2b0e4c"}'
    await app.clients.blobs.create("staging", job.metadata_blob, file, **payload.read_metadata_file(file))


async def stage_files(app: App, *bodies: bytes, **more: Any) -> list[ChunkJob]:
    """Announce a recording, and bring each of its chunks into staging."""
    jobs = await announce_files(app, len(bodies), **more)
    for job, body in zip(jobs, bodies, strict=True):
        await commit(app, job, body)
    return jobs


def old_facts(body: bytes, **more: Any) -> ChunkFacts:
    """Return the facts of a chunk that the version before has proved: by its SHA-256."""
    known: dict[str, Any] = {
        "kind": "wav",
        "source_etag": "e",
        "source_bytes": len(body),
        "blocks": 1,
        "blocks_compared": 1,
        "block_bytes": len(body),
        "flight": hashlib.sha256(body).hexdigest(),
        "sha256": hashlib.sha256(body).hexdigest(),
        "proved_at": datetime.now(UTC),
    }
    return ChunkFacts(**known | more)
