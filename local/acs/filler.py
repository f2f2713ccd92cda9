"""Deterministic filler media: a well-formed MP4, WAV or MP3 of any size that uses no memory.

The boxes of an MP4, the chunks of a WAV and the frames of an MP3 add up exactly to the size, so that the file is
structurally complete, unless another form is asked for. The payload is a pattern with an odd period, so that a block
copied to the wrong place changes the digest.
"""

import random
import struct
from functools import cache
from typing import Literal

FileType = Literal["mp4", "mp3", "wav"]
# complete: as a writer should make it. zeros: some at the end. open sizes: those of the RIFF and of its data, or of the
# mdat, are 0. cut: the header promises more. noise: no known format.
Form = Literal["complete", "zeros", "open sizes", "cut", "noise"]

_BRAND = b"isom"
_PERIOD = 1_048_573  # The largest prime below 2^20: no power-of-two block size repeats on it.
_LARGE = 2**32 - 1  # ISO/IEC 14496-12: beyond this a box carries a 64-bit size.
_FTYP = struct.pack(">I4s4sI4s4s4s", 28, b"ftyp", _BRAND, 512, _BRAND, b"iso2", b"mp41")
_MVHD = struct.pack(">I4s4xIIIIIH10x36s24xI", 108, b"mvhd", 0, 0, 1000, 0, 0x00010000, 0x0100, b"\0" * 36, 1)
# One track with one sample, the content of the mdat: its size, its place in the tables, its offset in the file.
_TRACK = struct.Struct(">I4sI4sI4sI4s I4s4xII I4s4xIIII I4s4xII".replace(" ", ""))
_HEAD_BYTES = len(_FTYP) + 8 + len(_MVHD) + _TRACK.size

_SAMPLE_RATE, _SAMPLE_BYTES = 16_000, 2
_RIFF_BYTES = 52  # RIFF, fmt, JUNK and data, without the content of the last two.

# MPEG-2 layer III, 48 kbit/s, 16 kHz, mono: 216 bytes per frame. With side information of zeros a frame is silent and
# has no main data, whatever follows.
_MP3_FRAME = bytes((0xFF, 0xF3, 0x68, 0xC0)) + bytes(9)
_MP3_FRAME_BYTES = 216
_MP3_FRAMES = 4861  # Prime, like the other period.
_ID3_BYTES = 10

MINIMUM_BYTES = _HEAD_BYTES + 8
# At the end of a file of the form "zeros", and what is missing of one that is cut.
_ZEROS = 64
_MISSING = 100


@cache
def _noise() -> bytes:
    return random.Random(_PERIOD).randbytes(_PERIOD)  # noqa: S311 - a test pattern, not a secret


@cache
def _pattern(file_type: FileType) -> tuple[memoryview, int]:
    """Return the pattern twice, so that any piece of at most one period is one slice, and the period."""
    once = _noise()
    if file_type == "mp3":
        rest = _MP3_FRAME_BYTES - len(_MP3_FRAME)
        once = b"".join(_MP3_FRAME + once[at * rest : (at + 1) * rest] for at in range(_MP3_FRAMES))
    return memoryview(once + once), len(once)


class Filler:
    """Filler content of one size; the seed shifts the pattern, so that chunks differ."""

    def __init__(
        self, size: int, *, seed: int, file_type: FileType = "mp4", channels: int = 1, form: Form = "complete"
    ) -> None:
        """Prepare the file; raises ValueError if it can't have ``size`` bytes."""
        self.size = size
        self._zeros = _ZEROS if form == "zeros" else 0
        self._pattern, self._period = _pattern(file_type)
        self._shift = seed % self._period
        described = size - self._zeros + (_MISSING if form == "cut" else 0)
        if form == "noise":
            self._pattern, self._period = _pattern("mp4")
            self._head = b""
        elif file_type == "mp4":
            self._head = _mp4_head(described)
        elif file_type == "wav":
            self._head = _wav_head(described, channels)
        else:
            self._head = _mp3_head(described)
            self._shift -= self._shift % _MP3_FRAME_BYTES
        if form == "open sizes":
            self._head = _with_open_sizes(self._head, file_type)

    def pieces(self, offset: int, length: int) -> list[bytes | memoryview]:
        """Return the bytes ``offset .. offset+length``, at most to the end, as slices without copies."""
        end = min(offset + length, self.size)
        head = len(self._head)
        pieces: list[bytes | memoryview] = []
        if offset < head:
            pieces.append(self._head[offset:end])
            offset = head
        media_end = min(end, self.size - self._zeros)
        while offset < media_end:
            start = (offset - head + self._shift) % self._period
            step = min(self._period, media_end - offset)
            pieces.append(self._pattern[start : start + step])
            offset += step
        if offset < end:
            pieces.append(bytes(end - offset))
        return pieces


