"""recording/model/payload.py: what a metadata file says of its media."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording.model import payload

# As recorded in March 2021 (docs/acs-contract.md#2021-metadata-file): two types in each other's place, a rate that is
# text.
OF_2021 = {
    "contentType": "mixed",
    "channelType": "audioVideo",
    "format": "mp4",
    "audioConfiguration": {"sampleRate": "16000", "bitRate": 128000, "channels": 1},
}


def described(info: Any) -> dict[str, str]:
    """Read a metadata file with this `recordingInfo`."""
    return payload.read_metadata_file(json.dumps({"chunkIndex": 0, "recordingInfo": info}).encode())


def test_types_that_were_swapped_are_put_right() -> None:
    """A file of the 2021 preview API and one of the Call Automation API give the same result."""
    of_today = OF_2021 | {"contentType": "audioVideo", "channelType": "mixed", "audioConfiguration": {"sampleRate": 1}}

    assert (
        {"content_type": "audioVideo", "channel_type": "mixed", "format": "mp4"}
        == described(OF_2021)
        == described(of_today)
    )


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({"contentType": "Audio", "channelType": "Unmixed", "format": "Wav"}, ("audio", "unmixed", "wav")),
        ({"ContentType": "audio", "FORMAT": "mp3"}, ("audio", None, "mp3")),
        ({"contentType": "audio", "channelType": "audio"}, ("audio", None, None)),
        ({"contentType": 7, "channelType": None, "format": "../mp4"}, (None, None, None)),
        ({"format": "mixed"}, (None, None, None)),
        ({}, (None, None, None)),
        (None, (None, None, None)),
        ("mp4", (None, None, None)),
        ([], (None, None, None)),
    ],
)
def test_what_is_not_said_is_not_made_up(info: Any, expected: tuple[str | None, ...]) -> None:
    """Words are compared without case, and other words say nothing."""
    found = described(info)

    assert expected == tuple(found.get(name) for name in ("content_type", "channel_type", "format"))
    assert None not in found.values()


@given(st.one_of(st.binary(max_size=60), st.just(b"[" * 100_000), st.just(b"{}"), st.just(b'{"recordingInfo": 1}')))
def test_a_file_that_cannot_be_read_says_nothing(body: bytes) -> None:
    """It is archived as it is."""
    assert {} == payload.read_metadata_file(body)


def test_a_byte_order_mark_does_no_harm() -> None:
    """The file is archived with it, and read without."""
    body = b"\xef\xbb\xbf" + json.dumps({"recordingInfo": OF_2021}).encode()

    assert "mp4" == payload.read_metadata_file(body)["format"]
