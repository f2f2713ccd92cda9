"""Pure: whether an MP3 is complete.

An MP3 consists of frames, each with a header of 4 bytes that determines its length (ISO/IEC 11172-3 and 13818-3, layer
III; MPEG-2.5 is the same at half the rates). Tags may precede and follow the frames: ID3v2 (id3.org, ID3v2.4.0
structure, 3.1), APEv2, ID3v1. The first frame may have no sound but the number of the others (Xing, Info, VBRI).

How players treat unusual files: docs/media.md#mp3.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

from recording.formats.verdict import WINDOW, Span, Verdict, Walk

_ID3, _APE = b"ID3", b"APETAGEX"
TAGS = (_ID3, _APE)
_ID3V1, _ID3V1_LENGTH = b"TAG", 128
_HEADER = 4
# The bytes read at a tag: the header of ID3v2 has 10 bytes, that of APE 32.
_TAG_HEADER = 32
_ID3_HEADER = 10
# The first frame is searched for within so many bytes after the tags, as by ffmpeg.
_FARTHEST = 64 * 1024
# After a tag two frames in a row are enough. Anywhere else two may be an accident.
_IN_A_ROW, _IN_A_ROW_ANYWHERE = 2, 4
# 144 * 320,000 / 32,000, and a byte of padding.
_LONGEST = 1441
# The number of frames is within so many bytes of the first frame.
_FIRST_FRAME = 54
# The first three bytes of a header of layer III, of any version.
_SYNC = re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb][\x00-\xef]")
# By the header's two bits of version: MPEG 2.5, none, 2, 1. Sample rates in Hz, bit rates in kbit/s.
_SAMPLE_RATES = ((11_025, 12_000, 8_000), None, (22_050, 24_000, 16_000), (44_100, 48_000, 32_000))
_LOW = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_HIGH = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MPEG_1, _LAYER_3, _MONO = 3, 1, 3

# The length of each possible frame of a file, by the first three bytes of its header.
type _Lengths = Mapping[bytes, int]


def judge(size: int) -> Walk[Verdict]:
    """Judge a file of `size` bytes by its tags and every frame."""
    start, has_ape = 0, False
    while start < size and (length := tag_length(tag := (yield Span(start, _TAG_HEADER)))):
        start, has_ape = start + length, has_ape or tag.startswith(_APE)
    remarks = ["an APE tag in front"] if has_ape else []
    if start >= size:
        return _truncated(f"no frame: the tag has {start} bytes, the file has {size}")
    lengths = row((yield Span(start, WINDOW)), 0, size - start, _IN_A_ROW)
    if not lengths:
        if frame((yield Span(start, _HEADER))) > size - start:
            return _truncated("the only frame is cut")
        needed = _IN_A_ROW if start else _IN_A_ROW_ANYWHERE
        first = yield from _search(start, min(size, start + _FARTHEST), size, needed)
        if first is None:
            return _truncated("no frame behind the tag") if start else Verdict("not media")
        remarks.append(f"{first - start} bytes in front of the first frame")
        start = first
        lengths = row((yield Span(start, WINDOW)), 0, size - start, needed) or {}
    return (yield from _frames(start, size, lengths, remarks))


def _frames(start: int, size: int, lengths: _Lengths, remarks: list[str]) -> Walk[Verdict]:
    """Judge a file whose first frame is at `start` by its frames, and by their number where the first declares it."""
    first = yield Span(start, _FIRST_FRAME)
    declared = declared_frames(first)
    if not frame(first):
        remarks.append("free format, which most players don't play")
    offset = start
    frames = skipped = 0
    frames_in_front_of_tag: int | None = None
    while offset < size:
        count, length = _count(lengths, (yield Span(offset, WINDOW)))
        frames, offset = frames + count, offset + length
        if count:
            continue
        head, left = (yield Span(offset, _TAG_HEADER)), size - offset
        if left < 3 and any(header.startswith(head) for header in lengths):
            return _truncated("the last frame is cut in its header", *remarks)
        if left == _ID3V1_LENGTH and head.startswith(_ID3V1):
            break
        if length := tag_length(head):
            frames_in_front_of_tag = frames
            if length > left:
                remarks.append(f"{length - left} bytes of the tag at the end are missing")
                break
            offset += length
            continue
        following = yield from _search(offset, size, size, _IN_A_ROW, lengths)
        if following is None:
            remarks.append(f"{left} bytes behind the last frame")
            break
        skipped += following - offset
        offset = following
    if offset > size:
        return _truncated(f"{offset - size} bytes of the last frame are missing", *remarks)
    if skipped:
        remarks.append(f"{skipped} bytes between frames")
    if frames_in_front_of_tag not in (None, frames):
        remarks.append("a tag between frames")
    # The frame that holds the number isn't counted.
    if declared and frames - 1 < declared:
        return _truncated(f"{declared - frames + 1} of {declared} frames are missing", *remarks)
    if declared and frames - 1 > declared:
        remarks.append(f"{declared} frames are declared, {frames - 1} are there")
    return Verdict("complete", "mp3", tuple(remarks), (frames - bool(declared)) * frame_seconds(first))


def _count(lengths: _Lengths, window: bytes) -> tuple[int, int]:
    """Return the number of frames in a row, and their length; the last may end after the window."""
    count = end = 0
    while length := lengths.get(window[end : end + 3], 0):
        count, end = count + 1, end + length
    return count, end


def frame(header: bytes) -> int:
    """Return the length of the frame with this header; 0 if it is none, or of free format."""
    return _lengths(header[1], header[2] >> 2 & 3).get(header[:3], 0) if len(header) >= 4 else 0


@lru_cache(maxsize=32)
def _lengths(second: int, rate: int, free: int = 0) -> _Lengths:
    """Return the lengths of all frames of one version, layer and sample rate; bit rate and padding may change.

    They are given by the second byte of a header and the index of the rate. `free` is the length of a frame of free
    format, which its header doesn't have.
    """
    version, rates = second >> 3 & 3, _SAMPLE_RATES[second >> 3 & 3]
    if second < 0xE0 or second >> 1 & 3 != _LAYER_3 or rates is None or rate == 3:
        return {}
    factor, kilobits = (144_000, _HIGH) if version == _MPEG_1 else (72_000, _LOW)
    unpadded = [free, *(factor * kilobit // rates[rate] for kilobit in kilobits[1:])]
    return {
        bytes((0xFF, second & 0xFE | protection, index << 4 | rate << 2 | padding << 1 | private)): length + padding
        for index, length in enumerate(unpadded)
        if length
        for protection in (0, 1)
        for padding in (0, 1)
        for private in (0, 1)
    }


def row(window: bytes, at: int, left: int, needed: int, lengths: _Lengths | None = None) -> _Lengths | None:
    """Return the lengths of a file's frames if `needed` headers are in a row, or all up to the end of the file.

    The row begins at `at`; the file ends `left` bytes after the window's first byte.
    """
    if lengths is None:
        lengths = _lengths_at(window, at)
    for number in range(needed):
        if number and 0 <= left - at < 3:
            break
        length = lengths.get(window[at : at + 3])
        if length is None:
            return None
        at += length
    return lengths


def _lengths_at(window: bytes, at: int) -> _Lengths:
    """Return the lengths of the frames of a file that has one here."""
    header = window[at : at + 3]
    if len(header) < 3 or header[0] != 0xFF:
        return {}
    second, third = header[1:]
    if third >> 4:
        return _lengths(second, third >> 2 & 3)
    # Free format: a frame ends at the next header, which is equal except for its padding bit.
    alike = re.escape(header[:2]) + b"[" + re.escape(bytes((third & 0xFD, third | 0x02))) + b"]"
    following = re.compile(alike, re.DOTALL).search(window, at + 4, at + _LONGEST + 3)
    return _lengths(second, third >> 2 & 3, following.start() - at - (third >> 1 & 1)) if following else {}


def _search(start: int, end: int, size: int, needed: int, lengths: _Lengths | None = None) -> Walk[int | None]:
    """Return the first byte of [start, end) where a row of frames begins, of any kind or of these lengths."""
    header = _any_of(lengths) if lengths else _SYNC
    # A row that begins in the first part of a window is completely in it.
    step = WINDOW - needed * _LONGEST
    for offset in range(start, end, step):
        window = yield Span(offset, WINDOW)
        for found in header.finditer(window, 0, min(step, end - offset) + 2):
            if row(window, found.start(), size - offset, needed, lengths):
                return offset + found.start()
        del window
    return None


def _any_of(lengths: _Lengths) -> re.Pattern[bytes]:
    """Return a pattern for all headers of a file's frames: a search with it is fast."""
    second, third = (re.escape(bytes({header[place] for header in lengths})) for place in (1, 2))
    return re.compile(b"\xff[" + second + b"][" + third + b"]", re.DOTALL)


