"""Recordings as the blobs that they are: in flight, finished, archived; put into storage without the app.

Names, bodies and metadata are those that intake, ingest and the timer leave: the timer finds what it would find.
"""

import asyncio
import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import aiohttp
from azure.storage.blob import ContainerSasPermissions, generate_container_sas
from yarl import URL

from benchmarks import burst
from benchmarks.document import document_id, filler
from local.azurite import ACCOUNT, KEY, Azurite
from recording import crc64
from recording.config.settings import Settings
from recording.model import event_parser, layout, manifest, payload
from recording.model.events import FileStatusUpdated
from recording.model.proof import ChunkFacts, CopyProof
from recording.model.recording import assemble
from recording.model.stored import Container, StoredBlob
from recording.model.verdict import ChunkVerdict

CHUNK_BYTES = 4096
# Of the archived ones: 100,000 of them are two years of calls.
_FIRST_ARCHIVED = datetime(2024, 1, 1, tzinfo=UTC)
_BETWEEN = timedelta(minutes=10)
_RETENTION = timedelta(hours=24)
_VERDICT = ChunkVerdict(found_at=_FIRST_ARCHIVED)
# How many people take part in turns.
_PEOPLE = 20
_AT_ONCE = 16
_VERSION = "2021-12-02"


class NotPut(RuntimeError):
    """Storage didn't take a blob."""


@dataclass(frozen=True)
class Blob:
    """What is put: where, by which name, with which metadata."""

    where: Container
    name: str
    body: bytes
    metadata: dict[str, str]


@dataclass(frozen=True)
class Recorded:
    """A recording of one small chunk, identified by its number."""

    number: int
    start: datetime

    @property
    def call_id(self) -> str:
        """The call's id, as long as a real one."""
        return f"00000000-0000-0000-0000-{self.number:012}"

    @property
    def key(self) -> str:
        """Its recording key."""
        return layout.recording_key(self.start, self.call_id)

    @property
    def document(self) -> str:
        """Its chunk's document id."""
        return document_id(CHUNK_BYTES, number=self.number)

    def announced(self) -> list[Blob]:
        """Return what is there while it's in flight: its event and its metadata file, no content."""
        chunk = {"documentId": self.document, "index": 0, "endReason": "SessionEnded", "durationMs": 60_000}
        event = burst.event({"callId": self.call_id, "startTime": self.start.isoformat(), "chunks": [chunk]})
        name = layout.event_blob(self.key, event["id"])
        said = {
            "resourceId": "bench",
            "chunkStartTime": self.start.isoformat(),
            "chunkDuration": 1_000,
            "recordingInfo": {"contentType": "audioVideo", "format": "mp4"},
            "participants": [{"participantId": participant(self.number)}],
        }
        metadata = json.dumps(said).encode()
        return [
            _fact("staging", name, json.dumps(event).encode(), announced=event["eventTime"]),
            _fact(
                "staging",
                layout.metadata_blob(self.key, 0, self.document),
                metadata,
                **payload.read_metadata_file(metadata),
            ),
        ]

    def content(self) -> Blob:
        """Return its chunk, committed and proved."""
        found = filler(self.document)
        body = b"".join(found.pieces(0, CHUNK_BYTES)) if found else b""
        crc = crc64.crc64(body)
        facts = ChunkFacts(
            kind="mp4",
            source_etag=self.document,
            source_bytes=len(body),
            blocks=1,
            block_bytes=len(body),
            blocks_compared=1,
            seconds=1.0,
            version=layout.version_tag(self.document),
            crc64=crc64.to_hex(crc),
            block_crcs=base64.b64encode(crc64.to_bytes(crc)).decode(),
            first_bytes=len(body),
            verdict=_VERDICT.to_metadata()["verdict"],
            attempt=layout.attempt_id(self.start, "0123abcd"),
        )
        return Blob("staging", layout.chunk_blob(self.key, 0, self.document), body, facts.to_metadata())

    def proof(self) -> Blob:
        """Return what a worker has found out by reading the chunk's archive copy."""
        content = self.content()
        copy, etag = layout.archived(content.name, "mp4"), '"0x8D4BCC2E4835CD0"'
        proof = CopyProof(
            content=content.name,
            blob=copy,
            etag=etag,
            bytes=len(content.body),
            crc64=content.metadata["crc64"],
            sha256=hashlib.sha256(content.body).hexdigest(),
            kind="mp4",
            seconds=1.0,
            verdict=_VERDICT,
            proved_at=self.start,
        )
        name = layout.proof_blob(self.key, self.document, layout.copy_tag(copy, etag))
        return _fact("staging", name, proof.model_dump_json(by_alias=True).encode(), **proof.to_metadata())

    def manifest(self) -> Blob:
        """Return the blobs of the archived recording: here nothing but the manifest."""
        blobs = [*self.announced(), self.content(), self.proof()]
        event = event_parser.parse_event(blobs[0].body.decode())
        stored = [StoredBlob(blob.name, len(blob.body), "", blob.metadata) for blob in blobs]
        known = [event] if isinstance(event, FileStatusUpdated) else []
        recording = assemble(self.key, events=known, blobs=stored, attempts={}, retention=_RETENTION)
        written = manifest.write_manifest(recording, archived_at=self.start + _RETENTION)
        text = written.model_dump_json(by_alias=True, indent=2).encode()
        return _fact("archive", layout.manifest_blob(self.key), text)


