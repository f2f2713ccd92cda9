"""Pure: put the media of MP4 chunks one behind the other, on one timeline.

Sound is the clock: browsers count its samples, whatever the tables say, and one that is hidden from them shifts all
that follows. So every packet lasts as long as what it decodes to. The last picture of a chunk is held until the next
chunk begins. Where sound ends before the pictures, packets of silence follow it (docs/joining.md#mp4).
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor
from struct import pack

from recording.join.boxes import pairs
from recording.join.mp4 import Edit, Mp4Head, Track
from recording.join.mp4_coding import Sound
from recording.join.parts import Piece, Range, Silence
from recording.join.refusals import Unjoinable
from recording.join.tables import Tables, as_bytes, moved, numbers, signed

# Units of time are at least so fine that half of one, by which a picture may be off, is nothing.
_FINE = 10_000


@dataclass(frozen=True)
class Offsets:
    """The places of media chunks in a file, and by how much they move."""

    table: bytes
    width: int
    shift: int


@dataclass
class JoinedTrack:
    """A track while chunks are added to it.

    `time` is the media time at which the next sample begins, `last` the duration of the one before. `shown` is when
    the last picture ends. Tables are as in `Tables`; `keys` is None as long as all samples are key frames.
    """

    timescale: int
    edit: Edit
    count: int = 0
    time: int = 0
    last: int = 0
    shown: int = 0
    sizes: list[bytes] = field(default_factory=list)
    durations: bytearray = field(default_factory=bytearray)
    shifts: bytearray = field(default_factory=bytearray)
    has_shifts: bool = False
    keys: bytearray | None = None
    runs: bytearray = field(default_factory=bytearray)
    offsets: list[Offsets] = field(default_factory=list)
    media_chunks: int = 0

    def hold(self, until: int) -> None:
        """Let the last sample last until a media time, for at least one unit."""
        self._shorten()
        begin = self.time - self.last
        self.last = max(1, until - begin)
        self.time = begin + self.last
        self._add_durations(1, self.last)

    def add(self, tables: Tables, shift: int, durations: bytes) -> None:
        """Add samples whose media chunks move by `shift` bytes; `durations` are in the units of this track."""
        self._add_keys(tables)
        self.sizes.append(tables.sizes)
        for count, duration in pairs(durations):
            self._add_durations(count, duration)
            self.time, self.last = self.time + count * duration, duration if count else self.last
        self._add_runs(tables.runs)
        self.offsets.append(Offsets(tables.offsets, tables.width, shift))
        self.media_chunks += len(tables.offsets) // tables.width
        self.count += tables.count

    def add_shifts(self, count: int, shifts: Sequence[tuple[int, int]]) -> None:
        """Add the shifts of `count` samples, of which the last ones may have none."""
        for number, shift in shifts:
            self._add_shifts(number, shift)
            count -= number
        self._add_shifts(count, 0)

    def _add_durations(self, count: int, duration: int) -> None:
        _add_run(self.durations, count, duration)

    def _add_shifts(self, count: int, shift: int) -> None:
        self.has_shifts |= bool(shift and count)
        _add_run(self.shifts, count, shift & 0xFFFF_FFFF)

    def _add_keys(self, tables: Tables) -> None:
        if tables.keys is None and self.keys is None:
            return
        if self.keys is None:
            self.keys = bytearray(as_bytes(numbers_from(1, self.count)))
        if tables.keys is None:
            self.keys += as_bytes(numbers_from(self.count + 1, tables.count))
        else:
            self.keys += moved(tables.keys, 4, self.count)

    def _add_runs(self, runs: bytes) -> None:
        starts = numbers(runs, 4)
        for at in range(0, len(starts), 3):
            if self.runs[-8:-4] != starts[at + 1].to_bytes(4):
                self.runs += pack(">III", self.media_chunks + starts[at], starts[at + 1], 1)

    def _shorten(self) -> None:
        """Take the last sample out of the durations."""
        left = int.from_bytes(self.durations[-8:-4]) - 1
        self.durations[-8:-4] = left.to_bytes(4)
        if not left:
            del self.durations[-8:]


@dataclass
class JoinedMedia:
    """The media of a part: its tracks, one of which may be None, its pieces, and when each chunk begins, in seconds."""

    pictures: JoinedTrack | None = None
    sound: JoinedTrack | None = None
    pieces: list[Piece] = field(default_factory=list)
    size: int = 0
    begins: list[Fraction] = field(default_factory=list)

    def append(self, piece: Piece) -> None:
        """Add a piece behind the others."""
        self.pieces.append(piece)
        self.size += piece.size

    @property
    def seconds(self) -> Fraction:
        """Return how long it plays."""
        return max(presentation(track) for track in (self.pictures, self.sound) if track)


def presentation(track: JoinedTrack) -> Fraction:
    """Return when a track has been played, in seconds."""
    return track.edit.delay + Fraction(track.shown - track.edit.media, track.timescale)


def join(heads: Sequence[tuple[int, Mp4Head]]) -> JoinedMedia:
    """Put chunks of equal coding one behind the other; each has its place in the recording."""
    media = JoinedMedia()
    for place, head in heads:
        media.begins.append(_begin(media, head))
        shift = media.size - head.begin
        if head.sound:
            _add_sound(media, *head.sound, shift)
        if head.pictures:
            _add_pictures(media, head.pictures[1], shift, media.begins[-1])
        media.append(Range(place, head.begin, head.end))
    return media


def _begin(media: JoinedMedia, head: Mp4Head) -> Fraction:
    """Return when a chunk begins in the joined file, in seconds; silence is added where it needs some."""
    if not media.begins:
        return Fraction(0)
    if head.sound is None or media.sound is None:
        # Without sound, pictures are the clock: a chunk begins when the last picture of the one before was shown.
        assert head.pictures  # noqa: S101 - a head has one of the two
        assert media.pictures  # noqa: S101
        track, joined = head.pictures[1], media.pictures
        return _presented(joined, joined.time) + _lead(track)
    coding, track = head.sound
    begin = _presented(media.sound, media.sound.time) + _lead(track) - track.edit.delay
    packet = Fraction(coding.frame, coding.rate)
    if head.pictures and media.pictures:
        # By so many packets the next pictures would come before the last one has been shown ...
        pictures = media.pictures
        lack = (pictures.time - _due(pictures, head.pictures[1], begin)) / (packet * pictures.timescale)
        # ... for as long as it should; but it must have begun.
        least = floor(lack - pictures.last / (packet * pictures.timescale)) + 1
        silent = max(0, round(lack), least)
    else:
        silent = round(track.edit.delay / packet)
    if silent:
        _add_silence(media, coding, silent)
    return begin + silent * packet


def _presented(joined: JoinedTrack, time: int) -> Fraction:
    return joined.edit.delay + Fraction(time - joined.edit.media, joined.timescale)


def _lead(track: Track) -> Fraction:
    """Return how many seconds of a track's media lie before it begins to play."""
    return Fraction(track.edit.media, track.timescale)


