"""recording/join/mp4_head.py: the head of a joined MP4, as players read it."""

import io
import tracemalloc
from collections.abc import Iterator
from fractions import Fraction
from struct import pack, unpack_from

import av
import pytest

from recording.join import mp4_head, mp4_join
from recording.join.boxes import child, children
from recording.join.mp4 import Edit, Mp4Head, Track
from recording.join.mp4_coding import Pictures, Sound
from recording.join.mp4_head import About
from recording.join.parts import LARGEST_BYTES, Chapter
from recording.join.tables import Tables, as_bytes, numbers
from tests.support import vectors
from tests.support.joining import PLAIN, START, joined, read_file

ABOUT = About("Title", "Comment", START)


def written(*heads: Mp4Head, chapters: tuple[Chapter, ...] = (), about: About = ABOUT) -> bytes:
    """Return the head of chunks."""
    media = mp4_join.join(list(enumerate(heads)))
    return b"".join(piece.content for piece in mp4_head.write(media, chapters, about, heads[0]))


def large(seconds: int, size: int, *, scale: int = 16_000, media: int = 1024, samples: int = 1) -> Mp4Head:
    """Return the head of a chunk of sound with so many bytes of media, without there being any.

    Each media chunk has so many `samples`.
    """
    chunks = seconds * 16_000 // 1024 // samples
    count = chunks * samples
    tables = Tables(
        count=count,
        sizes=(300).to_bytes(4) * count,
        durations=pack(">II", count, 1024 * scale // 16_000),
        shifts=b"",
        keys=None,
        runs=pack(">III", 1, samples, 1),
        offsets=as_bytes(numbers(b"", 4) + type(numbers(b"", 4))("I", range(1000, 1000 + chunks))),
        width=4,
    )
    track = Track(scale, Edit(media, Fraction(0), None), tables, bytes(52), b"\x55\xc4")
    return Mp4Head(None, (Sound(b"\x14\x08", 16_000, 1, 1024, bytes(36)), track), 1000, 1000 + size)


def test_players_find_chapters_and_tags() -> None:
    """ffmpeg reads those of the track of text, and lists it as no stream to be played."""
    _, file = joined("mp4", *(chunk.make() for chunk in PLAIN))

    with av.open(io.BytesIO(file), "r") as container:
        assert ["chunk 0", "chunk 1", "chunk 2"] == [one["metadata"]["title"] for one in container.chapters()]
        assert "Recording of 2026-03-01 10:00:00Z" == container.metadata["title"]
        assert "20260301T100000000000Z-3f2b, revision 1" == container.metadata["comment"]
        assert ["video", "audio"] == [stream.type for stream in container.streams if stream.type != "data"]


def test_chapters_are_written_both_ways() -> None:
    """In a list, and as samples of text in front of the media."""
    chapters = (Chapter(0.0, "10:00:00Z · chunk 0"), Chapter(5.12, "chunk 1"))
    head = read_file(vectors.moov_first())

    file = written(head, head, chapters=chapters)

    moov = child(memoryview(file), b"moov")
    assert moov is not None
    chpl = bytes(child(moov, b"udta", b"chpl") or b"")
    assert (1, 2) == (chpl[0], chpl[8])
    assert (0, 20) == unpack_from(">QB", chpl, 9)
    assert "10:00:00Z · chunk 0".encode() == chpl[18:38]
    assert (51_200_000, 7) == unpack_from(">QB", chpl, 38)
    texts = file[file.index(b"mdat") + 12 :]
    assert pack(">H", 20) + "10:00:00Z · chunk 0".encode() + b"\0\0\0\x0cencd\0\0\1\0" == texts[:34]
    traks = [box for box in children(moov) if box.kind == b"trak"]
    assert [b"vide", b"soun", b"text"] == [
        bytes((child(moov, b"mdia", b"hdlr", begin=box.body, end=box.end) or b"")[8:12]) for box in traks
    ]
    assert [3, 3, 2] == [(child(moov, b"tkhd", begin=box.body, end=box.end) or b"\0\0\0\0")[3] for box in traks]


def test_a_list_has_255_chapters_and_the_track_all() -> None:
    """The list counts them in one byte; long titles are cut at a character."""
    chapters = tuple(Chapter(number / 100, f"{number} " + "ä" * 200) for number in range(300))

    file = written(read_file(vectors.moov_first()), chapters=chapters)

    assert 255 == (child(memoryview(file), b"moov", b"udta", b"chpl") or b"")[8]
    with av.open(io.BytesIO(file + vectors.parts(vectors.moov_first())[b"mdat"][8:]), "r") as container:
        titles = [one["metadata"]["title"] for one in container.chapters()]
    assert 300 == len(titles)
    assert "0 " + "ä" * 126 == titles[0]


@pytest.mark.parametrize(("size", "kind"), [((1 << 31) - 8 * 1024, b"stco"), (1 << 31, b"co64")])
def test_places_have_64_bits_where_the_file_needs_them(size: int, kind: bytes) -> None:
    """Two chunks of 2 GiB are too much; all places move by as much as the head is long."""
    file = written(large(60, size), large(60, size))

    moov = child(memoryview(file), b"moov")
    assert moov is not None
    [trak] = [box for box in children(moov) if box.kind == b"trak"]
    table = child(moov, b"mdia", b"minf", b"stbl", kind, begin=trak.body, end=trak.end)
    assert table is not None
    places = list(numbers(bytes(table[8:]), 4 if kind == b"stco" else 8))
    count = 60 * 16_000 // 1024
    assert [len(file) + place for place in range(count)] == places[:count]
    assert [len(file) + size + place for place in range(count)] == places[count:]
    assert 16 + 2 * size == int.from_bytes(file[-8:])
    assert b"\0\0\0\1mdat" == file[-16:-8]


@pytest.mark.parametrize(
    ("heads", "versions"),
    [
        pytest.param([large(60, 1000)] * 2, (0, 0, 0, 0), id="short"),
        pytest.param(
            [large(60, 1000, scale=10_000_000, media=640_000)] * 8, (1, 1, 1, 1), id="eight-minutes-of-100-ns"
        ),
        pytest.param([large(60, 1000, scale=10_000_000, media=2_200_000_000)] * 4, (0, 0, 0, 1), id="a-late-edit"),
    ],
)
def test_times_have_64_bits_where_they_need_them(heads: list[Mp4Head], versions: tuple[int, ...]) -> None:
    """In each box by itself: of mvhd, tkhd, mdhd, elst."""
    moov = child(memoryview(written(*heads)), b"moov")
    assert moov is not None
    [trak] = [box for box in children(moov) if box.kind == b"trak"]
    within = [(b"tkhd",), (b"mdia", b"mdhd"), (b"edts", b"elst")]
    found = [child(moov, b"mvhd"), *(child(moov, *path, begin=trak.body, end=trak.end) for path in within)]

    assert versions == tuple(one[0] if one else None for one in found)


def test_there_is_one_edit_a_track_and_no_empty_one() -> None:
    """Of several, Firefox plays the first; in the place of an empty one ffmpeg and Chromium repeat the beginning."""
    _, file = joined("mp4", *(chunk.make() for chunk in PLAIN))
    moov = child(memoryview(file), b"moov")
    assert moov is not None

    edits = [
        child(moov, b"edts", b"elst", begin=box.body, end=box.end) for box in children(moov) if box.kind == b"trak"
    ]

    # Pictures and chapters need none: nothing of them lies before the beginning.
    assert [0, 1, 0] == [int.from_bytes(one[4:8]) if one else 0 for one in edits]
    assert all(int.from_bytes(one[12:16], signed=True) >= 0 for one in edits if one)


def test_bytes_come_in_pieces_of_four_mebibytes() -> None:
    """Each fits into a block; and a day of media needs no more memory than its tables, twice."""
    heads = [large(3600, 1_000_000, samples=4) for _ in range(24)]
    tables = sum(head.index_bytes for head in heads)

    tracemalloc.start()
    try:
        media = mp4_join.join(list(enumerate(heads)))
        pieces = mp4_head.write(media, (), ABOUT, heads[0])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert [LARGEST_BYTES] == [piece.size for piece in pieces[:-1]]
    assert tables < sum(piece.size for piece in pieces) < tables + 10_000
    assert peak < tables + 3 * LARGEST_BYTES


def coding_of(head: Mp4Head) -> tuple[Pictures, Sound]:
    """Return how a chunk with both is coded."""
    assert head.pictures
    assert head.sound
    return head.pictures[0], head.sound[0]


def every_box(data: memoryview, begin: int = 0, end: int | None = None) -> Iterator[bytes]:
    """List the types of all boxes that hold others, and of those in them."""
    for box in children(data, begin, end):
        yield box.kind
        if box.kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"udta", b"edts", b"dinf"):
            yield from every_box(data, box.body, box.end)


