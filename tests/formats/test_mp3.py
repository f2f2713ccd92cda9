"""recording/formats/mp3.py: whether an MP3 is whole."""

import pytest

from recording.formats import mp3
from tests.support.judged import judged
from tests.support.source import mp3 as file_of
from tests.support.vectors import ID3V1, ape, id3, noise

# MPEG-2, layer III, 48 kbit/s, 16 kHz, mono, no padding: 216 bytes.
FRAME = file_of(1)


def frame(second: int, third: int, length: int, *, fourth: int = 0) -> bytes:
    """Return a frame with these bytes in its header."""
    return bytes((0xFF, second, third, fourth)) + bytes(length - 4)


def counting(name: bytes, frames: int, *, place: int, head: bytes = FRAME[:4], length: int = 216) -> bytes:
    """Return a first frame that declares a number of frames."""
    fields = name + (1).to_bytes(4) + frames.to_bytes(4)
    return (head + bytes(place - 4) + fields).ljust(length, b"\0")


@pytest.mark.parametrize(
    ("header", "length"),
    [
        (frame(0xF3, 0x68, 216), 216),
        (frame(0xFB, 0x90, 417), 417),
        (frame(0xFB, 0x92, 418), 418),
        (frame(0xFA, 0xE8, 1440), 1440),
        (frame(0xE3, 0x48, 288), 288),
        (b"", 0),
        (FRAME[:3], 0),
        (b"\xff" * 4, 0),
        (frame(0xF3, 0x08, 216), 0),
        (frame(0xF3, 0xF8, 216), 0),
        (frame(0xF3, 0x6C, 216), 0),
        (frame(0xEB, 0x68, 216), 0),
        (frame(0xFD, 0x90, 417), 0),
        (frame(0xF1, 0x50, 216), 0),
        (b"\xfe" + FRAME[1:], 0),
    ],
    ids=lambda value: value[:4].hex() if isinstance(value, bytes) else str(value),
)
def test_a_header_tells_how_long_its_frame_is(header: bytes, length: int) -> None:
    """By version, bit rate, sample rate and padding; layer III only, and no reserved value."""
    assert length == mp3.frame(header)