def _due(joined: JoinedTrack, track: Track, begin: Fraction) -> Fraction:
    """Return the media time of the first picture of a chunk that begins at a second, not rounded."""
    return (begin + track.edit.delay - _lead(track) - joined.edit.delay) * joined.timescale + joined.edit.media


def _add_silence(media: JoinedMedia, coding: Sound, count: int) -> None:
    """Add packets of silence.

    They lie where they are played: to let all of them point to one place decodes well, but loses 300 ms in Chromium.
    """
    packet = coding.silent_packet
    if packet is None:
        raise Unjoinable(
            "sound", f"its sound needs silence in front, which is not known for {coding.channels} channels"
        )
    assert media.sound  # noqa: S101
    duration = coding.frame * media.sound.timescale // coding.rate
    tables = Tables(
        count=count,
        sizes=len(packet).to_bytes(4) * count,
        durations=pack(">II", count, duration),
        shifts=b"",
        keys=None,
        runs=pack(">III", 1, count, 1),
        offsets=bytes(4),
        width=4,
    )
    media.sound.add(tables, media.size, tables.durations)
    media.append(Silence(packet, count))


def _add_sound(media: JoinedMedia, coding: Sound, track: Track, shift: int) -> None:
    if media.sound is None:
        media.sound = JoinedTrack(track.timescale, track.edit)
    tables, edit = track.tables, track.edit
    if edit.length is not None:
        # Packets behind the edit hold filling only.
        end = edit.media + ceil(edit.length * track.timescale)
        tables = tables.first(max(1, tables.first_after(end)))
    frame = coding.frame * track.timescale // coding.rate
    media.sound.add(tables, shift, _durations_of_sound(tables, frame))
    media.sound.shown = media.sound.time


def _durations_of_sound(tables: Tables, frame: int) -> bytes:
    """Return the durations of the packets; the last one lasts its whole frame.

    ffmpeg writes a shorter one for what was filled up, but it decodes to a whole frame, and players count that.
    """
    durations, left = bytearray(), tables.count - 1
    for count, duration in pairs(tables.durations):
        _add_run(durations, min(count, left), duration)
        left -= min(count, left)
    _add_run(durations, 1, frame)
    return bytes(durations)


def _add_pictures(media: JoinedMedia, track: Track, shift: int, begin: Fraction) -> None:
    if media.pictures is None:
        times = ceil(_FINE / track.timescale)
        edit = Edit(track.edit.media * times, track.edit.delay, track.edit.length)
        media.pictures = JoinedTrack(track.timescale * times, edit)
    joined = media.pictures
    ratio = Fraction(joined.timescale, track.timescale)
    if joined.count:
        joined.hold(round(_due(joined, track, begin)))
    start = joined.time
    joined.add_shifts(
        track.tables.count, [(count, round(signed(shift) * ratio)) for count, shift in pairs(track.tables.shifts)]
    )
    joined.add(track.tables, shift, _rescaled(track.tables.durations, ratio))
    joined.shown = start + round(track.tables.last_shown() * ratio)


def _rescaled(durations: bytes, ratio: Fraction) -> bytes:
    """Return durations in other units: each sample begins where it would, to half a unit."""
    if ratio == 1:
        return durations
    found, time, done = bytearray(), 0, 0
    for count, duration in pairs(durations):
        if (duration * ratio).denominator == 1 and done == time * ratio:
            _add_run(found, count, int(duration * ratio))
            time, done = time + count * duration, done + int(count * duration * ratio)
            continue
        for _ in range(count):
            time += duration
            # As `round` does it, without the cost of fractions.
            due = (2 * time * ratio.numerator + ratio.denominator) // (2 * ratio.denominator)
            _add_run(found, 1, due - done)
            done = due
    return bytes(found)


def _add_run(table: bytearray, count: int, value: int) -> None:
    """Add samples of one value to a table of runs."""
    if not count:
        return
    if table[-4:] == value.to_bytes(4):
        table[-8:-4] = (int.from_bytes(table[-8:-4]) + count).to_bytes(4)
    else:
        table += pack(">II", count, value)


def numbers_from(first: int, count: int) -> "array[int]":
    """Return numbers that follow each other."""
    return array("I", range(first, first + count))
