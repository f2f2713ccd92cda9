"""recording/formats/media.py: what kind of file it is, and whether it is whole, by its bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from recording.errors import SourceDamaged
from recording.formats import media
from recording.formats.media import Kind, Walker
from tests.support.source import drive, mp3, mp4, wav

FILES: dict[Kind, bytes] = {"mp4": mp4(300), "mp3": mp3(3, tag=20), "wav": wav(100, channels=2)}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_is_told_by_its_first_bytes(kind: Kind) -> None:
    """Sixteen are enough, and its own walk finds it whole."""
    file = FILES[kind]

    assert kind == media.sniff(file[:16]) == media.sniff(file)
    assert {kind: None} == {one: problem for one in FILES if (problem := walk_whole(one, file)) is None}


def test_an_mp3_may_come_without_a_tag() -> None:
    """Its first frame tells it."""
    assert "mp3" == media.sniff(mp3(2))


@pytest.mark.parametrize("box", [b"ftyp", b"styp", b"moov", b"mdat", b"free", b"skip", b"wide"])
def test_an_mp4_may_begin_with_other_boxes(box: bytes) -> None:
    """Any that may come first is taken."""
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
    """An archived blob's extension tells its kind; any other text is none."""
    assert ["mp4", "mp3", "wav"] == [media.kind_of(f"a/b.{extension}") for extension in ("mp4", "mp3", "wav")]
    assert {None} == {media.kind_of(name) for name in ("a.media", "a.json", "mp4.x", "", "a.MP4")}
    assert {None} == {media.parse_kind(text) for text in (None, "", "../mp4", "MP4")}
    assert set(FILES) == set(media.CONTENT_TYPES)


def walk(kind: Kind, body: bytes, size: int) -> str | None:
    """Feed a file in pieces of some size; the answer is what is wrong with it."""
    walker = Walker(kind, len(body))
    for offset in range(0, len(body), size):
        walker.feed(body[offset : offset + size])
    return walker.problem()


def walk_whole(kind: Kind, body: bytes) -> str | None:
    """Walk over it with all bytes at hand."""
    try:
        drive(media.walk(kind, len(body)), body)
    except SourceDamaged as damaged:
        return damaged.message
    return None


SIZES = (1, 3, 8, 16, 17, 1000)


@given(some.lists(some.tuples(some.integers(0, 60), some.booleans()), max_size=5), some.binary(max_size=20))
def test_pieces_of_any_size_tell_the_same(boxes: list[tuple[int, bool]], rest: bytes) -> None:
    """Where a piece ends, in a header or at its edge, makes no difference."""
    body = b"\0\0\0\x08moov"
    for size, is_large in boxes:
        body += b"\0\0\0\x01wide" + (size + 16).to_bytes(8) if is_large else (size + 8).to_bytes(4) + b"free"
        body += bytes(size)

    for file in (body, body + rest, rest):
        assert {walk_whole("mp4", file)} == {walk("mp4", file, size) for size in SIZES}


@given(some.sampled_from(["mp3", "wav"]), some.data())
def test_pieces_of_sound_tell_the_same(kind: Kind, data: some.DataObject) -> None:
    """Whole, cut anywhere, or with something behind it."""
    file = FILES[kind]
    cut = file[: data.draw(some.integers(1, len(file)))]

    for body in (file, cut, cut + data.draw(some.binary(max_size=20))):
        assert {walk_whole(kind, body)} == {walk(kind, body, size) for size in SIZES}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_without_bytes_is_no_file(kind: Kind) -> None:
    """Nothing was fed, and nothing was found."""
    assert walk(kind, b"", 1) is not None
