"""recording/formats/mp3.py: whether a file begins as an MP3 does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording.errors import SourceDamaged
from recording.formats import mp3
from tests.support.source import drive
from tests.support.source import mp3 as file_of

# MPEG-2, layer III, 48 kbit/s, 16 kHz, no padding: 216 bytes.
FRAME = file_of(1)


def walk(file: bytes) -> int:
    """Feed a file to the walk: the number of frames that were looked at."""
    return drive(mp3.walk(len(file)), file)


def frame(second: int, third: int, length: int) -> bytes:
    """Write a frame with these bytes in its header."""
    return bytes((0xFF, second, third, 0)) + bytes(length - 4)


@pytest.mark.parametrize(
    ("file", "frames"),
    [
        pytest.param(FRAME, 1, id="one"),
        pytest.param(FRAME * 3, 2, id="three"),
        pytest.param(file_of(2, tag=300), 2, id="tag"),
        pytest.param(b"ID3\4\0\x10\0\0\0\5" + bytes(5) + bytes(10) + FRAME * 2, 2, id="tag-with-footer"),
        pytest.param(frame(0xFB, 0x90, 417) * 2, 2, id="mpeg-1-128k-44.1"),
        pytest.param(frame(0xFB, 0x92, 418) + frame(0xFB, 0x90, 417), 2, id="padding"),
        pytest.param(frame(0xF3, 0x68, 216) + frame(0xF3, 0x78, 252), 2, id="bit-rate-changes"),
        pytest.param(frame(0xE3, 0x48, 288) * 2, 2, id="mpeg-2.5-32k-8"),
        pytest.param(FRAME * 2 + b"TAG" + bytes(125), 2, id="old-tag-at-the-end"),
    ],
)
def test_whole_files(file: bytes, frames: int) -> None:
    """What begins with two frames of a kind, or is one frame, is an MP3."""
    assert frames == walk(file)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        pytest.param(b"", "no MP3 frame at byte 0", id="empty"),
        pytest.param(bytes(500), "no MP3 frame at byte 0", id="zeros"),
        pytest.param(b"\xff" * 500, "no MP3 frame at byte 0", id="ones"),
        pytest.param(FRAME[:3], "no MP3 frame at byte 0", id="cut-header"),
        pytest.param(FRAME[:-1], "the frame at byte 0 has 216 bytes, the file ends after 215", id="cut-frame"),
        pytest.param(FRAME + bytes(216), "no MP3 frame at byte 216, where one must follow", id="garbage-behind"),
        pytest.param(FRAME + FRAME[:3], "no MP3 frame at byte 216, where one must follow", id="cut-second-header"),
        pytest.param(FRAME + frame(0xFB, 0x68, 216), "no MP3 frame at byte 216", id="another-version"),
        pytest.param(FRAME + frame(0xF3, 0x64, 216), "no MP3 frame at byte 216", id="another-sample-rate"),
        pytest.param(b"x" + FRAME * 2, "no MP3 frame at byte 0", id="garbage-before"),
        pytest.param(frame(0xF3, 0x08, 216) * 2, "no MP3 frame", id="free-bit-rate"),
        pytest.param(frame(0xF3, 0xF8, 216) * 2, "no MP3 frame", id="bad-bit-rate"),
        pytest.param(frame(0xF3, 0x6C, 216) * 2, "no MP3 frame", id="bad-sample-rate"),
        pytest.param(frame(0xEB, 0x68, 216) * 2, "no MP3 frame", id="bad-version"),
        pytest.param(frame(0xFD, 0x90, 417) * 2, "no MP3 frame", id="layer-2"),
        pytest.param(frame(0xF1, 0x50, 216) * 2, "no MP3 frame", id="aac"),
        pytest.param(file_of(2, tag=300)[:310], "the ID3 tag has 310 bytes, the file has 310", id="nothing-but-a-tag"),
        pytest.param(b"ID3\4\0\0\x7f\x7f\x7f\x7f" + FRAME, "the ID3 tag has 268435465 bytes", id="long-tag"),
        pytest.param(b"ID3\4\0\0\0\0\0\x80" + FRAME, "the ID3 tag does not say how long it is", id="bad-tag-length"),
        pytest.param(b"ID3\4\0\0\0", "the ID3 tag does not say how long it is", id="cut-tag"),
        pytest.param(file_of(2, tag=300)[:310] + b"x" + FRAME, "no MP3 frame at byte 310", id="garbage-behind-tag"),
    ],
)
def test_what_is_no_mp3(file: bytes, message: str) -> None:
    """Anything else is refused, and it is said where."""
    with pytest.raises(SourceDamaged) as refused:
        walk(file)

    assert refused.value.message.startswith(message)


@given(st.integers(0, 2), st.sampled_from([0, 1, 200]), st.data())
def test_a_file_that_is_cut_in_its_first_two_frames_is_refused(more: int, tag: int, data: st.DataObject) -> None:
    """Wherever: in the tag, in a frame, in the header of the second one."""
    file = file_of(2 + more, tag=tag)
    start = len(file) - 216 * (2 + more)
    end = data.draw(st.integers(0, start + 219).filter(lambda length: length != start + 216))

    assert walk(file) == 2
    with pytest.raises(SourceDamaged):
        walk(file[:end])


@given(st.binary(max_size=300))
def test_no_bytes_do_more_than_be_refused(file: bytes) -> None:
    """Whatever the bytes, they begin as an MP3 does, or are SourceDamaged."""
    try:
        assert walk(file) > 0
    except SourceDamaged as damaged:
        assert damaged.message  # noqa: PT017 - either is right
