"""Benchmark: one file of an hour, and of three hours, of video: `python -m benchmarks.join [--quick]`.

Chunks of ten minutes and 75 MB lie in Azurite. Ours reads their heads, sends a new head, and has storage copy the
ranges (Put Block From URL), eight at a time. ffmpeg's concat needs all chunks on the disk, and the whole file is sent.
Azurite copies by asking itself for the bytes, on the same cores; in Azure that costs the app nothing. `late_ms` is by
how much more sound is decoded than the file says that it has: so much later it is heard at the end.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np
from azure.storage.blob import BlobBlock, ContainerSasPermissions, generate_container_sas
from azure.storage.blob.aio import BlobServiceClient, ContainerClient

from benchmarks.meter import Meter, idle_kib
from local.azurite import Azurite
from recording.join.parts import Joined, Part, Range
from recording.join.plan import plan
from recording.join.sources import Recording, Source

HOURS = (1, 3)
_CHUNK_SECONDS, _QUICK_SECONDS = 600, 60
_CHUNKS_AN_HOUR = 6
_RATE, _FPS = 16_000, 8
_BLOCK = 100 * 1024 * 1024
_AT_ONCE = 8
_START = datetime(2026, 3, 1, 10, tzinfo=UTC)

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
        async with Azurite(folder / "azurite") as azurite:
            service = BlobServiceClient.from_connection_string(azurite.connection_string)
            async with service, service.get_container_client("join") as container:
                await container.create_container()
                for hour in hours:
                    bench = _Bench(container, folder, hour * _CHUNKS_AN_HOUR, size)
                    await bench.upload_chunks()
                    for way in (bench.ours, bench.concat):
                        rows.append(await way())
                        say(f"    {rows[-1]}")
    return rows


def make(path: Path, seconds: int) -> None:
    """Encode a chunk of 1 Mbit/s: small pictures, filled up to a constant bit rate as those of the emulator are."""
    with av.open(str(path), "w", format="mp4") as container:
        video: Any = container.add_stream("libx264", rate=_FPS)
        video.width, video.height, video.pix_fmt, video.bit_rate, video.gop_size = 160, 96, "yuv420p", 940_000, 80
        limit = "nal-hrd=cbr:force-cfr=1:vbv-maxrate=940:vbv-bufsize=940"
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


class _Bench:
    """The chunks of one recording, all of the same bytes, and what is done with them."""

    def __init__(self, container: ContainerClient, folder: Path, chunks: int, size: int) -> None:
        self._container = container
        self._folder = folder
        self._chunks = chunks
        self._size = size
        self._requests = self._sent = self._received = 0

    async def upload_chunks(self) -> None:
        """Put the chunks into storage."""
        for index in range(self._chunks):
            with (self._folder / "chunk.mp4").open("rb") as file:
                await self._container.upload_blob(f"{index}.mp4", file, overwrite=True, max_concurrency=4)

    async def ours(self) -> Row:
        """Plan, send what is new, and have the rest copied."""
        meter = self._begin()
        part = await self._plan()
        blob = self._container.get_blob_client("joined.mp4")
        blocks: list[str] = []
        wanted: list[tuple[str, bytes | tuple[int, int, int]]] = []
        for piece in part.pieces:
            if not isinstance(piece, Range):
                wanted.append((f"{len(wanted):06}", piece.content))
                continue
            for begin in range(piece.begin, piece.end, _BLOCK):
                part_of = piece.chunk, begin, min(_BLOCK, piece.end - begin)
                wanted.append((f"{len(wanted):06}", part_of))
        blocks = [block for block, _ in wanted]
        link = self._link()
        slots = asyncio.Semaphore(_AT_ONCE)

        async def stage(block: str, content: bytes | tuple[int, int, int]) -> None:
            async with slots:
                self._requests += 1
                if isinstance(content, bytes):
                    self._sent += len(content)
                    await blob.stage_block(block, content)
                else:
                    chunk, begin, length = content
                    source = f"{self._container.url}/{chunk}.mp4?{link}"
                    await blob.stage_block_from_url(block, source, source_offset=begin, source_length=length)

        await asyncio.gather(*(stage(*one) for one in wanted))
        self._requests += 1
        await blob.commit_block_list([BlobBlock(block) for block in blocks])
        return await self._end("ours", meter, part.size)

    async def concat(self) -> Row:
        """Fetch the chunks, let ffmpeg join them, and send the file."""
        meter = self._begin()
        folder = self._folder
        for index in range(self._chunks):
            stream = await self._container.download_blob(f"{index}.mp4", max_concurrency=4)
            with (folder / f"{index}.mp4").open("wb") as file:
                self._received += await stream.readinto(file)
                self._requests += -(-self._size // (4 * 1024 * 1024))
        (folder / "list.txt").write_text("".join(f"file '{index}.mp4'\n" for index in range(self._chunks)))
        command = ["-v", "error", "-y", "-f", "concat", "-i", folder / "list.txt", "-c", "copy", folder / "joined.mp4"]
        await asyncio.to_thread(subprocess.run, [imageio_ffmpeg.get_ffmpeg_exe(), *command], check=True)
        size = (folder / "joined.mp4").stat().st_size
        with (folder / "joined.mp4").open("rb") as file:
            await self._container.upload_blob("joined.mp4", file, overwrite=True, max_concurrency=4)
        self._sent, self._requests = size, self._requests + -(-size // (4 * 1024 * 1024)) + 1
        return await self._end("ffmpeg concat", meter, size)

    async def _plan(self) -> Part:
        listed = tuple(Source(index, kind="mp4", size=self._size) for index in range(self._chunks))
        planning = plan(Recording("benchmark", 1, _START, listed))
        try:
            wanted = next(planning)
            while True:
                stream = await self._container.download_blob(f"{wanted.chunk}.mp4", wanted.begin, wanted.size)
                self._requests, self._received = self._requests + 1, self._received + wanted.size
                wanted = planning.send(await stream.readall())
        except StopIteration as done:
            if not isinstance(done.value, Joined):
                raise
            return done.value.parts[0]

    def _link(self) -> str:
        account = self._container.credential
        return generate_container_sas(
            account.account_name,
            "join",
            account_key=account.account_key,
            permission=ContainerSasPermissions(read=True),
            expiry=datetime.now(UTC) + timedelta(hours=1),
        )

    def _begin(self) -> Meter:
        self._requests = self._sent = self._received = 0
        return Meter(idle_kib())

    async def _end(self, way: str, meter: Meter, size: int) -> Row:
        cost = meter.read()
        path = self._folder / "result.mp4"
        with path.open("wb") as file:
            await (await self._container.download_blob("joined.mp4")).readinto(file)
        return {
            "way": way,
            "chunks": self._chunks,
            "megabytes": round(size / 1e6, 1),
            "seconds": round(cost.seconds, 1),
            "cpu_seconds": round(cost.cpu_seconds, 2),
            "peak_mib": round(cost.peak_mib, 1),
            "requests": self._requests,
            "received_megabytes": round(self._received / 1e6, 2),
            "sent_megabytes": round(self._sent / 1e6, 2),
            "sent_percent": round(100 * self._sent / size, 2),
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
