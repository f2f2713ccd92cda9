"""recording/model/options.py: what a start may ask of the Call Automation API, and which of it goes together."""

import json
from typing import Any

import azure.functions as func
import pytest

from recording.api import request
from recording.control.bodies import StartRecording
from recording.errors import BadRequest
from recording.model.options import ChannelAffinity, ExternalStorage

ADA, GRACE = "8:acs:29bd5ea9_0000000e", "4:+491234567"
UNMIXED = {"recordingChannelType": "unmixed"}
BLOB = "azureBlobStorage"


def read(body: dict[str, Any]) -> StartRecording:
    """Read the body of a start."""
    return request.read_body(StartRecording, func.HttpRequest("POST", "/", body=json.dumps(body).encode()))


def storage(**members: Any) -> dict[str, Any]:
    """Write the option for storage of one's own."""
    return {"externalStorage": members}


def test_every_option_is_read() -> None:
    """The members are the service's own; a participant is a raw id, or an identifier with one."""
    got = read(
        {
            **UNMIXED,
            "recordingContentType": "audio",
            "recordingFormatType": "wav",
            "audioChannelParticipantOrdering": [ADA, {"rawId": GRACE, "phoneNumber": {"value": "+491234567"}}],
            "channelAffinity": [{"channel": 4, "participant": {"rawId": ADA}}, {"channel": 0, "participant": GRACE}],
            "pauseOnStart": True,
            **storage(recordingStorageKind=BLOB, recordingDestinationContainerUrl="https://a.example/c"),
        }
    )

    assert ("audio", "unmixed", "wav", True) == (
        got.recording_content_type,
        got.recording_channel_type,
        got.recording_format_type,
        got.pause_on_start,
    )
    assert [ADA, GRACE] == got.audio_channel_participant_ordering
    assert [
        ChannelAffinity(channel=4, participant=ADA),
        ChannelAffinity(channel=0, participant=GRACE),
    ] == got.channel_affinity
    assert got.external_storage == ExternalStorage(
        recording_storage_kind="azureBlobStorage", recording_destination_container_url="https://a.example/c"
    )


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"recordingContentType": None, "channelAffinity": None, "externalStorage": None},
        {"recordingContentType": "audioVideo", "recordingFormatType": "mp4"},
        {"recordingContentType": "audioVideo", "recordingChannelType": "mixed"},
        {"recordingContentType": "audio", "recordingFormatType": "mp3"},
        {"recordingContentType": "audio", "recordingFormatType": "wav"},
        {"recordingFormatType": "mp3"},
        UNMIXED,
        {**UNMIXED, "recordingFormatType": "wav"},
        {**UNMIXED, "audioChannelParticipantOrdering": [f"8:acs:{n}" for n in range(5)]},
        {**UNMIXED, "channelAffinity": [{"channel": n, "participant": f"8:acs:{n}"} for n in range(5)]},
        {"audioChannelParticipantOrdering": [], "channelAffinity": []},
        {"pauseOnStart": False},
        storage(recordingStorageKind="azureCommunicationServices"),
        storage(recordingStorageKind=BLOB, recordingDestinationContainerUrl="http://127.0.0.1:10000/a/c"),
    ],
)
def test_what_goes_together(body: dict[str, Any]) -> None:
    """What the service accepts, or may accept, is accepted; it chooses what isn't given."""
    read(body)


