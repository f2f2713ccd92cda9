"""Pure: read the head of an MP4: how its media is coded, when each track plays, and its sample tables.

Two reads are enough, three if `moov` is behind the media. Held is what the tables have: 100 kB for ten minutes, and
never more than `LARGEST_INDEX`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from struct import unpack_from

from recording.formats.verdict import Span, Walk
from recording.join import boxes, mp4_coding, tables
from recording.join.boxes import child, children, pairs
from recording.join.mp4_coding import Pictures, Sound
from recording.join.refusals import Reason, Unjoinable
from recording.join.tables import Tables

# A read brings what follows, too: mostly all of moov's boxes in front of its tables, or all of it.
FIRST_READ = 64 * 1024
# Boxes without meaning in front of moov, one read each. Writers know one or two.
_MOST_READS = 8
# The index of a day of media.
LARGEST_INDEX = 16 * 1024 * 1024
_PICTURES, _SOUND = b"vide", b"soun"
_IN_THE_FILE = 1


@dataclass(frozen=True)
class Edit:
    """When a track plays: its media from `media` on (in units of its timescale), `delay` seconds after the beginning.

    `length` in seconds is how much of it, None if all.
    """

    media: int = 0
    delay: Fraction = Fraction(0)
    length: Fraction | None = None


@dataclass(frozen=True)
class Track:
    """A track: units of time in a second, its edit, its tables, and of its header what is written again.

    `header` are layer, group, volume, matrix, width and height of `tkhd`; `language` is that of `mdhd`.
    """

    timescale: int
    edit: Edit
    tables: Tables
    header: bytes
    language: bytes


@dataclass(frozen=True)
class Mp4Head:
    """What is needed of a chunk: its pictures and its sound, one of which may be None, and the range of its media.

    `left_out` are the handlers of its other tracks.
    """

    pictures: tuple[Pictures, Track] | None
    sound: tuple[Sound, Track] | None
    begin: int
    end: int
    left_out: tuple[str, ...] = ()

    @property
    def index_bytes(self) -> int:
        """Return how many bytes its tables have."""
        tracks = [one[1] for one in (self.pictures, self.sound) if one]
        return sum(len(track.tables.sizes) + len(track.tables.offsets) + len(track.tables.runs) for track in tracks)


def difference(first: Mp4Head, head: Mp4Head) -> tuple[Reason, str] | None:
    """Return the reason why one can't follow the other, and a message: "has ..., {first} has ..."."""
    mine, other = (
        (one.pictures and one.pictures[0], one.sound and one.sound[0], one.sound[1].timescale if one.sound else 0)
        for one in (first, head)
    )
    return mp4_coding.difference(mine, other)


def read(size: int) -> Walk[Mp4Head]:
    """Read the head of a file of `size` bytes; raise `Unjoinable` if it has none, or one that can't be joined."""
    at, known = 0, b""
    offset, reads = 0, 0
    head: Mp4Head | None = None
    while offset + 8 <= size:
        if not at <= offset <= at + len(known) - min(16, size - offset):
            if reads == _MOST_READS:
                break
            at, reads = offset, reads + 1
            known = yield Span(offset, min(FIRST_READ, size - offset))
        box = boxes.header(known[offset - at : offset - at + 16], offset, size)
        if box is None:
            break
        if box.kind == b"moof":
            raise Unjoinable("fragmented", "it is fragmented, so its index is spread over the file")
        if box.kind == b"moov" and head is None:
            if box.end > size:
                raise Unjoinable("index", "its index is cut off")
            if box.end - box.body > LARGEST_INDEX:
                raise Unjoinable("tooLarge", f"its index has {box.end - box.body} bytes")
            here = at + len(known)
            moov = known[box.body - at : box.end - at]
            if here < box.end:
                moov += yield Span(here, box.end - here)
            head, has_fragments = parse(moov, size)
            if not has_fragments:
                return head
        offset = box.end
    if head is None:
        raise Unjoinable("index", "it has no index of its media")
    return head


