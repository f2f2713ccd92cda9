"""Archived recordings whose chunks are joined: put into the archive as ingest and archive leave them there."""

import base64
import hashlib
import struct
from collections.abc import Sequence
from itertools import batched
from typing import Any

from recording import crc64
from recording.app import App
from recording.config.settings import Settings
from recording.formats.verdict import Kind
from recording.joining.file import Joining
from recording.joining.make import Maker
from recording.model import layout
from recording.model.job import JoinJob
from recording.model.manifest import Manifest, ManifestChunk, ManifestFile, with_timeline
from recording.model.proof import ChunkFacts
from tests.support.facts import container, put
from tests.support.manifests import KEY, RETENTION, START, empty_manifest

JOB = JoinJob(recording_key=KEY)
# Bytes of an ingested block.
BLOCK = 8 * 1024


def wav(samples: int, *, first: int = 0, rate: int = 16_000) -> bytes:
    """Make a file of samples that count up from `first`: each second is another one."""
    data = struct.pack(f"<{samples}H", *((first + number) % 65_536 for number in range(samples)))
    head = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16)
    body = b"WAVE" + head + struct.pack("<4sI", b"data", len(data)) + data
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def chunk_facts(body: bytes, *, block: int = BLOCK) -> dict[str, str]:
    """Return the metadata of a chunk that was ingested in blocks of so many bytes."""
    crcs = [crc64.crc64(bytes(some)) for some in batched(body, block, strict=False)]
    whole = crc64.to_hex(crc64.crc64(body))
    packed = base64.b64encode(b"".join(map(crc64.to_bytes, crcs))).decode()
    return ChunkFacts(crc64=whole, block_crcs=packed, first_bytes=block, block_bytes=block).to_metadata()


async def archived(
    settings: Settings,
    chunks: Sequence[bytes | None],
    *,
    kinds: Sequence[Kind] = (),
    channels: Sequence[dict[str, int]] = (),
    said: Sequence[dict[str, Any]] = (),
    block: int | None = BLOCK,
    revision: int = 1,
    seconds: float = 60,
) -> Manifest:
    """Put a recording of WAV files, or of `kinds`, into the archive, and return its manifest; None is a lost chunk.

    `said` are other fields that the manifest has of each chunk. Without `block` it is as an older version has written
    it: no CRC64 of a range is known.
    """
    entries = []
    for index, body in enumerate(chunks):
        kind = kinds[index] if kinds else "wav"
        document = f"0-eus-d12-{index:032x}"
        name = layout.archived(layout.chunk_blob(KEY, index, document), kind)
        start = START + index * RETENTION / 2880
        more: dict[str, Any] = {"outcome": "lost"}
        if body is not None:
            facts = chunk_facts(body, block=block) if block else {}
            await put(settings, "archive", name, body, **facts)
            sha256 = hashlib.sha256(body).hexdigest()
            crc = facts.get("crc64")
            file = ManifestFile(blob=name, bytes=len(body), sha256=sha256, crc64=crc)
            more = {"outcome": "archived", "content": file, "verdict": "complete", "format": kind}
        given: dict[str, Any] = {
            "document_id": document,
            "index": index,
            "end_reason": None,
            "announced_at": START,
            "deadline": START + RETENTION,
            "start_time": start,
            "duration_ms": seconds * 1000,
            "media_ms": seconds * 1000,
            "channels": channels[index] if channels else {},
        }
        entries.append(ManifestChunk(**(given | more | (said[index] if said else {}))))
    made = empty_manifest(KEY).model_copy(update={"chunks": entries, "revision": revision})
    manifest = with_timeline(made)
    body = manifest.model_dump_json(by_alias=True).encode()
    await put(settings, "archive", layout.manifest_blob(KEY, revision), body)
    return manifest


def joining(app: App, **options: Any) -> Joining:
    """Wire joining as another process has it; `options` are those of `Maker`."""
    blobs, queue, clock = app.clients.blobs, app.clients.join_queue, app.timer.clock
    maker = Maker(blobs, app.recordings, app.tombstones, queue, clock=clock, **options)
    return Joining(blobs, app.recordings, app.tombstones, app.trail, queue, maker, clock=clock)


async def joined(app: App) -> dict[str, bytes]:
    """Read what there is of joined files, by the last part of each name."""
    found = {}
    async with container(app.settings, "derived") as blobs:
        async for name in blobs.list_blob_names(name_starts_with=layout.joined_prefix(KEY)):
            found[name.rpartition("/")[2]] = await (await blobs.download_blob(name)).readall()
    return found
