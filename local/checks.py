"""Independent checks of an archived recording.

Nothing here is shared with the app: the archive is read with the storage library, as an auditor would, and compared
with what the emulator reports it served.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob.aio import BlobServiceClient, ContainerClient

from local.report import StepError

ARCHIVE = "recordings-archive"
STAGING = "recordings-staging"
MANIFEST = "/recording.json"
WIDTH, HEIGHT, FRAMES_PER_SECOND, SAMPLE_RATE = 1920, 1080, 8, 16_000


@dataclass(frozen=True)
class Film:
    """What a decoder found in a media file, with every frame decoded; the duration is in seconds."""

    frames: int
    width: int
    height: int
    frames_per_second: float
    seconds: float
    sample_rate: int
    channels: int


@asynccontextmanager
async def storage(connection_string: str) -> AsyncIterator[BlobServiceClient]:
    """Open the storage account."""
    async with BlobServiceClient.from_connection_string(connection_string) as service:
        yield service


async def names(container: ContainerClient, prefix: str = "") -> list[str]:
    """List the blobs under a prefix; a missing container has none."""
    try:
        return [name async for name in container.list_blob_names(name_starts_with=prefix)]
    except ResourceNotFoundError:
        return []


async def find_manifest(container: ContainerClient, call_id: str) -> str | None:
    """Return the name of the manifest of the call's recording, None if it isn't archived."""
    found = [name for name in await names(container) if name.endswith(MANIFEST) and call_id in name]
    return found[0] if found else None


async def fetch_chunk(container: ContainerClient, folder: str, chunk: Mapping[str, Any], target: Path) -> str:
    """Fetch an archived chunk into `target` and compare it with what the emulator served; return the blob's name.

    `chunk` is the emulator's description: documentId, index, bytes, sha256. Raises StepError when anything differs.
    """
    document = chunk["documentId"]
    suffix = f"{chunk['index']:05}-{document}.mp4"
    found = [name for name in await names(container, folder) if name.endswith(suffix)]
    if len(found) != 1:
        raise StepError(f"{document} should be archived once; it is archived as {found or 'nothing'}")
    download = await container.get_blob_client(found[0]).download_blob()
    data = await download.readall()
    if len(data) != chunk["bytes"]:
        raise StepError(f"{found[0]} has {len(data)} bytes; the emulator served {chunk['bytes']}")
    digest = (await asyncio.to_thread(hashlib.sha256, data)).hexdigest()
    if digest != chunk["sha256"]:
        raise StepError(f"{found[0]} has SHA-256 {digest}; the emulator served {chunk['sha256']}")
    await asyncio.to_thread(target.write_bytes, data)
    return found[0]


async def check_manifest(container: ContainerClient, name: str, chunks: Sequence[Mapping[str, Any]]) -> None:
    """Check that the manifest lists each chunk with its length and SHA-256; raises StepError if not."""
    download = await container.get_blob_client(name).download_blob()
    manifest = json.loads(await download.readall())
    for chunk in chunks:
        wanted = {chunk["documentId"], chunk["sha256"], chunk["bytes"]}
        # Entries are found by value, not by member name: this check doesn't depend on the app's names.
        entries = [part for part in _objects(manifest) if chunk["documentId"] in part.values()]
        if not any(wanted <= set(_scalars(entry)) for entry in entries):
            raise StepError(f"{name} doesn't list {chunk['documentId']} with its length and SHA-256")


async def check_metadata(container: ContainerClient, folder: str, chunk: Mapping[str, Any]) -> None:
    """Check that a chunk's metadata file is archived beside it; raises StepError if not."""
    name = f"{folder}/chunks/{chunk['index']:05}-{chunk['documentId']}.json"
    download = await container.get_blob_client(name).download_blob()
    metadata = json.loads(await download.readall())
    if metadata.get("chunkDocumentId") != chunk["documentId"]:
        raise StepError(f"{name} is the metadata of {metadata.get('chunkDocumentId')}")


def play(path: Path) -> Film:
    """Decode every frame of a media file; raises StepError when it isn't in the format that ACS records."""
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        frames = sum(1 for _ in container.decode(video))
        film = Film(
            frames=frames,
            width=video.codec_context.width,
            height=video.codec_context.height,
            frames_per_second=float(video.average_rate or 0),
            seconds=float((video.duration or 0) * (video.time_base or 0)),
            sample_rate=audio.codec_context.sample_rate,
            channels=audio.codec_context.channels,
        )
    if (film.width, film.height) != (WIDTH, HEIGHT):
        raise StepError(f"{path.name} is {film.width}x{film.height}, not {WIDTH}x{HEIGHT}")
    if round(film.frames_per_second, 2) != FRAMES_PER_SECOND:
        raise StepError(f"{path.name} has {film.frames_per_second} frames a second, not {FRAMES_PER_SECOND}")
    if abs(film.frames / FRAMES_PER_SECOND - film.seconds) > 0.5:
        raise StepError(f"{path.name} lasts {film.seconds:.2f} s but only {film.frames} frames could be decoded")
    if (film.sample_rate, film.channels) != (SAMPLE_RATE, 1):
        raise StepError(
            f"{path.name} has {film.channels} channel(s) of {film.sample_rate} Hz, not one of {SAMPLE_RATE}"
        )
    return film


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for part in _parts(value):
        yield from _objects(part)


def _scalars(value: Any) -> Iterator[Any]:
    if isinstance(value, (str, int)):
        yield value
    for part in _parts(value):
        yield from _scalars(part)


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
