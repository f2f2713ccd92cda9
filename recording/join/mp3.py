"""Pure: join MP3 files: the frames of all behind one tag and one Info frame that counts them.

Tags and Info frames between them are left out: they play as a click or 36 ms of silence, and stand in the way of frames
that refer to bytes of those before them (the bit reservoir).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from struct import pack

from recording.formats import mp3
from recording.formats.verdict import Span, Walk
from recording.join.parts import Bytes, Chapter, Piece, Range
from recording.join.refusals import Reason, Unjoinable

_READ = 64 * 1024
_MOST_READS = 6
_ID3V1, _ID3V1_LENGTH = b"TAG", 128
_ENCODERS = (b"LAME", b"Lavf", b"Lavc")
# The decoder adds its own delay (ISO/IEC 11172-3, filter bank) to that of the encoder.
_DECODER_DELAY = 529
_SAMPLE_RATES = ((11_025, 12_000, 8_000), (), (22_050, 24_000, 16_000), (44_100, 48_000, 32_000))
_VERSIONS = {0: "MPEG-2.5", 2: "MPEG-2", 3: "MPEG-1"}
_MPEG_1, _MONO = 3, 3
_TOC, _LAME = 100, 36
# Frames, bytes, table of contents, quality.
_ALL_FIELDS = 0xF


@dataclass(frozen=True)
class Mp3Head:
    """What is needed of a chunk: the header of its first frame, where its frames are, and how many.

    The frame that only counts the others isn't one of them. `delay` and `padding` are the samples that the encoder
    added, None if the file doesn't say.
    """

    header: bytes
    begin: int
    end: int
    frames: int
    is_constant: bool = True
    delay: int | None = None
    padding: int | None = None

    @property
    def rate(self) -> int:
        """Return the samples in a second."""
        return _SAMPLE_RATES[self.version][self.header[2] >> 2 & 3]

    @property
    def version(self) -> int:
        """Return the two bits of the version of MPEG."""
        return self.header[1] >> 3 & 3

    @property
    def is_mono(self) -> bool:
        """Return whether it has one channel."""
        return self.header[3] >> 6 == _MONO

    @property
    def samples(self) -> int:
        """Return the samples in a frame."""
        return 1152 if self.version == _MPEG_1 else 576

    @property
    def skipped(self) -> int:
        """Return how many samples players skip at the beginning of the file."""
        return 0 if self.delay is None else self.delay + _DECODER_DELAY


def read(size: int, media_ms: float | None = None) -> Walk[Mp3Head]:
    """Read the head of a file of `size` bytes, and its last frames; raise `Unjoinable` if it can't be joined.

    `media_ms` is the length of its media, if a pass over all frames has found it.
    """
    at, known, reads = 0, (yield Span(0, min(size, _READ))), 1
    start = 0
    while length := mp3.tag_length(known[start - at : start - at + 32]):
        start += length
        if start >= size or reads == _MOST_READS:
            raise Unjoinable("index", "it has no frames")
        if start + 2048 > at + len(known) and at + len(known) < size:
            at, reads = start, reads + 1
            known = yield Span(start, min(size - start, _READ))
    first = _first_frame(known, start - at, size - at)
    header = known[first : first + 4]
    begin = at + first
    declared = mp3.declared_frames(known[first : first + 54]) if len(known) - first >= 54 else 0
    delay = padding = None
    if declared or _info(known, first):
        delay, padding = _delays(known, first)
        begin += mp3.frame(header)
    tail = max(begin, size - _READ)
    last = known[tail - at :] if at + len(known) == size and tail >= at else (yield Span(tail, size - tail))
    end = tail + _last_frame(last, header, is_aligned=tail == begin)
    lengths = _lengths(known, begin - at) + _lengths(last, 0)
    if not lengths or end <= begin:
        raise Unjoinable("index", "it has no frames")
    average = Fraction(sum(lengths), len(lengths))
    frames = round((end - begin) / average)
    if media_ms is not None:
        frames = round(media_ms / 1000 / mp3.frame_seconds(header))
    elif declared and abs(declared - frames) < frames // 100 + 2:
        frames = declared
    is_constant = max(lengths) - min(lengths) <= 1
    return Mp3Head(header, begin, end, max(1, frames), is_constant, delay, padding)


def difference(first: Mp3Head, head: Mp3Head) -> tuple[Reason, str] | None:
    """Return the reason why one can't follow the other, and a message: "has ..., {first} has ..."."""
    if first.is_mono != head.is_mono:
        return "sound", f"has {_channels(head)}, {{first}} has {_channels(first)}"
    if (first.version, first.rate) != (head.version, head.rate):
        return "samples", f"has {_coding(head)}, {{first}} has {_coding(first)}"
    return None


