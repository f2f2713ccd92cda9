"""recording/formats/riff.py: whether the chunks of a WAV file add up to the file."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording.errors import SourceDamaged
from recording.formats import riff
from tests.support.source import drive, wav


def walk(file: bytes) -> int:
    """Feed a file to the walk: the number of its RIFF chunks."""
    return drive(riff.walk(len(file)), file)


def chunk(kind: bytes, length: int, *, told: int | None = None) -> bytes:
    """Write a RIFF chunk of so many bytes, and the one that fills up an odd length."""
    return kind + struct.pack("<I", length if told is None else told) + bytes(length + (length & 1))


def file_of(*chunks: bytes, told: int | None = None) -> bytes:
    """Write a file of RIFF chunks."""
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body) if told is None else told) + body


FORMAT, DATA = chunk(b"fmt ", 16), chunk(b"data", 100)
UNTOLD = 0xFFFF_FFFF


@pytest.mark.parametrize(
    ("file", "chunks"),
    [
        pytest.param(wav(1000), 2, id="mixed"),
        pytest.param(wav(1000, channels=5), 2, id="unmixed"),
        pytest.param(file_of(FORMAT, chunk(b"LIST", 26), chunk(b"fact", 4), DATA), 4, id="more-chunks"),
        pytest.param(file_of(DATA, FORMAT), 2, id="data-first"),
        pytest.param(file_of(FORMAT, chunk(b"data", 0)), 2, id="silence-of-no-length"),
        pytest.param(file_of(FORMAT, chunk(b"JUNK", 5), DATA), 3, id="odd-chunk"),
        pytest.param(file_of(FORMAT, chunk(b"data", 7)), 2, id="odd-data"),
        pytest.param(file_of(FORMAT, chunk(b"data", 7), told=4 + 24 + 15), 2, id="odd-data-fill-not-counted"),
        pytest.param(file_of(FORMAT, chunk(b"data", 7)[:-1], told=4 + 24 + 15), 2, id="odd-data-not-filled"),
        pytest.param(file_of(FORMAT, chunk(b"data", 90, told=UNTOLD), told=UNTOLD), 2, id="lengths-not-told"),
    ],
)
def test_whole_files(file: bytes, chunks: int) -> None:
    """A file whose RIFF chunks end where it does is whole."""
    assert chunks == walk(file)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        pytest.param(b"", "no RIFF header", id="empty"),
        pytest.param(b"RIFF\4\0\0\0WAV", "no RIFF header", id="cut-header"),
        pytest.param(wav(100).replace(b"WAVE", b"AVI "), "no RIFF header of a WAVE file", id="avi"),
        pytest.param(wav(100).replace(b"RIFF", b"RIFX"), "no RIFF header of a WAVE file", id="big-endian"),
        pytest.param(wav(100) + b"x", "the RIFF header tells of 244 bytes, the file has 245", id="one-more"),
        pytest.param(wav(100)[:-1], "the RIFF header tells of 244 bytes, the file has 243", id="one-less"),
        pytest.param(wav(100) * 2, "the RIFF header tells of 244 bytes, the file has 488", id="twice"),
        pytest.param(file_of(), "the file has no 'data' and no 'fmt ' chunk", id="nothing-in-it"),
        pytest.param(file_of(FORMAT), "the file has no 'data' chunk", id="no-data"),
        pytest.param(file_of(DATA), "the file has no 'fmt ' chunk", id="no-format"),
        pytest.param(file_of(FORMAT, DATA[:-2]), "RIFF chunk 'data' at byte 36 has 100 bytes, 98 are left", id="short"),
        pytest.param(file_of(FORMAT, DATA, b"\0" * 8), "no RIFF chunk at byte 144", id="zeros"),
        pytest.param(file_of(FORMAT, DATA, b"LIST"), "no RIFF chunk at byte 144", id="cut-chunk-header"),
        pytest.param(file_of(FORMAT, chunk(b"LIST", 90, told=200), told=UNTOLD), "RIFF chunk 'LIST'", id="too-long"),
    ],
)
def test_damaged_files(file: bytes, message: str) -> None:
    """A file whose RIFF chunks don't add up is damaged, and it is said where."""
    with pytest.raises(SourceDamaged) as refused:
        walk(file)

    assert refused.value.message.startswith(message)


def test_a_walk_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of nothing but tiny RIFF chunks doesn't keep the walk going for ever."""
    monkeypatch.setattr(riff, "MOST_CHUNKS", 10)

    with pytest.raises(SourceDamaged, match="more than 10 RIFF chunks"):
        walk(file_of(FORMAT, DATA, *[chunk(b"JUNK", 0)] * 9))


OTHERS = st.lists(st.tuples(st.sampled_from([b"LIST", b"JUNK", b"fact"]), st.integers(0, 40)), max_size=4)


@given(OTHERS, st.integers(0, 60), st.data())
def test_a_file_that_is_cut_anywhere_is_refused(
    others: list[tuple[bytes, int]], length: int, data: st.DataObject
) -> None:
    """No part of a whole file passes for one."""
    file = file_of(FORMAT, *(chunk(kind, size) for kind, size in others), chunk(b"data", length))

    assert 2 + len(others) == walk(file)
    with pytest.raises(SourceDamaged):
        walk(file[: data.draw(st.integers(0, len(file) - 1))])


@given(OTHERS, st.binary(min_size=1, max_size=60))
def test_a_file_with_anything_behind_it_is_refused(others: list[tuple[bytes, int]], garbage: bytes) -> None:
    """Nor does a whole file that goes on."""
    with pytest.raises(SourceDamaged):
        walk(file_of(FORMAT, *(chunk(kind, size) for kind, size in others), DATA) + garbage)


@given(st.binary(max_size=300))
def test_no_bytes_do_more_than_be_refused(body: bytes) -> None:
    """Whatever the bytes, they are a whole file or SourceDamaged."""
    for file in (body, b"RIFF" + struct.pack("<I", len(body) + 4) + b"WAVE" + body):
        try:
            assert walk(file) > 0
        except SourceDamaged as damaged:
            assert damaged.message  # noqa: PT017 - either is right
