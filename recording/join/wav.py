"""Pure: join WAV files: the samples of all behind one header, which is that of RF64 from 4 GiB on (EBU Tech 3306)."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from struct import pack, unpack_from

from recording.formats import riff
from recording.formats.verdict import Span, Walk
from recording.join.parts import Bytes, Piece, Range
from recording.join.refusals import Reason, Unjoinable

_READ = 64 * 1024
_MOST_READS = 8
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_HEADER = 8
_LIMIT = 1 << 32
_TO_DS64 = 0xFFFF_FFFF
# Reserves the room of `ds64`, so that both headers have the same length.
_DS64 = 28


@dataclass(frozen=True)
class WavHead:
    """What is needed of a chunk: how its samples are coded, its `fmt ` chunk, and where its samples are.

    `tag` is the code of the format, that in the extension if there is one. `mask` says which speakers the channels are
    for, None if nothing does. `block` is the bytes of a sample of all channels.
    """

    tag: int
    channels: int
    rate: int
    bits: int
    block: int
    mask: int | None
    fmt: bytes
    begin: int
    end: int

    @property
    def seconds(self) -> Fraction:
        """Return how long it plays."""
        return Fraction((self.end - self.begin) // self.block, self.rate)


def read(size: int) -> Walk[WavHead]:
    """Read the head of a file of `size` bytes; raise `Unjoinable` if it has none, or one that can't be joined."""
    at, known = 0, (yield Span(0, min(size, _READ)))
    if known[:4] == b"RIFX":
        raise Unjoinable("samples", "its samples are big-endian")
    riff_fits = 8 + int.from_bytes(known[4:8], "little") == size
    wide: int | None = None
    fmt = b""
    offset, reads = 12, 1
    while offset + _HEADER <= size:
        if offset + 64 > at + len(known) and at + len(known) < size:
            if reads == _MOST_READS:
                break
            at, reads = offset, reads + 1
            known = yield Span(offset, min(size - offset, _READ))
        kind, length = known[offset - at : offset - at + 4], int.from_bytes(known[offset - at + 4 :][:4], "little")
        body = known[offset - at + _HEADER :]
        if kind == b"data":
            if not fmt:
                break
            left = size - offset - _HEADER
            declared = wide if wide is not None and length == _TO_DS64 else None
            samples, _ = riff.samples(length, declared, left, is_empty=not left, riff_fits=riff_fits)
            return _head(fmt, offset + _HEADER, min(samples, left))
        if kind == b"ds64":
            wide = int.from_bytes(body[8:16], "little")
        elif kind == b"fmt ":
            fmt = body[:length]
        end = offset + _HEADER + length
        # The pad byte behind an odd length, which not every writer adds: a chunk begins with a letter, it doesn't.
        is_padded = length % 2 and not known[end - at : end - at + 1].strip(b"\0")
        offset = end + is_padded
    raise Unjoinable("index", "it has no format or no samples")


def difference(first: WavHead, head: WavHead) -> tuple[Reason, str] | None:
    """Return the reason why one can't follow the other, and a message: "has ..., {first} has ..."."""
    if first.channels != head.channels:
        return "sound", f"has {_count(head.channels)}, {{first}} has {_count(first.channels)}"
    mine, other = _coding(head), _coding(first)
    if mine != other or first.block != head.block:
        return "samples", f"has {mine}, {{first}} has {other}"
    if None not in (first.mask, head.mask) and first.mask != head.mask:
        return "channelMap", "has its channels for other speakers than {first}"
    return None


def join(heads: Sequence[tuple[int, WavHead]]) -> tuple[list[Piece], list[Fraction], Fraction]:
    """Return the pieces, when each chunk begins in seconds, and how long all of it plays."""
    ranges = [Range(place, head.begin, head.end) for place, head in heads]
    data = sum(one.size for one in ranges)
    begins, time = [], Fraction(0)
    for _, head in heads:
        begins.append(time)
        time += head.seconds
    first = heads[0][1]
    pieces: list[Piece] = [Bytes(_header(first, data)), *ranges]
    if data % 2:
        pieces.append(Bytes(b"\0"))
    return pieces, begins, time


def _header(first: WavHead, data: int) -> bytes:
    fmt = pack("<4sI", b"fmt ", len(first.fmt)) + first.fmt + b"\0" * (len(first.fmt) % 2)
    riff_size = 4 + _HEADER + _DS64 + len(fmt) + _HEADER + data + data % 2
    if riff_size + _HEADER < _LIMIT:
        front = pack(f"<4sI4s4sI{_DS64}x", b"RIFF", riff_size, b"WAVE", b"JUNK", _DS64)
        return front + fmt + pack("<4sI", b"data", data)
    sizes = pack("<QQQI", riff_size, data, data // first.block, 0)
    front = pack("<4sI4s4sI", b"RF64", _TO_DS64, b"WAVE", b"ds64", _DS64) + sizes
    return front + fmt + pack("<4sI", b"data", _TO_DS64)


def _head(fmt: bytes, begin: int, samples: int) -> WavHead:
    if len(fmt) < 16:
        raise Unjoinable("index", "its format is cut off")
    tag, channels, rate, _, block, bits = unpack_from("<HHIIHH", fmt)
    mask: int | None = None
    if tag == _EXTENSIBLE and len(fmt) >= 40:
        mask, tag = unpack_from("<IH", fmt, 20)
    if tag not in (_PCM, _FLOAT) or not block or not rate or not channels:
        raise Unjoinable("samples", f"its samples are coded (format {tag})")
    return WavHead(tag, channels, rate, bits, block, mask, fmt, begin, begin + samples // block * block)


def _coding(head: WavHead) -> str:
    kind = "" if head.tag == _PCM else " as floating point"
    return f"samples of {head.bits} bit at {head.rate} Hz{kind}"


def _count(channels: int) -> str:
    return "1 channel" if channels == 1 else f"{channels} channels"
