"""recording/model/payload.py: what a metadata file says of its media."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording.model import payload
from recording.model.metadata_file import MetadataFile, participant_kind

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
    read = payload.read_metadata_file(json.dumps({"chunkIndex": 0, "recordingInfo": info}).encode())
    assert "{}" == read.pop("said")
    return read


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
    """It is archived as it is, and noted as read."""
    assert {"said": "{}"} == payload.read_metadata_file(body)


def test_a_byte_order_mark_does_no_harm() -> None:
    """The file is archived with it, and read without."""
    body = b"\xef\xbb\xbf" + json.dumps({"recordingInfo": OF_2021}).encode()

    assert "mp4" == payload.read_metadata_file(body)["format"]


PARTICIPANTS = [{"participantId": "8:acs:1_2"}, {"participantId": "4:+14255550123", "channel": 1}]
WHOLE = {
    "chunkStartTime": "2021-03-24T18:52:14.1321393Z",
    "chunkDuration": 15000.0,
    "pauseResumeIntervals": [
        {"startTime": "2021-03-24T18:52:20Z", "duration": 1000},
        {"startTime": "2021-03-24T18:52:18Z", "duration": 500.5},
    ],
    "participants": PARTICIPANTS,
}


def test_who_was_there_and_when_is_read() -> None:
    """With pauses in order, and the channel where sound isn't mixed."""
    said = payload.parse_metadata_file(json.dumps(WHOLE).encode())

    assert datetime(2021, 3, 24, 18, 52, 14, 132139, UTC) == said.start
    assert 15000 == said.duration_ms
    assert [(18, 500.5), (20, 1000)] == [(pause.start.second, pause.ms) for pause in said.pauses]
    assert [("8:acs:1_2", None), ("4:+14255550123", 1)] == [(one.id, one.channel) for one in said.speakers]


def test_what_it_says_is_noted_on_its_blob_where_there_is_room() -> None:
    """In ASCII, as headers have to be; of hundreds of participants the file itself is read."""
    whole = json.dumps(WHOLE).encode()
    crowd = WHOLE | {"participants": [{"participantId": f"8:acs:{number:064}"} for number in range(300)]}

    note = payload.read_metadata_file(whole)["said"]

    assert note.isascii()
    assert payload.parse_metadata_file(whole) == MetadataFile.from_note(note)
    assert "said" not in payload.read_metadata_file(json.dumps(crowd).encode())
    assert 300 == len(payload.parse_metadata_file(json.dumps(crowd).encode()).speakers)


@pytest.mark.parametrize(
    "strange",
    [
        {"chunkStartTime": "0001-01-01T00:00:00+14:00"},
        {"chunkStartTime": 5},
        {"chunkStartTime": "yesterday"},
        {"chunkDuration": -1},
        {"pauseResumeIntervals": {"startTime": 1}},
        {"pauseResumeIntervals": [None, 1, {}, {"startTime": "x", "duration": "y"}]},
        {"participants": "Ada"},
        {"participants": [None, {}, {"participantId": 5}, {"participantId": ""}]},
    ],
)
def test_what_is_strange_in_it_costs_only_itself(strange: dict[str, object]) -> None:
    """The other members are read."""
    said = payload.parse_metadata_file(json.dumps(WHOLE | strange).encode())

    [name] = strange
    known: dict[str, object] = {"chunkStartTime": said.start, "chunkDuration": said.duration_ms}
    known |= {"pauseResumeIntervals": said.pauses, "participants": said.speakers}
    assert not known.pop(name)
    assert all(known.values())


def test_a_note_that_cannot_be_read_is_none() -> None:
    """Whoever wrote it."""
    assert MetadataFile.from_note("{") is None
    assert MetadataFile.from_note('{"start": "x"}') is None


@pytest.mark.parametrize(
    ("participant", "kind"),
    [
        ("8:acs:1_2", "acs"),
        ("8:ORGID:1", "teams"),
        ("28:orgid:1", "bot"),
        ("4:+14255550123", "phone"),
        ("Ada", "unknown"),
    ],
)
def test_an_id_shows_what_kind_of_participant_it_names(participant: str, kind: str) -> None:
    """By its beginning."""
    assert kind == participant_kind(participant)


def test_a_note_has_no_double_blanks() -> None:
    """A header that is signed may have lost them on its way."""
    said = WHOLE | {"participants": [{"participantId": "8:acs:a  b   c"}]}

    note = payload.read_metadata_file(json.dumps(said).encode())["said"]

    assert "  " not in note
    assert ["8:acs:a  b   c"] == [one.id for one in (MetadataFile.from_note(note) or MetadataFile()).speakers]
