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
from local.acs.filler import MINIMUM_BYTES, Filler


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
    """A demuxer takes filler for an MP4 file, with nothing to play in it."""
    with av.open(io.BytesIO(_bytes(Filler(100_000, seed=1), 0, 100_000)), format="mp4") as container:
        assert len(container.streams) == 0


@settings(max_examples=60)
@given(
    size=st.integers(MINIMUM_BYTES, 5_000_000_000),
    cuts=st.lists(st.integers(0, 3_000_000), min_size=1, max_size=4),
    where=st.floats(0, 1),
    seed=st.integers(0, 2**128 - 1),
)
def test_ranges(size: int, cuts: list[int], where: float, seed: int) -> None:
    """Any way of cutting a part into ranges gives the same bytes."""
    filler = Filler(size, seed=seed)
    start = int(size * where)
    whole = _bytes(filler, start, sum(cuts))
    parts, offset = [], start
    for cut in cuts:
        parts.append(_bytes(filler, offset, cut))
        offset += cut

    assert len(whole) == min(sum(cuts), max(0, size - start))
    assert b"".join(parts) == whole


def test_blocks_differ() -> None:
    """No two blocks of a common size are equal, so that a swapped block is noticed."""
    filler = Filler(256 * 1024 * 1024, seed=7)
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