def parse(moov: bytes, size: int) -> tuple[Mp4Head, bool]:
    """Parse the body of a moov, and return whether fragments may follow."""
    data = memoryview(moov)
    movie = child(data, b"mvhd")
    if movie is None:
        raise Unjoinable("index", "its index is damaged: it has no movie header")
    scale = int.from_bytes(movie[20:24] if movie[0] else movie[12:16])
    has_fragments = child(data, b"mvex") is not None
    pictures: list[tuple[Pictures, Track]] = []
    sounds: list[tuple[Sound, Track]] = []
    left_out: list[str] = []
    for trak in (box for box in children(data) if box.kind == b"trak"):
        body = data[trak.body : trak.end]
        handler = bytes((child(body, b"mdia", b"hdlr") or b"")[8:12])
        if handler == _PICTURES:
            pictures.append((mp4_coding.pictures(_entry(body)), _track(body, scale)))
        elif handler == _SOUND:
            sounds.append((mp4_coding.sound(_entry(body)), _track(body, scale)))
        else:
            left_out.append(handler.decode("ascii", "backslashreplace"))
    found = [track for _, track in [*pictures, *sounds] if track.tables.count]
    if not found and has_fragments:
        raise Unjoinable("fragmented", "it is fragmented, so its index is spread over the file")
    if len(pictures) > 1 or len(sounds) > 1:
        raise Unjoinable("tracks", f"it has {len(pictures)} tracks of pictures and {len(sounds)} of sound")
    if not found:
        raise Unjoinable("index", "its index has neither pictures nor sound")
    extents = [track.tables.extent() for track in found]
    begin, end = min(one[0] for one in extents), max(one[1] for one in extents)
    if end > size:
        raise Unjoinable("cut", f"its media goes up to byte {end}, but it has {size} bytes")
    if sounds and (sounds[0][0].frame * sounds[0][1].timescale) % sounds[0][0].rate:
        raise Unjoinable("sound", "the units of time of its sound don't fit its sample rate")
    return (
        Mp4Head(
            next((one for one in pictures if one[1].tables.count), None),
            next((one for one in sounds if one[1].tables.count), None),
            begin,
            end,
            tuple(left_out),
        ),
        has_fragments,
    )


def _entry(trak: memoryview) -> bytes:
    """Return the only sample entry of a track, whose media must be in the file."""
    references = child(trak, b"mdia", b"minf", b"dinf", b"dref")
    if references is not None and any(not data[3] & _IN_THE_FILE for data in _bodies(references[8:])):
        raise Unjoinable("elsewhere", "its media is in another file")
    described = child(trak, b"mdia", b"minf", b"stbl", b"stsd")
    entries = list(children(described[8:])) if described is not None else []
    if described is None or len(entries) != 1:
        raise Unjoinable("codec", "its coding changes partway through" if entries else "it says no codec")
    return bytes(described[8 + entries[0].body - 8 : 8 + entries[0].end])


def _bodies(data: memoryview) -> Iterator[memoryview]:
    for box in children(data):
        yield data[box.body : box.end]


def _track(trak: memoryview, movie_scale: int) -> Track:
    head, media = child(trak, b"tkhd"), child(trak, b"mdia", b"mdhd")
    table = child(trak, b"mdia", b"minf", b"stbl")
    if head is None or media is None or table is None:
        raise Unjoinable("index", "its index is damaged: a track has no header or no tables")
    is_long = media[0] == 1
    timescale = int.from_bytes(media[20:24] if is_long else media[12:16])
    if not timescale or not movie_scale:
        raise Unjoinable("index", "its index is damaged: a track has no units of time")
    edit, found = _edit(child(trak, b"edts", b"elst"), timescale, movie_scale), tables.read(table, 0, len(table))
    if edit.media >= max(1, sum(count * duration for count, duration in pairs(found.durations))):
        raise Unjoinable("editList", "its edit list begins behind the end of its media")
    return Track(
        timescale=timescale,
        edit=edit,
        tables=found,
        header=bytes(head[44:96] if head[0] == 1 else head[32:84]),
        language=bytes(media[32:34] if is_long else media[20:22]),
    )


def _edit(table: memoryview | None, timescale: int, movie_scale: int) -> Edit:
    """Parse an edit list: empty edits, then one that plays media, or several that continue each other."""
    if table is None:
        return Edit()
    form, width = (">QqI", 20) if table[0] == 1 else (">IiI", 12)
    media: int | None = None
    delay = length = Fraction(0)
    rounded = Fraction(timescale, movie_scale) + 1
    for number in range(int.from_bytes(table[4:8])):
        if 8 + (number + 1) * width > len(table):
            raise Unjoinable("index", "its index is damaged: its edit list is shorter than it says")
        ticks, begin, rate = unpack_from(form, table, 8 + number * width)
        seconds = Fraction(ticks, movie_scale)
        if begin == -1 and media is None:
            delay += seconds
        elif begin < 0 or rate != 1 << 16 or (media is not None and abs(begin - media - length * timescale) > rounded):
            raise Unjoinable("editList", "it leaves out, repeats or slows down parts of its media by an edit list")
        else:
            media = begin if media is None else media
            length += seconds
    # No length: a writer that didn't know it, and all of the media is meant.
    return Edit(media or 0, delay, length or None)
