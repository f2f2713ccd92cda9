"""Tests of filler media."""

import hashlib
import io
import struct
import time

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.acs.contents import filler_digest
from local.acs.filler import MINIMUM_BYTES, FileType, Filler, Form
from recording.formats.media import Inspection


def _bytes(filler: Filler, offset: int, length: int) -> bytes:
    return b"".join(filler.pieces(offset, length))


def _boxes(filler: Filler) -> list[tuple[bytes, int]]:
    boxes, offset = [], 0
    while offset < filler.size:
        size, kind, large = struct.unpack(">I4sQ", _bytes(filler, offset, 16).ljust(16, b"\0"))
        size = large if size == 1 else size
        boxes.append((kind, size))
        offset += size
    return boxes


@pytest.mark.parametrize(
    "size", [MINIMUM_BYTES, MINIMUM_BYTES + 1, 1000, 50_000_000, 2**32 - 1, 2**32 + 200, 6_000_000_000]
)
def test_boxes(size: int) -> None:
    """The top-level boxes are those of an MP4 and add up to the size, beyond 4 GiB too."""
    boxes = _boxes(Filler(size, seed=1))

    assert [kind for kind, _ in boxes] == [b"ftyp", b"moov", b"mdat"]
    assert sum(length for _, length in boxes) == size


def test_recognised() -> None:
    """A demuxer recognises filler as an MP4 file with one track, of no known codec."""
    with av.open(io.BytesIO(_bytes(Filler(100_000, seed=1), 0, 100_000)), format="mp4") as container:
        assert [stream.type for stream in container.streams] == ["data"]


@pytest.mark.parametrize(("size", "channels"), [(54, 1), (1000, 1), (100_002, 5), (50_000_000, 2), (2**32 - 2, 5)])
def test_riff(size: int, channels: int) -> None:
    """The chunks of a WAV add up to the size, and its samples are whole in every channel."""
    filler = Filler(size, seed=1, file_type="wav", channels=channels)
    chunks, offset = [], 12
    while offset < size:
        kind, length = struct.unpack("<4sI", _bytes(filler, offset, 8))
        chunks.append((kind, length))
        offset += 8 + length

    assert struct.unpack("<4sI4s", _bytes(filler, 0, 12)) == (b"RIFF", size - 8, b"WAVE")
    assert [kind for kind, _ in chunks] == [b"fmt ", b"JUNK", b"data"]
    assert (offset, chunks[-1][1] % (2 * channels)) == (size, 0)


@pytest.mark.parametrize("size", [226, 1000, 1001, 1_000_000, 1_500_000_000])
def test_frames(size: int) -> None:
    """An MP3 is a tag and then valid frames only, up to the last byte."""
    filler = Filler(size, seed=12345, file_type="mp3")
    tag = _bytes(filler, 0, 10)
    first = 10 + tag[8] * 128 + tag[9]
    offsets = {first, first + 216, first + 216 * 4860, first + 216 * 4861, size - 216}

    assert (tag[:3], (size - first) % 216) == (b"ID3", 0)
    assert {_bytes(filler, offset, 4) for offset in offsets if offset < size} == {b"\xff\xf3\x68\xc0"}


@pytest.mark.parametrize(("file_type", "channels"), [("mp3", 1), ("wav", 1), ("wav", 5)])
def test_playable(file_type: FileType, channels: int) -> None:
    """A player accepts filler as a file of its type, with sound of the length that its size stands for."""
    filler = Filler(500_000, seed=7, file_type=file_type, channels=channels)
    with av.open(io.BytesIO(_bytes(filler, 0, filler.size)), "r", format=file_type) as container:
        stream = container.streams.audio[0]
        samples = sum(frame.samples for frame in container.decode(audio=0))
    expected = 500_000 / 6000 if file_type == "mp3" else 500_000 / 32_000 / channels

    assert (stream.rate, stream.channels) == (16000, channels)
    assert samples / 16_000 == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize(
    ("file_type", "size", "channels"),
    [("mp3", 225, 1), ("wav", 52, 1), ("wav", 1001, 1), ("wav", 60, 5), ("wav", 2**32, 1)],
)
def test_impossible(file_type: FileType, size: int, channels: int) -> None:
    """A size that such a file cannot have is refused."""
    with pytest.raises(ValueError, match=file_type):
        Filler(size, seed=0, file_type=file_type, channels=channels)