@pytest.mark.parametrize(
    ("body", "target", "reason"),
    [
        ({"recordingContentType": "video"}, "recordingContentType", "'audio' or 'audioVideo'"),
        ({"recordingContentType": "Audio"}, "recordingContentType", "'audio' or 'audioVideo'"),
        ({"recordingChannelType": 1}, "recordingChannelType", "'mixed' or 'unmixed'"),
        ({"recordingFormatType": "flac"}, "recordingFormatType", "'mp4', 'mp3' or 'wav'"),
        ({**UNMIXED, "recordingFormatType": "mp3"}, "recordingFormatType", "an unmixed recording is a wav"),
        ({**UNMIXED, "recordingFormatType": "mp4"}, "recordingFormatType", "an unmixed recording is a wav"),
        ({**UNMIXED, "recordingContentType": "audioVideo"}, "recordingChannelType", "has audio only"),
        ({"recordingContentType": "audioVideo", "recordingFormatType": "mp3"}, "recordingFormatType", "is an mp4"),
        ({"recordingContentType": "audioVideo", "recordingFormatType": "wav"}, "recordingFormatType", "is an mp4"),
        ({"audioChannelParticipantOrdering": [ADA]}, "audioChannelParticipantOrdering", "needs recordingChannelType"),
        (
            {"recordingChannelType": "mixed", "channelAffinity": [{"channel": 0, "participant": ADA}]},
            "channelAffinity",
            "needs recordingChannelType unmixed",
        ),
        ({**UNMIXED, "audioChannelParticipantOrdering": [ADA, ADA]}, "audioChannelParticipantOrdering", "twice"),
        (
            {**UNMIXED, "audioChannelParticipantOrdering": [ADA, {"rawId": ADA}]},
            "audioChannelParticipantOrdering",
            "twice",
        ),
        (
            {**UNMIXED, "audioChannelParticipantOrdering": [f"8:acs:{n}" for n in range(6)]},
            "audioChannelParticipantOrdering",
            "at most 5",
        ),
        ({**UNMIXED, "audioChannelParticipantOrdering": [""]}, "audioChannelParticipantOrdering.0", "at least 1"),
        ({**UNMIXED, "audioChannelParticipantOrdering": [{}]}, "audioChannelParticipantOrdering.0", "valid string"),
        (
            {**UNMIXED, "channelAffinity": [{"channel": 1, "participant": ADA}, {"channel": 1, "participant": GRACE}]},
            "channelAffinity",
            "twice",
        ),
        (
            {**UNMIXED, "channelAffinity": [{"channel": 1, "participant": ADA}, {"channel": 2, "participant": ADA}]},
            "channelAffinity",
            "twice",
        ),
        ({**UNMIXED, "channelAffinity": [{"channel": 5, "participant": ADA}]}, "channelAffinity.0.channel", "less"),
        ({**UNMIXED, "channelAffinity": [{"channel": -1, "participant": ADA}]}, "channelAffinity.0.channel", "greater"),
        (
            {**UNMIXED, "channelAffinity": [{"channel": "1", "participant": ADA}]},
            "channelAffinity.0.channel",
            "integer",
        ),
        (
            {**UNMIXED, "channelAffinity": [{"channel": True, "participant": ADA}]},
            "channelAffinity.0.channel",
            "integer",
        ),
        ({**UNMIXED, "channelAffinity": [{"channel": 1}]}, "channelAffinity.0.participant", "required"),
        ({"pauseOnStart": "true"}, "pauseOnStart", "valid boolean"),
        (storage(), "externalStorage.recordingStorageKind", "required"),
        (storage(recordingStorageKind="s3"), "externalStorage.recordingStorageKind", BLOB),
        (
            storage(recordingStorageKind=BLOB),
            "externalStorage.recordingDestinationContainerUrl",
            "given with azureBlobStorage",
        ),
        (
            storage(recordingStorageKind="azureCommunicationServices", recordingDestinationContainerUrl="https://a/c"),
            "externalStorage.recordingDestinationContainerUrl",
            "only then",
        ),
        *(
            (
                storage(recordingStorageKind=BLOB, recordingDestinationContainerUrl=url),
                "externalStorage.recordingDestinationContainerUrl",
                "must be",
            )
            for url in (
                "http://a.example/c",
                "/c",
                "",
                "https://a.example/c?sig=s3cret",
                "https://a.example/c#x",
                "ftp://a",
            )
        ),
        (
            storage(recordingStorageKind=BLOB, recordingDestinationContainerUrl="https://a.example/" + "c" * 2048),
            "externalStorage.recordingDestinationContainerUrl",
            "at most 2048",
        ),
    ],
)
def test_what_does_not(body: dict[str, Any], target: str, reason: str) -> None:
    """A member that is wrong, or doesn't go with another, is a 400 that names it and says why, and repeats nothing."""
    with pytest.raises(BadRequest) as refused:
        read(body)

    assert target == refused.value.target
    assert reason in refused.value.message
    assert "s3cret" not in refused.value.message


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, []),
        ({"operationContext": "x", "recordingStateCallbackUri": "https://a.example/"}, []),
        ({"pauseOnStart": False}, ["pauseOnStart"]),
        (
            {"recordingFormatType": "mp3", "recordingContentType": "audio", "operationContext": "x"},
            ["recordingContentType", "recordingFormatType"],
        ),
        ({"channelAffinity": []}, ["channelAffinity"]),
    ],
)
def test_what_the_api_of_2021_does_not_have(body: dict[str, Any], expected: list[str]) -> None:
    """Every option that was given is named, and nothing that has been there since 2021."""
    assert expected == read(body).of_today()
