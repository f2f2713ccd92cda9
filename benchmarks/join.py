"""Benchmark: one file of an hour, and of three hours, of video: `python -m benchmarks.join [--quick]`.

Chunks of ten minutes and 75 MB lie in Azurite. Ours is the queue job, as the app runs it: it reads their heads, sends a
new head, has storage copy the ranges (Put Block From URL), and writes its facts. ffmpeg's concat needs all chunks on
the disk, and the whole file is sent. Requests and bytes are counted where they leave the process. Azurite copies by
asking itself for the bytes, on the same cores; in Azure that costs the app nothing. `late_ms` is by how much more sound
is decoded than the file says that it has: so much later it is heard at the end.
"""

import argparse
import asyncio
import base64
import hashlib
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np
from azure.core.pipeline.transport import AioHttpTransport
from azure.storage.blob.aio import BlobServiceClient, ContainerClient

from benchmarks.meter import Cost, Meter, idle_kib
from local.azurite import Azurite
from recording import crc64
from recording.app import App, assemble, connect
from recording.config.settings import read_settings
from recording.joining.fact import JoinedFile
from recording.model import layout
from recording.model.job import JoinJob
from recording.model.manifest import Manifest, ManifestChunk, ManifestFile, with_timeline
from recording.model.proof import ChunkFacts

HOURS = (1, 3)
_CHUNK_SECONDS, _QUICK_SECONDS = 600, 60
_CHUNKS_AN_HOUR = 6
_RATE, _FPS = 16_000, 8
# Of an ingested block: its CRC64 is recorded with the chunk.
_BLOCK = 8 * 1024 * 1024
_RETENTION = timedelta(hours=24)
_START = datetime(2026, 3, 1, 10, tzinfo=UTC)

_ARCHIVE, _DERIVED = "archive", "derived"

Row = dict[str, Any]


def main(argv: list[str]) -> int:
    """Measure, and print a line for each way and length."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.join", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="chunks of one minute, and one hour's number of them")
    seconds, hours = (_QUICK_SECONDS, HOURS[:1]) if parser.parse_args(argv).quick else (_CHUNK_SECONDS, HOURS)
    for row in asyncio.run(run(seconds, hours, say=print)):
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    return 0


async def run(seconds: int, hours: tuple[int, ...], *, say: Callable[[str], None]) -> list[Row]:
    """Measure both ways for each length."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder / "chunk.mp4", seconds)
        size = (folder / "chunk.mp4").stat().st_size
        say(f"join: a chunk of {seconds} s has {size / 1e6:.1f} MB")
        async with Azurite(folder / "azurite") as azurite, _opened(azurite.connection_string) as app:
            service = BlobServiceClient.from_connection_string(azurite.connection_string)
            async with service:
                archive, derived = (service.get_container_client(one) for one in (_ARCHIVE, _DERIVED))
                for hour in hours:
                    bench = _Bench(app, archive, derived, folder, hour * _CHUNKS_AN_HOUR)
                    await bench.archive_chunks(seconds)
                    for way in (bench.ours, bench.concat):
                        rows.append(await way())
                        say(f"    {rows[-1]}")
    return rows


def make(path: Path, seconds: int, *, kilobits: int = 940) -> None:
    """Encode a chunk of 1 Mbit/s: small pictures, filled up to a constant bit rate as those of the emulator are.

    `kilobits` a second are those of the pictures; the sound has 48 more.
    """
    with av.open(str(path), "w", format="mp4") as container:
        video: Any = container.add_stream("libx264", rate=_FPS)
        video.width, video.height, video.pix_fmt, video.bit_rate, video.gop_size = (
            160,
            96,
            "yuv420p",
            kilobits * 1000,
            80,
        )
        limit = f"nal-hrd=cbr:force-cfr=1:vbv-maxrate={kilobits}:vbv-bufsize={kilobits}"
        video.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": limit}
        sound: Any = container.add_stream("aac", rate=_RATE, layout="mono")
        sound.bit_rate = 48_000
        samples = _RATE // _FPS
        tone = (2_000 * np.sin(2 * np.pi * 220 / _RATE * np.arange(samples))).astype("<i2").reshape(1, -1)
        for number in range(seconds * _FPS):
            picture = av.VideoFrame.from_ndarray(np.full((144, 160), 16 + number % 200, np.uint8), format="yuv420p")
            picture.pts = number
            container.mux(video.encode(picture))
            heard = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
            heard.sample_rate, heard.pts = _RATE, number * samples
            container.mux(sound.encode(heard))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))


@asynccontextmanager
async def _opened(connection: str) -> AsyncIterator[App]:
    """Build the app; all its containers are in one account."""
    settings = read_settings(
        {
            "AzureWebJobsStorage": connection,
            "ACS_CONNECTION_STRING": "endpoint=https://bench.example/;accesskey=YmVuY2g=",
            "ARCHIVE_CONTAINER": _ARCHIVE,
            "DERIVED_STORAGE": connection,
            "DERIVED_CONTAINER": _DERIVED,
        }
    )
    app = assemble(settings, connect(settings))
    try:
        await app.clients.blobs.create_containers("staging", "archive", "derived")
        yield app
    finally:
        await app.aclose()


@dataclass
class _Traffic:
    """What this process has asked of storage."""

    requests: int = 0
    sent: int = 0
    received: int = 0


