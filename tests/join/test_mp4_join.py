"""recording/join/mp4_join.py: what a joined MP4 plays, beside what its chunks play alone.

Decoded samples are compared with duration times rate, because players count samples: what decoders throw away, or add,
moves all sound behind it. Times that a demuxer says don't show that.
"""

import io
import subprocess
from pathlib import Path

import av
import imageio_ffmpeg
import pytest

from recording.join.parts import Silence
from tests.support.joining import PLAIN, Chunk, Decoded, decoded, joined

# A packet of sound lasts 64 ms, pictures are placed to half a packet where silence is added, and beeps found to 5 ms.
NEAR = 0.012


def apart(found: Decoded) -> list[float]:
    """Return for each beep that has a flash how much later that is."""
    nearest = [min((flash - beep for flash in found.flashes()), key=abs) for beep in found.beeps()]
    return [difference for difference in nearest if abs(difference) < 0.4]


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param(PLAIN, id="plain"),
        pytest.param((PLAIN[0], Chunk(40, 43, 5.375, timescale=90_000), PLAIN[2]), id="another-timescale"),
        pytest.param((Chunk(0, 40, 5.0, timescale=8), *PLAIN[1:]), id="a-coarse-timescale"),
        pytest.param(
            (
                Chunk(0, 40, 5.0, timescale=12_345, b_frames=2, profile="main"),
                Chunk(40, 43, 5.375, timescale=90_000, b_frames=2, profile="main"),
                Chunk(83, 29, 3.625, b_frames=2, profile="main"),
            ),
            id="b-frames-and-timescales-that-are-no-multiples",
        ),
        pytest.param((PLAIN[0], Chunk(40, 43, 5.375, delay=0.5), PLAIN[2]), id="late-pictures"),
        pytest.param((PLAIN[0], Chunk(40, 43, 5.375, delay=-0.5), PLAIN[2]), id="late-sound"),
        pytest.param((Chunk(0, 40, 5.0, delay=0.25), *PLAIN[1:]), id="late-pictures-at-the-beginning"),
        pytest.param((Chunk(0, 40, 3.7), Chunk(40, 43, 4.075), PLAIN[2]), id="sound-1.3-s-short"),
        pytest.param((Chunk(0, 24, 5.0), Chunk(24, 43, 5.375)), id="pictures-2-s-short"),
        pytest.param((PLAIN[0], Chunk(40, 43, 5.375, has_edits=False), PLAIN[2]), id="one-without-an-edit-list"),
        pytest.param(
            tuple(Chunk(c.first, c.pictures, c.seconds, has_edits=False) for c in PLAIN), id="none-with-an-edit-list"
        ),
        pytest.param((Chunk(0, 40, 3.7, channels=2), Chunk(40, 43, 5.375, channels=2)), id="stereo"),
        pytest.param((Chunk(0, 40, 3.7, rate=24_000), Chunk(40, 43, 5.375, rate=24_000)), id="24-khz"),
    ],
)
def test_every_picture_and_every_sample_is_there_in_its_place(chunks: tuple[Chunk, ...]) -> None:
    """Pictures in order; as many samples as the file says it has; a flash as near to its beep as in the chunk alone."""
    files = [chunk.make() for chunk in chunks]

    part, file = joined("mp4", *files)
    whole = decoded(file)

    assert list(range(sum(chunk.pictures for chunk in chunks))) == whole.numbers
    assert abs(whole.seconds * whole.rate - len(whole.samples)) < 1
    alone = [difference for one in files for difference in apart(decoded(one))]
    assert [round(one / NEAR) for one in alone] == pytest.approx([one / NEAR for one in apart(whole)], abs=1)
    assert part.seconds == pytest.approx(whole.seconds, abs=0.002)


def test_sound_that_begins_late_in_the_first_chunk_begins_late_in_the_file() -> None:
    """Its empty edit is that of the file: the only one."""
    _, file = joined("mp4", Chunk(0, 40, 5.0, delay=-0.5).make(), PLAIN[1].make())
    whole = decoded(file)

    assert 0.43 < whole.begin < 0.5
    assert abs((whole.seconds - whole.begin) * whole.rate - len(whole.samples)) < 16