@settings(max_examples=60)
@given(
    file_type=st.sampled_from(("mp4", "mp3", "wav")),
    size=st.integers(500, 2_000_000_000).map(lambda half: 2 * half),
    cuts=st.lists(st.integers(0, 3_000_000), min_size=1, max_size=4),
    where=st.floats(0, 1),
    seed=st.integers(0, 2**128 - 1),
)
def test_ranges(file_type: FileType, size: int, cuts: list[int], where: float, seed: int) -> None:
    """Any way of cutting a part into ranges gives the same bytes."""
    filler = Filler(size, seed=seed, file_type=file_type)
    start = int(size * where)
    whole = _bytes(filler, start, sum(cuts))
    parts, offset = [], start
    for cut in cuts:
        parts.append(_bytes(filler, offset, cut))
        offset += cut

    assert len(whole) == min(sum(cuts), max(0, size - start))
    assert b"".join(parts) == whole


@pytest.mark.parametrize("file_type", ["mp4", "mp3", "wav"])
def test_blocks_differ(file_type: FileType) -> None:
    """No two blocks of a common size are equal, so that a swapped block is noticed."""
    filler = Filler(256 * 1024 * 1024, seed=7, file_type=file_type)
    digests = {
        hashlib.sha256(_bytes(filler, offset, 65536)).digest() for offset in range(0, filler.size, 4 * 1024 * 1024)
    }

    assert len(digests) == 64


def test_seed() -> None:
    """Another seed gives other bytes, the same seed the same."""
    one, same, other = (_bytes(Filler(5000, seed=seed), 0, 5000) for seed in (1, 1, 2))

    assert one == same
    assert one != other


def test_too_small() -> None:
    """A size that cannot hold the boxes is refused."""
    with pytest.raises(ValueError, match="at least"):
        Filler(MINIMUM_BYTES - 1, seed=0)


def test_speed() -> None:
    """Filler is made faster than 1 GB a second."""
    filler = Filler(2_000_000_000, seed=3)
    began = time.perf_counter()
    made = sum(len(piece) for offset in range(0, filler.size, 262144) for piece in filler.pieces(offset, 262144))

    assert made == filler.size
    assert time.perf_counter() - began < 2.0


async def test_digest() -> None:
    """The digest is the SHA-256 of all bytes, however often it is asked for."""
    filler = Filler(3_000_001, seed=3)
    digest = filler_digest(filler)
    expected = hashlib.sha256(_bytes(filler, 0, filler.size)).hexdigest()

    assert [await digest.value(), await digest.value()] == [expected, expected]


@pytest.mark.parametrize("file_type", ["mp4", "wav", "mp3"])
@pytest.mark.parametrize(
    ("form", "outcome"),
    [("complete", "complete"), ("zeros", "complete"), ("open sizes", "complete"), ("cut", "truncated")],
)
def test_a_form_is_what_it_says(file_type: FileType, form: Form, outcome: str) -> None:
    """Each form of each type has the verdict that it stands for, and bytes of its own."""
    for size in (1024, 300_000):
        filler = Filler(size, seed=5, file_type=file_type, form=form)
        inspection = Inspection(size)
        inspection.feed(_bytes(filler, 0, size))
        verdict = inspection.verdict()

        assert (verdict.outcome, verdict.kind) == (outcome, file_type)
        is_odd = form == "zeros" or (form == "open sizes" and file_type == "wav")
        assert bool(verdict.remarks) == (is_odd or outcome == "truncated")
        assert _bytes(filler, size - 70, 70) == _bytes(filler, 0, size)[-70:]


def test_noise_is_not_media() -> None:
    """Noise has no head, and no known format begins in it."""
    inspection = Inspection(300_000)
    inspection.feed(_bytes(Filler(300_000, seed=5, form="noise"), 0, 300_000))

    assert inspection.verdict().outcome == "not media"