@contextmanager
def _counted() -> Iterator[_Traffic]:
    """Count every request of azure-core's transport, and the bytes of its body and of its answer."""
    traffic, send = _Traffic(), AioHttpTransport.send

    async def counting(self: Any, request: Any, **options: Any) -> Any:
        answer = await send(self, request, **options)
        traffic.requests += 1
        traffic.sent += int(request.headers.get("Content-Length", 0))
        traffic.received += int(answer.headers.get("Content-Length", 0)) if request.method == "GET" else 0
        return answer

    setattr(AioHttpTransport, "send", counting)  # noqa: B010 - mypy takes no assignment to a method
    try:
        yield traffic
    finally:
        setattr(AioHttpTransport, "send", send)  # noqa: B010


class _Bench:
    """The chunks of one recording, all of the same bytes, and what is done with them."""

    def __init__(self, app: App, archive: ContainerClient, derived: ContainerClient, folder: Path, chunks: int) -> None:
        self._app = app
        self._archive = archive
        self._derived = derived
        self._folder = folder
        self._chunks = chunks
        self._key = layout.recording_key(_START, f"bench-{chunks}")
        self._names = [layout.archived(layout.chunk_blob(self._key, n, f"0-bench-{n}"), "mp4") for n in range(chunks)]

    async def archive_chunks(self, seconds: int) -> None:
        """Put the chunks and their manifest into the archive, with the CRC64s that ingest records."""
        body = (self._folder / "chunk.mp4").read_bytes()
        crcs = [crc64.crc64(body[at : at + _BLOCK]) for at in range(0, len(body), _BLOCK)]
        facts = ChunkFacts(
            crc64=crc64.to_hex(crc64.crc64(body)),
            block_crcs=base64.b64encode(b"".join(map(crc64.to_bytes, crcs))).decode(),
            first_bytes=_BLOCK,
            block_bytes=_BLOCK,
        )
        sha256, length = hashlib.sha256(body).hexdigest(), timedelta(seconds=seconds)
        for name in self._names:
            await self._archive.upload_blob(name, body, overwrite=True, metadata=facts.to_metadata(), max_concurrency=4)
        entries = [
            ManifestChunk(
                document_id=f"0-bench-{index}",
                index=index,
                end_reason=None,
                announced_at=_START,
                deadline=_START + _RETENTION,
                start_time=_START + index * length,
                duration_ms=seconds * 1000,
                media_ms=seconds * 1000,
                outcome="archived",
                content=ManifestFile(blob=name, bytes=len(body), sha256=sha256, crc64=facts.crc64),
                verdict="complete",
                format="mp4",
            )
            for index, name in enumerate(self._names)
        ]
        manifest = Manifest(
            recording_key=self._key,
            call_id="bench",
            recording_id=None,
            server_call_id=None,
            recording_start_time=_START,
            recording_duration_ms=None,
            session_end_reason=None,
            complete=True,
            state="archived",
            archived_at=_START + _RETENTION,
            events=[],
            chunks=entries,
        )
        await self._app.recordings.write_manifest(with_timeline(manifest))

    async def ours(self) -> Row:
        """Let the queue job make the file."""
        meter = Meter(idle_kib())
        with _counted() as traffic:
            await self._app.joining.run(JoinJob(recording_key=self._key))
        cost = meter.read()
        async for name in self._derived.list_blob_names(name_starts_with=layout.joined_prefix(self._key)):
            if name.endswith("/file.json"):
                text = await (await self._derived.download_blob(name)).readall()
        [part] = JoinedFile.model_validate_json(text).parts
        return await self._row("ours", cost, traffic, part.blob)

    async def concat(self) -> Row:
        """Fetch the chunks, let ffmpeg join them, and send the file."""
        folder, meter = self._folder, Meter(idle_kib())
        with _counted() as traffic:
            for index, name in enumerate(self._names):
                with (folder / f"{index}.mp4").open("wb") as file:
                    await (await self._archive.download_blob(name, max_concurrency=4)).readinto(file)
            (folder / "list.txt").write_text("".join(f"file '{index}.mp4'\n" for index in range(self._chunks)))
            command = ["-v", "error", "-y", "-f", "concat", "-i", folder / "list.txt", "-c", "copy"]
            program = [imageio_ffmpeg.get_ffmpeg_exe(), *command, folder / "joined.mp4"]
            await asyncio.to_thread(subprocess.run, program, check=True)
            with (folder / "joined.mp4").open("rb") as file:
                await self._derived.upload_blob("concat.mp4", file, overwrite=True, max_concurrency=4)
        return await self._row("ffmpeg concat", meter.read(), traffic, "concat.mp4")

    async def _row(self, way: str, cost: Cost, traffic: _Traffic, blob: str) -> Row:
        path = self._folder / "result.mp4"
        with path.open("wb") as file:
            await (await self._derived.download_blob(blob)).readinto(file)
        size = path.stat().st_size
        return {
            "way": way,
            "chunks": self._chunks,
            "megabytes": round(size / 1e6, 1),
            "seconds": round(cost.seconds, 1),
            "cpu_seconds": round(cost.cpu_seconds, 2),
            "peak_mib": round(cost.peak_mib, 1),
            "requests": traffic.requests,
            "received_megabytes": round(traffic.received / 1e6, 2),
            "sent_megabytes": round(traffic.sent / 1e6, 2),
            "sent_percent": round(100 * traffic.sent / size, 2),
            "late_ms": round(late(path) * 1000),
        }


def late(path: Path) -> float:
    """Return how much more sound is decoded than the file says that it has, in seconds."""
    with av.open(str(path), "r") as container:
        stream = container.streams.audio[0]
        said = float((stream.duration or 0) * (stream.time_base or 0))
        return sum(frame.samples for frame in container.decode(stream)) / _RATE - said


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
