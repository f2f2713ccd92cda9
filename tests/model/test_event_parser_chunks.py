"""recording/model/event_parser.py: the location of a chunk, and whether the app fetches it."""

import json
from typing import Any

import pytest

from recording.model import event_parser
from recording.model.events import AnnouncedChunk, FileStatusUpdated
from tests.support.emulator import file_event
from tests.support.manifests import event, recording
from tests.support.samples import DOCUMENT, GOOD_CHUNK
from tests.support.source import recording_of

OBJECT = f"https://storage.asm.skype.com/v1/objects/{DOCUMENT}"
TEAMS = "https://team.blob.core.windows.net/calls/20210727/x/0-video.mp4"
EVIL = "https://evil.example/v1/objects/x/content/video"


def chunk(location: str | None) -> AnnouncedChunk:
    """Make a chunk with a location."""
    return AnnouncedChunk(DOCUMENT, 0, None, content_location=location)


def test_locations_are_kept_as_they_are() -> None:
    """They are copied letter by letter and never built (docs/acs-contract.md#storage-host)."""
    where = {
        "contentLocation": f"{OBJECT}/content/video",
        "metadataLocation": f"{OBJECT}/content/acsmetadata",
        "deleteLocation": OBJECT,
    }

    read = event_parser.read_chunks([GOOD_CHUNK | where])

    [got] = read.chunks
    assert list(where.values()) == [got.content_location, got.metadata_location, got.delete_location]
    assert ((), ()) == (read.problems, read.derived)


@pytest.mark.parametrize("name", ["contentLocation", "metadataLocation", "deleteLocation"])
def test_white_space_around_an_address_is_not_part_of_it(name: str) -> None:
    """A chunk with it would be refused at each attempt."""
    read = event_parser.read_chunks([GOOD_CHUNK | {"contentLocation": OBJECT, name: f" {OBJECT}\r\n"}])

    assert OBJECT == getattr(read.chunks[0], name.replace("L", "_l"))


@pytest.mark.parametrize("name", ["contentLocation", "metadataLocation", "deleteLocation"])
@pytest.mark.parametrize("odd", [5, [], {}, "a\nb", "a" * 9000, "\ud800"])
def test_a_location_that_cannot_be_one_costs_no_chunk(name: str, odd: Any) -> None:
    """It is omitted; only without a location to delete at no byte stays unfetched."""
    read = event_parser.read_chunks([GOOD_CHUNK | {"contentLocation": OBJECT, name: odd}])

    [got] = read.chunks
    [told] = read.derived if name == "deleteLocation" else read.problems
    assert getattr(got, name.replace("L", "_l")) is None
    assert told.startswith(f"chunk entry 0: {name} must be a URL")
    assert told.endswith("; omitted")


@pytest.mark.parametrize(
    "location",
    [
        f"{OBJECT}/content/video",
        f"https://sa1-storage.asm.skype.com/v1/objects/{DOCUMENT}/content/video",
        "https://eu-prod.asyncgw.teams.microsoft.com/some/other/path",
        "https://a.ams.gov.teams.microsoft.us/v2/x",
        f"http://127.0.0.1:8080/v1/objects/{DOCUMENT}/content/video",
        f"https://us.blob.asm.skype.com/v1/objects/{DOCUMENT}/content/video",
        f"https://storage.blob.teams.microsoft.com/V1/Objects/{DOCUMENT}/content/video",
        f"https://storage.of.next.year.example/v2/things/{DOCUMENT}",
        f"https://acs.communication.azure.com/recording/download/{DOCUMENT}",
        "https://evil-asm.skype.com.example.org/calls/x",
        "http://[",
    ],
)
def test_a_failed_export_is_fetched(location: str) -> None:
    """The chunk is at the service, or its location is unknown: that must be reported.

    See docs/acs-contract.md#own-storage.
    """
    assert not event_parser.is_exported(chunk(location), "AzureBlob")


@pytest.mark.parametrize(
    "location",
    [
        "https://team.blob.core.windows.net/calls/20210727/x/0-video.mp4",
        "https://team.blob.core.chinacloudapi.cn/calls/0-video.mp4",
        "https://team.z01.blob.storage.azure.net/calls/0-video.mp4",
        "http://127.0.0.1:10000/devstoreaccount1/calls/20210727/0-video.mp4",
    ],
)
def test_a_chunk_in_the_teams_storage_is_exported(location: str) -> None:
    """Such a chunk has no deadline, and isn't copied."""
    assert event_parser.is_exported(chunk(location), "AzureBlob")
    assert event_parser.is_exported(chunk(location), "azureBlobStorage")
    assert event_parser.is_exported(chunk(location), " AZUREBLOB ")


@pytest.mark.parametrize("kind", [None, "azureCommunicationServices", "AzureCommunicationServices"])
def test_a_chunk_in_the_services_storage_never_is(kind: str | None) -> None:
    """Not even one of the 2021 preview API, whose event has no location."""
    assert not event_parser.is_exported(chunk(None), kind)


@pytest.mark.parametrize("index", [0, 1])
def test_each_address_of_a_document_is_kept(index: int) -> None:
    """One of them may be right: each is tried, at whatever index its entry has the document."""
    entries: list[dict[str, Any]] = [
        {"contentLocation": EVIL},
        {"contentLocation": OBJECT, "index": index},
        {"contentLocation": OBJECT},
    ]

    read = event_parser.read_chunks([GOOD_CHUNK | entry for entry in entries])

    assert {EVIL, OBJECT} == {chunk.content_location for chunk in read.chunks}
    assert {DOCUMENT} == {chunk.document_id for chunk in read.chunks}
    assert {0, index} == {chunk.index for chunk in read.chunks}
    found = recording([event(chunks=read.chunks)], [])
    assert [EVIL, OBJECT] == [job.content_location for job in found.chunks[0].jobs]


def test_entries_that_complete_each_other_are_one_address() -> None:
    """As where one has the content and another the metadata file."""
    entries = [{"contentLocation": OBJECT}, {"metadataLocation": f"{OBJECT}/m"}, {"contentLocation": OBJECT}]

    [got] = event_parser.read_chunks([GOOD_CHUNK | entry for entry in entries]).chunks

    assert (OBJECT, f"{OBJECT}/m") == (got.content_location, got.metadata_location)


@pytest.mark.parametrize("locations", [(TEAMS, OBJECT), (OBJECT, TEAMS), (TEAMS, OBJECT, TEAMS)])
def test_what_one_entry_says_is_at_the_service_is_fetched(locations: tuple[str, ...]) -> None:
    """That another says that it was exported must not turn it into nothing to do."""
    made = file_event(recording_of(*[DOCUMENT] * len(locations)))
    for entry, location in zip(made["data"]["recordingStorageInfo"]["recordingChunks"], locations, strict=True):
        entry |= {"contentLocation": location, "index": 0}
    made["data"]["storageType"] = "AzureBlob"

    read = event_parser.parse_event(json.dumps(made))

    assert isinstance(read, FileStatusUpdated)
    assert ([OBJECT], ()) == ([chunk.content_location for chunk in read.chunks], read.exported)
