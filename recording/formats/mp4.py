"""Pure: whether an MP4 is complete.

It is a sequence of boxes: a 32-bit size and a 4-letter type; size 1 means that a 64-bit size follows, size 0 that the
box extends to the end of the file (ISO/IEC 14496-12, 4.2). The tables in `moov` have the position of each picture and
sound in `mdat` (8.5 to 8.7). A fragmented file has a smaller table, `moof`, before each `mdat` (8.8).

How players treat unusual files: docs/media.md#mp4.
"""

from dataclasses import dataclass, field
from struct import iter_unpack
from typing import NamedTuple

from recording.formats.verdict import WINDOW, Span, Verdict, Walk

# The boxes that a file may begin with; all but old files begin with `ftyp`.
FIRST_BOXES = frozenset(b"ftyp styp moov moof mdat free skip wide uuid pnot sidx udta meta junk prfl emsg prft".split())
# The characters of a box type: ASCII, and the © of QuickTime's own types.
_LETTERS = bytes([*range(0x20, 0x7F), 0xA9])
# The bytes read at a box: a header with a 64-bit size, and within moov and moof the fields at fixed offsets.
_HEADER, _FIELDS = 16, 32
# The boxes that contain the tables of each track and fragment; all others are skipped.
_CONTAINERS = frozenset({b"trak", b"mdia", b"minf", b"stbl", b"mvex", b"traf"})
# A recording has two; memory must not grow with a file that declares thousands.
_MOST_TRACKS = 64


class _Box(NamedTuple):
    kind: bytes
    body: int
    end: int


@dataclass
class _Track:
    """One track, by the tables: the position and the length of its last media chunk.

    `samples` are those of the last media chunk. Times are in units of `timescale`; `time` and `sample_duration` are of
    the current fragment.
    """

    timescale: int = 0
    chunk_offset: int = 0
    chunk_length: int = 0
    samples: int = 1
    time: int = 0
    sample_duration: int = 0


@dataclass
class _Movie:
    """The file, by the tables: the end of its media, and its duration."""

    media_end: int = 0
    seconds: float = 0.0
    # By track number, what moov declares for the fragments.
    tracks: dict[int, _Track] = field(default_factory=dict)
    sample_durations: dict[int, int] = field(default_factory=dict)


def judge(size: int, offset: int = 0) -> Walk[Verdict]:
    """Judge a file of `size` bytes by its boxes, from the one at `offset` on."""
    has_moov = has_fragments = has_media = False
    last, movie = b"", _Movie()
    remarks: list[str] = []
    while offset < size:
        box = _box((yield Span(offset, _HEADER)), offset, size)
        if box is None and not offset:
            return Verdict("not media")
        if box is None or box.end > size:
            problem = f"{size - offset} bytes behind the last box"
            if box is not None:
                name, left = box.kind.decode("ascii", "backslashreplace"), size - offset
                problem = f"box {name} at byte {offset} has {box.end - offset} bytes, {left} are left"
            if not (has_moov and has_media) or (box is not None and box.kind in (b"moov", b"moof", b"mdat")):
                return _truncated(problem)
            remarks.append(problem)
            break
        if box.kind in (b"moov", b"moof"):
            yield from _read_tables(box, movie)
        has_moov |= box.kind == b"moov"
        has_fragments |= box.kind == b"moof"
        has_media |= box.kind in (b"mdat", b"moof")
        last, offset = box.kind, box.end
    if not has_moov:
        return _truncated("no moov box, without which nothing can be played")
    if last == b"moof":
        return _truncated("the media of the last fragment is missing")
    if movie.media_end > size:
        return _truncated(f"the tables place media up to byte {movie.media_end}, the file has {size} bytes")
    if not movie.media_end and not has_fragments:
        remarks.append("the tables hold neither pictures nor sound")
    return Verdict("complete", "mp4", tuple(remarks), movie.seconds or None)


def first_box_end(head: bytes) -> int | None:
    """Return where the first box of a file ends, whatever its type is; None if the file doesn't begin with a box."""
    box = _box(head[:_HEADER], 0, 0)
    return box.end if box else None


def find_known(size: int, offset: int) -> Walk[int | None]:
    """Return where the first box of a known type is, which boxes of other types may precede; None if there is none."""
    while offset + 8 <= size:
        header = yield Span(offset, _HEADER)
        if header[4:8] in FIRST_BOXES:
            return offset
        box = _box(header, offset, size)
        if box is None:
            return None
        offset = box.end
    return None


