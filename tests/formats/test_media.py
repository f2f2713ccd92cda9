"""recording/formats/media.py: what kind of file it is, and its verdict as bytes pass by and by a few reads."""

import tracemalloc
from itertools import pairwise

import pytest

from recording.formats import media
from recording.formats.media import Inspection
from recording.formats.verdict import Kind, Span, Verdict
from tests.support.judged import judged, looked_at, looked_at_file
from tests.support.source import mp3, mp4
from tests.support.source import wav as short_wav
from tests.support.vectors import adts, box, chunk, fmt, fragmented, fragments, frames, moov_first, riff, wav

FILES: dict[Kind, bytes] = {"mp4": mp4(300), "mp3": mp3(3, tag=20), "wav": short_wav(100, channels=2)}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_is_told_by_its_first_bytes(kind: Kind) -> None:
    """Sixteen are enough."""
    file = FILES[kind]

    assert kind == media.sniff(file[:16]) == media.sniff(file) == judged(file).kind


def test_an_mp3_may_come_without_a_tag() -> None:
    """Its first frame shows it; in a RIFF file the form does."""
    assert ("mp3", "mp3") == (media.sniff(mp3(2)), media.sniff(b"RIFF\x10\0\0\0RMP3data"))


@pytest.mark.parametrize(
    "box", [b"ftyp", b"styp", b"moov", b"mdat", b"free", b"skip", b"wide", b"uuid", b"pnot", b"emsg"]
)
def test_an_mp4_may_begin_with_other_boxes(box: bytes) -> None:
    """Any box that may come first is accepted."""
    assert "mp4" == media.sniff(b"\0\0\0\x18" + box + bytes(16))


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"R",
        b"RIFF",
        b"RIFF\0\0\0\0AVI LIST",
        b"OggS\0\2" + bytes(10),
        b"\x1a\x45\xdf\xa3" + bytes(12),
        b"\xff\xf1\x50\x80" + bytes(12),
        b"\xff\xfe<\0h\0t\0m\0l\0",
        b"<!DOCTYPE html>",
        b'{"code": "X"}',
        b"%PDF-1.7",
        bytes(16),
        b"\xff" * 16,
    ],
)
def test_what_is_none_of_the_three(head: bytes) -> None:
    """Other media, pages and errors are none of them."""
    assert media.sniff(head) is None


def test_kinds_and_extensions() -> None:
    """An archived blob's extension is its kind; any other text is none."""
    assert ["mp4", "mp3", "wav"] == [media.kind_of(f"a/b.{extension}") for extension in ("mp4", "mp3", "wav")]
    assert {None} == {media.kind_of(name) for name in ("a.media", "a.json", "mp4.x", "", "a.MP4")}
    assert {None} == {media.parse_kind(text) for text in (None, "", "../mp4", "MP4")}
    assert set(FILES) == set(media.CONTENT_TYPES)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("Ogg", b"OggS\0\2" + bytes(500)),
        ("Matroska or WebM", b"\x1a\x45\xdf\xa3" + bytes(500)),
        ("FLAC", b"fLaC" + bytes(500)),
        ("AMR", b"#!AMR\n" + bytes(500)),
        ("CAF", b"caff\0\1" + bytes(500)),
        ("FLV", b"FLV\1" + bytes(500)),
        ("ASF", bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(500)),
        ("AIFF", b"FORM\0\0\0\0AIFF" + bytes(500)),
        ("AIFF", b"FORM\0\0\0\0AIFC" + bytes(500)),
        ("MPEG-TS", (b"G" + bytes(187)) * 3),
        ("AAC (ADTS)", adts()),
        ("RIFF of another form", b"RIFF\0\0\0\0AVI LIST" + bytes(500)),
    ],
)
def test_other_media_is_named(name: str, file: bytes) -> None:
    """It plays, so it is complete; how it is built, nobody looks."""
    verdict = judged(file)

    assert ("complete", None) == (verdict.outcome, verdict.kind)
    assert verdict.remarks[0].startswith(f"the bytes are {name}, ")


