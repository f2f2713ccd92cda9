"""recording/formats/mp4.py: whether the top-level boxes of an MP4 add up to the file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording.errors import SourceDamaged
from recording.formats import mp4
from tests.support.source import drive


def box(kind: bytes, length: int, *, large: bool = False) -> bytes:
    """Write a box of `length` bytes all told, its size in 64 bits if it is large."""
    header = (1).to_bytes(4) + kind + length.to_bytes(8) if large else length.to_bytes(4) + kind
    return header + bytes(length - len(header))


def walk(file: bytes) -> int:
    """Feed a file to the walk: the number of its boxes."""
    return drive(mp4.walk(len(file)), file)


FTYP, MOOV, MDAT = box(b"ftyp", 24), box(b"moov", 100), box(b"mdat", 500)


@pytest.mark.parametrize(
    ("file", "boxes"),
    [
        pytest.param(FTYP + MOOV + MDAT, 3, id="plain"),
        pytest.param(FTYP + MDAT + MOOV, 3, id="moov-last"),
        pytest.param(FTYP + MOOV + box(b"mdat", 500, large=True), 3, id="64-bit-size"),
        pytest.param(FTYP + MOOV + bytes(4) + b"mdat" + bytes(77), 3, id="to-the-end"),
        pytest.param(box(b"moov", 8), 1, id="empty-box"),
        pytest.param(FTYP + MOOV + (box(b"moof", 16) + box(b"mdat", 16)) * 50, 102, id="fragments"),
    ],
)
def test_whole_files(file: bytes, boxes: int) -> None:
    """A file whose boxes end where it does is whole."""
    assert boxes == walk(file)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        pytest.param(FTYP + MOOV + MDAT[:-1], "box mdat at byte 124 has 500 bytes, the file ends after 499", id="cut"),
        pytest.param(FTYP + MDAT, "the file has no moov box: it cannot be played", id="no-moov"),
        pytest.param(b"", "the file has no moov box: it cannot be played", id="empty"),
        pytest.param(FTYP + MOOV + b"\0" * 4, "the file ends inside a box header at byte 124", id="cut-header"),
        pytest.param(FTYP + MOOV + b"\0" * 100, "no MP4 box at byte 124", id="zeros"),
        pytest.param(FTYP + MOOV + b"\0\0\0\7mdat", "no MP4 box at byte 124", id="too-small"),
        pytest.param(FTYP + MOOV + b"\0\0\0\1mdat" + b"\0" * 7 + b"\x0f", "no MP4 box at byte 124", id="large-small"),
        pytest.param(FTYP + MOOV + b"\0\0\0\1mdat\0\0", "no MP4 box at byte 124", id="cut-64-bit-size"),
        pytest.param(b"<!DOCTYPE html><html></html>", "box CTYP at byte 0 has 1008813135 bytes, the file", id="page"),
        pytest.param(b'{"code":"InternalServerError"}', 'box de": at byte 0 has 2065851247 bytes, the file', id="json"),
    ],
)
def test_damaged_files(file: bytes, message: str) -> None:
    """A file whose boxes don't add up is damaged, and it is said where."""
    with pytest.raises(SourceDamaged) as refused:
        walk(file)

    assert refused.value.message.startswith(message)


def test_a_walk_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of nothing but tiny boxes doesn't keep the walk going for ever."""
    monkeypatch.setattr(mp4, "MOST_BOXES", 10)

    with pytest.raises(SourceDamaged, match="more than 10 top-level boxes"):
        walk(box(b"moov", 8) * 11)


@given(st.binary(max_size=300))
def test_no_bytes_do_more_than_be_refused(file: bytes) -> None:
    """Whatever the bytes, they are a whole file or SourceDamaged."""
    try:
        assert walk(file) > 0
    except SourceDamaged as damaged:
        assert damaged.message  # noqa: PT017 - either is right


@given(st.lists(st.tuples(st.sampled_from([b"ftyp", b"moov", b"mdat", b"free"]), st.integers(16, 90), st.booleans())))
def test_boxes_that_add_up_are_whole(boxes: list[tuple[bytes, int, bool]]) -> None:
    """Any row of boxes with a moov among them is whole, and no longer so without its last byte."""
    file = b"".join(box(kind, length, large=large) for kind, length, large in [(b"moov", 20, False), *boxes])

    assert len(boxes) + 1 == walk(file)
    with pytest.raises(SourceDamaged):
        walk(file[:-1])
