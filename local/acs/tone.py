"""The sound of a recording: participants take turns, each with a soft tone of its own."""

import zlib

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
_TURN_SECONDS = 2.0
_VOLUME = 0.12
# A scale in which every sequence of tones is pleasant.
_SCALE = (220.0, 247.5, 277.2, 330.0, 370.0, 440.0, 495.0, 554.4)

Samples = NDArray[np.int16]


def pitch(participant_id: str) -> float:
    """Return a participant's tone in hertz, the same in every recording."""
    return _SCALE[zlib.crc32(participant_id.encode("utf-8")) % len(_SCALE)]


def render(first: int, count: int, *, participant_ids: tuple[str, ...], only: str | None = None) -> Samples:
    """Return mono samples ``first .. first+count`` of the media, shape (1, count); ``only`` selects one voice."""
    if not participant_ids or (only is not None and only not in participant_ids):
        return np.zeros((1, count), dtype=np.int16)
    seconds = (first + np.arange(count)) / SAMPLE_RATE
    turns = (seconds // _TURN_SECONDS).astype(np.int64)
    pitches = np.array([pitch(participant_id) for participant_id in participant_ids])
    # Each turn fades in and out, so that a change of pitch doesn't click.
    envelope = np.sin(np.pi * (seconds % _TURN_SECONDS) / _TURN_SECONDS) ** 2
    wave = np.sin(2 * np.pi * pitches[turns % len(pitches)] * seconds)
    if only is not None:
        wave *= turns % len(pitches) == participant_ids.index(only)
    samples: Samples = (wave * envelope * _VOLUME * 32767).astype(np.int16).reshape(1, count)
    return samples
