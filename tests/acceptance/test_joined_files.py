"""Joined files that are long: 18 chunks of the emulator, and more than 4 GiB of MP4 and of RF64.

Of large files nothing but some seconds has sound and pictures; the rest is a hole, which needs no space on disk.
"""

import os
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest

from benchmarks.join import make
from local.acs import media
from local.acs.timeline import Pause, Timeline
from recording.formats.verdict import Kind
from recording.join.parts import Joined, Part, Range
from recording.join.sources import Recording, Source
from tests.acceptance.conftest import Say
from tests.support import vectors
from tests.support.joining import Chunk, check_joined, decoded, number_in, planned, reader, written

START = datetime(2026, 3, 1, 10, tzinfo=UTC)
KEY = "20260301T100000000000Z-3f2b"
GIB = 1 << 30


class Holed:
    """A large file that consists of some bytes and of zeros between them."""

    def __init__(self, *parts: bytes | int) -> None:
        self.parts: list[tuple[int, bytes]] = []
        self.size = 0
        for part in parts:
            if isinstance(part, bytes):
                self.parts.append((self.size, part))
            self.size += part if isinstance(part, int) else len(part)

    def within(self, begin: int, end: int) -> Iterator[tuple[int, bytes]]:
        """List what of its bytes lies in a range, and where in that."""
        for at, part in self.parts:
            first, last = max(at, begin), min(at + len(part), end)
            if first < last:
                yield first - begin, part[first - at : last - at]

    def read(self, begin: int, end: int) -> bytes:
        """Read a range."""
        found = bytearray(end - begin)
        for at, part in self.within(begin, end):
            found[at : at + len(part)] = part
        return bytes(found)


def joined(kind: Kind, sources: list[Holed]) -> Part:
    """Plan the file of these chunks."""
    listed = tuple(Source(index, kind=kind, size=one.size, verdict="complete") for index, one in enumerate(sources))

    def read(wanted: Range) -> bytes:
        return sources[wanted.chunk].read(wanted.begin, wanted.end)

    found, _ = planned(Recording(KEY, 1, START, listed), read)
    assert isinstance(found, Joined)
    [part] = found.parts
    return part


def save(part: Part, sources: list[Holed], path: Path) -> None:
    """Write a joined file, with holes where its sources have some."""
    at = 0
    with path.open("wb") as file:
        for piece in part.pieces:
            found = [(0, piece.content)] if not isinstance(piece, Range) else []
            if isinstance(piece, Range):
                found = list(sources[piece.chunk].within(piece.begin, piece.end))
            for place, content in found:
                os.pwrite(file.fileno(), content, at + place)
            at += piece.size
        file.truncate(at)