def declared_frames(head: bytes) -> int:
    """Return the number of frames that the first one declares, itself not counted; 0 if it doesn't."""
    # It follows the side information, whose length depends on version and channels; VBRI is at a fixed offset.
    is_mpeg_1, is_mono = head[1] >> 3 & 3 == _MPEG_1, head[3] >> 6 == _MONO
    place = _HEADER + ((17 if is_mono else 32) if is_mpeg_1 else (9 if is_mono else 17))
    if head[place : place + 4] in (b"Xing", b"Info") and int.from_bytes(head[place + 4 : place + 8]) & 1:
        return int.from_bytes(head[place + 8 : place + 12])
    return int.from_bytes(head[50:54]) if head[36:40] == b"VBRI" else 0


def frame_seconds(header: bytes) -> float:
    """Return the duration of a frame, by any frame's header."""
    version, rate = header[1] >> 3 & 3, header[2] >> 2 & 3
    rates = _SAMPLE_RATES[version]
    return (1152 if version == _MPEG_1 else 576) / rates[rate] if rates else 0.0


def tag_length(head: bytes) -> int:
    """Return the length of the tag that begins with these bytes; 0 if there is none."""
    if head.startswith(_ID3) and all(digit < 0x80 for digit in head[6:_ID3_HEADER]):
        # Seven bits in each byte.
        length = sum(digit << 7 * (3 - place) for place, digit in enumerate(head[6:_ID3_HEADER]))
        has_footer = len(head) > 5 and head[5] & 0x10
        return length + (2 * _ID3_HEADER if has_footer else _ID3_HEADER)
    if head.startswith(_APE):
        # The size counts items and footer, but not the header: so it matters which of the two this is.
        is_header = int.from_bytes(head[20:24], "little") & 1 << 29
        return 32 + (int.from_bytes(head[12:16], "little") if is_header else 0)
    return 0


def _truncated(reason: str, *remarks: str) -> Verdict:
    return Verdict("truncated", "mp3", (reason, *remarks))