def test_each_chunk_begins_where_the_plan_says() -> None:
    """Its first picture is shown there."""
    part, file = joined("mp4", *(chunk.make() for chunk in PLAIN))
    whole = decoded(file)
    firsts = [whole.times[whole.numbers.index(chunk.first)] for chunk in PLAIN]

    assert [place.begins_at for place in part.chunks] == pytest.approx(firsts, abs=0.001)
    assert part.seconds == pytest.approx(sum(place.seconds for place in part.chunks))


def test_between_chunks_is_an_eighth_of_a_second_at_most() -> None:
    """The priming packet of the next chunk, without which its first word would be garbled, and what filled the last."""
    part, _ = joined("mp4", *(chunk.make() for chunk in PLAIN))
    longer = [place.seconds - chunk.seconds for place, chunk in zip(part.chunks, PLAIN, strict=True)]

    assert all(0 <= one <= 0.128 for one in longer[:-1])


def test_silence_lies_where_it_is_played() -> None:
    """Between the ranges of the two chunks, so that a player needn't go back for it."""
    part, file = joined("mp4", Chunk(0, 40, 3.7).make(), PLAIN[1].make())

    # 1.3 s, less what filled the last packet of 3.7 s.
    assert ["Bytes", "Range", "Silence", "Range"] == [type(piece).__name__ for piece in part.pieces]
    [silence] = [piece for piece in part.pieces if isinstance(piece, Silence)]
    assert 19 == silence.count
    sound = decoded(file).samples
    assert 20 > abs(sound[int(3.9 * 16_000) : int(4.9 * 16_000)]).max()


def test_the_last_pictures_are_shown_though_they_are_decoded_out_of_order() -> None:
    """The end of the file is that of the last picture shown."""
    chunks = (Chunk(0, 40, 4.5, b_frames=2, profile="main"), Chunk(40, 43, 4.0, b_frames=2, profile="main"))

    _, file = joined("mp4", *(chunk.make() for chunk in chunks))

    assert list(range(83)) == decoded(file).numbers


@pytest.mark.parametrize(
    ("first", "second", "kinds"),
    [
        pytest.param(Chunk(0, 40, 0), Chunk(40, 43, 0), ["video"], id="without-sound"),
        pytest.param(Chunk(0, 0, 5.0), Chunk(40, 0, 5.375), ["audio"], id="without-pictures"),
    ],
)
def test_chunks_of_one_kind_of_media(first: Chunk, second: Chunk, kinds: list[str]) -> None:
    """Without sound the pictures are the clock."""
    part, file = joined("mp4", first.make(), second.make())
    whole = decoded(file)

    assert list(range(first.pictures + second.pictures)) == whole.numbers
    assert len(whole.samples) == pytest.approx((part.seconds or 0) * whole.rate, abs=1)
    if kinds == ["video"]:
        assert [number / 8 for number in range(83)] == pytest.approx(whole.times)


def test_ffmpeg_decodes_it_without_a_word(tmp_path: Path) -> None:
    """With an empty log of errors; it counts as many pictures and samples."""
    _, file = joined("mp4", Chunk(0, 40, 3.7).make(), *(chunk.make() for chunk in PLAIN[1:]))
    path = tmp_path / "joined.mp4"
    path.write_bytes(file)
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-xerror", "-i", str(path), "-f", "null", "-"]

    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (0, "") == (ran.returncode, ran.stderr)


def test_every_picture_can_be_sought() -> None:
    """A seek to the beginning of each chunk finds its first picture."""
    part, file = joined("mp4", *(chunk.make() for chunk in PLAIN))
    with av.open(io.BytesIO(file), "r") as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        for place in part.chunks:
            container.seek(round(place.begins_at / float(stream.time_base)), stream=stream)
            packet = next(container.demux(stream))
            assert packet.is_keyframe
            assert packet.pts is not None
            assert place.begins_at == pytest.approx(float(packet.pts * stream.time_base), abs=0.001)
