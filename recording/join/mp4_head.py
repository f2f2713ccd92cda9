"""Pure: write the head of a joined MP4: `ftyp`, `moov` with the chapters, and the beginning of `mdat`.

Chapters are written twice, as `chpl` (Nero) and as a track of text (QuickTime), for players read the one or the other.
There are no names of participants in it: a file that was saved is out of reach of an erasure.
"""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from math import ceil
from struct import pack

from recording.join.boxes import Content, box, full_box
from recording.join.mp4 import Edit, Mp4Head, Track
from recording.join.mp4_coding import Pictures, Sound
from recording.join.mp4_join import JoinedMedia, JoinedTrack, Offsets, presentation
from recording.join.parts import LARGEST_BYTES, Bytes, Chapter
from recording.join.tables import as_bytes, moved, numbers

_EPOCH = datetime(1904, 1, 1, tzinfo=UTC)
_FTYP = box(b"ftyp", b"isom", pack(">I", 0x200), b"isom", b"iso2", b"avc1", b"mp41", b"mp42")
# The long form always: its length must not depend on what follows, for the tables say where that is.
_MDAT_HEADER = 16
_LIMIT = 1 << 32
# A count in one byte.
_MOST_CHPL = 255
_LONGEST_TITLE = 255
_IDENTITY = pack(">9I", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
_ENABLED, _IN_MOVIE = 1, 2
# Behind a text: that it is UTF-8 (QuickTime File Format, text media).
_UTF_8 = pack(">I4sI", 12, b"encd", 0x100)
_UNDETERMINED = pack(">H", 0x55C4)
# A text sample's entry: black, no font, as ffmpeg writes it for chapters.
_TEXT_ENTRY = box(
    b"text",
    bytes(6) + pack(">H", 1),
    pack(">I", 1) + bytes(2 + 4 + 8 + 4),
    pack(">HHI", 1, 0, 0),
    box(b"ftab", pack(">HHB", 1, 1, 0)),
)
_TEXT_HEADER = box(
    b"gmhd",
    full_box(b"gmin", pack(">4H", 0x40, 0x8000, 0x8000, 0x8000) + bytes(4)),
    box(b"text", pack(">HIIIIIIIIH", 1, 0, 0, 0, 1, 0, 0, 0, 1 << 14, 0)),
)
_SELF_CONTAINED = box(b"dinf", full_box(b"dref", pack(">I", 1), full_box(b"url ", flags=1)))


@dataclass(frozen=True)
class About:
    """What a file says of itself: title, comment, and when the recording began."""

    title: str
    comment: str
    start: datetime


class _Places:
    """A table of places in the file (`stco` or `co64`), which are known only when the length of the head is."""

    def __init__(self, tables: Sequence[Offsets], width: int) -> None:
        self._tables = tables
        self._width = width
        self.count = sum(len(one.table) // one.width for one in tables)

    def __len__(self) -> int:
        return self.count * self._width

    def write(self, media: int) -> Iterator[bytes]:
        """Return the table for a file whose media begins at `media`."""
        for one in self._tables:
            table, width = one.table, one.width
            if width != self._width:
                kept = array("I" if self._width == 4 else "Q", numbers(table, width))
                table, width = as_bytes(kept), self._width
            yield moved(table, width, media + one.shift)


def write(
    media: JoinedMedia,
    chapters: Sequence[Chapter],
    about: About,
    first: Mp4Head,
) -> tuple[Bytes, ...]:
    """Write the head of a file, up to the first byte of its media; `first` is that of its first chunk."""
    titles = [_title(one.title) for one in chapters]
    texts = b"".join(pack(">H", len(title)) + title + _UTF_8 for title in titles)
    ftyp, behind = sum(map(len, _FTYP)), _MDAT_HEADER + len(texts)
    # Nothing but the tables of places depends on whether they need 64 bits.
    moov = _moov(media, chapters, titles, len(texts), about, first, width=4)
    if ftyp + sum(map(len, moov)) + behind + media.size > _LIMIT:
        moov = _moov(media, chapters, titles, len(texts), about, first, width=8)
    begin = ftyp + sum(map(len, moov)) + behind
    mdat = pack(">I4sQ", 1, b"mdat", behind + media.size)
    return tuple(_pieces([*_FTYP, *moov, mdat, texts], begin))


def _pieces(content: Content, media: int) -> Iterator[Bytes]:
    """Return the content in pieces."""
    held = bytearray()
    for one in content:
        for part in one.write(media) if isinstance(one, _Places) else [one]:
            assert isinstance(part, bytes | bytearray)  # noqa: S101 - nothing else is known by its length alone
            held += part
            while len(held) >= LARGEST_BYTES:
                yield Bytes(bytes(held[:LARGEST_BYTES]))
                del held[:LARGEST_BYTES]
    if held:
        yield Bytes(bytes(held))


def _moov(
    media: JoinedMedia,
    chapters: Sequence[Chapter],
    titles: Sequence[bytes],
    texts: int,
    about: About,
    first: Mp4Head,
    *,
    width: int,
) -> Content:
    # Of the sound, so that its edit is exact.
    clock = media.sound or media.pictures
    assert clock  # noqa: S101 - there is one of the two
    scale = clock.timescale
    created = int((about.start - _EPOCH).total_seconds())
    seconds = media.seconds
    traks: list[Content] = []
    last = 1 + sum(one is not None for one in (first.pictures, first.sound))
    for track, found in ((media.pictures, first.pictures), (media.sound, first.sound)):
        if track and found:
            coding, look = found
            traks.append(_trak(track, coding, look, len(traks) + 1, scale, created, last if chapters else 0, width))
    if chapters:
        traks.append(_text_trak(chapters, titles, texts, last, scale, seconds, created, width))
    return box(
        b"moov",
        _timed(
            b"mvhd",
            created,
            pack(">I", scale),
            ceil(seconds * scale),
            pack(">IHHQ", 1 << 16, 1 << 8, 0, 0) + _IDENTITY + bytes(24) + pack(">I", len(traks) + 1),
        ),
        *traks,
        box(b"udta", _chpl(chapters, titles), _tags(about)),
    )


def _timed(kind: bytes, created: int, between: bytes, duration: int, more: bytes, *, flags: int = 0) -> Content:
    """Return a header with times of creation and change, and a duration; 64 bits where they need it."""
    is_long = max(created, duration) >= _LIMIT - 1
    times, last = (">QQ", ">Q") if is_long else (">II", ">I")
    body = pack(times, created, created) + between + pack(last, duration) + more
    return full_box(kind, body, version=is_long, flags=flags)


def _trak(
    track: JoinedTrack,
    coding: Pictures | Sound,
    look: Track,
    number: int,
    scale: int,
    created: int,
    chapters: int,
    width: int,
) -> Content:
    """Return a track; what `tkhd` and the language say is that of the first chunk, `look`."""
    seconds = presentation(track)
    is_sound = isinstance(coding, Sound)
    return box(
        b"trak",
        _timed(
            b"tkhd",
            created,
            pack(">II", number, 0),
            ceil(seconds * scale),
            bytes(8) + look.header,
            flags=_ENABLED | _IN_MOVIE,
        ),
        _edts(track.edit, seconds, scale),
        box(b"tref", box(b"chap", pack(">I", chapters))) if chapters else [],
        box(
            b"mdia",
            _timed(b"mdhd", created, pack(">I", track.timescale), track.time, look.language + bytes(2)),
            _hdlr(b"soun", b"Sound") if is_sound else _hdlr(b"vide", b"Pictures"),
            box(
                b"minf",
                full_box(b"smhd", bytes(4)) if is_sound else full_box(b"vmhd", bytes(8), flags=1),
                _SELF_CONTAINED,
                box(b"stbl", full_box(b"stsd", pack(">I", 1), coding.entry), *_tables(track, width)),
            ),
        ),
    )


def _tables(track: JoinedTrack, width: int) -> list[Content]:
    tables = [full_box(b"stts", pack(">I", len(track.durations) // 8), bytes(track.durations))]
    if track.has_shifts:
        is_signed = any(track.shifts[at] >> 7 for at in range(4, len(track.shifts), 8))
        shifts = pack(">I", len(track.shifts) // 8), bytes(track.shifts)
        tables.append(full_box(b"ctts", *shifts, version=is_signed))
    if track.keys is not None:
        tables.append(full_box(b"stss", pack(">I", len(track.keys) // 4), bytes(track.keys)))
    places = _Places(track.offsets, width)
    return [
        *tables,
        full_box(b"stsc", pack(">I", len(track.runs) // 12), bytes(track.runs)),
        full_box(b"stsz", pack(">II", 0, track.count), [*track.sizes]),
        full_box(b"stco" if width == 4 else b"co64", pack(">I", places.count), places),
    ]


def _edts(edit: Edit, seconds: Fraction, scale: int) -> Content:
    """Return the edit list of the first chunk, for all of them: a delay, then all of the media; none if that is it."""
    delay, length = round(edit.delay * scale), ceil((seconds - edit.delay) * scale)
    if not delay and not edit.media:
        return []
    edits = [(length, edit.media)] if not delay else [(delay, -1), (length, edit.media)]
    # The 32 bits of a media time have a sign.
    is_long = max(delay, length) >= _LIMIT or edit.media >= _LIMIT // 2
    form = ">QqI" if is_long else ">IiI"
    listed = [pack(form, ticks, media, 1 << 16) for ticks, media in edits]
    return box(b"edts", full_box(b"elst", pack(">I", len(edits)), *listed, version=is_long))


def _hdlr(handler: bytes, name: bytes) -> Content:
    return full_box(b"hdlr", bytes(4) + handler + bytes(12) + name + b"\0")


def _text_trak(
    chapters: Sequence[Chapter],
    titles: Sequence[bytes],
    texts: int,
    number: int,
    scale: int,
    seconds: Fraction,
    created: int,
    width: int,
) -> Content:
    """Return the track of chapters: one sample each, from its place until the next one's."""
    ends = [round(one.at * scale) for one in chapters[1:]] + [ceil(seconds * scale)]
    starts = [0, *ends[:-1]]
    durations = b"".join(pack(">II", 1, max(0, end - begin)) for begin, end in zip(starts, ends, strict=True))
    sizes = b"".join(pack(">I", 2 + len(title) + len(_UTF_8)) for title in titles)
    # In front of the media.
    place = _Places([Offsets(bytes(4), 4, -texts)], width)
    return box(
        b"trak",
        _timed(
            b"tkhd",
            created,
            pack(">II", number, 0),
            ceil(seconds * scale),
            bytes(16) + _IDENTITY + bytes(8),
            flags=_IN_MOVIE,
        ),
        box(
            b"mdia",
            _timed(b"mdhd", created, pack(">I", scale), ceil(seconds * scale), _UNDETERMINED + bytes(2)),
            _hdlr(b"text", b"Chapters"),
            box(
                b"minf",
                _TEXT_HEADER,
                _SELF_CONTAINED,
                box(
                    b"stbl",
                    full_box(b"stsd", pack(">I", 1), _TEXT_ENTRY),
                    full_box(b"stts", pack(">I", len(chapters)), durations),
                    full_box(b"stsc", pack(">IIII", 1, 1, len(chapters), 1)),
                    full_box(b"stsz", pack(">II", 0, len(chapters)), sizes),
                    full_box(b"stco" if width == 4 else b"co64", pack(">I", 1), place),
                ),
            ),
        ),
    )


def _chpl(chapters: Sequence[Chapter], titles: Sequence[bytes]) -> Content:
    if not chapters:
        return []
    listed = [
        pack(">QB", round(one.at * 10_000_000), len(title)) + title
        for one, title in zip(chapters[:_MOST_CHPL], titles, strict=False)
    ]
    return full_box(b"chpl", bytes(4) + pack(">B", len(listed)), *listed, version=1)


def _tags(about: About) -> Content:
    """Return the tags, as iTunes has them."""
    date = about.start.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    values = [(b"\xa9nam", about.title), (b"\xa9cmt", about.comment), (b"\xa9day", date)]
    items = [box(kind, box(b"data", pack(">II", 1, 0), value.encode())) for kind, value in values]
    return full_box(b"meta", full_box(b"hdlr", bytes(4) + b"mdirappl" + bytes(9)), box(b"ilst", *items))


def _title(text: str) -> bytes:
    """Return a title in UTF-8, cut at a whole character."""
    return text.encode()[:_LONGEST_TITLE].decode(errors="ignore").encode()
