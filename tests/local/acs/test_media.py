"""Tests of the MP4s: each is decoded and looked at."""

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
import numpy as np
import pytest

from local.acs import drawing, media, tone
from local.acs.timeline import Participant, Pause, Timeline

START = datetime(2021, 4, 14, 16, 32, 40, tzinfo=UTC)
ADA = Participant("8:acs:r_ada", "Ada Lovelace", START)
GRACE = Participant("8:acs:r_grace", "Grace Hopper", START)


def _at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@dataclass(frozen=True)
class Decoded:
    """What came out of a file: grey pictures of all frames, sound, and what the streams declare."""

    pictures: list[drawing.Picture]
    sound: tone.Samples
    seconds: float
    declared: tuple[int, int, float, str, int, int, str]


def _decode(path: Path) -> Decoded:
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        declared = (
            video.width,
            video.height,
            float(video.average_rate or 0),
            video.codec_context.name,
            audio.rate,
            audio.channels,
            audio.codec_context.name,
        )
        seconds = float((container.duration or 0) / av.time_base)
        pictures = [np.asarray(frame.to_ndarray(format="gray"), np.uint8) for frame in container.decode(video)]
    with av.open(str(path)) as container:
        sound = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    return Decoded(pictures, sound, seconds, declared)


def _encode(timeline: Timeline, folder: Path, *, maximum_bytes: int = 10**9) -> list[media.MediaChunk]:
    return media.encode(timeline, folder, maximum_bytes=maximum_bytes, cancelled=threading.Event())


def _clock_error(picture: drawing.Picture, moment: datetime) -> float:
    """Return the mean difference between the clock seen and the clock of a moment."""
    left, top, width, height = drawing.CLOCK_BOX
    seen = picture[top : top + height, left : left + width].astype(int)
    return float(np.abs(seen - drawing.draw_clock(moment)[:height].astype(int)).mean())


def _shows(picture: drawing.Picture, moment: datetime) -> bool:
    """Return whether the burnt-in clock shows this second better than its neighbours."""
    errors = {shift: _clock_error(picture, moment + timedelta(seconds=shift)) for shift in (-1, 0, 1, 20)}
    return min(errors, key=lambda shift: errors[shift]) == 0


def test_streams(tmp_path: Path) -> None:
    """A recording is 1920x1080 H.264 at 8 fps with 16 kHz mono AAC, as long as was recorded."""
    chunks = _encode(Timeline(START, _at(5), (), (ADA, GRACE)), tmp_path)
    decoded = _decode(chunks[0].path)

    assert decoded.declared == (1920, 1080, 8.0, "h264", 16000, 1, "aac")
    assert (len(chunks), len(decoded.pictures), chunks[0].duration_ms) == (1, 40, 5000.0)
    assert decoded.seconds == pytest.approx(5.0, abs=0.1)
    assert decoded.sound.shape[1] == pytest.approx(80_000, abs=2048)
    assert 0.005 < float(np.abs(decoded.sound).mean()) < 0.2


def test_clock_jumps(tmp_path: Path) -> None:
    """The burnt-in clock shows each frame's second, and what was paused is missing."""
    timeline = Timeline(START, _at(24), (Pause(_at(2), _at(22)),), (ADA,))
    pictures = _decode(_encode(timeline, tmp_path)[0].path).pictures

    assert len(pictures) == 32
    wanted = [_at(0), _at(1), _at(22), _at(23)]
    assert [_shows(pictures[frame], moment) for frame, moment in zip((3, 15, 20, 31), wanted, strict=True)] == [
        True
    ] * 4


def test_tiles_follow_participants(tmp_path: Path) -> None:
    """Someone who joins gets a tile, and loses it on leaving."""
    grace = Participant("8:acs:r_grace", "Grace Hopper", _at(1), _at(2))
    pictures = _decode(_encode(Timeline(START, _at(3), (), (ADA, grace)), tmp_path)[0].path).pictures
    expected = [
        drawing.draw_tiles([(person.participant_id, person.display_name) for person in present])[:1080]
        for present in ((ADA,), (ADA, grace), (ADA,))
    ]

    def nearest(picture: drawing.Picture) -> int:
        below = slice(120, 1080)
        return int(np.argmin([np.abs(picture[below].astype(int) - one[below]).mean() for one in expected[:2]]))

    assert [nearest(pictures[frame]) for frame in (4, 12, 20)] == [0, 1, 0]