@pytest.mark.parametrize(
    ("outcome", "file"),
    [
        ("error page", b"  \r\n<html>\xe4\xf6\xfc</html>"),
        ("error page", b"\xef\xbb\xbf" + "[„Fehler“]".encode()),
        ("error page", b"\xff\xfe" + "<html>".encode("utf-16-le")),
        ("error page", b"\xfe\xff" + "<html>".encode("utf-16-be")),
        ("error page", b"You are free to ask again later"),
        ("error page", b"x" * 100_000),
        ("not media", "Überlastet".encode()),
        ("not media", b"<\0html>" + bytes(500)),
        ("not media", b"\xff\xfe" + b"ab\x01\x02" * 200),
        ("complete", b"x" * 5000 + mp3(9)),
        # What begins with "<" without being text: frames that begin within one, and a box of 1 GB.
        ("complete", b"<" + frames()[100:]),
        ("truncated", b"<\0\0\0mdat" + bytes(5000)),
    ],
)
def test_only_text_is_an_error_page(outcome: str, file: bytes) -> None:
    """Its bytes are thrown away: so all that could be media isn't text."""
    assert outcome == judged(file).outcome


@pytest.mark.parametrize(
    ("verdict", "problem"),
    [
        (Verdict("complete", "mp4", ("odd",)), None),
        (Verdict("undecided"), None),
        (Verdict("truncated", "mp4", ("cut", "odd")), "cut; odd"),
        (Verdict("not media"), "the bytes are no media that is known"),
        (Verdict("error page"), "the bytes are text, in the place of media"),
        (Verdict("empty"), "the file has no bytes"),
    ],
    ids=lambda value: getattr(value, "outcome", ""),
)
def test_a_verdict_says_what_is_wrong(verdict: Verdict, problem: str | None) -> None:
    """Where something is: what is only odd isn't wrong."""
    assert problem == verdict.problem


def test_what_has_not_passed_yet_is_undecided() -> None:
    """Bytes are missing, but not of the file's: this is no verdict on it."""
    file = frames()
    inspection = Inspection(len(file))
    found = []
    for first in range(0, len(file), 1000):
        found.append(inspection.verdict())
        inspection.feed(file[first : first + 1000])

    assert {Verdict("undecided")} == set(found)
    assert "complete" == inspection.verdict().outcome
    inspection.feed(b"more than there should be")
    assert "complete" == inspection.verdict().outcome


@pytest.mark.parametrize("start", [frames(), fragmented(), wav()[:44], moov_first()], ids=["mp3", "mp4", "wav", "moov"])
def test_a_pass_holds_no_more_than_a_window(start: bytes) -> None:
    """However long the file is, and whatever it holds."""
    size = 200_000_000
    first, end = fragments(fragmented())[1]
    more = (fragmented()[first:end] if start == fragmented() else frames()) * 20
    inspection = Inspection(size)
    inspection.feed(start)
    tracemalloc.start()
    try:
        for _ in range(20):
            inspection.feed(more)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    # A window, and what Python's objects need; while a piece is cut up it is two windows.
    assert held < 8 * 1024 + 2500
    assert peak < 2 * 8 * 1024 + 2500


# --- Early look


def table(kind: bytes, entries: int, width: int, *, last: bytes) -> bytes:
    """Return a table of so many entries, of which the last says something."""
    front = bytes(8) if kind == b"stsz" else bytes(4)
    return box(kind, front + entries.to_bytes(4) + bytes((entries - 1) * width) + last)


def of_four_hours(*, moov_last: bool) -> tuple[bytes, int, int]:
    """Return the moov of 4 h and 1.5 GB, where it begins, and the size of the file."""
    mdat = 1_500_000_000
    tables = [
        # 8 pictures a second in media chunks of one; 15.6 packets of sound a second in media chunks of two.
        table(b"stsz", 115_200, 4, last=(5000).to_bytes(4))
        + table(b"stco", 115_200, 4, last=(mdat - 9000).to_bytes(4)),
        table(b"stsz", 225_000, 4, last=(300).to_bytes(4)) + table(b"stco", 112_500, 4, last=(mdat - 600).to_bytes(4)),
    ]
    once = box(b"stts", bytes(8)) + box(
        b"stsc", bytes(4) + (1).to_bytes(4) + bytes(3) + b"\1" + bytes(3) + b"\2" + bytes(4)
    )
    traks = [box(b"trak", box(b"mdia", box(b"minf", box(b"stbl", once + one)))) for one in tables]
    moov = box(b"moov", b"".join(traks))
    return moov, (24 + mdat if moov_last else 24), 24 + mdat + len(moov)


