"""recording/join/mp4.py: how much of a chunk is read, and what of it can't be joined."""

from collections.abc import Callable

import pytest

from recording.formats.verdict import Span
from recording.join import mp4
from recording.join.mp4 import Mp4Head
from recording.join.refusals import Unjoinable
from tests.support import vectors
from tests.support.joining import read_file
from tests.support.vectors import box

FIRST, LAST = vectors.moov_first, vectors.moov_last


def read(content: Callable[[Span], bytes], size: int) -> tuple[Mp4Head, list[Span]]:
    """Read a head, and return what was asked for, too."""
    walk, asked = mp4.read(size), list[Span]()
    try:
        span = next(walk)
        while True:
            asked.append(span)
            span = walk.send(content(span))
    except StopIteration as done:
        head: Mp4Head = done.value
        return head, asked


def sparse(*parts: bytes | int) -> tuple[Callable[[Span], bytes], int]:
    """Return what reads a file of these bytes, and of so many zeros, and its size."""
    known, size = list[tuple[int, bytes]](), 0
    for part in parts:
        known += [] if isinstance(part, int) else [(size, part)]
        size += part if isinstance(part, int) else len(part)

    def content(span: Span) -> bytes:
        found = bytearray(span.length)
        for at, part in known:
            first, end = max(at, span.offset), min(at + len(part), span.end)
            if first < end:
                found[first - span.offset : end - span.offset] = part[first - at : end - at]
        return bytes(found)

    return content, size


def large_moov() -> bytes:
    """Return an index of more than 64 KiB: the tables of the file, and some that are of no use."""
    moov = vectors.parts(FIRST())[b"moov"]
    return box(b"moov", moov[8:] + box(b"free", bytes(200_000)))


def test_two_reads_are_enough_where_the_index_is_in_front() -> None:
    """64 KiB, and the rest of the index; the media isn't read."""
    ftyp = vectors.parts(FIRST())[b"ftyp"]
    content, size = sparse(ftyp, large_moov(), b"\0\0\0\1mdat" + (1 << 30).to_bytes(8), (1 << 30) - 16)

    head, asked = read(content, size)

    assert [0, 64 * 1024] == [span.offset for span in asked]
    assert sum(span.length for span in asked) == len(ftyp) + len(large_moov())
    assert head.pictures
    assert head.sound
    assert (40, 80) == (head.pictures[1].tables.count, head.sound[1].tables.count)


def test_three_reads_are_enough_where_it_is_behind_the_media() -> None:
    """The beginning, 64 KiB where the media ends, and the rest of the index."""
    ftyp = vectors.parts(FIRST())[b"ftyp"]
    content, size = sparse(ftyp, b"\0\0\0\1mdat" + (1 << 30).to_bytes(8), (1 << 30) - 16, large_moov())

    _, asked = read(content, size)

    assert [0, len(ftyp) + (1 << 30), len(ftyp) + (1 << 30) + 64 * 1024] == [span.offset for span in asked]


def test_both_forms_have_the_same_head() -> None:
    """But for where the media is."""
    first, last = read_file(FIRST()), read_file(LAST())

    assert (first.pictures or [0])[0] == (last.pictures or [1])[0]
    assert (first.sound or [0])[0] == (last.sound or [1])[0]
    assert first.end - first.begin == last.end - last.begin
    mdat = vectors.parts(LAST())[b"mdat"][8:]
    assert mdat == FIRST()[first.begin : first.end] == LAST()[last.begin : last.end]


@pytest.mark.parametrize(
    "make", [vectors.COMPLETE[name] for name in sorted(vectors.COMPLETE) if name.startswith("mp4")]
)
def test_whole_files_are_read_or_are_fragmented(make: Callable[[], bytes]) -> None:
    """Whatever boxes they have, in whatever order."""
    if b"moof" in make():
        with pytest.raises(Unjoinable, match="it is fragmented"):
            read_file(make())
        return
    head = read_file(make())

    assert head.sound
    assert head.begin < head.end <= len(make())


def patched(old: bytes, new: bytes, *, count: int = -1) -> bytes:
    """Return the file with other bytes in its index."""
    assert old in FIRST()
    return FIRST().replace(old, new, count)