def ffmpeg(*arguments: str) -> bytes:
    """Run ffmpeg, and return what it writes; it must report no error."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-xerror", *arguments]
    ran = subprocess.run(command, capture_output=True, timeout=300, check=True)
    assert b"" == ran.stderr
    return ran.stdout


def holed_mp4(chunk: Chunk, hole: int) -> Holed:
    """Return a chunk with a hole amid its media."""
    part = vectors.parts(chunk.make())
    body = part[b"mdat"][8:]
    begin = len(part[b"ftyp"]) + 16
    moov = bytearray(part[b"moov"])
    # The media chunk behind which the hole is: that of the middle.
    places, at = list[int](), 0
    while (at := moov.find(b"stco", at + 1)) > 0:
        count = int.from_bytes(moov[at + 8 : at + 12])
        places += range(at + 12, at + 12 + 4 * count, 4)
    offsets = sorted(int.from_bytes(moov[place : place + 4]) for place in places)
    middle = offsets[len(offsets) // 2]
    for place in places:
        offset = int.from_bytes(moov[place : place + 4])
        moov[place : place + 4] = (offset + (hole if offset >= middle else 0)).to_bytes(4)
    header = b"\0\0\0\1mdat" + (16 + len(body) + hole).to_bytes(8)
    return Holed(part[b"ftyp"], header, body[: middle - begin], hole, body[middle - begin :], bytes(moov))


@pytest.mark.timeout(600)
def test_eighteen_chunks_of_the_emulator(say: Say, tmp_path: Path) -> None:
    """One of them is lost: every picture of the others in order, and as many samples as the file says."""
    pause = Pause(START + timedelta(seconds=20), START + timedelta(seconds=30))
    timeline = Timeline(START, START + timedelta(seconds=100), (pause,))
    chunks = media.encode(timeline, tmp_path, maximum_bytes=560_000, cancelled=threading.Event())
    files = [chunk.path.read_bytes() for chunk in chunks]
    say(f"{len(files)} chunks, {sum(map(len, files)) / 1e6:.1f} MB")
    assert len(files) >= 18

    lost = len(files) // 2
    sources = tuple(
        Source(index, kind="mp4", size=len(one), verdict="complete")
        if index != lost
        else Source(index, kind="mp4", state="lost")
        for index, one in enumerate(files)
    )
    found, asked = planned(Recording(KEY, 1, START, sources), reader(files))
    assert isinstance(found, Joined)
    [part] = found.parts
    path = tmp_path / "joined.mp4"
    path.write_bytes(written(part, reader(files)))

    say(f"{part.size / 1e6:.1f} MB joined, {len(asked)} reads, decoding")
    assert [lost] == [one.index for one in part.missing]
    check_joined(path.read_bytes(), [one for index, one in enumerate(files) if index != lost], path)


def test_of_an_hour_of_140_kilobits_a_second_less_than_a_hundredth_is_new(say: Say, tmp_path: Path) -> None:
    """What the app sends: the head, with tables that grow with pictures and packets, not with bytes of media."""
    make(tmp_path / "chunk.mp4", 600, kilobits=92)
    file = (tmp_path / "chunk.mp4").read_bytes()
    assert 135_000 < len(file) * 8 / 600 < 150_000

    sources = tuple(Source(index, kind="mp4", size=len(file), verdict="complete") for index in range(6))
    found, _ = planned(Recording(KEY, 1, START, sources), reader([file] * 6))
    assert isinstance(found, Joined)
    [part] = found.parts
    sent = sum(piece.size for piece in part.pieces if not isinstance(piece, Range))
    say(f"{sent / 1e6:.2f} of {part.size / 1e6:.1f} MB are new: {sent / part.size:.2%}")
    assert sent < 0.01 * part.size


def test_an_mp4_above_four_gibibytes(say: Say, tmp_path: Path) -> None:
    """All of it is decoded: three chunks of 1.6 GiB, and of each some seconds at either end of a hole."""
    chunks = [Chunk(0, 80, 10.0), Chunk(80, 83, 10.375), Chunk(163, 85, 10.625)]
    sources = [holed_mp4(chunk, round(1.6 * GIB)) for chunk in chunks]

    part = joined("mp4", sources)
    path = tmp_path / "large.mp4"
    save(part, sources, path)
    say(f"{path.stat().st_size / GIB:.2f} GiB, of which the head {part.pieces[0].size} bytes")

    assert part.size == path.stat().st_size > 4 * GIB
    with path.open("rb") as file:
        assert b"co64" in file.read(part.pieces[0].size)
    whole = decoded_path(path)
    assert list(range(248)) == whole[0]
    assert abs((part.seconds or 0) * 16_000 - whole[1]) < 1
    ffmpeg("-ss", "28", "-i", str(path), "-f", "null", "-")


def decoded_path(path: Path) -> tuple[list[int], int]:
    """Return the numbers of all pictures of a file, and how many samples it has."""
    numbers, samples = list[int](), 0
    with av.open(str(path), "r") as container:
        for packet in container.demux(container.streams.video[0], container.streams.audio[0]):
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    numbers.append(number_in(frame))
                elif isinstance(frame, av.AudioFrame):
                    samples += frame.samples
    return numbers, samples


def test_a_wav_above_four_gibibytes(say: Say, tmp_path: Path) -> None:
    """Its first second and its last one are those of its chunks."""
    second = vectors.pcm()[: 2 * vectors.RATE]
    hole = round(2.3 * GIB) // 2 * 2
    size = 2 * len(second) + hole
    head = vectors.riff(vectors.fmt(), vectors.chunk(b"data", b"", size=size), size=36 + size)
    sources = [Holed(head, second, hole, second)] * 2

    part = joined("wav", sources)
    path = tmp_path / "large.wav"
    save(part, sources, path)
    say(f"{path.stat().st_size / GIB:.2f} GiB, {part.seconds:.0f} s")

    assert part.size == path.stat().st_size > 4 * GIB
    with path.open("rb") as file:
        assert b"RF64" == file.read(4)
    with av.open(str(path), "r") as container:
        assert part.seconds == pytest.approx((container.duration or 0) / av.time_base, abs=0.001)
    raw = ("-f", "s16le", "-")
    assert second == ffmpeg("-t", "1", "-i", str(path), *raw)
    last = ffmpeg("-ss", str((part.seconds or 0) - 1), "-i", str(path), *raw)
    assert np.array_equal(np.frombuffer(second, "<i2"), np.frombuffer(last, "<i2")[-vectors.RATE :])


def test_what_ffmpeg_makes_of_the_same_chunks(say: Say, tmp_path: Path) -> None:
    """Its concat demuxer lets sound run late: it plays more samples than the file says that it has."""
    chunks = [Chunk(0, 40, 5.0), Chunk(40, 43, 5.375), Chunk(83, 29, 3.625)]
    files = [chunk.make() for chunk in chunks]
    for number, file in enumerate(files):
        (tmp_path / f"{number}.mp4").write_bytes(file)
    (tmp_path / "list.txt").write_text("".join(f"file '{number}.mp4'\n" for number in range(3)))
    path = tmp_path / "concat.mp4"
    subprocess.run(
        [
            imageio_ffmpeg.get_ffmpeg_exe(),
            "-v",
            "error",
            "-f",
            "concat",
            "-i",
            tmp_path / "list.txt",
            "-c",
            "copy",
            path,
        ],
        check=True,
        timeout=60,
    )

    found = decoded(path.read_bytes())
    late = len(found.samples) - found.seconds * found.rate
    say(f"{late:.0f} samples too many: {late / found.rate * 1000:.0f} ms of drift at the end")

    assert late > 1024
