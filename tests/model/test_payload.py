"""recording/model/payload.py: the members of an event's data, of any year and in any casing."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording.model import payload
from recording.model.payload import FileStatus

STORAGE: dict[str, Any] = {"recordingStorageInfo": {"recordingChunks": []}}


@pytest.mark.parametrize(
    ("content", "channel", "media", "expected"),
    [
        ("AudioVideo", "Mixed", "Mp4", ("audioVideo", "mixed", "mp4")),
        ("audioVideo", "mixed", "mp4", ("audioVideo", "mixed", "mp4")),
        ("AUDIO", "unmixed", "WAV", ("audio", "unmixed", "wav")),
        ("Mixed", "AudioVideo", "Mp4", ("audioVideo", "mixed", "mp4")),
        ("unmixed", "audio", "Wav", ("audio", "unmixed", "wav")),
        ("Video", "Stereo", "Mkv", (None, None, None)),
        ("mp4", "mp3", "mixed", (None, None, None)),
        (None, None, None, (None, None, None)),
        (5, [], {"a": 1}, (None, None, None)),
        ("Audio", None, "Mp3", ("audio", None, "mp3")),
        ("../../x", "", "mp4/../x", (None, None, None)),
    ],
)
def test_types(content: Any, channel: Any, media: Any, expected: tuple[Any, Any, Any]) -> None:
    """Pascal or camel case, in the other's place as in 2021, or unknown, which costs nothing."""
    told = {"recordingContentType": content, "recordingChannelType": channel, "recordingFormatType": media}

    assert expected == FileStatus.model_validate(STORAGE | told).types


@pytest.mark.parametrize("absent", [None, ""])
def test_no_location(absent: Any) -> None:
    """The events of April 2021 have none."""
    assert payload.location(absent) is None


@pytest.mark.parametrize("good", ["https://storage.asm.skype.com/v1/objects/0-x", "a", "a" * 8192])
def test_a_location_is_kept_letter_by_letter(good: str) -> None:
    """Whether it may be asked is another's to say."""
    assert good == payload.location(good)


@pytest.mark.parametrize("bad", [5, True, [], {}, "a\nb", "a\tb", "\x7f", "ü", "\ud800", "a" * 8193])
def test_what_cannot_be_a_location(bad: Any) -> None:
    """It is refused, and what it held isn't repeated."""
    with pytest.raises(ValueError, match=r"must be a URL of at most 8192 printable ASCII characters$"):
        payload.location(bad)


@given(st.none() | st.integers() | st.text() | st.lists(st.text()))
def test_a_location_fits_into_a_message(value: Any) -> None:
    """Two of them must not outgrow the 64 KiB of a queue message, in base64."""
    try:
        got = payload.location(value)
    except ValueError:
        return
    assert got is None or len(got.encode()) <= 8192


def test_names_have_no_case() -> None:
    """2021's callbacks and Event Grid differ in it, and a third form costs nothing."""
    chunk = payload.ChunkFields.model_validate({"DOCUMENTID": "0-a", "Index": 3, "contentlocation": "x"})

    assert ("0-a", 3, "x") == (chunk.document_id, chunk.index, chunk.content_location)
