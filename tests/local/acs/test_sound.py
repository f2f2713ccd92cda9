"""Tests of the MP3s and WAVs: each is decoded and listened to."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest

from local.acs import media, sound, tone
from local.acs.timeline import Participant, Pause, Timeline

START = datetime(2026, 1, 14, 16, 32, 40, tzinfo=UTC)
TURN = 2 * tone.SAMPLE_RATE


def _at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


ADA = Participant("8:acs:r_ada", "Ada Lovelace", START)
GRACE = Participant("8:acs:r_grace", "Grace Hopper", START)


def _decode(path: Path) -> tone.Samples:
    """Return the samples, one row for each channel."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        assert stream.rate == tone.SAMPLE_RATE
        channels = stream.channels
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
    whole: tone.Samples = np.concatenate(frames, axis=1)
    return whole if whole.shape[0] == channels else whole.reshape(-1, channels).T


def _wav(
    timeline: Timeline, folder: Path, *, voices: tuple[str, ...] = (), maximum_bytes: int = 10**9
) -> list[media.MediaChunk]:
    return sound.encode_wav(timeline, folder, voices=voices, maximum_bytes=maximum_bytes, cancelled=threading.Event())


def _mp3(timeline: Timeline, folder: Path, *, maximum_bytes: int = 10**9) -> list[media.MediaChunk]:
    return sound.encode_mp3(timeline, folder, maximum_bytes=maximum_bytes, cancelled=threading.Event())


def _pitch(samples: tone.Samples) -> float:
    spectrum = np.abs(np.fft.rfft(samples.astype(float)))
    return float(np.argmax(spectrum)) * tone.SAMPLE_RATE / len(samples)


def test_wav(tmp_path: Path) -> None:
    """Mixed sound has one channel of 16 bits, in which the participants take turns."""
    chunks = _wav(Timeline(START, _at(4), (), (ADA, GRACE)), tmp_path)
    samples = _decode(chunks[0].path)

    assert (samples.shape, str(samples.dtype)) == ((1, 2 * TURN), "int16")
    assert chunks[0].path.stat().st_size == 44 + 2 * 2 * TURN
    assert [_pitch(samples[0, :TURN]), _pitch(samples[0, TURN:])] == [
        pytest.approx(tone.pitch(person.participant_id), abs=1) for person in (ADA, GRACE)
    ]


def test_mp3(tmp_path: Path) -> None:
    """An MP3 plays as long as was recorded, at 48 kbit/s, and sounds as the WAV does."""
    timeline = Timeline(START, _at(10), (), (ADA, GRACE))
    chunks = _mp3(timeline, tmp_path)
    samples = _decode(chunks[0].path)

    assert (len(chunks), chunks[0].duration_ms) == (1, 10_000.0)
    assert samples.shape[1] == pytest.approx(160_000, abs=2000)
    assert chunks[0].path.stat().st_size == pytest.approx(60_000, abs=2048)
    assert _pitch(samples[0, 2000 : TURN - 2000]) == pytest.approx(tone.pitch(ADA.participant_id), abs=2)


def test_pause(tmp_path: Path) -> None:
    """What was paused is missing in every format."""
    timeline = Timeline(START, _at(24), (Pause(_at(2), _at(22)),), (ADA,))
    for make in (_wav, _mp3):
        chunk = make(timeline, tmp_path)[0]
        assert chunk.duration_ms == 4000.0
        assert _decode(chunk.path).shape[1] == pytest.approx(4 * tone.SAMPLE_RATE, abs=2000)


