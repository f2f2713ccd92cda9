"""Pure: the kind of a file, and whether it is complete, by its bytes: ACS records MP4, MP3 and WAV.

See docs/acs-contract.md#metadata-file. Labels (content type, extension, the metadata file's `format`) are not used:
docs/media.md#which-kind.
"""

from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import get_args

from recording.formats import mp3, mp4, riff
from recording.formats.verdict import Kind as Kind
from recording.formats.verdict import Span, Walk
from recording.formats.verdict import Verdict as Verdict

CONTENT_TYPES: dict[Kind, str] = {"mp4": "video/mp4", "mp3": "audio/mpeg", "wav": "audio/wav"}
# The extension of a chunk in staging: its kind isn't known before its bytes.
UNKNOWN = "media"

# The number of bytes by which a file is recognised.
HEAD = 1024
# Of an early look: its cost are the requests, so each reads more than the walk asks for.
MOST_REQUESTS = 8
_REQUEST = 64 * 1024
# Steps of a walk, some milliseconds, after which others have a turn: a file may have a box in every eight bytes.
_STEPS = 1000
# MP3 in a RIFF file.
_RMP3 = b"RMP3"
# Other media formats that players support, by their first bytes.
_OTHERS = {
    b"OggS": "Ogg",
    b"\x1a\x45\xdf\xa3": "Matroska or WebM",
    b"fLaC": "FLAC",
    b"#!AMR": "AMR",
    b"caff": "CAF",
    b"FLV\x01": "FLV",
    bytes.fromhex("3026b2758e66cf11"): "ASF",
}
_TS_PACKET = 188


class Inspection:
    """Judges a file of `size` bytes in transit, in order and in pieces of any length.

    Holds at most 8 KiB of it.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._passed = 0
        self._held = b""
        self._walk = judge(size)
        self._wanted: Span | None = None
        self._verdict = Verdict("undecided")
        self._step(None)

    def feed(self, piece: bytes) -> None:
        """Add the next bytes."""
        for _ in self.feed_in_turns(piece):
            pass

    def feed_in_turns(self, piece: bytes) -> Iterator[None]:
        """Add the next bytes; yield wherever others should have a turn, in most files nowhere."""
        start, steps = self._passed, 0
        self._passed += len(piece)
        while self._wanted and min(self._wanted.end, self._size) <= self._passed:
            self._step(self._cut(piece, start, self._wanted))
            steps += 1
            if steps % _STEPS == 0:
                yield
        self._held = self._cut(piece, start, self._wanted) if self._wanted else b""

    def verdict(self) -> Verdict:
        """Return the verdict; `undecided` while missing bytes could decide it."""
        return self._verdict

    def _cut(self, piece: bytes, start: int, span: Span) -> bytes:
        """Return a span of the held bytes and the piece after them, as far as these have it."""
        first, end = span.offset - start, span.end - start
        if first >= 0:
            return piece[first:end]
        held = len(self._held)
        return self._held[held + first : held + min(0, end)] + piece[: max(0, end)]

    def _step(self, found: bytes | None) -> None:
        try:
            self._wanted = next(self._walk) if found is None else self._walk.send(found)
        except StopIteration as done:
            self._wanted, self._verdict = None, done.value


def early_look(size: int, head: bytes = b"") -> Generator[Span, bytes, Verdict]:
    """Judge a file by a few reads; `head` is known already. Yields spans, and is sent their bytes.

    After 8 reads the verdict is `undecided`: a file with many fragments or frames must be read completely.
    """
    # Every frame of an MP3 has to be read: for a longer one the requests would be wasted.
    if sniff(head) == "mp3" and size > MOST_REQUESTS * _REQUEST:
        return Verdict("undecided", "mp3")
    walk = judge(size)
    known = Span(0, len(head))
    requests = 0
    try:
        wanted = next(walk)
        while True:
            end = min(wanted.end, size)
            if end > known.end:
                if requests == MOST_REQUESTS:
                    return Verdict("undecided")
                known = Span(wanted.offset, min(max(wanted.length, _REQUEST), size - wanted.offset))
                head, requests = (yield known), requests + 1
            wanted = walk.send(head[wanted.offset - known.offset : end - known.offset])
    except StopIteration as done:
        verdict: Verdict = done.value
        return verdict


def judge(size: int) -> Walk[Verdict]:
    """Judge a file of `size` bytes: its kind by the first KiB, then its structure by the walk for that kind."""
    if not size:
        return Verdict("empty")
    head = yield Span(0, HEAD)
    # First of all: in "You are free to ..." the name of a box is where an MP4 has it. Frames may follow the text.
    if is_text(head):
        verdict = yield from mp3.judge(size)
        return Verdict("error page") if verdict.outcome == "not media" else verdict
    match sniff(head):
        case "wav":
            return (yield from riff.judge(size))
        case "mp4":
            return (yield from mp4.judge(size))
        case "mp3":
            verdict = yield from mp3.judge(size)
            return replace(verdict, remarks=("MP3 in RIFF", *verdict.remarks)) if head[8:12] == _RMP3 else verdict
        case None:
            pass
    if name := _other(head):
        return Verdict("complete", None, (f"the bytes are {name}, whose structure is not checked",))
    # An MP4 may begin with boxes of unknown types: one of a known type must follow.
    box_end = mp4.first_box_end(head)
    if box_end is not None and box_end + 8 <= size:
        start = yield from mp4.find_known(size, box_end)
        return (yield from mp4.judge(size, start)) if start is not None else Verdict("not media")
    return (yield from mp3.judge(size))


def sniff(head: bytes) -> Kind | None:
    """Return the kind of a file by its first KiB, whatever its label; None if that isn't certain."""
    if head[:4] in riff.MAGICS and head[8:12] == riff.FORM:
        return "wav"
    if head[:4] in riff.MAGICS and head[8:12] == _RMP3:
        return "mp3"
    box_end = mp4.first_box_end(head) or len(head)
    if {head[4:8], head[box_end + 4 : box_end + 8]} & mp4.FIRST_BOXES:
        return "mp4"
    return "mp3" if head.startswith(mp3.TAGS) or mp3.frame(head) else None