def times(heads: Sequence[Mp3Head]) -> tuple[list[Fraction], Fraction]:
    """Return when each chunk begins, in seconds, and how long all of them play."""
    begins, frames, first = list[Fraction](), 0, heads[0]
    for head in heads:
        begins.append(max(Fraction(0), Fraction(frames * first.samples + head.skipped - first.skipped, first.rate)))
        frames += head.frames
    filled = max(0, (heads[-1].padding or 0) - _DECODER_DELAY)
    return begins, max(Fraction(0), Fraction(frames * first.samples - first.skipped - filled, first.rate))


def join(
    heads: Sequence[tuple[int, Mp3Head]], chapters: Sequence[Chapter], *, title: str, comment: str, seconds: Fraction
) -> list[Piece]:
    """Return the pieces: a tag, a frame that counts the others, and the frames of each chunk."""
    ranges = [Range(place, head.begin, head.end) for place, head in heads]
    tag = _tag(title, comment, chapters, seconds)
    info = _info_frame([head for _, head in heads], sum(one.size for one in ranges))
    return [Bytes(tag + info), *ranges]


# --- Reading


def _first_frame(window: bytes, start: int, left: int) -> int:
    """Return the place of the first of four frames in a row, or of fewer up to the end of the file."""
    at = window.find(b"\xff", start)
    while at >= 0:
        if mp3.frame(window[at : at + 4]) and mp3.row(window, at, left, 4):
            return at
        at = window.find(b"\xff", at + 1)
    raise Unjoinable("codec", "its frames are of no known length")


def _last_frame(window: bytes, header: bytes, *, is_aligned: bool) -> int:
    """Return the end of the last whole frame of a file that ends with these bytes."""
    at, end = 0 if is_aligned else _next(window, 0, header), 0
    while 0 <= at < len(window):
        length = mp3.frame(window[at : at + 4]) if _is_alike(window[at : at + 4], header) else 0
        if length and at + length <= len(window):
            at = end = at + length
        elif length or (len(window) - at == _ID3V1_LENGTH and window[at : at + 3] == _ID3V1):
            break
        elif skipped := mp3.tag_length(window[at : at + 32]):
            at += skipped
        else:
            at = _next(window, at + 1, header)
    return end


def _next(window: bytes, at: int, header: bytes) -> int:
    """Return the place of the next two frames in a row; -1 if there are none."""
    while (at := window.find(b"\xff", at)) >= 0:
        length = mp3.frame(window[at : at + 4]) if _is_alike(window[at : at + 4], header) else 0
        behind = window[at + length : at + length + 4]
        if length and (at + length == len(window) or _is_alike(behind, header)):
            return at
        at += 1
    return -1


def _is_alike(found: bytes, header: bytes) -> bool:
    """Return whether a header is of the same version, layer and sample rate."""
    return len(found) == 4 and found[0] == 0xFF and (found[1] ^ header[1]) & 0xFE == 0 == (found[2] ^ header[2]) & 0x0C


def _lengths(window: bytes, at: int) -> list[int]:
    """Return the lengths of the frames in a row that begin at a place: some hundred at most."""
    found = []
    while at >= 0 and (length := mp3.frame(window[at : at + 4])) and at + length <= len(window):
        found.append(length)
        at += length
    return found


def _side_information(header: bytes) -> int:
    is_mono = header[3] >> 6 == _MONO
    return (17 if is_mono else 32) if header[1] >> 3 & 3 == _MPEG_1 else (9 if is_mono else 17)