@pytest.mark.parametrize("moov_last", [True, False])
def test_four_hours_take_eight_reads(moov_last: bool) -> None:
    """Tables of 2 MB are stepped over, whether they come first or last."""
    moov, at, size = of_four_hours(moov_last=moov_last)
    mdat = 24 if moov_last else 24 + len(moov)
    known = {0: box(b"ftyp", bytes(16)), at: moov, mdat: (1_500_000_000).to_bytes(4) + b"mdat"}

    def read(span: Span) -> bytes:
        found = bytearray(span.length)
        for first, part in known.items():
            start, end = max(first, span.offset), min(first + len(part), span.end)
            if start < end:
                found[start - span.offset : end - span.offset] = part[start - first : end - first]
        return bytes(found)

    verdict, asked = looked_at(read, size, read(Span(0, 1024)))

    assert ("complete", ()) == (verdict.outcome, verdict.remarks)
    assert len(asked) <= 8
    cut, asked = looked_at(read, size - 1, read(Span(0, 1024)))
    assert "truncated" == cut.outcome
    assert len(asked) <= 8


def test_a_wav_of_any_length_takes_two_reads() -> None:
    """What is in front of the samples, and what is behind them."""
    head = riff(chunk(b"JUNK", bytes(28)), fmt(), chunk(b"data", b"", size=2_000_000_002), size=2_000_000_002 + 72 + 8)
    tail = chunk(b"LIST", b"INFO")
    size = len(head) + 2_000_000_002 + len(tail)

    def read(span: Span) -> bytes:
        return (head if span.offset == 0 else tail).ljust(span.length, b"\0")

    verdict, asked = looked_at(read, size)

    assert "complete" == verdict.outcome
    assert [0, len(head) + 2_000_000_002] == [span.offset for span in asked]


def test_only_a_file_of_many_boxes_gives_others_a_turn() -> None:
    """Most files need some steps, however long they are; one of tiny boxes needs a turn after each thousand."""
    usual, odd = moov_first(), moov_first() + box(b"free") * 10_000

    assert 0 == len(list(Inspection(len(usual)).feed_in_turns(usual)))
    inspection = Inspection(len(odd))
    assert len(list(inspection.feed_in_turns(odd))) in range(10, 12)
    assert judged(odd) == inspection.verdict() != Verdict("undecided")


def test_what_is_known_is_not_asked_for() -> None:
    """A small file whose head was read needs one more read; one that is known takes none."""
    file = frames()
    verdict, asked = looked_at_file(file, file[:1024])

    assert ("complete", [Span(0, len(file))]) == (verdict.outcome, asked)
    assert [] == looked_at_file(file, file)[1]


def test_a_read_brings_what_follows_too() -> None:
    """Requests are what a look costs: each is of 64 KiB, or what is left, and none is asked for twice."""
    file = frames() * 60
    verdict, asked = looked_at_file(file)

    assert ("undecided", 8) == (verdict.outcome, len(asked))
    assert {64 * 1024} == {span.length for span in asked}
    assert all(two.offset >= one.offset + 56 * 1024 for one, two in pairwise(asked))


def test_an_mp3_that_no_look_can_decide_is_not_looked_at() -> None:
    """It takes every frame, and they are too many for eight reads."""
    most = 8 * 64 * 1024

    assert (Verdict("undecided", "mp3"), []) == looked_at(lambda span: b"", most + 1, frames()[:1024])
    assert [] != looked_at_file((frames() * 60)[:most], frames()[:1024])[1]
