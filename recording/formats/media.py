"""Pure: what a file is, and whether it is whole, by its bytes: MP4, MP3 and WAV are what ACS records.

See docs/acs-contract.md#metadata-file. A label (content type, extension, the metadata file's `format`) plays no part:
docs/media.md#which-kind.
"""

from collections.abc import Generator
from dataclasses import replace
from typing import get_args

from recording.formats import mp3, mp4, riff
from recording.formats.verdict import Kind as Kind
from recording.formats.verdict import Span, Walk
from recording.formats.verdict import Verdict as Verdict

CONTENT_TYPES: dict[Kind, str] = {"mp4": "video/mp4", "mp3": "audio/mpeg", "wav": "audio/wav"}
# Of a chunk in staging: its kind isn't known before its bytes come.
UNKNOWN = "media"

# By so many bytes a file is recognised.
HEAD = 1024
# Of an early look: requests are what it costs, so each brings more than the walk wants.
MOST_REQUESTS = 8
_REQUEST = 64 * 1024
# MP3 in a RIFF file.
_RMP3 = b"RMP3"
# Other media that players play, by their first bytes.
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
    """Judges a file of `size` bytes that passes by, in order and in pieces of any length.

    Of what has passed no more than 8 KiB is held.
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
        """Take the next bytes."""
        start = self._passed
        self._passed += len(piece)
        while self._wanted and min(self._wanted.end, self._size) <= self._passed:
            self._step(self._cut(piece, start, self._wanted))
        self._held = self._cut(piece, start, self._wanted) if self._wanted else b""

    def verdict(self) -> Verdict:
        """Return the verdict; `undecided` as long as bytes are missing that could decide it."""
        return self._verdict

    def _cut(self, piece: bytes, start: int, span: Span) -> bytes:
        """Cut a span out of what is held and the piece behind it, as far as they go."""
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
    """Judge a file by some reads, of which `head` is known already: yields spans, and is sent their bytes.

    After 8 it is `undecided`, which says nothing about the file: one with many fragments or frames takes a pass.
    """
    # Every frame of an MP3 has to be read: of a longer one no read is worth its request.
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
    """Judge a file of `size` bytes: what it is, by its first KiB, and then by the walk over that kind."""
    if not size:
        return Verdict("empty")
    head = yield Span(0, HEAD)
    # Before anything else: "You are free to ..." has the name of a box where an MP4 has it. Frames may be behind it.
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
    # An MP4 may begin with boxes of types that nobody knows: one that is known must follow.
    box_end = mp4.first_box_end(head)
    if box_end is not None and box_end + 8 <= size:
        start = yield from mp4.find_known(size, box_end)
        return (yield from mp4.judge(size, start)) if start is not None else Verdict("not media")
    return (yield from mp3.judge(size))


def sniff(head: bytes) -> Kind | None:
    """Tell by a file's first KiB which of the three it is, whatever it is called; None if that isn't certain."""
    if head[:4] in riff.MAGICS and head[8:12] == riff.FORM:
        return "wav"
    if head[:4] in riff.MAGICS and head[8:12] == _RMP3:
        return "mp3"
    box_end = mp4.first_box_end(head) or len(head)
    if {head[4:8], head[box_end + 4 : box_end + 8]} & mp4.FIRST_BOXES:
        return "mp4"
    return "mp3" if head.startswith(mp3.TAGS) or mp3.frame(head) else None


def is_text(head: bytes) -> bool:
    """Tell by its first KiB whether a file begins as an error page does: with markup or JSON, or with plain text alone.

    Media holds control characters within its first bytes; no text does.
    """
    head = head[:512]
    is_utf_16 = head[:2] in (b"\xff\xfe", b"\xfe\xff")
    text = head.decode("utf-16" if is_utf_16 else "latin-1", errors="replace").removeprefix("\u00ef\u00bb\u00bf")
    is_text = all(letter.isprintable() or letter.isspace() or letter >= "\x80" for letter in text)
    return is_text and (text.isascii() or text.lstrip()[:1] in ("<", "{", "["))


def parse_kind(text: str | None) -> Kind | None:
    """Read a kind; None for anything else."""
    return next((one for one in get_args(Kind) if one == text), None)


def kind_of(name: str) -> Kind | None:
    """Tell by its extension what an archived blob is."""
    return parse_kind(name.rpartition(".")[2])


def _other(head: bytes) -> str | None:
    """Name what else begins so, if players play it."""
    if head[:4] in riff.MAGICS and len(head) >= 12:
        return "RIFF of another form"
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "AIFF"
    if head[: 2 * _TS_PACKET + 1 : _TS_PACKET] == b"GGG":
        return "MPEG-TS"
    # Of AAC without a container a frame's header tells its length in 13 bits: the next header is where it ends.
    if head[:2] in (b"\xff\xf1", b"\xff\xf9"):
        length = int.from_bytes(head[3:6]) >> 5 & 0x1FFF
        if length > 6 and head[length : length + 2] == head[:2]:
            return "AAC (ADTS)"
    return next((name for magic, name in _OTHERS.items() if head.startswith(magic)), None)
