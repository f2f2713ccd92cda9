"""The metadata file of a chunk: of the Call Automation API, and of the 2021 preview API with its quirks.

See docs/acs-contract.md#surprises, #2021-metadata-file, #metadata-file.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from local.acs import sound
from local.acs.clock import timestamp
from local.acs.entities import Format
from local.acs.identifiers import RESOURCE_ID
from local.acs.timeline import Participant, Pause
from local.acs.tone import SAMPLE_RATE

_VIDEO = {"longerSideLength": 1920, "shorterSideLength": 1080, "framerate": 8, "bitRate": 1000000}
_MP4_SOUND_BIT_RATE = 128_000


def intervals(pauses: Sequence[Pause], *, until: datetime) -> list[dict[str, Any]]:
    """Return ``pauseResumeIntervals`` in whole milliseconds; an open pause lasts ``until``."""
    return [{"startTime": timestamp(pause.start), "duration": pause.milliseconds(until)} for pause in pauses]


def describe(
    *,
    call_id: str,
    document_id: str,
    index: int,
    start: datetime,
    end: datetime,
    duration_ms: float,
    pauses: Sequence[Pause],
    participants: Sequence[Participant],
    today: Format | None = None,
    voices: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the metadata of one chunk: with ``today``'s format, or as in 2021.

    ``chunkDuration`` is the playing time; whether the service counts pauses is unknown
    (docs/acs-contract.md#2021-metadata-file). ``voices`` are the participants in the order of their channels, if each
    has one of its own.
    """
    described: dict[str, Any] = {
        "resourceId": RESOURCE_ID,
        "callId": call_id,
        "chunkDocumentId": document_id,
        "chunkIndex": index,
        "chunkStartTime": timestamp(start),
        "chunkDuration": float(duration_ms),
        "pauseResumeIntervals": intervals(pauses, until=end),
        "recordingInfo": _info_of_2021() if today is None else _info(today, channels=len(voices) or 1),
        "participants": [_participant(person, voices) for person in participants],
    }
    return described if today is None else described | {"version": "1.0"}


def _info_of_2021() -> dict[str, Any]:
    """Return the format as in March 2021: contentType and channelType are swapped, and a number is a string."""
    return {
        "contentType": "mixed",
        "channelType": "audioVideo",
        "format": "mp4",
        "audioConfiguration": {"sampleRate": str(SAMPLE_RATE), "bitRate": _MP4_SOUND_BIT_RATE, "channels": 1},
        "videoConfiguration": _VIDEO,
    }


def _info(asked: Format, *, channels: int) -> dict[str, Any]:
    """Return the format as today; the frame rate is that of the service, the emulator draws half of it."""
    rates = {"mp4": _MP4_SOUND_BIT_RATE, "mp3": sound.MP3_BIT_RATE, "wav": sound.WAV_BIT_RATE * channels}
    info = {
        "contentType": asked.content_type,
        "channelType": asked.channel_type,
        "format": asked.format_type,
        "audioConfiguration": {
            "sampleRate": SAMPLE_RATE,
            "bitRate": rates[asked.format_type],
            "channels": channels,
        },
    }
    return info if asked.content_type == "audio" else info | {"videoConfiguration": _VIDEO | {"framerate": 16}}


def _participant(person: Participant, voices: Sequence[str]) -> dict[str, Any]:
    described = {"participantId": person.participant_id}
    if person.participant_id not in voices:
        return described
    return described | {"channel": voices.index(person.participant_id)}


def render(metadata: dict[str, Any]) -> bytes:
    """Render metadata as the service serves it: indented, with CRLF (docs/acs-contract.md#storage-host)."""
    return json.dumps(metadata, indent=2, ensure_ascii=False).replace("\n", "\r\n").encode("utf-8")