def _box(header: bytes, offset: int, end: int) -> _Box | None:
    """Parse the header of a box that may extend to `end`."""
    length, kind, smallest = int.from_bytes(header[:4]), header[4:8], 8
    if length == 1:
        length, smallest = int.from_bytes(header[8:16]), 16
    elif length == 0:
        length = end - offset
    is_box = len(header) >= smallest and length >= smallest and not kind.translate(None, _LETTERS)
    return _Box(kind, offset + smallest, offset + length) if is_box else None


def _read_tables(parent: _Box, movie: _Movie) -> Walk[None]:
    """Read the needed fields of a moov or moof; stop at what can't be parsed.

    To enter a container only its header is skipped: its boxes come next.
    """
    offset, track = parent.body, _Track()
    number = 0
    while offset < parent.end:
        head = yield Span(offset, _HEADER + _FIELDS)
        box = _box(head, offset, parent.end)
        if box is None or box.end > parent.end:
            return
        # Nearly all begin with a version, which determines the length of times, and flags.
        body = head[box.body - offset : box.end - offset]
        is_long, flags = body[:1] == b"\1", int.from_bytes(body[1:4])
        match box.kind:
            case b"mvhd":
                scale, duration = (body[20:24], body[24:32]) if is_long else (body[12:16], body[16:20])
                # All ones: not known.
                if any(scale) and duration.strip(b"\xff"):
                    movie.seconds = int.from_bytes(duration) / int.from_bytes(scale)
            case b"trak":
                number, track = 0, _Track()
            case b"tkhd":
                number = int.from_bytes(body[20:24] if is_long else body[12:16])
            case b"mdhd":
                track.timescale = int.from_bytes(body[20:24] if is_long else body[12:16])
                if len(movie.tracks) < _MOST_TRACKS:
                    movie.tracks[number] = track
            case b"stsc":
                # Runs of media chunks with equal numbers of samples: the second field of the last run counts.
                run = yield _last_entries(box, 8, int.from_bytes(body[4:8]), 12)
                track.samples = int.from_bytes(run[4:8])
            case b"stsz" if each := int.from_bytes(body[4:8]):
                track.chunk_length = each * track.samples
            case b"stsz":
                # Known writers put stsc before it; otherwise only the last sample counts.
                sizes = _last_entries(box, 12, int.from_bytes(body[8:12]), 4, wanted=track.samples)
                track.chunk_length = yield from _sum(sizes, 4)
            case b"stco" | b"co64":
                width = 4 if box.kind == b"stco" else 8
                track.chunk_offset = int.from_bytes((yield _last_entries(box, 8, int.from_bytes(body[4:8]), width)))
            case b"trex" if len(movie.sample_durations) < _MOST_TRACKS:
                movie.sample_durations[int.from_bytes(body[4:8])] = int.from_bytes(body[12:16])
            case b"tfhd":
                number = int.from_bytes(body[4:8])
                track = movie.tracks.get(number, _Track())
                # Two fields may precede the duration, each if its flag is set.
                place = 8 + 8 * (flags & 1) + 2 * (flags & 2)
                default = movie.sample_durations.get(number, 0)
                track.sample_duration = int.from_bytes(body[place : place + 4]) if flags & 8 else default
            case b"tfdt":
                track.time = int.from_bytes(body[4:12] if is_long else body[4:8])
            case b"trun":
                count, width = int.from_bytes(body[4:8]), 4 * (flags & 0xF00).bit_count()
                if flags & 0x100:
                    samples = _last_entries(box, 8 + 4 * (flags & 1) + (flags & 4), count, width, wanted=count)
                    track.time += yield from _sum(samples, width)
                else:
                    track.time += count * track.sample_duration
                if track.timescale:
                    movie.seconds = max(movie.seconds, track.time / track.timescale)
            case _:
                pass
        if track.chunk_offset:
            movie.media_end = max(movie.media_end, track.chunk_offset + track.chunk_length)
        offset = box.body if box.kind in _CONTAINERS else box.end


def _last_entries(box: _Box, place: int, count: int, width: int, *, wanted: int = 1) -> Span:
    """Return the span of the last entries of a table with at most `count` entries, from an offset in its box on."""
    first = box.body + place
    count = max(0, min(count, (box.end - first) // width))
    wanted = min(wanted, count)
    return Span(first + (count - wanted) * width, wanted * width)


def _sum(entries: Span, width: int) -> Walk[int]:
    """Add up the first field of each entry of a table, of any length."""
    total, step = 0, WINDOW // width * width
    for offset in range(entries.offset, entries.end, step):
        found = yield Span(offset, min(step, entries.end - offset))
        total += sum(value for (value,) in iter_unpack(f">I{width - 4}x", found))
    return total


def _truncated(reason: str) -> Verdict:
    return Verdict("truncated", "mp4", (reason,))
