"""recording/join/wav.py: joined WAV files, sample for sample."""

import io
import wave

import pytest

from recording.formats.verdict import Span
from recording.join import wav
from recording.join.parts import Bytes, Range
from recording.join.refusals import Unjoinable
from recording.join.wav import WavHead
from tests.support import vectors
from tests.support.joining import joined
from tests.support.judged import judged
from tests.support.vectors import chunk, fmt, pcm, riff


def samples_in(file: bytes) -> bytes:
    """Return the samples that a reader of WAV finds."""
    with wave.open(io.BytesIO(file)) as read:
        samples: bytes = read.readframes(read.getnframes())
        return samples


def test_all_samples_are_there_and_no_others() -> None:
    """Whatever stands around them in the chunks, and whatever their headers say."""
    files = [
        vectors.wav(),
        riff(chunk(b"LIST", b"odd"), fmt(), chunk(b"data", pcm()[:1000]), chunk(b"LIST", bytes(300))),
        vectors.wav(riff_size=0xFFFF_FFFF, data_size=0xFFFF_FFFF),
        vectors.rf64(b"RF64"),
    ]

    part, file = joined("wav", *files)

    assert pcm() + pcm()[:1000] + pcm() + pcm() == samples_in(file)
    assert [0, 3, 3 + 500 / 16_000, 6 + 500 / 16_000] == pytest.approx([place.begins_at for place in part.chunks])
    assert ("complete", ()) == (judged(file).outcome, judged(file).remarks)
    assert 80 + 3 * len(pcm()) + 1000 == len(file)


def test_a_cut_chunk_gives_its_whole_samples() -> None:
    """What is there can be heard."""
    part, file = joined("wav", vectors.wav()[:1001], vectors.wav(), verdict="truncated")

    assert pcm()[:956] + pcm() == samples_in(file)
    assert 956 / 32_000 == part.chunks[1].begins_at


def test_an_extension_of_the_same_meaning_is_no_difference() -> None:
    """PCM is PCM, however the header says it."""
    file = riff(fmt(extensible=True), chunk(b"data", bytes(100)))

    assert 1 == joined("wav", vectors.wav(), file)[0].of


def test_odd_bytes_are_padded() -> None:
    """As RIFF demands it."""
    eight_bit = fmt().replace(b"\x02\0\x10\0", b"\x01\0\x08\0")
    file = riff(eight_bit, chunk(b"data", bytes(range(5))))

    part, whole = joined("wav", file, file, file)

    assert bytes([*range(5)] * 3) == samples_in(whole)
    assert Bytes(b"\0") == part.pieces[-1]
    assert "complete" == judged(whole).outcome


@pytest.mark.parametrize("size", [(1 << 32) - 200, (1 << 32) + 200])
def test_from_four_gibibytes_on_it_is_rf64(size: int) -> None:
    """With a header of the same length, which says the 64-bit sizes."""
    half = size // 4 * 2
    head = WavHead(1, 1, 16_000, 16, 2, None, fmt()[8:], 44, 44 + half)

    pieces, _, seconds = wav.join([(0, head), (1, head)])
    header = pieces[0]

    assert isinstance(header, Bytes)
    assert 80 == header.size
    assert float(seconds) == size / 32_000
    whole = 80 + size
    if whole < 1 << 32:
        assert (b"RIFF", b"JUNK") == (header.content[:4], header.content[12:16])
        assert whole - 8 == int.from_bytes(header.content[4:8], "little")
        assert size == int.from_bytes(header.content[76:80], "little")
    else:
        assert (b"RF64", b"ds64") == (header.content[:4], header.content[12:16])
        assert [whole - 8, size, size // 2] == [
            int.from_bytes(header.content[at : at + 8], "little") for at in (20, 28, 36)
        ]
        assert b"\xff" * 4 == header.content[4:8] == header.content[76:80]
    assert [Range(0, 44, 44 + half), Range(1, 44, 44 + half)] == pieces[1:]


def head_of(file: bytes) -> tuple[WavHead, list[Span]]:
    """Read a head, and return what was asked for, too."""
    walk, asked = wav.read(len(file)), list[Span]()
    try:
        span = next(walk)
        while True:
            asked.append(span)
            span = walk.send(file[span.offset : span.end])
    except StopIteration as done:
        head: WavHead = done.value
        return head, asked


def test_a_chunk_in_front_of_the_samples_may_be_long() -> None:
    """It is stepped over: two reads."""
    file = riff(chunk(b"bext", bytes(500_001)), fmt(), chunk(b"data", pcm()))

    head, asked = head_of(file)

    assert pcm() == file[head.begin : head.end]
    assert [0, 12 + 8 + 500_002] == [span.offset for span in asked]


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(riff(chunk(b"data", bytes(100))), id="no-format"),
        pytest.param(riff(fmt()), id="no-samples"),
        pytest.param(vectors.wav()[:30], id="cut"),
        pytest.param(riff(*[chunk(b"junk", bytes(70_000))] * 20, fmt(), chunk(b"data", b"12")), id="too-many-reads"),
    ],
)
def test_what_has_no_head(file: bytes) -> None:
    """There is nothing to be joined."""
    with pytest.raises(Unjoinable, match="it has no format or no samples"):
        head_of(file)


def test_the_head_of_every_whole_file_is_read() -> None:
    """And of those that are unusual: each has the same samples, more or less."""
    names = [name for name in (vectors.COMPLETE | vectors.REMARK) if name.startswith("wav")]
    for name in names:
        file = (vectors.COMPLETE | vectors.REMARK)[name]()
        head, asked = head_of(file)
        assert len(asked) <= 2, name
        assert head.end <= len(file), name
        assert (head.end - head.begin) % head.block == 0, name
