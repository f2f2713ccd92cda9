"""Chunks to be joined, made with pictures and sound that say where they are; joined files, and what is in them.

A picture has its number as a barcode in the upper half and a white lower half at each full second, when a beep of 50 ms
is heard over a tone of 220 Hz.
"""

import hashlib
import io
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np

from recording.join import mp4
from recording.join.mp4 import Mp4Head
from recording.join.parts import Joined, Part, Range
from recording.join.plan import plan
from recording.join.refusals import Refused
from recording.join.sources import Recording, Source
from recording.model.timeline import Span

WIDTH, HEIGHT = 160, 96
_BITS = 16
BEEP = 0.05
_TONE, _BEEP = 220, 1500


@dataclass(frozen=True)
class Chunk:
    """How a chunk is made: its pictures from `first` on, so many, and its sound, in seconds from the same place on.

    `delay` is how many seconds later its pictures (or its sound, if negative) begin.
    """

    first: int
    pictures: int
    seconds: float
    rate: int = 16_000
    fps: int = 8
    width: int = WIDTH
    height: int = HEIGHT
    channels: int = 1
    b_frames: int = 0
    profile: str = "baseline"
    delay: float = 0.0
    options: str = ""
    timescale: int = 0
    has_edits: bool = True

    def make(self) -> bytes:
        """Encode it."""
        return _made(self)


@cache
def _made(chunk: Chunk) -> bytes:
    file = io.BytesIO()
    options = {"movflags": chunk.options} if chunk.options else {}
    if chunk.timescale:
        options["video_track_timescale"] = str(chunk.timescale)
    if not chunk.has_edits:
        options["use_editlist"] = "0"
    with av.open(file, "w", format="mp4", options=options) as container:
        video: Any = container.add_stream("libx264", rate=chunk.fps) if chunk.pictures else None
        sound: Any = None
        if chunk.seconds:
            layout = "mono" if chunk.channels == 1 else "stereo"
            sound = container.add_stream("aac", rate=chunk.rate, layout=layout)
            sound.bit_rate = 48_000
        if video:
            video.width, video.height, video.pix_fmt = chunk.width, chunk.height, "yuv420p"
            video.gop_size = chunk.fps * 2
            video.options = {
                "preset": "veryfast" if chunk.b_frames else "ultrafast",
                "profile": chunk.profile,
                "bf": str(chunk.b_frames),
                "tune": "animation" if chunk.b_frames else "zerolatency",
            }
        samples = heard(chunk.first / chunk.fps, chunk.seconds, chunk.rate)
        at, later = 0, max(0, round(-chunk.delay * chunk.rate))
        for number in range(chunk.pictures):
            frame = av.VideoFrame.from_ndarray(drawn(chunk.first + number, chunk), format="yuv420p")
            frame.pts = number + max(0, round(chunk.delay * chunk.fps))
            container.mux(video.encode(frame))
            until = round((number + 1) * chunk.rate / chunk.fps)
            at = _sound(container, sound, samples, at, until, later, chunk)
        _sound(container, sound, samples, at, len(samples), later, chunk)
        for stream in (video, sound):
            if stream:
                container.mux(stream.encode(None))
    return file.getvalue()


def _sound(container: Any, stream: Any, samples: Any, at: int, until: int, later: int, chunk: Chunk) -> int:
    while at < min(until, len(samples)):
        part = samples[at : min(at + 1024, len(samples))]
        rows = np.repeat(part, chunk.channels).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(rows, format="s16", layout="mono" if chunk.channels == 1 else "stereo")
        frame.sample_rate, frame.pts = chunk.rate, at + later
        container.mux(stream.encode(frame))
        at += len(part)
    return at


def heard(begin: float, seconds: float, rate: int) -> Any:
    """Return the sound from a second on: 16-bit samples."""
    times = begin + np.arange(round(seconds * rate)) / rate
    beep = np.where(times % 1 < BEEP, 12_000 * np.sin(2 * np.pi * _BEEP * times), 0)
    return (2_000 * np.sin(2 * np.pi * _TONE * times) + beep).astype("<i2")


