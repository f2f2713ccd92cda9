"""recording/join/mp3.py: joined MP3 files, frame for frame."""

import io

import av
import numpy as np
import pytest

from recording.formats.mp3 import frame
from recording.join import mp3
from recording.join.parts import Range
from recording.join.refusals import Unjoinable
from tests.support import vectors
from tests.support.joining import decoded, joined
from tests.support.judged import judged
from tests.support.vectors import ID3V1, MP3_FRAME, ape, frames, id3


def test_only_frames_are_taken() -> None:
    """Tags, the frames that count the others, and what is behind the last whole frame are left out."""
    files = [
        vectors.mp3(),
        id3(300_000) + vectors.mp3() + ID3V1,
        frames() + ape() + ID3V1,
        frames() + bytes(1000),
        frames() + frames()[:100],
    ]

    part, file = joined("mp3", *files)

    ranges = [piece for piece in part.pieces if isinstance(piece, Range)]
    assert [frames()] * 5 == [files[one.chunk][one.begin : one.end] for one in ranges]
    assert ("complete", "mp3", ()) == (judged(file).outcome, judged(file).kind, judged(file).remarks)


def test_it_says_exactly_how_long_it_plays() -> None:
    """What a player shows is what it decodes."""
    part, file = joined("mp3", vectors.mp3(), vectors.mp3(), vectors.mp3())
    whole = decoded(file)

    assert part.seconds == pytest.approx(whole.seconds, abs=0.001)
    assert part.seconds == pytest.approx(len(whole.samples) / whole.rate, abs=0.001)


def test_each_chunk_sounds_as_it_does_alone() -> None:
    """From where the plan says, and without a click between two: what is heard there is the encoder's delay."""
    one = vectors.mp3()
    alone = decoded(one).samples

    part, file = joined("mp3", one, one)
    whole = decoded(file).samples
    second = round(part.chunks[1].begins_at * 16_000)

    assert 0.01 > np.abs(alone[1200:40_000] - whole[1200:40_000]).max()
    assert 0.01 > np.abs(alone[1200:40_000] - whole[second + 1200 : second + 40_000]).max()
    # From one sample to the next it changes no faster than within the tone.
    boundary = slice(second - 2000, second + 2000)
    assert np.abs(np.diff(alone)).max() * 1.1 > np.abs(np.diff(whole[boundary])).max()
    assert 0.1 > part.chunks[0].seconds - 3


def test_chunks_of_one_running_encoder_are_as_if_never_cut() -> None:
    """Frames refer to bytes of those before them, and find them."""
    whole = frames()
    cut = 40 * MP3_FRAME

    _, file = joined("mp3", whole[:cut], whole[cut:])

    assert whole == file[-len(whole) :]


def test_chapters_and_title_are_in_its_tag() -> None:
    """As players read them."""
    _, file = joined("mp3", vectors.mp3(), vectors.mp3())

    with av.open(io.BytesIO(file), "r") as container:
        assert ["chunk 0", "chunk 1"] == [one["metadata"]["title"] for one in container.chapters()]
        assert "Recording of 2026-03-01 10:00:00Z" == container.metadata["title"]


def test_variable_bit_rate_is_counted_by_its_media() -> None:
    """Its length in bytes doesn't say how many frames there are: the pass over all of them has."""
    file = vectors.mp3(44_100, variable=True)
    seconds = judged(file).seconds
    assert seconds

    part, whole = joined("mp3", file, file, media_ms=seconds * 1000)
    heard = decoded(whole)

    assert part.seconds == pytest.approx(len(heard.samples) / heard.rate, abs=0.002)
    assert (b"Xing" in whole[:4000], b"Info" in whole[:4000]) == (True, False)


def test_what_was_cut_is_joined_up_to_its_last_whole_frame() -> None:
    """The number that its first frame declares is not believed."""
    cut = vectors.mp3()[: -10 * MP3_FRAME - 50]

    part, file = joined("mp3", cut, vectors.mp3(), verdict="truncated")

    assert part.chunks[0].seconds == pytest.approx(3.1 - 11 * 0.036, abs=0.08)
    assert "complete" == judged(file).outcome


def test_an_info_frame_has_room_in_a_frame_of_its_own() -> None:
    """Where the frames are too small for it, it has another bit rate."""
    small = (b"\xff\xf3\x18\xc0" + bytes(32)) * 200
    assert 36 == frame(small[:4])

    part, file = joined("mp3", small, small)

    assert ("complete", ()) == (judged(file).outcome, judged(file).remarks)
    assert part.seconds == pytest.approx(400 * 0.036)


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(id3(5000), id="tag-alone"),
        pytest.param(vectors.noise(5000), id="noise"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_what_has_no_frames(file: bytes) -> None:
    """There is nothing to be joined."""
    walk = mp3.read(len(file))

    def run() -> None:
        span = next(walk)
        while True:
            span = walk.send(file[span.offset : span.end])

    with pytest.raises(Unjoinable):
        run()
