"""The metadata file of a chunk, with the quirks of 2021 (acs-contract 0.1 item 5, 2.11)."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from local.acs.clock import timestamp
from local.acs.identifiers import RESOURCE_ID
from local.acs.timeline import Participant, Pause


def intervals(pauses: Sequence[Pause], *, until: datetime) -> list[dict[str, Any]]:
    """Return ``pauseResumeIntervals``; an open pause counts until now, in whole milliseconds."""
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
) -> dict[str, Any]:
    """Return the metadata of one chunk.

    ``chunkDuration`` is the playing time; whether the service counts pauses is unknown (acs-contract 2.11).
    contentType and channelType are swapped and sampleRate is a string, as in files of March 2021.
    """
    return {
        "resourceId": RESOURCE_ID,
        "callId": call_id,
        "chunkDocumentId": document_id,
        "chunkIndex": index,
        "chunkStartTime": timestamp(start),
        "chunkDuration": float(duration_ms),
        "pauseResumeIntervals": intervals(pauses, until=end),
        "recordingInfo": {
            "contentType": "mixed",
            "channelType": "audioVideo",
            "format": "mp4",
            "audioConfiguration": {"sampleRate": "16000", "bitRate": 128000, "channels": 1},
            "videoConfiguration": {
                "longerSideLength": 1920,
                "shorterSideLength": 1080,
                "framerate": 8,
                "bitRate": 1000000,
            },
        },
        "participants": [{"participantId": person.participant_id} for person in participants],
    }


def render(metadata: dict[str, Any]) -> bytes:
    """Render metadata as the service serves it: indented, with CRLF (acs-contract 4.10)."""
    return json.dumps(metadata, indent=2, ensure_ascii=False).replace("\n", "\r\n").encode("utf-8")