def participant(number: int) -> str:
    """Return the id of the only participant of a recording, by its number."""
    return f"8:acs:00000000-0000-0000-0000-000000000000_{number % _PEOPLE:08}"


def archived(numbers: Iterable[int]) -> Iterator[Blob]:
    """Return the manifests of recordings of the past, a day's worth in each day."""
    for number in numbers:
        yield Recorded(number, _FIRST_ARCHIVED + number * _BETWEEN).manifest()


def _fact(where: Container, name: str, body: bytes, **metadata: str) -> Blob:
    return Blob(where, name, body, {"sha256": hashlib.sha256(body).hexdigest(), **metadata})


async def put(azurite: Azurite, settings: Settings, blobs: Iterable[Blob], *, done: Callable[[int], None]) -> None:
    """Put the blobs, many at once, by requests that cost this process little; `done` hears how many there are.

    Raises NotPut.
    """
    places = {where: getattr(settings, f"{where}_container") for where in ("staging", "archive")}
    signed = {where: _signed(azurite, container) for where, container in places.items()}
    waiting, count = iter(blobs), 0

    async def work(http: aiohttp.ClientSession) -> None:
        nonlocal count
        for blob in waiting:
            await _put(http, blob, *signed[blob.where])
            count += 1
            done(count)

    try:
        async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(work(http))
    except ExceptionGroup as several:
        first = several.exceptions[0]
        raise first if isinstance(first, NotPut) else NotPut(repr(first)) from None


def _signed(azurite: Azurite, container: str) -> tuple[str, str]:
    """Return the container's URL, and a signature to write with."""
    may, expiry = ContainerSasPermissions(write=True, create=True), datetime.now(UTC) + timedelta(hours=6)
    signature = generate_container_sas(ACCOUNT, container, account_key=KEY, permission=may, expiry=expiry)
    return f"{azurite.blob_url}/{container}", signature


async def _put(http: aiohttp.ClientSession, blob: Blob, container_url: str, signature: str) -> None:
    headers: dict[str, Any] = {
        "x-ms-version": _VERSION,
        "x-ms-blob-type": "BlockBlob",
        "Content-Type": "video/mp4" if blob.name.endswith(".media") else "application/json",
        **{f"x-ms-meta-{name}": value for name, value in blob.metadata.items()},
    }
    url = URL(f"{container_url}/{quote(blob.name)}?{signature}", encoded=True)
    async with http.put(url, data=blob.body, headers=headers) as response:
        if response.status != 201:
            raise NotPut(f"{blob.name}: {response.status} {await response.text()}")