def _info(window: bytes, at: int) -> int:
    """Return the place of the word `Xing` or `Info` in a frame; 0 if it has none."""
    place = at + 4 + _side_information(window[at : at + 4])
    return place if window[place : place + 4] in (b"Xing", b"Info") else 0


def _delays(window: bytes, at: int) -> tuple[int | None, int | None]:
    """Return the samples that the encoder added in front and behind, as the first frame says it."""
    place = _info(window, at)
    if not place:
        return None, None
    flags = window[place + 7]
    encoder = place + 8 + 4 * (flags & 1) + 2 * (flags & 2) + 25 * (flags & 4) + (flags & 8) // 2
    if window[encoder : encoder + 4] not in _ENCODERS:
        return None, None
    both = int.from_bytes(window[encoder + 21 : encoder + 24])
    return both >> 12, both & 0xFFF


def _coding(head: Mp3Head) -> str:
    return f"{_VERSIONS[head.version]} at {head.rate} Hz"


def _channels(head: Mp3Head) -> str:
    return "1 channel" if head.is_mono else "2 channels"


# --- Writing


def _info_frame(heads: Sequence[Mp3Head], audio: int) -> bytes:
    """Return the frame that says how many frames and bytes there are; players show the length by it."""
    first = heads[0]
    side = _side_information(first.header)
    needed = 4 + side + 20 + _TOC + _LAME
    # The smallest frame that has room for it: without a checksum, without padding.
    second, third = first.header[1] | 1, first.header[2] & 0x0C
    headers = [bytes((0xFF, second, index << 4 | third, first.header[3])) for index in range(1, 15)]
    header = next(one for one in headers if mp3.frame(one) >= needed)
    own = mp3.frame(header)
    is_constant = all(head.is_constant for head in heads)
    delay, padding = first.delay or 0, heads[-1].padding or 0
    toc = bytes(place * 256 // _TOC for place in range(_TOC))
    frame = bytearray(header + bytes(side) + (b"Info" if is_constant else b"Xing"))
    frame += pack(">III", _ALL_FIELDS, sum(head.frames for head in heads), audio + own) + toc + bytes(4)
    says_delay = first.delay is not None
    if says_delay:
        frame += b"LAME3.100" + bytes((1 if is_constant else 0,)) + bytes(11) + (delay << 12 | padding).to_bytes(3)
        frame += bytes(4) + min(audio + own, 0xFFFF_FFFF).to_bytes(4) + bytes(2)
        frame += _crc16(bytes(frame)).to_bytes(2)
    return bytes(frame.ljust(own, b"\0"))


def _crc16(data: bytes) -> int:
    """Return the CRC-16 that LAME writes behind its fields."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value


def _tag(title: str, comment: str, chapters: Sequence[Chapter], seconds: Fraction) -> bytes:
    """Return an ID3v2.4 tag with the chapters (id3.org, ID3v2 Chapter Frame Addendum)."""
    frames = [_text(b"TIT2", title), _frame(b"COMM", b"\x03eng\0" + comment.encode())]
    if chapters:
        ids = [f"c{number}".encode() + b"\0" for number in range(len(chapters))]
        # The count has one byte.
        listed = list(zip(ids, chapters, strict=True))[:255]
        frames.append(_frame(b"CTOC", b"toc\0\x03" + bytes((len(listed),)) + b"".join(ids[:255])))
        ends = [one.at for one in chapters[1:]] + [float(seconds)]
        for (name, chapter), end in zip(listed, ends, strict=False):
            span = pack(">IIII", round(chapter.at * 1000), round(end * 1000), 0xFFFF_FFFF, 0xFFFF_FFFF)
            frames.append(_frame(b"CHAP", name + span + _text(b"TIT2", chapter.title)))
    body = b"".join(frames)
    return b"ID3\x04\0\0" + _syncsafe(len(body)) + body


def _text(kind: bytes, text: str) -> bytes:
    return _frame(kind, b"\x03" + text.encode())


def _frame(kind: bytes, body: bytes) -> bytes:
    return kind + _syncsafe(len(body)) + bytes(2) + body


def _syncsafe(number: int) -> bytes:
    """Return a number with seven bits in each byte."""
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))