def test_chunks(tmp_path: Path) -> None:
    """A recording is split below the limit into files that each play on their own and miss nothing."""
    timeline = Timeline(START, _at(10), (), (ADA, GRACE))
    chunks = _encode(timeline, tmp_path, maximum_bytes=600_000)
    decoded = [_decode(chunk.path) for chunk in chunks]

    assert len(chunks) > 1
    assert all(chunk.path.stat().st_size <= 600_000 for chunk in chunks)
    assert [len(one.pictures) for one in decoded] == [chunk.frames for chunk in chunks]
    assert sum(chunk.frames for chunk in chunks) == 80
    assert [chunk.last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert all(
        _shows(one.pictures[-1], media.wall_at_frame(timeline, chunk.first_frame + chunk.frames - 1))
        for chunk, one in zip(chunks, decoded, strict=True)
    )


@pytest.mark.parametrize("maximum_bytes", [150_000, 333_333, 500_000])
def test_limit_holds(tmp_path: Path, maximum_bytes: int) -> None:
    """No file exceeds the limit, though a crowd that comes and goes makes some frames large."""
    crowd = tuple(
        Participant(f"8:acs:r_{number}", f"Number {number}", _at(number % 5 + 0.5), _at(number % 5 + 2.5))
        for number in range(40)
    )
    chunks = _encode(Timeline(START, _at(8), (), (ADA, *crowd)), tmp_path, maximum_bytes=maximum_bytes)
    sizes = [chunk.path.stat().st_size for chunk in chunks]

    assert max(sizes) <= maximum_bytes
    assert sum(chunk.frames for chunk in chunks) == 64
    assert [len(_decode(chunk.path).pictures) for chunk in chunks] == [chunk.frames for chunk in chunks]


def test_no_length(tmp_path: Path) -> None:
    """A recording stopped at once still is a playable file of one frame."""
    chunks = _encode(Timeline(START, START, (Pause(START),), (ADA,)), tmp_path)

    assert [len(_decode(chunk.path).pictures) for chunk in chunks] == [1]


def test_speed(tmp_path: Path) -> None:
    """Thirty seconds are encoded in a few seconds."""
    began = time.perf_counter()
    chunks = _encode(Timeline(START, _at(30), (), (ADA, GRACE)), tmp_path)

    assert [chunk.frames for chunk in chunks] == [240]
    # 1.4 s on two idle cores; the bound leaves room for busy ones.
    assert time.perf_counter() - began < 8.0
    # The service's files take 7.5 MB a minute at most.
    assert 3_000_000 < chunks[0].path.stat().st_size <= 3_750_000


def test_cancel(tmp_path: Path) -> None:
    """An encoder gives up as soon as it is told to."""
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(media.Cancelled):
        media.encode(Timeline(START, _at(3600), (), (ADA,)), tmp_path, maximum_bytes=10**9, cancelled=cancelled)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 9, 50, 350])
def test_tile_boxes(count: int) -> None:
    """Every participant has a tile on the picture and no two overlap."""
    boxes = drawing.tile_boxes(count)

    assert len(boxes) == count
    assert all(0 <= left < right <= 1920 and 100 <= top < bottom <= 1080 for left, top, right, bottom in boxes)
    assert not any(
        a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3] for i, a in enumerate(boxes) for b in boxes[:i]
    )


@pytest.mark.parametrize("names", [[], ["é世界🎥"], ["x" * 256], [" "], ["a"] * 350])
def test_any_name(names: list[str]) -> None:
    """Whatever participants are called, and however many there are, the picture can be drawn."""
    picture = drawing.draw_tiles([(f"8:acs:{index}", name) for index, name in enumerate(names)])

    assert picture.shape == (1620, 1920)


def test_tones_differ() -> None:
    """Participants take turns, and with nobody there it is silent."""
    turns = tone.render(0, 64_000, participant_ids=("8:acs:r_ada", "8:acs:r_grace"))[0]
    pitches = [float(np.argmax(np.abs(np.fft.rfft(turn)))) / 2 for turn in (turns[:32_000], turns[32_000:])]

    assert pitches == [
        pytest.approx(tone.pitch("8:acs:r_ada"), abs=1),
        pytest.approx(tone.pitch("8:acs:r_grace"), abs=1),
    ]
    assert not tone.render(0, 100, participant_ids=()).any()