def is_text(head: bytes) -> bool:
    """Return whether a file's first KiB looks like an error page: markup or JSON, or nothing but plain text.

    Media has control characters within its first bytes; text has none.
    """
    head = head[:512]
    is_utf_16 = head[:2] in (b"\xff\xfe", b"\xfe\xff")
    text = head.decode("utf-16" if is_utf_16 else "latin-1", errors="replace").removeprefix("\u00ef\u00bb\u00bf")
    is_text = all(letter.isprintable() or letter.isspace() or letter >= "\x80" for letter in text)
    return is_text and (text.isascii() or text.lstrip()[:1] in ("<", "{", "["))


def parse_kind(text: str | None) -> Kind | None:
    """Return a text as a kind; None if it isn't one."""
    return next((one for one in get_args(Kind) if one == text), None)


def content_type(kind: Kind | None) -> str:
    """Return the media type of a kind; None is unknown."""
    return CONTENT_TYPES[kind] if kind else "application/octet-stream"


def kind_of(name: str) -> Kind | None:
    """Return the kind of an archived blob by its extension."""
    return parse_kind(name.rpartition(".")[2])


def _other(head: bytes) -> str | None:
    """Return the name of another media format that begins with these bytes."""
    if head[:4] in riff.MAGICS and len(head) >= 12:
        return "RIFF of another form"
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "AIFF"
    if head[: 2 * _TS_PACKET + 1 : _TS_PACKET] == b"GGG":
        return "MPEG-TS"
    # AAC without a container: a frame's header has its length in 13 bits, and the next header follows.
    if head[:2] in (b"\xff\xf1", b"\xff\xf9"):
        length = int.from_bytes(head[3:6]) >> 5 & 0x1FFF
        if length > 6 and head[length : length + 2] == head[:2]:
            return "AAC (ADTS)"
    return next((name for magic, name in _OTHERS.items() if head.startswith(magic)), None)