def test_what_is_written_can_be_read_again() -> None:
    """A joined file is an MP4 like any other: its own head has the same coding, and all samples."""
    _, file = joined("mp4", *(chunk.make() for chunk in PLAIN))

    head = read_file(file)

    assert coding_of(read_file(PLAIN[0].make())) == coding_of(head)
    assert head.pictures
    assert 112 == head.pictures[1].tables.count
    assert ("text",) == head.left_out
    assert not {b"ctts", b"sdtp", b"sbgp"} & set(every_box(memoryview(file)))


def test_each_header_has_its_length_and_says_how_large_pictures_are() -> None:
    """Players differ in what they do about one that is too short."""
    _, file = joined("mp4", *(chunk.make() for chunk in PLAIN))
    moov = child(memoryview(file), b"moov")
    assert moov is not None
    traks = [box for box in children(moov) if box.kind == b"trak"]

    def lengths(*path: bytes) -> list[int]:
        found = [child(moov, *path, begin=box.body, end=box.end) for box in traks]
        return [8 + len(one) for one in found if one is not None]

    assert 108 == 8 + len(child(moov, b"mvhd") or b"")
    assert [92, 92, 92] == lengths(b"tkhd")
    assert [32, 32, 32] == lengths(b"mdia", b"mdhd")
    assert [20] == lengths(b"mdia", b"minf", b"vmhd")
    assert [16] == lengths(b"mdia", b"minf", b"smhd")
    pictures = child(moov, b"tkhd", begin=traks[0].body, end=traks[0].end)
    assert pictures is not None
    assert (160 << 16, 96 << 16) == unpack_from(">II", pictures, 76)
    assert 4 == int.from_bytes((child(moov, b"mvhd") or b"")[96:])