def with_edits(*edits: tuple[int, int]) -> bytes:
    """Return the file with another edit list of its pictures: lengths in milliseconds, and media times."""
    moov = vectors.parts(FIRST())[b"moov"]
    at = moov.index(b"elst")
    entries = b"".join(
        (16 * length).to_bytes(4) + (media & 0xFFFF_FFFF).to_bytes(4) + b"\0\1\0\0" for length, media in edits
    )
    new = box(b"edts", box(b"elst", bytes(4) + len(edits).to_bytes(4) + entries))
    old = moov[at - 12 : at - 12 + int.from_bytes(moov[at - 12 : at - 8])]
    trak = moov.index(b"trak") - 4
    grown = len(new) - len(old)
    changed = moov.replace(old, new, 1)
    changed = changed[:trak] + (int.from_bytes(moov[trak : trak + 4]) + grown).to_bytes(4) + changed[trak + 4 :]
    changed = (len(changed)).to_bytes(4) + changed[4:]
    return FIRST().replace(moov, vectors.shifted(changed, grown), 1)


REFUSED = {
    "fragmented": (vectors.fragmented, "fragmented", "it is fragmented, so its index is spread over the file"),
    "encrypted-pictures": (lambda: patched(b"avc1", b"encv"), "encrypted", "its pictures are encrypted"),
    "encrypted-sound": (lambda: patched(b"mp4a", b"enca"), "encrypted", "its sound is encrypted"),
    "h265": (lambda: patched(b"avcC", b"hvcC"), "codec", "its pictures are 'avc1', not H.264"),
    "no-aac": (lambda: patched(b"mp4a", b"alac"), "codec", "its sound is 'alac', not AAC"),
    "mp3-in-mp4": (lambda: patched(b"\x40\x15", b"\x6b\x15"), "codec", "its sound is not AAC"),
    "he-aac": (lambda: patched(b"\x14\x08\x56\xe5\x00", b"\x14\x08\x56\xe5\x80"), "codec", "its sound is not AAC-LC"),
    "elsewhere": (
        lambda: patched(b"url \0\0\0\1", b"url \0\0\0\0"),
        "elsewhere",
        "its media is in another file",
    ),
    "cut": (lambda: FIRST()[:-100], "cut", "its media goes up to byte "),
    "no-index": (lambda: LAST()[: LAST().rindex(b"moov") - 4], "index", "it has no index of its media"),
    "index-cut": (lambda: LAST()[:-100], "index", "its index is cut off"),
    "a-hole": (
        lambda: with_edits((1000, 0), (1000, 30_000)),
        "editList",
        "it leaves out, repeats or slows down parts of its media by an edit list",
    ),
    "a-pause": (
        lambda: with_edits((1000, 0), (1000, -1), (1000, 16_384)),
        "editList",
        "it leaves out, repeats or slows down parts of its media by an edit list",
    ),
    "nothing-to-play": (
        lambda: with_edits((1000, 1 << 30)),
        "editList",
        "its edit list begins behind the end of its media",
    ),
    "tables-contradict": (
        lambda: patched(b"stts\0\0\0\0\0\0\0\1\0\0\0\x28", b"stts\0\0\0\0\0\0\0\1\0\0\0\x27"),
        "index",
        "its index is damaged: its tables contradict each other",
    ),
}


@pytest.mark.parametrize(("make", "reason", "message"), [pytest.param(*one, id=name) for name, one in REFUSED.items()])
def test_what_can_not_be_joined(make: Callable[[], bytes], reason: str, message: str) -> None:
    """And why."""
    with pytest.raises(Unjoinable) as raised:
        read_file(make())

    assert (reason, True) == (raised.value.reason, raised.value.message.startswith(message)), raised.value.message


def test_an_index_of_more_than_a_day_is_not_read() -> None:
    """So memory has a bound."""
    content, size = sparse((20_000_000).to_bytes(4) + b"moov", 20_000_000 - 8)

    with pytest.raises(Unjoinable, match="its index has 19999992 bytes"):
        read(content, size)


@pytest.mark.parametrize(
    ("edits", "media", "delay", "length"),
    [
        pytest.param(((5000, 0),), 0, 0, 5, id="one"),
        pytest.param(((500, -1), (5000, 1024)), 1024, 0.5, 5, id="a-delay"),
        pytest.param(((500, -1), (250, -1), (5000, 0)), 0, 0.75, 5, id="two-delays"),
        pytest.param(((1000, 0), (4000, 16_384)), 0, 0, 5, id="two-that-continue-each-other"),
        pytest.param(((0, 1024),), 1024, 0, None, id="without-a-length"),
    ],
)
def test_edits(edits: tuple[tuple[int, int], ...], media: int, delay: float, length: float | None) -> None:
    """A delay and one stretch of media are understood."""
    pictures = read_file(with_edits(*edits)).pictures

    assert pictures
    assert (media, delay, length) == (
        pictures[1].edit.media,
        float(pictures[1].edit.delay),
        None if pictures[1].edit.length is None else float(pictures[1].edit.length),
    )
