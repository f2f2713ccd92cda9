"""Tests of the metadata file."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from local.acs import metadata
from local.acs.entities import Format
from local.acs.timeline import Participant, Pause

START = datetime(2021, 3, 24, 18, 52, 14, 132139, tzinfo=UTC)


def test_seed_document() -> None:
    """Every field of the service's own example is there, quirks and number forms included."""
    pause = Pause(START + timedelta(seconds=3), START + timedelta(seconds=8, milliseconds=220))
    described = metadata.describe(
        call_id="43563209-4ec6-4119-be5b-88398cda2caf",
        document_id="0-eus-d11-05bf22b166dfb2119e3ff85d98906121",
        index=0,
        start=START,
        end=START + timedelta(seconds=20),
        duration_ms=15000,
        pauses=[pause],
        participants=[Participant("8:acs:29bd5ea9_1", "Ada", START)],
    )

    assert described == {
        "resourceId": "29bd5ea9-e0fc-4d00-8f6f-339b1f0ee2e2",
        "callId": "43563209-4ec6-4119-be5b-88398cda2caf",
        "chunkDocumentId": "0-eus-d11-05bf22b166dfb2119e3ff85d98906121",
        "chunkIndex": 0,
        "chunkStartTime": "2021-03-24T18:52:14.1321399Z",
        "chunkDuration": 15000.0,
        "pauseResumeIntervals": [{"startTime": "2021-03-24T18:52:17.1321399Z", "duration": 5220}],
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
        "participants": [{"participantId": "8:acs:29bd5ea9_1"}],
    }
    assert b'"chunkDuration": 15000.0,\r\n' in metadata.render(described)


def _today(asked: Format, voices: tuple[str, ...] = ()) -> Any:
    people = [Participant(f"8:acs:29bd5ea9_{name}", name, START) for name in "ab"]
    return metadata.describe(
        call_id="c",
        document_id="0-eus-d11-05bf22b166dfb2119e3ff85d98906121",
        index=1,
        start=START,
        end=START + timedelta(seconds=20),
        duration_ms=20000,
        pauses=[],
        participants=people,
        today=asked,
        voices=voices,
    )


def test_today() -> None:
    """Metadata of the Call Automation API has content and channels under the right names, and numbers as numbers."""
    described = _today(Format())

    assert described["version"] == "1.0"
    assert described["recordingInfo"] == {
        "contentType": "audioVideo",
        "channelType": "mixed",
        "format": "mp4",
        "audioConfiguration": {"sampleRate": 16000, "bitRate": 128000, "channels": 1},
        "videoConfiguration": {
            "longerSideLength": 1920,
            "shorterSideLength": 1080,
            "framerate": 16,
            "bitRate": 1000000,
        },
    }
    assert described["participants"] == [{"participantId": f"8:acs:29bd5ea9_{name}"} for name in "ab"]


def test_today_sound() -> None:
    """Sound alone has no configuration for video; unmixed, each participant has a channel, if there was one left."""
    mixed = _today(Format("audio", "mixed", "mp3"))
    unmixed = _today(Format("audio", "unmixed", "wav"), ("8:acs:elsewhere", "8:acs:29bd5ea9_b", ""))

    assert mixed["recordingInfo"] == {
        "contentType": "audio",
        "channelType": "mixed",
        "format": "mp3",
        "audioConfiguration": {"sampleRate": 16000, "bitRate": 48000, "channels": 1},
    }
    assert unmixed["recordingInfo"]["audioConfiguration"] == {"sampleRate": 16000, "bitRate": 768000, "channels": 3}
    assert unmixed["participants"] == [
        {"participantId": "8:acs:29bd5ea9_a"},
        {"participantId": "8:acs:29bd5ea9_b", "channel": 1},
    ]


def test_render() -> None:
    """The file is indented JSON with CRLF line ends and nothing else."""
    raw = metadata.render({"a": [1], "b": "é"})

    assert raw == '{\r\n  "a": [\r\n    1\r\n  ],\r\n  "b": "é"\r\n}'.encode()
    assert json.loads(raw) == {"a": [1], "b": "é"}
