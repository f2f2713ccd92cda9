"""Watch storage from outside during a soak run: what is staged, what is archived, and when."""

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob.aio import BlobServiceClient, ContainerClient
from azure.storage.queue.aio import QueueServiceClient

STAGING, ARCHIVE, QUARANTINE = "recordings-staging", "recordings-archive", "recordings-quarantine"
QUEUES = (
    "recording-chunks",
    "recording-bulk",
    "recording-events",
    "recording-archive",
    "recording-erasures",
    "recording-export",
    "recording-holds",
    "recording-join",
)
# An erasure that is done looks once more after hours.
SETTLING = "pending-erasures/"
# What the metadata of a staged chunk has: the CRC64 of the whole, or what an older version wrote after its proof.
PROVED = frozenset(("crc64", "sha256"))
EVERY_SECONDS = 0.5
# Listing a full staging container costs CPU here and in Azurite, so it gets at most this share of the time. With a
# tenth the load waited for each look at a recording of 1,500 chunks, while a quarter of the CPU was idle.
LOOKING_SHARE = 0.2
# Manifests read concurrently: read one by one from a busy Azurite, they delayed the load.
READING = 16
# Longer than either API keeps a recording.
AGE = timedelta(hours=50)
_CONTENT = re.compile(r".*/chunks/[0-9]{5}-(?P<document>[0-9A-Za-z-]+)\.media")


@dataclass
class Open:
    """A recording whose event was published and that isn't settled; times are from time.monotonic()."""

    recording: dict[str, Any]
    key: str
    published: float
    is_expired: bool

    @property
    def folder(self) -> str:
        """Return the folder in the archive."""
        return f"{self.key[:4]}/{self.key[4:6]}/{self.key[6:8]}/{self.key}"


@dataclass(frozen=True)
class Archived:
    """A recording that was archived: when its event was published (time.monotonic()), how long that took."""

    key: str
    chunks: int
    published: float
    seconds: float


@dataclass
class Watch:
    """Keep what is open, what was archived when, and the seconds from event to staged (per chunk)."""

    staging: ContainerClient
    archive: ContainerClient
    queues: QueueServiceClient
    open: dict[str, Open] = field(default_factory=dict)
    settled: int = 0
    staged_seconds: dict[str, float] = field(default_factory=dict)
    archived: list[Archived] = field(default_factory=list)
    staging_blobs: int = 0

    def add(self, recording: dict[str, Any], *, is_expired: bool) -> None:
        """Watch a recording from now on, when its event is published."""
        key = key_of(recording)
        self.open[key] = Open(recording, key, time.monotonic(), is_expired)

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            began = time.monotonic()
            await self.look()
            await asyncio.sleep(max(EVERY_SECONDS, (time.monotonic() - began) / LOOKING_SHARE))

    async def look(self) -> None:
        """Check staging and the manifests once: those of open recordings."""
        waiting = dict(self.open)
        seen: set[str] = set()
        blobs = 0
        async for blob in list_blobs(self.staging):
            if str(blob.name).startswith(SETTLING):
                continue
            blobs += 1
            key = str(blob.name).partition("/")[0]
            seen.add(key)
            found = _CONTENT.fullmatch(str(blob.name))
            if found and key in waiting and PROVED.intersection(blob.metadata or ()):
                self._staged(waiting[key], found["document"])
            if key in waiting and waiting[key].is_expired and "/events/" in str(blob.name):
                await self._age(blob)
        self.staging_blobs = blobs
        turn = asyncio.Semaphore(READING)

        async def read(one: Open) -> None:
            async with turn:
                if await self._is_archived(one) and one.key in self.open:
                    self._settle(one)

        await asyncio.gather(*(read(one) for key, one in waiting.items() if key not in seen))

    async def queued(self) -> tuple[int, int]:
        """Count the messages in the queues, including hidden ones, and in their poison queues."""
        return (
            sum([await self._messages(name) for name in QUEUES]),
            sum([await self._messages(f"{name}-poison") for name in QUEUES]),
        )

    async def _messages(self, name: str) -> int:
        try:
            properties = await self.queues.get_queue_client(name).get_queue_properties()
        except ResourceNotFoundError:
            return 0
        return int(properties.approximate_message_count or 0)

    async def _age(self, event: Any) -> None:
        """Let the event of an expired recording be as old as its chunks: a run doesn't last for days as they do."""
        received = datetime.fromisoformat(event.metadata["received"])
        if datetime.now(UTC) - received < AGE:
            metadata = {**event.metadata, "received": (received - AGE).isoformat()}
            with contextlib.suppress(ResourceNotFoundError):
                await self.staging.get_blob_client(event.name).set_blob_metadata(metadata)

    def _staged(self, one: Open, document_id: str) -> None:
        self.staged_seconds.setdefault(document_id, time.monotonic() - one.published)

    def _settle(self, one: Open) -> None:
        del self.open[one.key]
        self.settled += 1
        if one.is_expired:
            return
        chunks = one.recording["chunks"]
        self.archived.append(Archived(one.key, len(chunks), one.published, time.monotonic() - one.published))
        for chunk in chunks:
            # It was staged and archived between two looks.
            self._staged(one, chunk["documentId"])

    async def _is_archived(self, one: Open) -> bool:
        """Return whether the newest manifest of the recording lists every chunk; any will do if the recording expired.

        It need not be complete: bytes that staging didn't keep, found when the source had none any more, are listed as
        not proved for ever. Whether what it says is right the checker decides.
        """
        manifest = await read_manifest(self.archive, one.folder)
        if manifest is None or one.is_expired:
            return manifest is not None
        listed = {entry["documentId"] for entry in manifest.get("chunks", ())}
        return listed >= {chunk["documentId"] for chunk in one.recording["chunks"]}


def key_of(recording: dict[str, Any]) -> str:
    """Return the key of a recording in the archive: `{start, microseconds, UTC}Z-{callId}`."""
    start = re.sub(r"[-:.]", "", recording["startTime"].rstrip("Z"))
    # 100-nanosecond ticks have one digit more than the key.
    return f"{start[:21]}Z-{recording['callId']}"


async def list_blobs(container: ContainerClient, prefix: str = "") -> AsyncIterator[Any]:
    """List blobs with their metadata and where they were copied from; a missing container has none."""
    try:
        async for blob in container.list_blobs(name_starts_with=prefix, include=["metadata", "copy"]):
            yield blob
    except ResourceNotFoundError:
        return


async def read_manifest(archive: ContainerClient, folder: str) -> dict[str, Any] | None:
    """Return the newest manifest in a folder of the archive, None if there is none."""
    newest: dict[str, Any] | None = None
    revision = 1
    while True:
        name = f"{folder}/recording{'' if revision == 1 else f'-{revision}'}.json"
        try:
            newest = json.loads(await (await archive.get_blob_client(name).download_blob()).readall())
        except ResourceNotFoundError:
            return newest
        revision += 1


@asynccontextmanager
async def watching(connection_string: str) -> AsyncIterator[tuple[Watch, BlobServiceClient]]:
    """Open storage without the proxy, where nothing goes wrong."""
    async with (
        BlobServiceClient.from_connection_string(connection_string, use_env_settings=False) as blobs,
        QueueServiceClient.from_connection_string(connection_string, use_env_settings=False) as queues,
    ):
        yield Watch(blobs.get_container_client(STAGING), blobs.get_container_client(ARCHIVE), queues), blobs
