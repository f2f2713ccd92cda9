"""Make the MP4 chunks of a recording: H.264 1920x1080 at 8 fps with 16 kHz mono AAC.

Everything here blocks and is called in a thread; the encoders release the interpreter lock.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import av
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from local.acs import drawing, tone
from local.acs.timeline import Timeline

FRAMES_PER_SECOND = 8
SAMPLES_PER_FRAME = tone.SAMPLE_RATE // FRAMES_PER_SECOND
VIDEO_BIT_RATE = 940_000
_AUDIO_BIT_RATE = 48_000
_AAC_FRAME = 1024
_AAC_PACKET_BYTES = 768  # The most that AAC allows one channel in a packet.
_SOUND_PACKETS_LEFT = 6  # Up to two for the frame, one for the rest, and those that the encoder buffers.
# What the muxer adds when it closes a file: fixed boxes, and per sample a few table entries.
_CLOSING_BYTES = 4096
_CLOSING_BYTES_PER_PACKET = 24
# Constant 1 Mbit/s with the sound, 7.5 MB a minute as in the service (docs/acs-contract.md#limits), so that the size of
# a chunk follows from its duration. zerolatency returns each packet at once, which exact splitting needs.
_X264 = {
    "preset": "ultrafast",
    "tune": "zerolatency",
    "x264-params": "nal-hrd=cbr:force-cfr=1:vbv-maxrate=940:vbv-bufsize=940",
}


class Cancelled(Exception):
    """The emulator stops; the media is no longer needed."""


@dataclass(frozen=True)
class MediaChunk:
    """One finished file: its path, and the part of the media in it, in frames."""

    path: Path
    first_frame: int
    frames: int
    last: bool

    @property
    def duration_ms(self) -> float:
        """Return the playing time in milliseconds, without pauses."""
        return self.frames * 1000 / FRAMES_PER_SECOND


@dataclass(frozen=True)
class Still:
    """One frame: its picture and who is heard."""

    picture: drawing.Picture
    participant_ids: tuple[str, ...]


def frame_count(timeline: Timeline) -> int:
    """Return how many frames the media has, at least one."""
    return max(1, round(timeline.active_seconds() * FRAMES_PER_SECOND))


def wall_at_frame(timeline: Timeline, frame: int) -> datetime:
    """Return the wall-clock time that a frame shows."""
    return timeline.wall_at(frame / FRAMES_PER_SECOND)


def stills(timeline: Timeline) -> Iterator[Still]:
    """Draw the frames in order; only what has changed since the last one is drawn again."""
    background: drawing.Picture | None = None
    people: tuple[tuple[str, str], ...] = ()
    second: datetime | None = None
    for frame in range(frame_count(timeline)):
        moment = wall_at_frame(timeline, frame)
        present = tuple((person.participant_id, person.display_name) for person in timeline.present_at(moment))
        if background is None or present != people:
            background, people, second = drawing.draw_tiles(present), present, None
        if second is None or moment.replace(microsecond=0) != second:
            second = moment.replace(microsecond=0)
            drawing.paste(background, drawing.draw_clock(second), drawing.CLOCK_BOX)
        yield Still(background, tuple(participant_id for participant_id, _ in people))


def encode(timeline: Timeline, folder: Path, *, maximum_bytes: int, cancelled: threading.Event) -> list[MediaChunk]:
    """Encode a recording into MP4 files of at most ``maximum_bytes`` each, which can be played on their own.

    A file has at least one frame, so it may exceed a limit below about 80 kB. Blocks; raises Cancelled when the event
    is set.
    """
    total = frame_count(timeline)
    chunks: list[MediaChunk] = []
    writer: _Writer | None = None
    first = 0
    for frame, still in enumerate(stills(timeline)):
        if cancelled.is_set():
            if writer is not None:
                writer.close()
            raise Cancelled
        if writer is None or not writer.add(still, maximum_bytes=maximum_bytes):
            if writer is not None:
                chunks.append(MediaChunk(writer.close(), first, frame - first, last=False))
            writer, first = _Writer(folder / f"{len(chunks):05}.mp4", sound_from=frame * SAMPLES_PER_FRAME), frame
            writer.add(still, maximum_bytes=maximum_bytes)
    if writer is not None:
        chunks.append(MediaChunk(writer.close(), first, total - first, last=True))
    return chunks


class _Writer:
    """One MP4 under construction."""

    def __init__(self, path: Path, *, sound_from: int) -> None:
        self._path = path
        self._container = av.open(str(path), "w", format="mp4")
        self._video: VideoStream = self._container.add_stream("libx264", rate=FRAMES_PER_SECOND)
        self._video.width, self._video.height, self._video.pix_fmt = drawing.WIDTH, drawing.HEIGHT, "yuv420p"
        self._video.bit_rate = VIDEO_BIT_RATE
        self._video.gop_size = 10 * FRAMES_PER_SECOND
        self._video.options = dict(_X264)
        self._audio: AudioStream = self._container.add_stream("aac", rate=tone.SAMPLE_RATE, layout="mono")
        self._audio.bit_rate = _AUDIO_BIT_RATE
        self._sound_from = sound_from
        self._frames = self._samples = self._bytes = self._packets = 0
        self._speakers: tuple[str, ...] = ()

    def add(self, still: Still, *, maximum_bytes: int) -> bool:
        """Append one frame and its sound; return False if the closed file would exceed the limit.

        The first frame is always appended. After False the file can only be closed.
        """
        frame = av.VideoFrame.from_ndarray(still.picture, format="yuv420p")
        frame.pts = self._frames
        packets = self._video.encode(frame)
        if self._frames and self._closed_bytes(packets) > maximum_bytes:
            return False
        self._mux(packets)
        self._frames += 1
        self._speakers = still.participant_ids
        while self._samples + _AAC_FRAME <= self._frames * SAMPLES_PER_FRAME:
            self._add_sound(_AAC_FRAME)
        return True

    def close(self) -> Path:
        """Write the rest and the index, and return the path."""
        if rest := self._frames * SAMPLES_PER_FRAME - self._samples:
            self._add_sound(rest)
        self._mux(self._video.encode(None))
        self._mux(self._audio.encode(None))
        self._container.close()
        return self._path

    def _closed_bytes(self, packets: "Sequence[av.Packet[Any]]") -> int:
        """Return the largest size that the file can have if these packets are added and it is closed."""
        tables = _CLOSING_BYTES_PER_PACKET * (self._packets + len(packets) + _SOUND_PACKETS_LEFT)
        sound = _SOUND_PACKETS_LEFT * _AAC_PACKET_BYTES
        return self._bytes + sum(packet.size for packet in packets) + sound + tables + _CLOSING_BYTES

    def _add_sound(self, count: int) -> None:
        samples = tone.render(self._sound_from + self._samples, count, participant_ids=self._speakers)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = tone.SAMPLE_RATE
        frame.pts = self._samples
        self._samples += count
        self._mux(self._audio.encode(frame))

    def _mux(self, packets: "Sequence[av.Packet[Any]]") -> None:
        for packet in packets:
            self._bytes += packet.size
            self._packets += 1
            self._container.mux(packet)