def _with_open_sizes(head: bytes, file_type: FileType) -> bytes:
    """Return a head with 0 for the sizes that a writer knows only at the end; an MP3 has none."""
    match file_type:
        case "mp4":
            return head[:-8] + bytes(4) + head[-4:]
        case "wav":
            return head[:4] + bytes(4) + head[8:-4] + bytes(4)
        case "mp3":
            return head


def _mp4_head(size: int) -> bytes:
    payload = size - _HEAD_BYTES
    if payload < 8:
        raise ValueError(f"filler needs at least {MINIMUM_BYTES} bytes, not {size}")
    is_large = payload > _LARGE
    mdat = struct.pack(">I4sQ", 1, b"mdat", payload) if is_large else struct.pack(">I4s", payload, b"mdat")
    moov = struct.pack(">I4s", 8 + len(_MVHD) + _TRACK.size, b"moov")
    return _FTYP + moov + _MVHD + _mp4_track(payload - len(mdat), offset=_HEAD_BYTES + len(mdat)) + mdat


def _mp4_track(sample_bytes: int, *, offset: int) -> bytes:
    """Return a track; of a sample beyond 4 GiB its table has what fits into 32 bits."""
    # Each of the four boxes has the rest of the track in it.
    boxes = [
        field
        for depth, name in enumerate((b"trak", b"mdia", b"minf", b"stbl"))
        for field in (_TRACK.size - 8 * depth, name)
    ]
    sizes = (20, b"stsz", min(sample_bytes, _LARGE), 1)
    places = (28, b"stsc", 1, 1, 1, 1)
    return _TRACK.pack(*boxes, *sizes, *places, 20, b"stco", 1, offset)


def _wav_head(size: int, channels: int) -> bytes:
    """Return the chunks up to the samples; JUNK aligns these, and the size of a RIFF file is always even."""
    block = channels * _SAMPLE_BYTES
    if size % 2 or not _RIFF_BYTES + block <= size <= _LARGE:
        raise ValueError(f"wav filler needs an even size from {_RIFF_BYTES + block} to 4 GiB, not {size}")
    junk = (size - _RIFF_BYTES) % block
    rate = (_SAMPLE_RATE, _SAMPLE_RATE * block)
    return b"".join(
        (
            struct.pack("<4sI4s", b"RIFF", size - 8, b"WAVE"),
            struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, *rate, block, 8 * _SAMPLE_BYTES),
            struct.pack(f"<4sI{junk}x", b"JUNK", junk),
            struct.pack("<4sI", b"data", size - _RIFF_BYTES - junk),
        )
    )


def _mp3_head(size: int) -> bytes:
    """Return an ID3 tag with such a length that complete frames follow."""
    frames, padding = divmod(size - _ID3_BYTES, _MP3_FRAME_BYTES)
    if frames < 1:
        raise ValueError(f"mp3 filler needs at least {_ID3_BYTES + _MP3_FRAME_BYTES} bytes, not {size}")
    # The size in the tag has seven bits per byte; the padding always fits into two of them.
    return b"ID3\x04\0\0" + bytes((0, 0, padding >> 7, padding & 0x7F)) + bytes(padding)