@pytest.mark.parametrize(
    ("file", "seconds"),
    [
        pytest.param(FRAME, 0.036, id="one"),
        pytest.param(FRAME * 100, 3.6, id="many"),
        pytest.param(frame(0xFB, 0x92, 418) + frame(0xFB, 0x90, 417), 2 * 1152 / 44_100, id="padding"),
        pytest.param(frame(0xF3, 0x68, 216) + frame(0xF3, 0x78, 252), 0.072, id="bit-rate-changes"),
        pytest.param(frame(0xE3, 0x48, 288) * 2, 0.144, id="mpeg-2.5"),
        pytest.param(b"ID3\4\0\x10\0\0\0\5" + bytes(15) + FRAME * 2, 0.072, id="tag-with-footer"),
        pytest.param(FRAME * 2 + ape() + ID3V1, 0.072, id="two-tags-at-the-end"),
        pytest.param(FRAME * 2 + ape(length=0, header=False), 0.072, id="footer-alone"),
        pytest.param(counting(b"Xing", 9, place=13) + FRAME * 9, 0.324, id="mpeg-2-mono"),
        pytest.param(counting(b"Info", 9, place=21, head=b"\xff\xf3\x68\0") + FRAME * 9, 0.324, id="mpeg-2-stereo"),
        pytest.param(
            counting(b"Xing", 2, place=21, head=b"\xff\xfb\x90\xc0", length=417) + frame(0xFB, 0x90, 417) * 2,
            2 * 1152 / 44_100,
            id="mpeg-1-mono",
        ),
        pytest.param(
            counting(b"Xing", 2, place=36, head=b"\xff\xfb\x90\0", length=417) + frame(0xFB, 0x90, 417) * 2,
            2 * 1152 / 44_100,
            id="mpeg-1-stereo",
        ),
        pytest.param(
            (FRAME[:4] + bytes(32) + b"VBRI" + bytes(10) + (9).to_bytes(4)).ljust(216, b"\0") + FRAME * 9,
            0.324,
            id="vbri",
        ),
        pytest.param(
            (FRAME[:4] + bytes(9) + b"Info" + bytes(8)).ljust(216, b"\0") + FRAME * 9, 0.36, id="no-number-declared"
        ),
    ],
)
def test_frames_in_a_row_are_complete(file: bytes, seconds: float) -> None:
    """Their durations are added; a frame with only their count has none."""
    verdict = judged(file)

    assert ("complete", "mp3", ()) == (verdict.outcome, verdict.kind, verdict.remarks)
    assert verdict.seconds == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("file", "remarks"),
    [
        pytest.param(FRAME * 9 + b"x" * 500 + FRAME * 9, ["500 bytes between frames"], id="resync"),
        pytest.param(FRAME * 9 + b"x" * 99_999 + FRAME * 9, ["99999 bytes between frames"], id="far"),
        pytest.param(FRAME * 9 + b"x" + FRAME * 9 + b"yz" + FRAME * 2, ["3 bytes between frames"], id="twice"),
        pytest.param(FRAME * 9 + ID3V1 + FRAME * 9, ["128 bytes between frames"], id="old-tag-between"),
        pytest.param(FRAME * 9 + id3(20) + FRAME, ["a tag between frames"], id="tag-between"),
        pytest.param(FRAME * 9 + id3(20)[:-5], ["5 bytes of the tag at the end are missing"], id="last-tag-cut"),
        pytest.param(FRAME * 9 + b"x", ["1 bytes behind the last frame"], id="a-byte-behind"),
        pytest.param(FRAME * 9 + bytes(9) + ID3V1, ["137 bytes behind the last frame"], id="zeros-and-a-tag"),
        pytest.param(bytes(65_535) + FRAME * 4, ["65535 bytes in front of the first frame"], id="far-in-front"),
        pytest.param(b"ID3\4\0\0\0\0\0\x80" + FRAME * 4, ["10 bytes in front of the first frame"], id="bad-tag"),
        pytest.param(id3(9) + b"x" + FRAME * 2, ["1 bytes in front of the first frame"], id="behind-a-tag"),
        pytest.param(FRAME * 9 + frame(0xFB, 0x90, 417) * 3, ["1251 bytes behind the last frame"], id="another-kind"),
        pytest.param(
            counting(b"Xing", 7, place=13) + FRAME * 9, ["7 frames are declared, 9 are there"], id="more-than-declared"
        ),
    ],
)
def test_what_is_odd_is_said(file: bytes, remarks: list[str]) -> None:
    """Players find the next frame."""
    verdict = judged(file)

    assert ("complete", remarks) == (verdict.outcome, list(verdict.remarks))


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        pytest.param(FRAME[:-1], "the only frame is cut", id="only-frame"),
        pytest.param(FRAME * 9 + FRAME[:215], "1 bytes of the last frame are missing", id="frame"),
        pytest.param(FRAME * 9 + FRAME[:3], "213 bytes of the last frame are missing", id="three-bytes-of-a-header"),
        pytest.param(FRAME * 9 + FRAME[:2], "the last frame is cut in its header", id="two-bytes-of-a-header"),
        pytest.param(FRAME + FRAME[:1], "the last frame is cut in its header", id="one-byte-of-a-header"),
        pytest.param(id3(20) + FRAME[:100], "the only frame is cut", id="only-frame-behind-a-tag"),
        pytest.param(id3(20), "no frame: the tag has 30 bytes, the file has 30", id="tag-alone"),
        pytest.param(id3(20)[:25], "no frame: the tag has 30 bytes, the file has 25", id="tag-cut"),
        pytest.param(id3(20)[:7], "no frame: the tag has 10 bytes, the file has 7", id="tag-cut-in-its-header"),
        pytest.param(id3(20) + bytes(99_999) + FRAME * 4, "no frame behind the tag", id="frames-too-far"),
        pytest.param(counting(b"Xing", 9, place=13) + FRAME * 8, "1 of 9 frames are missing", id="fewer-than-declared"),
        pytest.param(FRAME * 9 + b"x" * 99 + FRAME * 2 + FRAME[:9], "207 bytes of the last frame", id="behind-a-gap"),
    ],
)
def test_what_is_missing_is_said(file: bytes, reason: str) -> None:
    """A frame, or a part of one."""
    verdict = judged(file)

    assert "truncated" == verdict.outcome
    assert verdict.remarks[0].startswith(reason)


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(bytes(65_536) + FRAME * 4, id="frames-too-far"),
        pytest.param(b"\1" + FRAME * 3 + bytes(500), id="three-frames-are-an-accident"),
        pytest.param(b"\xff" * 5000, id="ones"),
        pytest.param(frame(0xF1, 0x50, 216) * 4, id="no-layer-3"),
        pytest.param(b"\xff\xf3\x08\xc0" + noise(5000), id="free-format-alone"),
    ],
)
def test_what_has_no_frames_is_no_media(file: bytes) -> None:
    """An accident here and there doesn't make an MP3."""
    assert "not media" == judged(file).outcome


def test_free_format_says_its_length_by_the_next_header() -> None:
    """With padding as without."""
    frames = frame(0xF3, 0x08, 200) + frame(0xF3, 0x0A, 201) + frame(0xF3, 0x08, 200) * 5

    assert ("complete", ("free format, which most players don't play",)) == (
        judged(frames).outcome,
        judged(frames).remarks,
    )
    assert "truncated" == judged(frames[:-1]).outcome
