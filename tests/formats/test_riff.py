"""recording/formats/riff.py: whether a WAV is whole."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording.formats.verdict import Span
from tests.support.judged import judged, walked
from tests.support.source import wav
from tests.support.vectors import chunk, ds64, fmt, riff

GIB = 2**30
DATA = bytes(100)


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(wav(1000), id="mixed"),
        pytest.param(wav(1000, channels=5), id="unmixed"),
        pytest.param(riff(fmt(), chunk(b"LIST", bytes(26)), chunk(b"fact", bytes(4)), chunk(b"data", DATA)), id="more"),
        pytest.param(riff(fmt(), chunk(b"data", b""), chunk(b"data", b"")), id="empty-and-another"),
        pytest.param(riff(fmt(), chunk(b"data", DATA), chunk(b"LIST", bytes(5))), id="odd-at-the-end"),
    ],
)
def test_chunks_that_add_up_are_complete(file: bytes) -> None:
    """Whichever there are, and however long."""
    assert "complete" == judged(file).outcome


def test_how_long_it_plays() -> None:
    """As many samples as the format says make a second."""
    assert (0.5, 0.25) == (judged(wav(8000)).seconds, judged(wav(4000, channels=5)).seconds)


def test_numbers_may_stand_in_the_other_order() -> None:
    """RIFX is RIFF for machines with big-endian numbers."""
    body = (
        b"WAVE" + b"fmt " + struct.pack(">IHHIIHH", 16, 1, 1, 16_000, 32_000, 2, 16) + b"data" + struct.pack(">I", 100)
    )
    file = b"RIFX" + struct.pack(">I", len(body) + 100) + body + bytes(100)

    assert ("complete", (), 100 / 32_000) == (judged(file).outcome, judged(file).remarks, judged(file).seconds)
    assert "truncated" == judged(file[:-1]).outcome


@pytest.mark.parametrize(
    ("file", "remark"),
    [
        pytest.param(riff(fmt(), chunk(b"data", DATA), size=8), "the RIFF header declares 16 bytes", id="riff-length"),
        pytest.param(
            riff(fmt(), chunk(b"data", DATA[:99])), "99 bytes of samples are not a multiple of 2", id="blocks"
        ),
        pytest.param(riff(fmt(), chunk(b"data", b"")), "no sound", id="no-sound"),
        pytest.param(riff(fmt(), chunk(b"data", b""), chunk(b"LIST", DATA)), "no sound", id="no-sound-and-a-list"),
        pytest.param(riff(fmt(), chunk(b"data", DATA), chunk(b"LIST", DATA, size=200)), "RIFF chunk 'LIST'", id="long"),
        pytest.param(riff(fmt(), chunk(b"data", DATA, size=100 * GIB // 128)), "838860800 bytes of", id="riff-fits"),
        pytest.param(riff(fmt(), chunk(b"data", DATA), b"\0" * 9), "9 bytes behind the last", id="zeros"),
        pytest.param(
            riff(fmt(), chunk(b"LIST", b"abc", pad=False), chunk(b"data", DATA)), "behind 1 chunks", id="no-pad"
        ),
        pytest.param(
            riff(fmt(), b"LIST\3\0\0\0abcX", chunk(b"data", DATA), b"x"), "1 bytes behind", id="pad-of-any-byte"
        ),
    ],
)
def test_what_is_odd_is_said(file: bytes, remark: str) -> None:
    """And costs nothing."""
    verdict = judged(file)

    assert "complete" == verdict.outcome
    assert verdict.remarks[0].startswith(remark)


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        pytest.param(riff(), "the file has no samples", id="nothing-in-it"),
        pytest.param(riff(fmt()), "the file has no samples", id="no-data"),
        pytest.param(riff(chunk(b"data", DATA)), "the file has no format", id="no-format"),
        pytest.param(riff(chunk(b"data", DATA), fmt()), "the file has no format in front", id="format-behind"),
        pytest.param(riff(fmt()[:20]), "the file has no samples", id="cut-format"),
        pytest.param(riff(fmt(), b"\0" * 50), "the file has no samples", id="zeros"),
        pytest.param(riff(fmt(), chunk(b"LIST", DATA, size=200)), "the file has no samples", id="long-in-front"),
        pytest.param(wav(100)[:-30], "30 of 200 bytes of samples are missing", id="cut"),
        pytest.param(
            riff(ds64(2**33, 2**33, 0), fmt(), chunk(b"data", DATA, size=2**32 - 1), size=2**32 - 1, magic=b"RF64"),
            f"{2**33 - 100} of {2**33} bytes",
            id="cut-64-bit",
        ),
    ],
)
def test_what_is_missing_is_said(file: bytes, reason: str) -> None:
    """So that a reader can decide whether to ask for it again."""
    verdict = judged(file)

    assert "truncated" == verdict.outcome
    assert verdict.remarks[0].startswith(reason)


PLACEHOLDERS = (
    *(0, 2**32 - 1, 2**32 - 4096, 2**31, 2**31 - 4096, 2**31 + 4096),
    *(count * 10**9 for count in (1, 2, 3, 4)),
)


@pytest.mark.parametrize("length", PLACEHOLDERS)
def test_a_length_that_was_never_filled_in_means_to_the_end(length: int) -> None:
    """Samples that are there play; nothing says that there were more."""
    verdict = judged(riff(fmt(), chunk(b"data", DATA, size=length), size=0))

    assert ("complete", 100 / 32_000) == (verdict.outcome, verdict.seconds)
    assert verdict.remarks[0] == f"{length} bytes of samples are declared: they run to the end"


@given(st.integers(101, 2**32 - 4097).filter(lambda length: abs(length - 2**31) > 4096 and length % 10**9))
def test_any_other_length_is_believed(length: int) -> None:
    """That is how a truncated file is recognised."""
    assert "truncated" == judged(riff(fmt(), chunk(b"data", DATA, size=length), size=0)).outcome


def test_a_length_that_lost_its_upper_bits() -> None:
    """More than 4 GiB in a plain WAV: the file goes on for so much longer."""
    size = 5 * GIB + 44
    head = wav(0)[:40] + struct.pack("<I", GIB)
    verdict = walked(lambda span: (head + bytes(9000))[span.offset :][: span.length].ljust(span.length, b"\0"), size)

    assert ("complete", 5 * GIB / 32_000) == (verdict.outcome, verdict.seconds)
    assert f"{GIB} bytes of samples are declared: 1 times 4 GiB too few" == verdict.remarks[0]


def test_a_file_of_tiny_chunks_is_walked_to_its_end() -> None:
    """There is no cap."""
    assert "complete" == judged(riff(fmt(), *[chunk(b"JUNK", b"")] * 5000, chunk(b"data", DATA))).outcome


def test_remarks_are_counted() -> None:
    """A file that is odd in a thousand places has not a thousand remarks."""
    odd = [chunk(b"LIST", b"abc", pad=False)] * 1000 + [chunk(b"data", DATA)] * 1000

    assert (
        "behind 1000 chunks of odd length the pad byte is missing",
        "999 more data chunks, which players leave out",
    ) == (judged(riff(fmt(), *odd)).remarks)


def test_64_bit_lengths_are_read() -> None:
    """They count where the 32-bit ones are all ones."""
    size = 12 + 36 + 24 + 8 + 8 * GIB
    head = riff(
        ds64(size - 8, 8 * GIB, 4 * GIB), fmt(), chunk(b"data", b"", size=0xFFFF_FFFF), size=0xFFFF_FFFF, magic=b"RF64"
    )

    def read(span: Span) -> bytes:
        return head[span.offset : span.end].ljust(span.length, b"\0")

    assert ("complete", ()) == (walked(read, size).outcome, walked(read, size).remarks)
    assert "truncated" == walked(read, size - 1).outcome