@pytest.mark.parametrize(("kind", "maximum_bytes"), [("wav", 100_000), ("wav", 123_457), ("mp3", 100_000)])
def test_chunks(tmp_path: Path, kind: str, maximum_bytes: int) -> None:
    """A recording is split below the limit into files that each play on their own and miss nothing."""
    timeline = Timeline(START, _at(50), (), (ADA, GRACE))
    chunks = (_wav if kind == "wav" else _mp3)(timeline, tmp_path, maximum_bytes=maximum_bytes)
    lengths = [_decode(chunk.path).shape[1] for chunk in chunks]

    assert len(chunks) > 2
    assert all(0.9 * maximum_bytes < chunk.path.stat().st_size <= maximum_bytes for chunk in chunks[:-1])
    assert [chunk.last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert [chunk.first_frame for chunk in chunks[1:]] == [one.first_frame + one.frames for one in chunks[:-1]]
    assert sum(chunk.frames for chunk in chunks) == 400
    assert lengths == [pytest.approx(chunk.frames * media.SAMPLES_PER_FRAME, abs=1200) for chunk in chunks]


def test_unmixed(tmp_path: Path) -> None:
    """Each voice has a channel of its own, silent while another speaks or its participant is not there."""
    grace = Participant("8:acs:r_grace", "Grace Hopper", _at(4))
    timeline = Timeline(START, _at(8), (), (ADA, grace))
    voices = ("8:acs:r_grace", "8:acs:r_nobody", "8:acs:r_ada")
    samples = _decode(_wav(timeline, tmp_path, voices=voices)[0].path)
    heard = [[bool(samples[row, turn * TURN : (turn + 1) * TURN].any()) for turn in range(4)] for row in range(3)]

    assert samples.shape == (3, 8 * tone.SAMPLE_RATE)
    # Grace comes at the third turn, which is still Ada's.
    assert heard == [[False, False, False, True], [False] * 4, [True, True, True, False]]
    assert _pitch(samples[0, 3 * TURN :]) == pytest.approx(tone.pitch("8:acs:r_grace"), abs=1)


def test_unmixed_adds_up(tmp_path: Path) -> None:
    """The channels together are the mixed sound."""
    timeline = Timeline(START, _at(6), (), (ADA, GRACE))
    ids = (ADA.participant_id, GRACE.participant_id)
    apart, together = tmp_path / "apart", tmp_path / "together"
    apart.mkdir()
    together.mkdir()
    channels = _decode(_wav(timeline, apart, voices=ids)[0].path)
    mixed = _decode(_wav(timeline, together)[0].path)

    assert np.array_equal(channels.sum(axis=0), mixed[0])


def test_no_length(tmp_path: Path) -> None:
    """A recording stopped at once still is a file with an eighth of a second."""
    for make in (_wav, _mp3):
        chunks = make(Timeline(START, START, (Pause(START),), (ADA,)), tmp_path)
        assert [chunk.frames for chunk in chunks] == [1]
        assert _decode(chunks[0].path).shape[1] >= 1000


@pytest.mark.parametrize("encode", [partial(sound.encode_wav, voices=()), sound.encode_mp3])
def test_cancel(tmp_path: Path, encode: Callable[..., object]) -> None:
    """An encoder gives up as soon as it is told to."""
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(media.Cancelled):
        encode(Timeline(START, _at(3600), (), (ADA,)), tmp_path, maximum_bytes=10**9, cancelled=cancelled)


def _people(*joined: float) -> tuple[Participant, ...]:
    return tuple(Participant(f"p{number}", "", _at(seconds)) for number, seconds in enumerate(joined))


@pytest.mark.parametrize(
    ("asked", "joined", "expected"),
    [
        ((), (0, 2, 1), ("p0", "p2", "p1")),
        (("p2", "p0"), (0, 1, 2), ("p2", "p0", "p1")),
        (("", "", "p0"), (0, 1), ("p1", "", "p0")),
        (("absent",), (0,), ("absent", "p0")),
        ((), (0, 1, 2, 3, 4, 5, 6), ("p0", "p1", "p2", "p3", "p4")),
        ((), (0, 99), ("p0",)),
        ((), (), ("",)),
    ],
)
def test_order(asked: tuple[str, ...], joined: tuple[float, ...], expected: tuple[str, ...]) -> None:
    """Channels are as asked for, then in the order of joining; five at most, and only of who was there."""
    assert sound.channels(Timeline(START, _at(10), (), _people(*joined)), asked) == expected