def drawn(number: int, chunk: Chunk) -> Any:
    """Return a picture in YUV 4:2:0."""
    luma = np.full((chunk.height, chunk.width), 16, dtype=np.uint8)
    column = chunk.width // _BITS
    for bit in range(_BITS):
        if number >> bit & 1:
            luma[: chunk.height // 2, bit * column : (bit + 1) * column] = 235
    if number % chunk.fps == 0:
        luma[chunk.height // 2 :] = 235
    return np.concatenate([luma, np.full((chunk.height // 2, chunk.width), 128, dtype=np.uint8)])


def number_in(picture: Any) -> int:
    """Return the number that a decoded picture has."""
    luma = picture.to_ndarray(format="gray")
    column = luma.shape[1] // _BITS
    middle = luma[4 : luma.shape[0] // 2 - 4]
    return sum(1 << bit for bit in range(_BITS) if middle[:, bit * column + 2 : (bit + 1) * column - 2].mean() > 128)


# --- Joining

START = datetime(2026, 3, 1, 10, tzinfo=UTC)
KEY = "20260301T100000000000Z-3f2b"
PLAIN = (Chunk(0, 40, 5.0), Chunk(40, 43, 5.375), Chunk(83, 29, 3.625))


def source(index: int, **more: Any) -> Source:
    """Return a chunk as its manifest lists it."""
    given: dict[str, Any] = {"kind": "mp4", "size": 1000, "verdict": "complete", "media_ms": 2500.0, "is_mixed": True}
    return Source(index, **(given | more))


def recording(*sources: Source, timeline: tuple[Span, ...] = ()) -> Recording:
    """Return a recording of these chunks."""
    return Recording(KEY, 1, START, sources, timeline)


def only_part(found: Joined | Refused) -> Part:
    """Return the only part."""
    assert isinstance(found, Joined)
    [part] = found.parts
    return part


def of(kind: str, *files: bytes, **more: Any) -> tuple[Recording, Any]:
    """Return a recording of complete chunks, and what reads them."""
    given: dict[str, Any] = {"kind": kind, "media_ms": None} | more
    return recording(*(source(index, size=len(one), **given) for index, one in enumerate(files))), reader(files)


def joined(kind: str, *files: bytes, **more: Any) -> tuple[Part, bytes]:
    """Join files of a kind, and return the plan and the bytes of the only part."""
    found, read = of(kind, *files, **more)
    part = only_part(planned(found, read)[0])
    return part, written(part, reader(files))


def read_file(file: bytes) -> Mp4Head:
    """Read the head of an MP4."""
    walk = mp4.read(len(file))
    try:
        span = next(walk)
        while True:
            span = walk.send(file[span.offset : span.end])
    except StopIteration as done:
        head: Mp4Head = done.value
        return head


def planned(recording: Recording, read: Callable[[Range], bytes]) -> tuple[Joined | Refused, list[Range]]:
    """Plan, and return what was read for it, too."""
    planning, asked = plan(recording), list[Range]()
    try:
        wanted = next(planning)
        while True:
            asked.append(wanted)
            found = read(wanted)
            assert len(found) == wanted.size > 0
            wanted = planning.send(found)
    except StopIteration as done:
        joined: Joined | Refused = done.value
        return joined, asked


def written(part: Part, read: Callable[[Range], bytes]) -> bytes:
    """Return the bytes of a joined file."""
    found = b"".join(read(piece) if isinstance(piece, Range) else piece.content for piece in part.pieces)
    assert len(found) == part.size
    return found


def reader(files: Sequence[bytes]) -> Callable[[Range], bytes]:
    """Return what reads these files."""
    return lambda wanted: files[wanted.chunk][wanted.begin : wanted.end]


@dataclass(frozen=True)
class Decoded:
    """What ffmpeg decodes of a file: the number of each picture and when it is shown, and all samples of sound.

    `begin` is when the first sample is heard. `seconds` is how long the file says that it plays.
    """

    numbers: list[int]
    times: list[float]
    samples: Any
    rate: int
    begin: float
    seconds: float

    def flashes(self) -> list[float]:
        """Return when there are pictures of full seconds."""
        return [time for number, time in zip(self.numbers, self.times, strict=True) if number % 8 == 0]

    def beeps(self) -> list[float]:
        """Return when a beep begins, counted in samples, as browsers do it."""
        window = self.rate // 200
        count = len(self.samples) // window
        rows = self.samples[: count * window].reshape(count, window)
        spectrum = np.abs(np.fft.rfft(rows, axis=1))
        loud = spectrum[:, round(_BEEP * window / self.rate)] > 2_000 * window / 8
        starts = np.flatnonzero(loud & ~np.concatenate([[False], loud[:-1]]))
        found: list[float] = []
        for start in starts:
            time = self.begin + start * window / self.rate
            if not found or time - found[-1] > 0.2:
                found.append(time)
        return found


def decoded(file: bytes) -> Decoded:
    """Decode a file; an error of a decoder is raised."""
    numbers, times, samples, rate, begin = list[int](), list[float](), list[Any](), 0, None
    with av.open(io.BytesIO(file), "r") as container:
        seconds = (container.duration or 0) / av.time_base
        streams = [stream for stream in container.streams if stream.type in ("audio", "video")]
        for packet in container.demux(streams):
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    numbers.append(number_in(frame))
                    times.append(float(frame.pts * frame.time_base) if frame.pts is not None else -1)
                elif isinstance(frame, av.AudioFrame):
                    rate, array = frame.sample_rate, frame.to_ndarray()
                    begin = float(frame.pts * frame.time_base) if begin is None and frame.pts is not None else begin
                    mono = array[0] if array.shape[0] > 1 or not frame.format.is_packed else array.reshape(-1)
                    samples.append(mono * 32_768 if mono.dtype == np.float32 else mono)
    order = np.argsort(times, kind="stable")
    return Decoded(
        [numbers[place] for place in order],
        [times[place] for place in order],
        np.concatenate(samples) if samples else np.zeros(0),
        rate,
        begin or 0.0,
        seconds,
    )


def pictures(file: bytes) -> Iterator[str]:
    """List the digest of each picture."""
    with av.open(io.BytesIO(file), "r") as container:
        for frame in container.decode(video=0):
            yield hashlib.sha256(frame.to_ndarray()[::8, ::8].tobytes()).hexdigest()[:16]


def check_joined(file: bytes, chunks: Sequence[bytes], path: Path) -> None:
    """All pictures of the chunks in their order, as many samples as the file says, and not a word from ffmpeg."""
    assert [one for chunk in chunks for one in pictures(chunk)] == list(pictures(file))
    with av.open(io.BytesIO(file), "r") as container:
        seconds = (container.duration or 0) / av.time_base
        assert abs(seconds * 16_000 - sum(frame.samples for frame in container.decode(audio=0))) < 1
    path.write_bytes(file)
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-xerror", "-i", str(path), "-f", "null", "-"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (0, "") == (ran.returncode, ran.stderr)
