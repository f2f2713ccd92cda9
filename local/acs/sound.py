"""Make the MP3 and WAV chunks of a recording: 16 kHz, MP3 at 48 kbit/s, WAV with 16 bits (docs/acs-contract.md#limits).

Everything here blocks and is called in a thread.
"""

import threading
import wave
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream

from local.acs import tone
from local.acs.entities import MAXIMUM_CHANNELS
from local.acs.media import SAMPLES_PER_FRAME, Cancelled, MediaChunk, frame_count, wall_at_frame
from local.acs.timeline import Timeline

MP3_BIT_RATE = 48_000
WAV_BIT_RATE = 8 * 2 * tone.SAMPLE_RATE
_WAV_HEAD_BYTES = 44
# The ID3 tag, the frame with the table of contents, and the frames of the encoder's delay.
_MP3_EXTRA_BYTES = 2048


def channels(timeline: Timeline, asked: tuple[str, ...]) -> tuple[str, ...]:
    """Return whose voice is in which channel: the ids asked for, then the others as they joined, at most five.

    An empty id among those asked for is a channel for one of the others.
    """
    people = timeline.present_within(timeline.start, timeline.end)
    others = [person.participant_id for person in sorted(people, key=lambda person: person.joined)]
    others = [participant_id for participant_id in others if participant_id not in asked]
    taken = [participant_id or (others.pop(0) if others else "") for participant_id in asked]
    # A file has at least one channel, even without participants.
    return tuple([*taken, *others][:MAXIMUM_CHANNELS]) or ("",)


def encode_wav(
    timeline: Timeline,
    folder: Path,
    *,
    voices: tuple[str, ...],
    maximum_bytes: int,
    cancelled: threading.Event,
) -> list[MediaChunk]:
    """Write WAV files of at most ``maximum_bytes``; each of ``voices`` has a channel; without any, all are mixed."""
    count = len(voices) or 1
    frame_bytes = SAMPLES_PER_FRAME * 2 * count
    chunks = []
    for index, frames in enumerate(_parts(timeline, (maximum_bytes - _WAV_HEAD_BYTES) // frame_bytes)):
        path = folder / f"{index:05}.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(count)
            file.setsampwidth(2)
            file.setframerate(tone.SAMPLE_RATE)
            for samples in _sound(timeline, frames, voices=voices, cancelled=cancelled):
                file.writeframesraw(samples.T.astype("<i2").tobytes())
        chunks.append(_chunk(timeline, path, frames))
    return chunks


def encode_mp3(timeline: Timeline, folder: Path, *, maximum_bytes: int, cancelled: threading.Event) -> list[MediaChunk]:
    """Encode MP3 files of at most ``maximum_bytes`` each, with all voices mixed."""
    frame_bytes = MP3_BIT_RATE // 8 * SAMPLES_PER_FRAME // tone.SAMPLE_RATE
    chunks = []
    for index, frames in enumerate(_parts(timeline, (maximum_bytes - _MP3_EXTRA_BYTES) // frame_bytes)):
        path = folder / f"{index:05}.mp3"
        with av.open(str(path), "w", format="mp3") as container:
            stream: AudioStream = container.add_stream("libmp3lame", rate=tone.SAMPLE_RATE, layout="mono")
            stream.bit_rate = MP3_BIT_RATE
            for number, samples in enumerate(_sound(timeline, frames, voices=(), cancelled=cancelled)):
                frame = av.AudioFrame.from_ndarray(samples, format="s16p", layout="mono")
                frame.sample_rate, frame.pts = tone.SAMPLE_RATE, number * SAMPLES_PER_FRAME
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        chunks.append(_chunk(timeline, path, frames))
    return chunks


def _parts(timeline: Timeline, most: int) -> Iterator[range]:
    """Divide the frames of a recording into parts of at most ``most``."""
    total = frame_count(timeline)
    for first in range(0, total, most):
        yield range(first, min(first + most, total))


def _chunk(timeline: Timeline, path: Path, frames: range) -> MediaChunk:
    return MediaChunk(path, frames.start, len(frames), last=frames.stop == frame_count(timeline))


def _sound(
    timeline: Timeline, frames: range, *, voices: tuple[str, ...], cancelled: threading.Event
) -> Iterator[tone.Samples]:
    """Render frame after frame: one row of samples for all, or one for each voice."""
    for frame in frames:
        if cancelled.is_set():
            raise Cancelled
        first = frame * SAMPLES_PER_FRAME
        present = tuple(person.participant_id for person in timeline.present_at(wall_at_frame(timeline, frame)))
        if not voices:
            yield tone.render(first, SAMPLES_PER_FRAME, participant_ids=present)
        else:
            alone = [tone.render(first, SAMPLES_PER_FRAME, participant_ids=present, only=voice) for voice in voices]
            yield np.concatenate(alone)
